//! Microsoft's VHD, fixed and dynamic.
//!
//! Source: Virtual Hard Disk Image Format Specification, 2006. All numbers are big-endian. A fixed one is the disk and a footer.
//! A dynamic one has the footer, a header, the table of blocks, the blocks that have data (each after a bitmap of its
//! sectors), and the footer again.

use super::structure::Structure;
use super::{Blocks, Form, Layout, Names, Piece, Unfit};
use crate::disk::vhd::checksum;

const SECTOR: u64 = 512;
const FOOTER_BYTES: u64 = SECTOR;
const HEADER_BYTES: u64 = 1024;
const TABLE_AT: u64 = FOOTER_BYTES + HEADER_BYTES;
/// Before the data of a block of 2 MiB.
const BITMAP_BYTES: u64 = SECTOR;
/// What readers take a disk to have at most, in sectors: 2040 GiB.
const SECTORS_MAX: u64 = 0xff00_0000;
const VERSION: u32 = 0x0001_0000;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
/// A maker by whose name all readers take the size that the footer calls current, not that of the geometry.
const MAKER: &[u8] = b"win ";
const MAKER_VERSION: u32 = 0x000a_0000;
const MAKER_HOST: &[u8] = b"Wi2k";

/// Refuses what is too large.
pub(super) fn check(form: Form, disk: &Blocks) -> Result<(), Unfit> {
    if disk.disk_bytes() > SECTORS_MAX * SECTOR {
        return Err(Unfit::new(form, disk, "it has 2040 GiB at most; vhdx has more"));
    }
    Ok(())
}

/// The footer of a disk.
fn footer(disk: &Blocks, kind: u32, names: &Names) -> Vec<u8> {
    let mut footer = Structure::new(FOOTER_BYTES);
    let header_at = if kind == DYNAMIC { FOOTER_BYTES } else { u64::MAX };
    footer.put(0, b"conectix");
    footer.put(8, &2_u32.to_be_bytes());
    footer.put(12, &VERSION.to_be_bytes());
    footer.put(16, &header_at.to_be_bytes());
    footer.put(28, MAKER);
    footer.put(32, &MAKER_VERSION.to_be_bytes());
    footer.put(36, MAKER_HOST);
    footer.put(40, &disk.disk_bytes().to_be_bytes());
    footer.put(48, &disk.disk_bytes().to_be_bytes());
    let (cylinders, heads, sectors) = geometry(disk.disk_bytes() / SECTOR);
    footer.put(56, &cylinders.to_be_bytes());
    footer.put(58, &[heads, sectors]);
    footer.put(60, &kind.to_be_bytes());
    footer.put(68, names.uuid("vhd").as_bytes());
    let sum = checksum(footer.bytes(), 64);
    footer.put(64, &sum.to_be_bytes());
    footer.into_bytes()
}

/// Cylinders, heads and sectors, as the specification's appendix has them.
fn geometry(sectors: u64) -> (u16, u8, u8) {
    let sectors = sectors.min(65_535 * 16 * 255);
    let (mut a_track, mut heads, mut tracks);
    if sectors >= 65_535 * 16 * 63 {
        (a_track, heads, tracks) = (255, 16, sectors / 255);
    } else {
        (a_track, tracks) = (17, sectors / 17);
        heads = tracks.div_ceil(1024).max(4);
        if tracks >= heads * 1024 || heads > 16 {
            (a_track, heads, tracks) = (31, 16, sectors / 31);
        }
        if tracks >= heads * 1024 {
            (a_track, heads, tracks) = (63, 16, sectors / 63);
        }
    }
    (u16::try_from(tracks / heads).unwrap_or(u16::MAX), heads as u8, a_track)
}

/// A disk as a fixed VHD.
pub(super) struct Fixed {
    /// Of which only the size counts.
    disk: Blocks,
    footer: Vec<u8>,
}

impl Fixed {
    pub(super) fn new(disk: &Blocks, names: &Names) -> Result<Fixed, Unfit> {
        check(Form::VhdFixed, disk)?;
        Ok(Fixed { disk: Blocks::new(disk.guest_bytes(), SECTOR), footer: footer(disk, FIXED, names) })
    }
}

