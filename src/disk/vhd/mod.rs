//! VHD, fixed and dynamic: a disk of one file that needs no other.

mod blocks;
mod footer;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use std::sync::Arc;

use self::blocks::Blocks;
pub(in crate::disk) use self::footer::checksum;
use self::footer::{Footer, Kind};
use super::budgets::Budgets;
use super::guest::{Guest, Place, Run};
use super::kept::{Kept, Reach};
use super::notes::{Note, NoteCode};
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};

const SECTOR: u64 = 512;

/// A VHD file.
pub struct Vhd<S> {
    source: S,
    footer: Footer,
    /// `None` where it is fixed.
    blocks: Option<Blocks>,
    /// One a block: a sector for the usual 2 MiB.
    bitmaps: Kept,
}

impl<S: Source> Vhd<S> {
    /// Reads the footer, and of a dynamic one the table of blocks.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: S, budgets: &Budgets) -> Result<Vhd<S>, Error> {
        let footer = Footer::read(&source)?;
        let file = Structures::new(&source, Format::Vhd);
        let size = footer.size_bytes;
        if size > budgets.virtual_bytes_max {
            let why = format!("it is {size}, and disks.virtual_bytes_max is {}", budgets.virtual_bytes_max);
            return Err(file.refuse(Code::OverBudget, "current size", why));
        }
        let blocks = match footer.kind {
            Kind::Fixed if size > footer.before_bytes => {
                let why = format!("it is {size}, and {} bytes lie before the footer", footer.before_bytes);
                return Err(file.refuse(Code::CutShort, "current size", why));
            }
            Kind::Fixed => None,
            Kind::Dynamic { header_at } => Some(Blocks::read(&source, header_at, size, budgets)?),
        };
        Ok(Vhd { source, footer, blocks, bitmaps: budgets.pieces.of_one() })
    }

    fn bitmap(&self, at: u64, bytes: u64, reach: Reach) -> Result<Arc<Vec<u8>>, Error> {
        let file = Structures::new(&self.source, Format::Vhd);
        // It lies in the file: the table was checked.
        self.bitmaps.get(at, reach, || file.table("sector bitmap", at, bytes, bytes))
    }

    fn run_in(&self, blocks: &Blocks, at: u64, wanted: u64, reach: Reach) -> Result<Run, Error> {
        let (block, within) = (at / blocks.block_bytes, at % blocks.block_bytes);
        let Some(start) = blocks.at(block) else {
            return Ok(Run { bytes: blocks.block_bytes - within, place: Place::Zeros });
        };
        let bitmap = self.bitmap(start, blocks.bitmap_bytes, reach)?;
        let is_written = |sector: u64| {
            let byte = usize::try_from(sector / 8).ok().and_then(|at| bitmap.get(at)).copied().unwrap_or(0);
            byte >> (7 - sector % 8) & 1 == 1
        };
        let (first, sectors) = (within / SECTOR, blocks.block_bytes / SECTOR);
        let written = is_written(first);
        // Whoever asks for one run after the other would else go over the rest of the block each time.
        let last = within.saturating_add(wanted).div_ceil(SECTOR).max(first + 1).min(sectors);
        let end = (first + 1..last).find(|sector| is_written(*sector) != written).unwrap_or(last);
        let place = match written {
            true => Place::Plain(start + blocks.bitmap_bytes + within),
            // What was never written is zeros, whatever lies there.
            false => Place::Zeros,
        };
        Ok(Run { bytes: end * SECTOR - within, place })
    }

    fn run(&self, at: u64, wanted: u64, reach: Reach) -> Result<Run, Error> {
        let left = self.footer.size_bytes.saturating_sub(at);
        let run = match &self.blocks {
            None => Run { bytes: left, place: Place::Plain(at) },
            Some(blocks) => self.run_in(blocks, at, wanted, reach)?,
        };
        Ok(Run { bytes: run.bytes.min(left), ..run })
    }
}

impl<S: Source> Guest for Vhd<S> {
    fn size_bytes(&self) -> u64 {
        self.footer.size_bytes
    }

    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error> {
        self.run(at, wanted, Reach::Medium)
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        self.run(at, wanted, Reach::Memory).ok()
    }

    fn kept_bytes(&self) -> u64 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.kept_bytes())
    }

    fn source(&self) -> &dyn Source {
        &self.source
    }

    fn notes(&self) -> Vec<Note> {
        let other = self.footer.other_size();
        other.map(|bytes| Note::with(NoteCode::SizesDiffer, "disk geometry", bytes)).into_iter().collect()
    }
}
