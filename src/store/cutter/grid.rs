//! The grid cutter: chunks end on the guest's 4 KiB grid, at file ends where they show.
//!
//! Owns the rule. After each block, the chunk ends when
//! - its last 16 bytes are zero: a file ended here,
//! - or it reached the longest length,
//! - or `xxh3_64(block)` is 0 modulo 32 (below the average length) or modulo 8 (from it on).
//!
//! A run of zero blocks is a hole: it ends the chunk before it. The bytes before the first block
//! of the grid are a piece of their own. A short tail belongs to the last chunk; zeros at the
//! very end of the stream are a hole, however few.
//!
//! **The minimum rises** where pieces get too small, so that odd or hostile data cannot blow up
//! manifests. A debt grows by 6 KiB for each piece (holes too), shrinks by the piece's length,
//! and is never negative. At 32 KiB (sixteen minimum-size pieces in a row, or a mixture as bad)
//! the minimum becomes 16 KiB: no cut is taken below it, and a zero run shorter than it is data
//! of the chunk around it. The first piece longer than 16 KiB lowers it again. As pieces under
//! the raised minimum pay more than they owe (a short chunk before a hole together with the
//! hole), **a stream has never more than a piece per 6 KiB, and ten more**.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{BLOCK, CutterParams, Piece, ends_in_zeros, is_zero};

/// The minimum under debt: shortest chunk that is cut and shortest hole.
const RAISED_MIN: usize = 16 * 1024;
/// What each piece adds to the debt; its length pays it off.
const PIECE_PRICE: u64 = 6 * 1024;
/// The debt at which the minimum rises: sixteen pieces of 4 KiB.
const DEBT_MAX: u64 = 32 * 1024;

/// What the cutter knows besides the bytes it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GridState {
    block: u32,
    leading: bool,
    open: u32,
    zero_end: u32,
    hole: u64,
    debt: u64,
    raised: bool,
}

/// The state of one stream.
#[derive(Clone)]
pub(super) struct GridCutter {
    min: usize,
    avg: usize,
    max: usize,
    /// The open chunk as far as it came in earlier calls, and the part of a block after it.
    carry: Vec<u8>,
    /// Length of the block being taken: the grid's, or what comes before the grid.
    block: usize,
    /// Whether the bytes before the grid are still to come.
    leading: bool,
    /// Length of the open chunk, in whole blocks.
    open: usize,
    /// How much of its end is zero: a hole if it gets long enough.
    zero_end: usize,
    /// Length of the open hole; never beside an open chunk.
    hole: u64,
    /// How far short of 6 KiB the latest pieces fell; see the module.
    debt: u64,
    raised: bool,
}

/// What a block does to the chunk it was added to.
enum Verdict {
    /// The chunk stays open.
    Open,
    /// The chunk ends after the block.
    Cut,
    /// The chunk ends that many bytes before the end of the block; those are a hole.
    Hole(usize),
}

impl GridCutter {
    pub(super) fn new(params: CutterParams) -> GridCutter {
        let phase = params.phase as usize % BLOCK;
        GridCutter {
            min: params.min_bytes as usize,
            avg: params.avg_bytes as usize,
            max: params.max_bytes as usize,
            carry: Vec::new(),
            block: if phase == 0 { BLOCK } else { phase },
            leading: phase != 0,
            open: 0,
            zero_end: 0,
            hole: 0,
            debt: 0,
            raised: false,
        }
    }

    /// The cutter as it was when this state was taken, with the bytes it carried.
    pub(super) fn resume(self, state: &GridState, carry: Vec<u8>) -> Option<GridCutter> {
        let (block, open, zero_end) = (state.block as usize, state.open as usize, state.zero_end as usize);
        let fits = (1..=BLOCK).contains(&block)
            && zero_end <= open
            && open <= carry.len()
            && carry.len() - open < block
            && (open == 0 || state.hole == 0);
        let GridState { leading, hole, debt, raised, .. } = *state;
        fits.then_some(GridCutter { carry, block, leading, open, zero_end, hole, debt, raised, ..self })
    }

