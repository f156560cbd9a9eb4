//! What was written to an overlay: blocks of data, and ranges of zeros.
//!
//! Invariant: no block is in both, and ranges of zeros neither touch nor overlap. Must not know what lies below, nor how much
//! may be held.

use std::collections::BTreeMap;
use std::ops::Range;

/// What is written is kept in blocks of this size, in bytes: what guests write at once at least.
pub const BLOCK_BYTES: u64 = 4096;
/// What a block takes, in bytes, about.
pub const BLOCK_COST: u64 = BLOCK_BYTES + 96;
/// What a range of zeros takes, in bytes, about.
pub const RANGE_COST: u64 = 96;
/// Neighbouring blocks that are told of as one extent.
const NEIGHBOURS_MAX: u64 = 4096;

/// What was written. No block is in both.
#[derive(Default)]
pub struct Written {
    /// Blocks of data by their number.
    pub data: BTreeMap<u64, Box<[u8]>>,
    /// Ranges of blocks of zeros: the first, and the one behind the last. No two of them touch.
    pub zeros: BTreeMap<u64, u64>,
    /// Memory that was asked for all of it, in bytes.
    pub held: u64,
}

/// What a block is.
pub enum Found<'w> {
    /// These bytes.
    Data(&'w [u8]),
    /// Zeros up to this block.
    Zeros(u64),
    /// Nothing was written up to this block.
    Base(u64),
}

impl Written {
    /// What it takes, in bytes, about.
    pub fn cost(&self) -> u64 {
        self.data.len() as u64 * BLOCK_COST + self.zeros.len() as u64 * RANGE_COST
    }

    /// What a block is.
    pub fn find(&self, block: u64) -> Found<'_> {
        if let Some(data) = self.data.get(&block) {
            return Found::Data(data);
        }
        if let Some((_, end)) = self.zeros.range(..=block).next_back()
            && *end > block
        {
            return Found::Zeros(*end);
        }
        let next_data = self.data.range(block..).next().map_or(u64::MAX, |(next, _)| *next);
        let next_zeros = self.zeros.range(block..).next().map_or(u64::MAX, |(next, _)| *next);
        Found::Base(next_data.min(next_zeros))
    }

    /// Whether blocks that become zeros become one with zeros that are there.
    pub fn has_zeros_at(&self, blocks: &Range<u64>) -> bool {
        self.zeros.range(..=blocks.end).next_back().is_some_and(|(_, end)| *end >= blocks.start)
    }

    /// Where the blocks of data end that begin here, as far as one looks.
    pub fn data_end(&self, block: u64) -> u64 {
        let most = block.saturating_add(NEIGHBOURS_MAX);
        let after = self.data.range(block..most).zip(block..).take_while(|((at, _), next)| *at == next);
        block + after.count() as u64
    }

    /// Makes a block these bytes.
    pub fn put(&mut self, block: u64, bytes: Box<[u8]>) {
        self.take_zeros(block, block + 1);
        self.data.insert(block, bytes);
    }

    /// Makes blocks zeros, up to the one before `end`.
    pub fn put_zeros(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        while let Some(block) = self.data.range(first..end).next().map(|(block, _)| *block) {
            self.data.remove(&block);
        }
        let (mut first, mut end) = (first, end);
        // Those that it touches become one with it.
        while let Some((from, to)) = self.zeros.range(..=end).next_back().map(|(from, to)| (*from, *to)) {
            if to < first {
                break;
            }
            self.zeros.remove(&from);
            (first, end) = (first.min(from), end.max(to));
        }
        self.zeros.insert(first, end);
    }

    fn take_zeros(&mut self, first: u64, end: u64) {
        let Some((from, to)) = self.zeros.range(..end).next_back().map(|(from, to)| (*from, *to)) else {
            return;
        };
        if to <= first {
            return;
        }
        self.zeros.remove(&from);
        if from < first {
            self.zeros.insert(from, first);
        }
        if end < to {
            self.zeros.insert(end, to);
        }
    }
}
