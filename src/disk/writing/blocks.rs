//! Which blocks of a guest's disk have data.
//!
//! Invariant: runs are in the disk's order, apart from each other, and each as long as it can be. Memory grows with their
//! number, not with the disk. An *ordinal* counts blocks with data alone.

use std::ops::Range;

use super::Piece;

/// What disks are made of.
pub(super) const SECTOR: u64 = 512;

/// The blocks of a disk that have data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    guest_bytes: u64,
    block_bytes: u64,
    runs: Vec<Run>,
    count: u64,
}

/// Blocks with data that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// The first one's number.
    first: u64,
    /// Blocks with data before it.
    ordinal: u64,
}

impl Blocks {
    /// A disk of this size, in blocks of that; nothing is known to be there.
    pub fn new(guest_bytes: u64, block_bytes: u64) -> Blocks {
        Blocks { guest_bytes, block_bytes, runs: Vec::new(), count: 0 }
    }

    /// Takes note of data in these bytes. Calls are in the disk's order.
    pub fn add(&mut self, bytes: Range<u64>) {
        if bytes.is_empty() {
            return;
        }
        let (mut first, end) = (bytes.start / self.block_bytes, bytes.end.div_ceil(self.block_bytes));
        let last_end = self.runs.last().map(|run| run.first + (self.count - run.ordinal));
        match last_end {
            Some(known) if first <= known => first = known,
            _ => self.runs.push(Run { first, ordinal: self.count }),
        }
        self.count += end.saturating_sub(first);
    }

    /// Size of the guest's disk, in bytes.
    pub fn guest_bytes(&self) -> u64 {
        self.guest_bytes
    }

    /// The same in whole sectors, as all containers have it: zeros fill the last one.
    pub fn disk_bytes(&self) -> u64 {
        self.guest_bytes.next_multiple_of(SECTOR)
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Blocks of the disk.
    pub(super) fn total(&self) -> u64 {
        self.disk_bytes().div_ceil(self.block_bytes)
    }

    /// Blocks that have data.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Memory that it takes, in bytes.
    pub fn kept_bytes(&self) -> u64 {
        (self.runs.len() * size_of::<Run>()) as u64
    }

    /// Says which blocks these are: equal ones of equal disks make equal files.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        for number in [self.guest_bytes, self.block_bytes, self.count] {
            hash.update(&number.to_le_bytes());
        }
        for run in &self.runs {
            hash.update(&run.first.to_le_bytes());
            hash.update(&run.ordinal.to_le_bytes());
        }
        hash.finalize().into()
    }

    /// The number of the block with this ordinal, which is one.
    pub fn block(&self, ordinal: u64) -> u64 {
        self.run_of(ordinal).map_or(0, |run| run.first + (ordinal - run.ordinal))
    }

    /// Blocks with data before this one.
    pub(super) fn before(&self, block: u64) -> u64 {
        let next = self.runs.partition_point(|run| run.first <= block);
        match next.checked_sub(1).and_then(|at| self.runs.get(at)) {
            None => 0,
            Some(run) => self.ordinal_at(next).min(run.ordinal + (block - run.first)),
        }
    }

    /// Those of these blocks that have data, with their ordinals.
    pub(super) fn within(&self, blocks: Range<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
        let first = self.runs.partition_point(|run| run.first <= blocks.start).saturating_sub(1);
        (first..self.runs.len())
            .map_while({
                let end = blocks.end;
                move |at| self.runs.get(at).filter(|run| run.first < end).map(|run| (at, *run))
            })
            .flat_map(move |(at, run)| {
                let end = (run.first + self.ordinal_at(at + 1) - run.ordinal).min(blocks.end);
                (run.first.max(blocks.start)..end)
                    .map(move |block| (block, run.ordinal + (block - run.first)))
            })
    }

    /// Groups of so many blocks in which there are some with data, in order.
    pub(super) fn groups(&self, blocks: u64) -> Vec<u64> {
        let mut groups: Vec<u64> = Vec::new();
        for (at, run) in self.runs.iter().enumerate() {
            let last = run.first + self.ordinal_at(at + 1) - run.ordinal - 1;
            let from = groups.last().map_or(0, |group| group + 1).max(run.first / blocks);
            groups.extend(from..=last / blocks);
        }
        groups
    }

    /// What lies `skip` bytes into the block of this ordinal, and after it as far as blocks follow each other, `most` bytes of it.
    pub(super) fn data(&self, ordinal: u64, skip: u64, most: u64) -> Piece {
        let next = self.runs.partition_point(|run| run.ordinal <= ordinal);
        let left = (self.ordinal_at(next) - ordinal) * self.block_bytes - skip;
        self.guest(self.block(ordinal) * self.block_bytes + skip, left.min(most))
    }

    /// These bytes of the guest's disk, or of the zeros after its end: one of the two.
    pub(super) fn guest(&self, at: u64, bytes: u64) -> Piece {
        match self.guest_bytes.saturating_sub(at) {
            0 => Piece::Zeros(bytes),
            there => Piece::Guest { at, bytes: bytes.min(there) },
        }
    }

    fn run_of(&self, ordinal: u64) -> Option<&Run> {
        self.runs.get(self.runs.partition_point(|run| run.ordinal <= ordinal).checked_sub(1)?)
    }

    /// The ordinal that the run at this place begins with, or the end of them.
    fn ordinal_at(&self, place: usize) -> u64 {
        self.runs.get(place).map_or(self.count, |run| run.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_are_those_that_the_data_touches(cuts in prop::collection::btree_set(0_u64..4000, 0..40)) {
            let mut blocks = Blocks::new(4000, 32);
            let mut wanted = [false; 125];
            let cuts: Vec<_> = cuts.into_iter().collect();
            for cut in cuts.chunks_exact(2) {
                blocks.add(cut[0]..cut[1]);
                wanted[(cut[0] / 32) as usize..=((cut[1] - 1) / 32) as usize].fill(true);
            }
            let numbers: Vec<u64> = (0..125).filter(|block| wanted[*block as usize]).collect();
            prop_assert_eq!(blocks.count(), numbers.len() as u64);
            for (ordinal, number) in numbers.iter().enumerate() {
                prop_assert_eq!(blocks.block(ordinal as u64), *number);
            }
            for from in 0..125_u64 {
                let before = numbers.iter().filter(|number| **number < from).count() as u64;
                prop_assert_eq!(blocks.before(from), before);
                let found: Vec<_> = blocks.within(from..from + 20).collect();
                let wanted: Vec<_> = numbers
                    .iter()
                    .enumerate()
                    .filter(|(_, number)| (from..from + 20).contains(*number))
                    .map(|(ordinal, number)| (*number, ordinal as u64))
                    .collect();
                prop_assert_eq!(found, wanted);
            }
            let mut groups: Vec<u64> = numbers.iter().map(|number| number / 8).collect();
            groups.dedup();
            prop_assert_eq!(blocks.groups(8), groups);
        }
    }
}
