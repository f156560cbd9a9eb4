//! The blocks of a dynamic VHD: where each lies, and which of its sectors have been written.

use crate::disk::budgets::Budgets;
use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

use super::footer::{FOOTER_BYTES, checksum};

const HEADER_BYTES: usize = 1024;
const COOKIE: &[u8] = b"cxsparse";
const VERSION: u32 = 0x0001_0000;
const CHECKSUM_AT: usize = 36;
const LOCATORS_AT: usize = 576;
const LOCATOR_BYTES: usize = 24;
const LOCATORS: usize = 8;
const SECTOR: u64 = FOOTER_BYTES as u64;
/// An entry of a block that is not there.
const HOLE: u32 = u32::MAX;

/// The table of blocks.
pub(super) struct Blocks {
    /// Bytes of the disk that a block has.
    pub(super) block_bytes: u64,
    /// Bytes of the sectors' bitmap before a block's data.
    pub(super) bitmap_bytes: u64,
    table: Vec<u8>,
}

impl Blocks {
    /// Memory that the table takes, in bytes.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.table.len() as u64
    }

    /// Reads the header and the table of a disk of this size.
    pub(super) fn read(
        source: &dyn Source,
        header_at: u64,
        size_bytes: u64,
        budgets: &Budgets,
    ) -> Result<Blocks, Error> {
        let file = Structures::new(source, Format::Vhd);
        let refuse = |code, field, why: String| Err(file.refuse(code, field, why));
        let bytes = file.bytes("dynamic header", header_at, HEADER_BYTES)?;
        let header = Fields(&bytes);
        if !bytes.starts_with(COOKIE) {
            return refuse(Code::BadField, "dynamic header cookie", "it is another".into());
        }
        if checksum(&bytes, CHECKSUM_AT) != header.be32(CHECKSUM_AT) {
            return refuse(
                Code::BadChecksum,
                "dynamic header checksum",
                "it is not that of the header".into(),
            );
        }
        let version = header.be32(24);
        if version != VERSION {
            return refuse(Code::Unsupported, "dynamic header version", format!("it is {version:#x}"));
        }
        let has_locator = (0..LOCATORS).any(|n| header.be32(LOCATORS_AT + n * LOCATOR_BYTES) != 0);
        if has_locator || !header.is_zero(40, 16) {
            let why = "it tells where another disk is";
            return refuse(Code::NeedsAnotherFile, "parent locator", why.into());
        }
        let (entries, block_bytes) = (u64::from(header.be32(28)), u64::from(header.be32(32)));
        if !block_bytes.is_power_of_two() || block_bytes < SECTOR {
            let why = format!("it is {block_bytes}, no power of two from 512 on");
            return refuse(Code::BadField, "block size", why);
        }
        let needed = size_bytes.div_ceil(block_bytes);
        if entries < needed {
            let why = format!("it has {entries} entries, and the disk needs {needed}");
            return refuse(Code::BadTable, "max table entries", why);
        }
        let table_at = header.be64(16);
        let table = file.table("block allocation table", table_at, needed * 4, budgets.table_bytes_max)?;
        let bitmap_bytes = (block_bytes / SECTOR).div_ceil(8).next_multiple_of(SECTOR);
        let blocks = Blocks { block_bytes, bitmap_bytes, table };
        let taken = [(0, SECTOR), (header_at, HEADER_BYTES as u64), (table_at, entries * 4)];
        blocks.check(&file, source.size_bytes(), &taken)?;
        Ok(blocks)
    }

    /// Where the bitmap of a block is; `None` where the block is a hole.
    pub(super) fn at(&self, block: u64) -> Option<u64> {
        self.sector(block).map(|sector| u64::from(sector) * SECTOR)
    }

    /// The same in sectors.
    fn sector(&self, block: u64) -> Option<u32> {
        let place = usize::try_from(block).ok().and_then(|block| block.checked_mul(4))?;
        let entry = Fields(self.table.get(place..)?).be32(0);
        (entry != HOLE).then_some(entry)
    }

    /// Blocks lie in the file, apart from each other and from what else is there.
    fn check(&self, file: &Structures, file_bytes: u64, taken: &[(u64, u64)]) -> Result<(), Error> {
        let wrong = |why: String| Err(file.refuse(Code::BadTable, "block allocation table", why));
        let each = self.bitmap_bytes + self.block_bytes;
        let count = self.table.len() as u64 / 4;
        // In sectors: half the memory of bytes.
        let mut starts: Vec<u32> = (0..count).filter_map(|block| self.sector(block)).collect();
        starts.sort_unstable();
        let byte = |sector: &u32| u64::from(*sector) * SECTOR;
        for pair in starts.windows(2) {
            if byte(&pair[1]) - byte(&pair[0]) < each {
                return wrong(format!("two blocks overlap at byte {}", byte(&pair[1])));
            }
        }
        for (at, bytes) in taken {
            let before = starts.partition_point(|start| byte(start) < at.saturating_add(*bytes));
            let last = starts[..before].last().map(byte);
            if let Some(last) = last.filter(|last| last + each > *at) {
                return wrong(format!("the block at byte {last} overlaps a header"));
            }
        }
        match starts.last().map(byte) {
            // The footer follows the last one, so that it is there whole.
            Some(last) if last + each > file_bytes - FOOTER_BYTES as u64 + 1 => {
                wrong(format!("the block at byte {last} reaches past the end"))
            }
            _ => Ok(()),
        }
    }
}
