//! What lies in a part of a disk, by the marks at known places: a file system, or something that holds others.
//!
//! Sources: the superblock probes of util-linux (libblkid), and the formats' own descriptions. Invariant: a handful of
//! reads, whatever the bytes are. Must not read further than the first structure of anything.

use super::fault::Fault;
use super::part::Part;
use super::superblocks as of;

/// Something that a part of a disk can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext2, ext3 or ext4.
    Ext,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// A disc of ISO 9660.
    Iso,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// F2FS.
    F2fs,
    /// NTFS.
    Ntfs,
    /// exFAT.
    Exfat,
    /// ReFS.
    Refs,
    /// A volume that BitLocker encrypts.
    BitLocker,
    /// A physical volume of LVM.
    Lvm,
    /// A member of a Linux RAID.
    Raid,
    /// A volume that LUKS encrypts.
    Luks,
    /// Swap of Linux.
    Swap,
    /// A member of a pool of ZFS.
    Zfs,
    /// A member of a bcachefs.
    Bcachefs,
    /// Squashfs.
    Squashfs,
    /// EROFS.
    Erofs,
    /// HFS+.
    HfsPlus,
    /// APFS.
    Apfs,
    /// UFS of a BSD.
    Ufs,
}

/// What was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// What it is.
    pub kind: Kind,
    /// That by its usual name, with the version where that tells more: `ext4`, `vfat`.
    pub name: &'static str,
    /// Its label.
    pub label: Option<String>,
    /// Its id, as `blkid` writes it.
    pub id: Option<String>,
    /// Bytes that it manages, where its first structure says so.
    pub size_bytes: Option<u64>,
    /// Bytes of them that nothing lies in, likewise.
    pub free_bytes: Option<u64>,
}

impl Recognised {
    /// A kind of which nothing else is said.
    pub(super) fn new(kind: Kind, name: &'static str) -> Recognised {
        Recognised { kind, name, label: None, id: None, size_bytes: None, free_bytes: None }
    }
}

impl Kind {
    /// Whether its files are read here.
    pub fn is_read(self) -> bool {
        matches!(self, Kind::Ext | Kind::Fat | Kind::Iso)
    }
}

/// Bytes from the start that most marks lie in.
pub(super) const HEAD_BYTES: usize = 68 << 10;

/// What lies in a part; `None` where no mark is known.
///
/// # Errors
/// When its bytes cannot be had.
pub fn recognise(part: &Part) -> Result<Option<Recognised>, Fault> {
    let count = usize::try_from(part.size_bytes()).unwrap_or(usize::MAX).min(HEAD_BYTES);
    if let Some(found) = recognise_start(&part.bytes(0, count)?) {
        return Ok(Some(found));
    }
    for (at, count, probe) in of::FURTHER {
        if let Some(bytes) = part.bytes_if_inside(at, count)?
            && let Some(found) = probe(&bytes)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same by the start alone, which most marks lie in.
pub fn recognise_start(head: &[u8]) -> Option<Recognised> {
    // What encrypts or gathers others first: it may have been made over an older file system.
    let by_head: [of::Probe; 14] = [
        of::luks,
        of::lvm,
        of::xfs,
        of::windows,
        of::swap,
        of::btrfs,
        of::ext,
        of::f2fs,
        of::raid,
        of::bcachefs,
        of::apple,
        of::packed,
        of::iso,
        of::fat,
    ];
    by_head.into_iter().find_map(|probe| probe(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::fixtures::put;
    use crate::disk::inside::part::tests::disk;

    fn name(marks: &[(usize, &[u8])]) -> Option<&'static str> {
        let mut image = vec![0; 512 << 10];
        for (at, mark) in marks {
            put(&mut image, *at, mark);
        }
        recognise(&disk(image)).unwrap().map(|found| found.name)
    }

    #[test]
    fn marks_tell_what_lies_in_a_part() {
        assert_eq!(name(&[]), None);
        assert_eq!(name(&[(0, b"XFSB")]), Some("xfs"));
        assert_eq!(name(&[(0x10040, b"_BHRfS_M")]), Some("btrfs"));
        assert_eq!(name(&[(3, b"NTFS    ")]), Some("ntfs"));
        assert_eq!(name(&[(3, b"-FVE-FS-")]), Some("BitLocker"));
        assert_eq!(name(&[(3, b"EXFAT   ")]), Some("exfat"));
        assert_eq!(name(&[(512, b"LABELONE"), (512 + 24, b"LVM2 001")]), Some("LVM2_member"));
        assert_eq!(name(&[(0, b"LUKS\xba\xbe\0\x02")]), Some("crypto_LUKS"));
        assert_eq!(name(&[(4086, b"SWAPSPACE2")]), Some("swap"));
        assert_eq!(name(&[(65526, b"SWAPSPACE2")]), Some("swap"));
        assert_eq!(name(&[(128 << 10, &0x00ba_b10c_u64.to_le_bytes())]), Some("zfs_member"));
        assert_eq!(name(&[(0, b"hsqs")]), Some("squashfs"));
        assert_eq!(name(&[(1024, &0xe0f5_e1e2_u32.to_le_bytes())]), Some("erofs"));
        assert_eq!(name(&[(1024, &0xf2f5_2010_u32.to_le_bytes())]), Some("f2fs"));
        assert_eq!(name(&[(4096, &0xa92b_4efc_u32.to_le_bytes())]), Some("linux_raid_member"));
        assert_eq!(name(&[(32769, b"CD001")]), Some("iso9660"));
        let bcachefs = uuid::uuid!("c68573f6-66ce-90a9-d96a-60cf803df7ef");
        assert_eq!(name(&[(4096 + 24, bcachefs.as_bytes())]), Some("bcachefs"));
    }

    #[test]
    fn what_is_recognised_tells_its_label_id_and_room() {
        let mut xfs = vec![0; 64 << 10];
        put(&mut xfs, 0, b"XFSB");
        put(&mut xfs, 4, &4096_u32.to_be_bytes());
        put(&mut xfs, 8, &1000_u64.to_be_bytes());
        put(&mut xfs, 32, &[0xab; 16]);
        put(&mut xfs, 108, b"data");
        put(&mut xfs, 144, &250_u64.to_be_bytes());
        let found = recognise(&disk(xfs)).unwrap().unwrap();
        assert_eq!((found.size_bytes, found.free_bytes), (Some(4_096_000), Some(1_024_000)));
        assert_eq!(found.label.as_deref(), Some("data"));
        assert_eq!(found.id.as_deref(), Some("abababab-abab-abab-abab-abababababab"));
    }

    #[test]
    fn a_part_of_a_few_bytes_is_nothing() {
        for bytes in [0, 1, 511, 512, 1025, 4096] {
            assert_eq!(recognise(&disk(vec![0; bytes])).unwrap(), None);
        }
    }
}
