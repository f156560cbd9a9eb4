//! Microsoft's VHDX: a disk of one file that needs no other, as it is when its log has been replayed.

pub(in crate::disk) mod format;
mod header;
mod log;
mod metadata;
mod overlay;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use self::header::{MIB, Regions};
use self::metadata::Metadata;
use self::overlay::Overlay;
use super::budgets::Budgets;
use super::fields::Fields;
use super::guest::{Guest, Place, Run};
use super::notes::{Note, NoteCode};
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};

const STATE: u64 = 0b111;
/// Sectors that one bitmap tells of: between so many there is an entry of the table that is no block's.
const BITMAP_SECTORS: u64 = 1 << 23;

/// A VHDX file.
pub struct Vhdx<S> {
    source: Overlay<S>,
    metadata: Metadata,
    /// The table of blocks, as it stands in the file.
    table: Vec<u8>,
    /// Whether changes waited in the log.
    replayed: bool,
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Zeros,
    At(u64),
}

impl<S: Source> Vhdx<S> {
    /// Replays the log over the file, in memory; then reads the metadata and the table of blocks.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: S, budgets: &Budgets) -> Result<Vhdx<S>, Error> {
        let log = header::log(&source)?;
        let replayed = !log.name.is_nil();
        let source = log::replayed(source, log, budgets)?;
        let Regions { bat, metadata } = header::regions(&source)?;
        let metadata = Metadata::read(&source, metadata, budgets)?;
        let file = Structures::new(&source, Format::Vhdx);
        let blocks = metadata.size_bytes.div_ceil(metadata.block_bytes);
        let entries = blocks + blocks.saturating_sub(1) / per_bitmap(&metadata);
        if entries * 8 > bat.bytes {
            let why = format!("it has room for {} entries, and the disk needs {entries}", bat.bytes / 8);
            return Err(file.refuse(Code::BadTable, "block allocation table", why));
        }
        let table = file.table("block allocation table", bat.at, entries * 8, budgets.table_bytes_max)?;
        let vhdx = Vhdx { source, metadata, table, replayed };
        for block in 0..blocks {
            vhdx.block(block)?;
        }
        Ok(vhdx)
    }

    fn block(&self, block: u64) -> Result<Block, Error> {
        let Metadata { size_bytes, block_bytes, .. } = self.metadata;
        let index = block + block / per_bitmap(&self.metadata);
        let place = usize::try_from(index * 8).unwrap_or(usize::MAX);
        let entry = Fields(&self.table).le64(place);
        let file = Structures::new(&self.source, Format::Vhdx);
        let wrong = |code, why: &str| {
            Err(file.refuse(code, "block allocation table", format!("block {block}: {why}")))
        };
        match entry & STATE {
            // Not present, undefined, zeros, unmapped.
            0..=3 => Ok(Block::Zeros),
            6 => {
                let at = (entry >> 20) * MIB;
                if at < MIB {
                    return wrong(Code::BadTable, "it lies in the header");
                }
                let bytes = block_bytes.min(size_bytes - block * block_bytes);
                file.expect_inside("block allocation table", at, bytes)?;
                Ok(Block::At(at))
            }
            7 => wrong(Code::NeedsAnotherFile, "a part of it is in another file"),
            _ => wrong(Code::BadTable, "it is in no state that is known"),
        }
    }
}

/// Blocks that lie between two entries of bitmaps.
fn per_bitmap(metadata: &Metadata) -> u64 {
    BITMAP_SECTORS * metadata.sector_bytes / metadata.block_bytes
}

impl<S: Source> Guest for Vhdx<S> {
    fn size_bytes(&self) -> u64 {
        self.metadata.size_bytes
    }

    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error> {
        let (each, left) = (self.metadata.block_bytes, self.metadata.size_bytes.saturating_sub(at));
        let (mut block, within) = (at / each, at % each);
        let first = self.block(block)?;
        let mut bytes = each - within;
        while bytes < left.min(wanted) {
            let continues = match (first, self.block(block + 1)?) {
                (Block::Zeros, Block::Zeros) => true,
                (Block::At(from), Block::At(next)) => from + within + bytes == next,
                _ => false,
            };
            if !continues {
                break;
            }
            (block, bytes) = (block + 1, bytes + each);
        }
        let place = match first {
            Block::Zeros => Place::Zeros,
            Block::At(from) => Place::Plain(from + within),
        };
        Ok(Run { bytes: bytes.min(left), place })
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        // All that leads there is in memory.
        self.run_at(at, wanted).ok()
    }

    fn kept_bytes(&self) -> u64 {
        self.source.kept_bytes() + self.table.len() as u64
    }

    fn source(&self) -> &dyn Source {
        &self.source
    }

    fn notes(&self) -> Vec<Note> {
        let replayed = self.replayed.then(|| Note::new(NoteCode::LogReplayed, "log guid"));
        replayed.into_iter().collect()
    }
}