    /// What it knows, and how many bytes it carries.
    pub(super) fn state(&self) -> (GridState, usize) {
        let state = GridState {
            block: self.block as u32,
            leading: self.leading,
            open: self.open as u32,
            zero_end: self.zero_end as u32,
            hole: self.hole,
            debt: self.debt,
            raised: self.raised,
        };
        (state, self.carry.len())
    }

    pub(super) fn push(&mut self, data: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        let rest = self.fill_carry(data, emit);
        if !self.carry.is_empty() {
            return;
        }
        let (mut start, mut end) = (0, self.block);
        while let Some(block) = rest.get(end - self.block..end) {
            let verdict = self.judge(block, emit);
            if self.carry_out(verdict, &rest[start..end], emit) {
                start = end;
            }
            end += self.block;
        }
        self.carry.extend_from_slice(&rest[start..]);
    }

    /// Ends the chunk that earlier calls began, if any, and gives back what is left of `data`.
    fn fill_carry<'d>(&mut self, mut data: &'d [u8], emit: &mut dyn FnMut(Piece<'_>)) -> &'d [u8] {
        let mut carry = std::mem::take(&mut self.carry);
        while !carry.is_empty() {
            let missing = self.open + self.block - carry.len();
            let (now, later) = data.split_at(missing.min(data.len()));
            carry.extend_from_slice(now);
            data = later;
            if now.len() < missing {
                break;
            }
            let verdict = self.judge(&carry[self.open..], emit);
            if self.carry_out(verdict, &carry, emit) {
                carry.clear();
            }
        }
        self.carry = carry;
        data
    }

    /// Decides what the next block of the stream does.
    fn judge(&mut self, block: &[u8], emit: &mut dyn FnMut(Piece<'_>)) -> Verdict {
        self.open += block.len();
        let was_leading = std::mem::replace(&mut self.leading, false);
        self.block = BLOCK;
        if is_zero(block) {
            self.zero_end += block.len();
            let is_hole = was_leading || self.hole > 0 || self.zero_end >= self.minimum();
            return match is_hole {
                true => Verdict::Hole(self.zero_end),
                false if self.open >= self.max => Verdict::Cut,
                false => Verdict::Open,
            };
        }
        self.zero_end = 0;
        self.end_hole(emit);
        if was_leading || self.ends_chunk(block) { Verdict::Cut } else { Verdict::Open }
    }

    fn ends_chunk(&self, block: &[u8]) -> bool {
        if self.open < self.minimum() {
            return false;
        }
        let one_in = if self.open < self.avg { 32 } else { 8 };
        self.open >= self.max || ends_in_zeros(block) || xxh3_64(block).is_multiple_of(one_in)
    }

    fn minimum(&self) -> usize {
        if self.raised { RAISED_MIN.max(self.min) } else { self.min }
    }

    /// Does what the verdict says with the chunk's bytes; true when the chunk is no longer open.
    fn carry_out(&mut self, verdict: Verdict, bytes: &[u8], emit: &mut dyn FnMut(Piece<'_>)) -> bool {
        let zeros = match verdict {
            Verdict::Open => return false,
            Verdict::Cut => 0,
            Verdict::Hole(zeros) => zeros,
        };
        let chunk = &bytes[..bytes.len() - zeros];
        if !chunk.is_empty() {
            emit(Piece::Chunk(chunk));
            self.account(chunk.len() as u64);
        }
        self.hole += zeros as u64;
        self.open = 0;
        self.zero_end = 0;
        true
    }

    fn end_hole(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let hole = std::mem::take(&mut self.hole);
        if hole > 0 {
            emit(Piece::Zeros(hole));
            self.account(hole);
        }
    }

    fn account(&mut self, piece: u64) {
        self.debt = (self.debt + PIECE_PRICE).saturating_sub(piece);
        if piece > RAISED_MIN as u64 {
            self.raised = false;
        } else if self.debt >= DEBT_MAX {
            self.raised = true;
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let carry = std::mem::take(&mut self.carry);
        let tail = &carry[self.open..];
        let zeros = if is_zero(tail) { self.zero_end + tail.len() } else { 0 };
        if zeros < carry.len() {
            self.end_hole(emit);
        }
        self.carry_out(Verdict::Hole(zeros), &carry, emit);
        self.end_hole(emit);
    }
}