impl Layout for Fixed {
    fn size_bytes(&self) -> u64 {
        self.disk.disk_bytes() + FOOTER_BYTES
    }

    fn piece_at(&self, at: u64) -> Piece {
        match self.disk.disk_bytes().checked_sub(at) {
            Some(left @ 1..) => self.disk.guest(at, left),
            _ => Piece::Made(rest(&self.footer, at - self.disk.disk_bytes())),
        }
    }

    fn kept_bytes(&self) -> u64 {
        FOOTER_BYTES
    }
}

/// A disk as a dynamic VHD.
pub(super) struct Dynamic {
    disk: Blocks,
    footer: Vec<u8>,
}

impl Dynamic {
    pub(super) fn new(disk: Blocks, names: &Names) -> Result<Dynamic, Unfit> {
        check(Form::Vhd, &disk)?;
        let footer = footer(&disk, DYNAMIC, names);
        Ok(Dynamic { disk, footer })
    }

    /// Where the first block is.
    fn data_at(&self) -> u64 {
        (TABLE_AT + self.disk.total() * 4).next_multiple_of(SECTOR)
    }

    fn stride(&self) -> u64 {
        BITMAP_BYTES + self.disk.block_bytes()
    }

    fn header(&self) -> Structure {
        let mut header = Structure::new(HEADER_BYTES);
        header.put(0, b"cxsparse");
        header.put(8, &u64::MAX.to_be_bytes());
        header.put(16, &TABLE_AT.to_be_bytes());
        for (at, number) in [(24, u64::from(VERSION)), (28, self.disk.total()), (32, self.disk.block_bytes())]
        {
            header.put(at, &u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        }
        let sum = checksum(header.bytes(), 36);
        header.put(36, &sum.to_be_bytes());
        header
    }

    /// The sectors of the table from this one on, some of them.
    fn table(&self, sector: u64) -> Structure {
        const ENTRIES: u64 = SECTOR / 4;
        const SECTORS: u64 = 32;
        let sectors = SECTORS.min((self.data_at() - TABLE_AT) / SECTOR - sector);
        let blocks = sector * ENTRIES..(sector + sectors) * ENTRIES;
        let mut table = Structure::new(sectors * SECTOR);
        table.put(0, &vec![0xff; (sectors * SECTOR) as usize]);
        for (block, ordinal) in self.disk.within(blocks.clone()) {
            // A disk of 2040 GiB, its bitmaps and its table have less than 2^32 sectors.
            let at = (self.data_at() + ordinal * self.stride()) / SECTOR;
            table.put((block - blocks.start) * 4, &u32::try_from(at).unwrap_or(u32::MAX).to_be_bytes());
        }
        table
    }
}

impl Layout for Dynamic {
    fn size_bytes(&self) -> u64 {
        self.data_at() + self.disk.count() * self.stride() + FOOTER_BYTES
    }

    fn piece_at(&self, at: u64) -> Piece {
        if at < FOOTER_BYTES {
            return Piece::Made(rest(&self.footer, at));
        }
        if at < TABLE_AT {
            return self.header().from(at - FOOTER_BYTES);
        }
        if at < self.data_at() {
            let at = at - TABLE_AT;
            return self.table(at / SECTOR).from(at % SECTOR);
        }
        let at = at - self.data_at();
        let (ordinal, within) = (at / self.stride(), at % self.stride());
        if ordinal >= self.disk.count() {
            return Piece::Made(rest(&self.footer, at - self.disk.count() * self.stride()));
        }
        match within.checked_sub(BITMAP_BYTES) {
            // All sectors of a block count, also those of zeros.
            None => Piece::Made(vec![0xff; (BITMAP_BYTES - within) as usize]),
            Some(skip) => self.disk.data(ordinal, skip, self.disk.block_bytes() - skip),
        }
    }

    fn kept_bytes(&self) -> u64 {
        self.disk.kept_bytes() + FOOTER_BYTES
    }
}

fn rest(bytes: &[u8], skip: u64) -> Vec<u8> {
    bytes.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).copied().collect()
}
