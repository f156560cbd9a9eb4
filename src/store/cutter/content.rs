//! The content cutter: FastCDC (2020) over everything but long zero runs.
//!
//! Owns the rule: a run of 16 or more zero blocks, on the 4 KiB grid of the stream, is a hole;
//! what lies between holes is cut by FastCDC, each part on its own. Bytes wait until their cut
//! cannot depend on what comes after them: until the longest chunk is there, or a hole or the end
//! of the stream.

use fastcdc::v2020::FastCDC;
use serde::{Deserialize, Serialize};

use super::{BLOCK, CutterParams, Piece, is_zero};

/// The shortest hole.
const HOLE_MIN: usize = 64 * 1024;

/// What the cutter knows besides the bytes that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContentState {
    searched: u32,
    zero_end: u32,
    hole: u64,
}

/// The state of one stream.
#[derive(Clone)]
pub(super) struct ContentCutter {
    min: usize,
    avg: usize,
    max: usize,
    /// Bytes of earlier calls that are in no piece yet.
    carry: Vec<u8>,
    /// How far the waiting bytes were searched for zero blocks; ends on the grid.
    searched: usize,
    /// How much of the end of that is zero.
    zero_end: usize,
    /// Length of the open hole; nothing waits while there is one.
    hole: u64,
}

impl ContentCutter {
    /// Keeps the lengths within what FastCDC can do, as it panics outside.
    pub(super) fn new(params: CutterParams) -> ContentCutter {
        ContentCutter {
            min: (params.min_bytes as usize).clamp(1 << 6, 1 << 20),
            avg: (params.avg_bytes as usize).clamp(1 << 8, 1 << 22),
            max: (params.max_bytes as usize).clamp(1 << 10, 1 << 24),
            carry: Vec::new(),
            searched: 0,
            zero_end: 0,
            hole: 0,
        }
    }

    /// The cutter as it was when this state was taken, with the bytes that waited.
    pub(super) fn resume(self, state: &ContentState, carry: Vec<u8>) -> Option<ContentCutter> {
        let (searched, zero_end) = (state.searched as usize, state.zero_end as usize);
        let fits =
            zero_end <= searched && searched <= carry.len() && carry.len() <= self.max + HOLE_MIN + BLOCK;
        fits.then_some(ContentCutter { carry, searched, zero_end, hole: state.hole, ..self })
    }

    /// What it knows, and how many bytes wait.
    pub(super) fn state(&self) -> (ContentState, usize) {
        let (searched, zero_end) = (self.searched as u32, self.zero_end as u32);
        (ContentState { searched, zero_end, hole: self.hole }, self.carry.len())
    }

    pub(super) fn push(&mut self, mut data: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        let mut carry = std::mem::take(&mut self.carry);
        while !carry.is_empty() && !data.is_empty() {
            let old = carry.len();
            let (now, later) = data.split_at(data.len().min(self.max + HOLE_MIN));
            carry.extend_from_slice(now);
            let used = self.take(&carry, emit);
            if used >= old {
                // The chunk that spanned is out: go on in the caller's bytes.
                data = &data[used - old..];
                carry.clear();
            } else {
                data = later;
                carry.drain(..used);
            }
        }
        if carry.is_empty() {
            let used = self.take(data, emit);
            carry.extend_from_slice(&data[used..]);
        }
        self.carry = carry;
    }

    /// Emits the pieces of the waiting `bytes` that are certain; returns how long they are.
    fn take(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Piece<'_>)) -> usize {
        let mut start = 0;
        loop {
            if self.hole > 0 {
                let zeros = zero_blocks(&bytes[start..]);
                self.hole += zeros as u64;
                start += zeros;
                if bytes.len() - start < BLOCK {
                    return start;
                }
                self.end_hole(emit);
            }
            let at_hole = self.search(&bytes[start..]);
            let certain = self.searched - self.zero_end;
            let cut = self.cut(&bytes[start..start + certain], at_hole, emit);
            start += cut;
            self.searched -= cut;
            if !at_hole {
                return start;
            }
            start += self.zero_end;
            self.hole = self.zero_end as u64;
            (self.searched, self.zero_end) = (0, 0);
        }
    }

    /// Searches the waiting bytes on for a zero run that is long enough; true at its end.
    fn search(&mut self, bytes: &[u8]) -> bool {
        while let Some(block) = bytes.get(self.searched..self.searched + BLOCK) {
            self.searched += BLOCK;
            self.zero_end = if is_zero(block) { self.zero_end + BLOCK } else { 0 };
            if self.zero_end >= HOLE_MIN {
                return true;
            }
        }
        false
    }

    /// Emits the chunks of `bytes` that are certain (all of them at its end); returns their length.
    fn cut(&self, bytes: &[u8], at_end: bool, emit: &mut dyn FnMut(Piece<'_>)) -> usize {
        let mut start = 0;
        while bytes.len() - start >= if at_end { 1 } else { self.max } {
            let (_, end) = FastCDC::new(bytes, self.min, self.avg, self.max).cut(start, bytes.len() - start);
            emit(Piece::Chunk(&bytes[start..end]));
            start = end;
        }
        start
    }

    fn end_hole(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let hole = std::mem::take(&mut self.hole);
        if hole > 0 {
            emit(Piece::Zeros(hole));
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let mut carry = std::mem::take(&mut self.carry);
        if self.hole > 0 && is_zero(&carry) {
            self.hole += carry.len() as u64;
            carry.clear();
        }
        self.end_hole(emit);
        self.cut(&carry, true, emit);
    }
}

/// Length of the whole zero blocks that `bytes` starts with.
fn zero_blocks(bytes: &[u8]) -> usize {
    bytes.chunks_exact(BLOCK).take_while(|block| is_zero(block)).count() * BLOCK
}
