//! The cutter of dynamic VHDs, whose blocks are a sector off the grid of the one before.
//!
//! Owns the rule: from [`CutterParams::phase`] on, which is where the first block begins, the stream is blocks of a bitmap of
//! 512 bytes and 2 MiB of the guest's disk. The bitmap stands alone; the data is cut on a grid of its own, by the rule of
//! the grid cutter. What comes before the blocks is cut on the grid of the stream. Where the blocks lie otherwise the cuts
//! are in worse places, and no byte is lost.

use serde::{Deserialize, Serialize};

use super::grid::{GridCutter, GridState};
use super::{CutterParams, Piece};

/// The bitmap of a block's sectors.
pub(super) const BITMAP_BYTES: u64 = 512;
/// What a block has of the disk: all writers' default, of the specification too.
pub(super) const DATA_BYTES: u64 = 2 << 20;

/// What the cutter knows besides the bytes that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockState {
    grid: GridState,
    at: u64,
    hole: u64,
}

/// The state of one stream.
#[derive(Clone)]
pub(super) struct BlockCutter {
    grid: GridCutter,
    /// Where the first block begins.
    start: u64,
    /// Bytes taken so far.
    at: u64,
    /// A hole that goes on behind the end of a part, unless data follows.
    hole: u64,
}

impl BlockCutter {
    pub(super) fn new(params: CutterParams) -> BlockCutter {
        let grid = GridCutter::new(CutterParams { phase: 0, ..params });
        BlockCutter { grid, start: u64::from(params.phase), at: 0, hole: 0 }
    }

    /// The cutter as it was when this state was taken, with the bytes that waited.
    pub(super) fn resume(self, state: &BlockState, carry: Vec<u8>) -> Option<BlockCutter> {
        let BlockState { grid, at, hole } = *state;
        Some(BlockCutter { grid: self.grid.resume(&grid, carry)?, start: self.start, at, hole })
    }

    /// What it knows, and how many bytes wait.
    pub(super) fn state(&self) -> (BlockState, usize) {
        let (grid, held_back) = self.grid.state();
        (BlockState { grid, at: self.at, hole: self.hole }, held_back)
    }

    pub(super) fn push(&mut self, mut data: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        while !data.is_empty() {
            let left = self.left_of_part();
            let (now, later) = data.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(data.len()));
            let (grid, hole) = (&mut self.grid, &mut self.hole);
            grid.push(now, &mut |piece| joined(hole, piece, emit));
            self.at += now.len() as u64;
            if now.len() as u64 == left {
                grid.finish(&mut |piece| joined(hole, piece, emit));
            }
            data = later;
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let hole = &mut self.hole;
        self.grid.finish(&mut |piece| joined(hole, piece, emit));
        if self.hole > 0 {
            emit(Piece::Zeros(std::mem::take(&mut self.hole)));
        }
    }

    /// Bytes up to the end of the part that the next byte belongs to.
    fn left_of_part(&self) -> u64 {
        let Some(behind) = self.at.checked_sub(self.start) else { return self.start - self.at };
        match behind % (BITMAP_BYTES + DATA_BYTES) {
            within if within < BITMAP_BYTES => BITMAP_BYTES - within,
            within => BITMAP_BYTES + DATA_BYTES - within,
        }
    }
}

/// Passes a piece on; holes that follow each other become one.
fn joined(hole: &mut u64, piece: Piece<'_>, emit: &mut dyn FnMut(Piece<'_>)) {
    match piece {
        Piece::Zeros(bytes) => *hole += bytes,
        Piece::Chunk(_) => {
            if *hole > 0 {
                emit(Piece::Zeros(std::mem::take(hole)));
            }
            emit(piece);
        }
    }
}
