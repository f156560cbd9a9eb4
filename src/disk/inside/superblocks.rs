//! The marks of single formats, and what stands beside them.
//!
//! Invariant: each looks at the bytes it is given alone.

use uuid::{Uuid, uuid};

use super::recognise::{Kind, Recognised};
use crate::disk::fields::{Fields, array};

/// Tells what bytes are the beginning of.
pub(super) type Probe = fn(&[u8]) -> Option<Recognised>;
/// A probe of bytes that lie further from the start: from where, how many, and the probe.
type Further = (u64, usize, Probe);

/// Marks past the head.
pub(super) const FURTHER: [Further; 2] = [(64 << 10, 8 << 10, ufs), (128 << 10, 128 << 10, zfs)];

fn uuid_text(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = array(bytes, 0)?;
    (bytes != [0; 16]).then(|| Uuid::from_bytes(bytes).to_string())
}

/// A text that ends with its first zero.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim_end().to_owned();
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn luks(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    (fields.bytes(0, 6) == b"LUKS\xba\xbe").then(|| Recognised {
        label: if fields.be16(6) == 2 { text(fields.bytes(24, 48)) } else { None },
        id: text(fields.bytes(168, 40)),
        ..Recognised::new(Kind::Luks, "crypto_LUKS")
    })
}

pub(super) fn lvm(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    let is_label = |at: &usize| fields.bytes(*at, 8) == b"LABELONE" && fields.bytes(at + 24, 4) == b"LVM2";
    let at = [0, 512, 1024, 1536].into_iter().find(is_label)?;
    Some(Recognised { id: text(fields.bytes(at + 32, 32)), ..Recognised::new(Kind::Lvm, "LVM2_member") })
}

pub(super) fn xfs(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    let block = u64::from(fields.be32(4));
    (fields.bytes(0, 4) == b"XFSB").then(|| Recognised {
        label: text(fields.bytes(108, 12)),
        id: uuid_text(fields.bytes(32, 16)),
        size_bytes: fields.be64(8).checked_mul(block),
        free_bytes: fields.be64(144).checked_mul(block),
        ..Recognised::new(Kind::Xfs, "xfs")
    })
}

/// What Windows writes: the name stands behind a jump.
pub(super) fn windows(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    match fields.bytes(3, 8) {
        b"NTFS    " => Some(Recognised {
            id: Some(format!("{:016X}", fields.le64(72))),
            size_bytes: fields.le64(40).checked_mul(u64::from(fields.le16(11))),
            ..Recognised::new(Kind::Ntfs, "ntfs")
        }),
        b"EXFAT   " => {
            let id = fields.le32(100);
            let id = Some(format!("{:04X}-{:04X}", id >> 16, id & 0xffff));
            Some(Recognised { id, ..Recognised::new(Kind::Exfat, "exfat") })
        }
        b"-FVE-FS-" => Some(Recognised::new(Kind::BitLocker, "BitLocker")),
        b"ReFS\0\0\0\0" => Some(Recognised::new(Kind::Refs, "ReFS")),
        _ => None,
    }
}

pub(super) fn swap(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    // The mark ends the first page, and pages differ from processor to processor.
    let is_marked = |page: &usize| fields.bytes(page - 10, 10) == b"SWAPSPACE2";
    let page = [4 << 10, 8 << 10, 16 << 10, 64 << 10].into_iter().find(is_marked)?;
    Some(Recognised {
        label: text(fields.bytes(1052, 16)),
        id: uuid_text(fields.bytes(1036, 16)),
        size_bytes: Some((u64::from(fields.le32(1028)) + 1) * page as u64),
        ..Recognised::new(Kind::Swap, "swap")
    })
}

pub(super) fn btrfs(head: &[u8]) -> Option<Recognised> {
    const AT: usize = 64 << 10;
    let fields = Fields(head);
    let (total, used) = (fields.le64(AT + 0x70), fields.le64(AT + 0x78));
    (fields.bytes(AT + 0x40, 8) == b"_BHRfS_M").then(|| Recognised {
        label: text(fields.bytes(AT + 0x12b, 256)),
        id: uuid_text(fields.bytes(AT + 0x20, 16)),
        size_bytes: Some(total),
        free_bytes: total.checked_sub(used),
        ..Recognised::new(Kind::Btrfs, "btrfs")
    })
}

pub(super) fn ext(head: &[u8]) -> Option<Recognised> {
    const AT: usize = 1024;
    const HAS_JOURNAL: u32 = 0x4;
    /// Features of ext4 that ext3 does not have: extents, 64 bits, flexible groups; huge files, sums of tables.
    const INCOMPATIBLE_OF_EXT4: u32 = 0x40 | 0x80 | 0x200;
    const READ_ONLY_OF_EXT4: u32 = 0x8 | 0x10 | 0x20 | 0x40 | 0x400;
    let fields = Fields(head);
    if fields.le16(AT + 0x38) != 0xef53 {
        return None;
    }
    let is_ext4 =
        fields.le32(AT + 0x60) & INCOMPATIBLE_OF_EXT4 != 0 || fields.le32(AT + 0x64) & READ_ONLY_OF_EXT4 != 0;
    let has_journal = fields.le32(AT + 0x5c) & HAS_JOURNAL != 0;
    let name = if is_ext4 {
        "ext4"
    } else if has_journal {
        "ext3"
    } else {
        "ext2"
    };
    Some(Recognised {
        label: text(fields.bytes(AT + 0x78, 16)),
        id: uuid_text(fields.bytes(AT + 0x68, 16)),
        ..Recognised::new(Kind::Ext, name)
    })
}

