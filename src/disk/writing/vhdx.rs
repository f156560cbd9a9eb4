//! Microsoft's VHDX, dynamic.
//!
//! Source: MS-VHDX. All numbers are little-endian. The file has the headers in its first MiB, then an empty log, the metadata, the
//! table of blocks, and the blocks that have data, each on a grid of 1 MiB.

use uuid::Uuid;

use super::structure::Structure;
use super::{Blocks, Form, Layout, Names, Piece, Unfit};
use crate::disk::vhdx::format::{
    BAT, DISK_ID, DISK_SIZE, FILE_PARAMETERS, LOGICAL_SECTOR, METADATA, PHYSICAL_SECTOR, checksum,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const TABLE_AT: u64 = 3 * MIB;
const REGION_TABLE_BYTES: u64 = 64 * KIB;
const HEADER_BYTES: u64 = 4 * KIB;
/// Where items of the metadata begin, after their table.
const ITEMS_AT: u64 = 64 * KIB;
const LOGICAL_BYTES: u32 = 512;
const PHYSICAL_BYTES: u32 = 4096;
/// Sectors that a bitmap would tell of: after so many an entry of the table is for one.
const BITMAP_SECTORS: u64 = 1 << 23;
const PRESENT: u64 = 6;
const ZEROS: u64 = 2;
const REQUIRED: u32 = 1 << 2;
const OF_DISK: u32 = 1 << 1;
const SIZE_MAX: u64 = 64 << 40;

/// Refuses what is too large.
pub(super) fn check(disk: &Blocks) -> Result<(), Unfit> {
    if disk.disk_bytes() > SIZE_MAX {
        return Err(Unfit::new(Form::Vhdx, disk, "it has 64 TiB at most"));
    }
    Ok(())
}

/// A disk as a VHDX.
pub(super) struct Vhdx {
    disk: Blocks,
    names: Names,
}

impl Vhdx {
    pub(super) fn new(disk: Blocks, names: &Names) -> Result<Vhdx, Unfit> {
        check(&disk)?;
        Ok(Vhdx { disk, names: *names })
    }

    /// Entries between two that are for a bitmap.
    fn ratio(&self) -> u64 {
        BITMAP_SECTORS * u64::from(LOGICAL_BYTES) / self.disk.block_bytes()
    }

    fn entries(&self) -> u64 {
        let blocks = self.disk.total();
        blocks + blocks.saturating_sub(1) / self.ratio()
    }

    fn table_bytes(&self) -> u64 {
        (self.entries() * 8).next_multiple_of(MIB).max(MIB)
    }

    fn data_at(&self) -> u64 {
        TABLE_AT + self.table_bytes()
    }

    fn header(&self, sequence: u64) -> Structure {
        let mut header = Structure::new(HEADER_BYTES);
        header.put(0, b"head");
        header.put(8, &sequence.to_le_bytes());
        header.put(16, &self.names.uuid("vhdx file").to_bytes_le());
        header.put(32, &self.names.uuid("vhdx data").to_bytes_le());
        header.put(66, &1_u16.to_le_bytes());
        header.put(68, &(MIB as u32).to_le_bytes());
        header.put(72, &LOG_AT.to_le_bytes());
        sealed(header)
    }

    fn regions(&self) -> Structure {
        let mut table = Structure::new(REGION_TABLE_BYTES);
        table.put(0, b"regi");
        table.put(8, &2_u32.to_le_bytes());
        let regions = [(BAT, TABLE_AT, self.table_bytes()), (METADATA, METADATA_AT, MIB)];
        for (entry, (id, at, bytes)) in (16..).step_by(32).zip(regions) {
            table.put(entry, &id.to_bytes_le());
            table.put(entry + 16, &at.to_le_bytes());
            table.put(entry + 24, &u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
            table.put(entry + 28, &1_u32.to_le_bytes());
        }
        sealed(table)
    }

    /// The table of the metadata, and its items.
    fn metadata(&self) -> Structure {
        let block = u32::try_from(self.disk.block_bytes()).unwrap_or(u32::MAX);
        let items: [(Uuid, Vec<u8>, u32); 5] = [
            (FILE_PARAMETERS, [block.to_le_bytes(), [0; 4]].concat(), REQUIRED),
            (DISK_SIZE, self.disk.disk_bytes().to_le_bytes().into(), REQUIRED | OF_DISK),
            (DISK_ID, self.names.uuid("vhdx disk").to_bytes_le().into(), REQUIRED | OF_DISK),
            (LOGICAL_SECTOR, LOGICAL_BYTES.to_le_bytes().into(), REQUIRED | OF_DISK),
            (PHYSICAL_SECTOR, PHYSICAL_BYTES.to_le_bytes().into(), REQUIRED | OF_DISK),
        ];
        let mut made = Structure::new(ITEMS_AT + 4 * KIB);
        made.put(0, b"metadata");
        made.put(10, &(items.len() as u16).to_le_bytes());
        let mut at = ITEMS_AT;
        for (entry, (id, item, flags)) in (32..).step_by(32).zip(items) {
            made.put(entry, &id.to_bytes_le());
            for (place, number) in [(16, at as u32), (20, item.len() as u32), (24, flags)] {
                made.put(entry + place, &number.to_le_bytes());
            }
            made.put(at, &item);
            at += item.len() as u64;
        }
        made
    }

    /// Entries of the table of blocks from this one on, some of them.
    fn table(&self, first: u64) -> Structure {
        const ENTRIES: u64 = 8192;
        let (end, stride) = (self.entries().min(first + ENTRIES), self.ratio() + 1);
        let mut table = Structure::new((end - first) * 8);
        let is_block = |entry: &u64| entry % stride < self.ratio();
        for entry in (first..end).filter(is_block) {
            table.put((entry - first) * 8, &ZEROS.to_le_bytes());
        }
        // What is before an entry is that many blocks, less the bitmaps'.
        let block_at = |entry: u64| entry / stride * self.ratio() + (entry % stride).min(self.ratio());
        for (block, ordinal) in self.disk.within(block_at(first)..block_at(end)) {
            let entry = block + block / self.ratio();
            let at = self.data_at() + ordinal * self.disk.block_bytes();
            table.put((entry - first) * 8, &(at | PRESENT).to_le_bytes());
        }
        table
    }
}

/// The structure with its checksum.
fn sealed(mut structure: Structure) -> Structure {
    let sum = checksum(structure.bytes(), 4);
    structure.put(4, &sum.to_le_bytes());
    structure
}

/// What of a structure there is at a place, and the zeros after it up to `end`.
fn padded(made: Structure, start: u64, end: u64, at: u64) -> Piece {
    let length = made.bytes().len() as u64;
    if at - start < length { made.from(at - start) } else { Piece::Zeros(end - at) }
}

fn file_identifier() -> Structure {
    let mut identifier = Structure::new(520);
    identifier.put(0, b"vhdxfile");
    for (at, unit) in (8..).step_by(2).zip("Tintype".encode_utf16()) {
        identifier.put(at, &unit.to_le_bytes());
    }
    identifier
}

impl Layout for Vhdx {
    fn size_bytes(&self) -> u64 {
        self.data_at() + self.disk.count() * self.disk.block_bytes()
    }

    fn piece_at(&self, at: u64) -> Piece {
        let part = at / (64 * KIB);
        let (start, end) = (part * 64 * KIB, (part + 1) * 64 * KIB);
        match part {
            0 => padded(file_identifier(), start, end, at),
            1 | 2 => padded(self.header(part), start, end, at),
            3 | 4 => self.regions().from(at - start),
            _ if at < METADATA_AT => Piece::Zeros(METADATA_AT - at),
            _ if at < TABLE_AT => padded(self.metadata(), METADATA_AT, TABLE_AT, at),
            _ if at < TABLE_AT + self.entries() * 8 => self.table((at - TABLE_AT) / 8).from(at % 8),
            _ if at < self.data_at() => Piece::Zeros(self.data_at() - at),
            _ => {
                let (at, each) = (at - self.data_at(), self.disk.block_bytes());
                self.disk.data(at / each, at % each, u64::MAX)
            }
        }
    }

    fn kept_bytes(&self) -> u64 {
        self.disk.kept_bytes()
    }
}