pub(super) fn f2fs(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    (fields.le32(1024) == 0xf2f5_2010).then(|| Recognised {
        id: uuid_text(fields.bytes(1024 + 108, 16)),
        ..Recognised::new(Kind::F2fs, "f2fs")
    })
}

pub(super) fn raid(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    let is_marked = |at: &usize| fields.le32(*at) == 0xa92b_4efc;
    let at = [0, 4096].into_iter().find(is_marked)?;
    let id = uuid_text(fields.bytes(at + 16, 16));
    let label = text(fields.bytes(at + 32, 32));
    Some(Recognised { id, label, ..Recognised::new(Kind::Raid, "linux_raid_member") })
}

pub(super) fn bcachefs(head: &[u8]) -> Option<Recognised> {
    const MAGIC: Uuid = uuid!("c68573f6-66ce-90a9-d96a-60cf803df7ef");
    let fields = Fields(head);
    (fields.bytes(4096 + 24, 16) == MAGIC.as_bytes()).then(|| Recognised {
        id: uuid_text(fields.bytes(4096 + 56, 16)),
        label: text(fields.bytes(4096 + 72, 32)),
        ..Recognised::new(Kind::Bcachefs, "bcachefs")
    })
}

pub(super) fn apple(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    match (fields.bytes(32, 4), fields.bytes(1024, 2)) {
        (b"NXSB", _) => Some(Recognised::new(Kind::Apfs, "apfs")),
        (_, b"H+" | b"HX") if matches!(fields.be16(1026), 4 | 5) => {
            Some(Recognised::new(Kind::HfsPlus, "hfsplus"))
        }
        _ => None,
    }
}

/// File systems that are written once.
pub(super) fn packed(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    if matches!(fields.bytes(0, 4), b"hsqs" | b"sqsh") {
        return Some(Recognised {
            size_bytes: Some(fields.le64(40)),
            ..Recognised::new(Kind::Squashfs, "squashfs")
        });
    }
    (fields.le32(1024) == 0xe0f5_e1e2).then(|| Recognised {
        id: uuid_text(fields.bytes(1024 + 48, 16)),
        label: text(fields.bytes(1024 + 64, 16)),
        ..Recognised::new(Kind::Erofs, "erofs")
    })
}

pub(super) fn iso(head: &[u8]) -> Option<Recognised> {
    const AT: usize = 16 * 2048;
    let fields = Fields(head);
    (fields.bytes(AT + 1, 5) == b"CD001").then(|| Recognised {
        label: text(fields.bytes(AT + 40, 32)),
        id: disc_id(fields.bytes(AT + 813, 16)),
        size_bytes: Some(u64::from(fields.le32(AT + 80)) * u64::from(fields.le16(AT + 128))),
        ..Recognised::new(Kind::Iso, "iso9660")
    })
}

/// A disc's id is the time it was made at, digit by digit.
fn disc_id(digits: &[u8]) -> Option<String> {
    if digits.len() != 16 || !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|d| *d == b'0') {
        return None;
    }
    let text = String::from_utf8_lossy(digits).into_owned();
    let spans = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16];
    let parts: Vec<&str> = spans.into_iter().filter_map(|span| text.get(span)).collect();
    Some(parts.join("-"))
}

pub(super) fn fat(head: &[u8]) -> Option<Recognised> {
    let fields = Fields(head);
    let (bytes, sectors_per_cluster) = (fields.le16(11), fields.bytes(13, 1).first().copied()?);
    let (reserved, fats, media) =
        (fields.le16(14), fields.bytes(16, 1).first().copied()?, fields.bytes(21, 1).first().copied()?);
    let is_fat = fields.bytes(510, 2) == [0x55, 0xaa]
        && matches!(bytes, 512 | 1024 | 2048 | 4096)
        && sectors_per_cluster.is_power_of_two()
        && reserved > 0
        && matches!(fats, 1 | 2)
        && (media == 0xf0 || media >= 0xf8)
        && (fields.le16(19) != 0 || fields.le32(32) != 0);
    if !is_fat {
        return None;
    }
    // FAT32 has no sectors per table at the old place, and its labels further on.
    let at = if fields.le16(22) == 0 { 67 } else { 39 };
    let id = fields.le32(at);
    Some(Recognised {
        label: text(fields.bytes(at + 4, 11)).filter(|label| label != "NO NAME"),
        id: Some(format!("{:04X}-{:04X}", id >> 16, id & 0xffff)),
        ..Recognised::new(Kind::Fat, "vfat")
    })
}

fn ufs(bytes: &[u8]) -> Option<Recognised> {
    let magic = Fields(bytes).le32(1372);
    matches!(magic, 0x1954_0119 | 0x0001_1954).then(|| Recognised::new(Kind::Ufs, "ufs"))
}

/// A label of ZFS has a ring of roots, each with the same mark.
fn zfs(ring: &[u8]) -> Option<Recognised> {
    const MAGIC: u64 = 0x00ba_b10c;
    let fields = Fields(ring);
    let is_marked = |at: usize| fields.le64(at) == MAGIC || fields.be64(at) == MAGIC;
    (0..ring.len()).step_by(1024).any(is_marked).then(|| Recognised::new(Kind::Zfs, "zfs_member"))
}
