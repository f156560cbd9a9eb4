//! A file as it will be when its log is replayed, without a byte of it being written.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

use crate::disk::source::{Source, Stretch};

pub(super) const SECTOR: usize = 4096;
const SECTOR_BYTES: u64 = SECTOR as u64;
/// Memory of an entry of a map from one number to another, in nodes that are half empty: what comes in order leaves them so.
const ENTRY_BYTES: u64 = 48;

/// The file, and what the log changes of it.
pub(super) struct Overlay<S> {
    source: S,
    changes: Changes,
}

/// What a log changes.
///
/// Invariant: a sector that the log wrote is newer than every range of zeros it lies in.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Of the file with them.
    size_bytes: u64,
    /// By where they are in the file, in steps of a sector.
    sectors: BTreeMap<u64, Box<[u8; SECTOR]>>,
    /// Ranges that are zeros, from start to end, apart from each other.
    zeros: BTreeMap<u64, u64>,
}

impl<S: Source> Overlay<S> {
    /// A file with these changes.
    pub(super) fn new(source: S, changes: Changes) -> Overlay<S> {
        Overlay { source, changes }
    }

    /// Whether the file is as it stands.
    fn is_untouched(&self) -> bool {
        self.changes.sectors.is_empty() && self.changes.zeros.is_empty()
    }

    /// Memory that the changes take, in bytes.
    pub(super) fn kept_bytes(&self) -> u64 {
        let (sectors, zeros) = (self.changes.sectors.len() as u64, self.changes.zeros.len() as u64);
        sectors * (SECTOR_BYTES + ENTRY_BYTES) + zeros * ENTRY_BYTES
    }
}

impl Changes {
    /// None yet, of a file of this size.
    pub(super) fn of(size_bytes: u64) -> Changes {
        Changes { size_bytes, ..Changes::default() }
    }

    /// Writes a sector.
    pub(super) fn write(&mut self, at: u64, sector: Box<[u8; SECTOR]>) {
        self.sectors.insert(at, sector);
        self.grow(at.saturating_add(SECTOR_BYTES));
    }

    /// Writes zeros.
    pub(super) fn zero(&mut self, at: u64, bytes: u64) {
        let (mut start, mut end) = (at, at.saturating_add(bytes));
        self.grow(end);
        if bytes == 0 {
            return;
        }
        // Sectors in between become older than the zeros.
        let gone: Vec<u64> = self.sectors.range(start..end).map(|(at, _)| *at).collect();
        gone.iter().for_each(|at| drop(self.sectors.remove(at)));
        let touching = |(_, found_end): &(&u64, &u64)| **found_end >= start;
        // From the last one that may touch it on: ranges lie apart, so that none before one that does not touch it does.
        let merged = self.zeros.range(..=end).rev().take_while(touching);
        let merged: Vec<u64> = merged.map(|(at, _)| *at).collect();
        for at in merged {
            end = end.max(self.zeros.remove(&at).unwrap_or(end));
            start = start.min(at);
        }
        self.zeros.insert(start, end);
    }

    /// Makes the file this long at least.
    pub(super) fn grow(&mut self, size_bytes: u64) {
        self.size_bytes = self.size_bytes.max(size_bytes);
    }
}

impl<S: Source> Source for Overlay<S> {
    fn size_bytes(&self) -> u64 {
        self.changes.size_bytes
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.changes.size_bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let there = self.source.size_bytes().saturating_sub(at).min(out.len() as u64) as usize;
        let (found, grown) = out.split_at_mut(there);
        if !found.is_empty() {
            self.source.read_exact_at(at, found)?;
        }
        grown.fill(0);
        // The last range that begins before the bytes may reach into them.
        let before = self.changes.zeros.range(..at).next_back();
        for (start, stop) in before.into_iter().chain(self.changes.zeros.range(at..end)) {
            let (from, to) = ((*start).max(at), (*stop).min(end));
            if from < to {
                out[(from - at) as usize..(to - at) as usize].fill(0);
            }
        }
        for (start, sector) in self.changes.sectors.range(at.saturating_sub(SECTOR_BYTES - 1)..end) {
            let (from, to) = ((*start).max(at), (*start + SECTOR_BYTES).min(end));
            let written = &sector[(from - start) as usize..(to - start) as usize];
            out[(from - at) as usize..(to - at) as usize].copy_from_slice(written);
        }
        Ok(())
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        let there = self.source.size_bytes().saturating_sub(at);
        self.is_untouched() && out.len() as u64 <= there && self.source.read_near_at(at, out)
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        let there = self.source.size_bytes().saturating_sub(at);
        if self.is_untouched() && bytes as u64 <= there {
            return self.source.pieces_at(at, bytes);
        }
        let mut read = vec![0; bytes];
        self.read_exact_at(at, &mut read)?;
        Ok(vec![read.into()])
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        if self.is_untouched() && at < self.source.size_bytes() { self.source.origin_at(at) } else { None }
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let rest = self.changes.size_bytes.saturating_sub(at);
        if self.is_untouched() && at < self.source.size_bytes() {
            let stretch = self.source.stretch_at(at);
            return Stretch { bytes: stretch.bytes.min(rest), ..stretch };
        }
        Stretch { bytes: rest, is_zero: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECTORS: u64 = 16;

    #[test]
    fn b7_ranges_of_zeros_are_not_gone_over_for_each_other() {
        const RANGES: u64 = 300_000;
        let mut changes = Changes::of(0);
        // Each ends a sector before the next one begins.
        (0..RANGES).for_each(|number| changes.zero(2 * number * SECTOR_BYTES, SECTOR_BYTES));
        assert_eq!(changes.zeros.len() as u64, RANGES);
        // What lies between two makes one of all three, and so does what reaches over many.
        changes.zero(SECTOR_BYTES, SECTOR_BYTES);
        assert_eq!(changes.zeros.len() as u64, RANGES - 1);
        assert_eq!(changes.zeros.first_key_value(), Some((&0, &(3 * SECTOR_BYTES))));
        changes.zero(SECTOR_BYTES, 9 * SECTOR_BYTES);
        assert_eq!(changes.zeros.len() as u64, RANGES - 5);
        assert_eq!(changes.zeros.first_key_value(), Some((&0, &(11 * SECTOR_BYTES))));
        changes.zero(7 * SECTOR_BYTES, 0);
        changes.zero(0, 2 * RANGES * SECTOR_BYTES);
        let ranges: Vec<(u64, u64)> = changes.zeros.into_iter().collect();
        assert_eq!(ranges, [(0, 2 * RANGES * SECTOR_BYTES)]);
    }

    #[test]
    fn b3_what_is_kept_counts_ranges_of_zeros_too() {
        let mut changes = Changes::of(0);
        (0..100).for_each(|number| changes.zero(2 * number * SECTOR_BYTES, SECTOR_BYTES));
        changes.write(SECTOR_BYTES, Box::new([1; SECTOR]));
        let kept = Overlay::new(Vec::<u8>::new(), changes).kept_bytes();
        // Two numbers of eight bytes for each range, and a sector, at the least.
        assert!((100 * 16 + SECTOR_BYTES..4 * SECTOR_BYTES).contains(&kept), "{kept}");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, u8),
        Zero(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..SECTORS, 1..255_u8).prop_map(|(at, byte)| Step::Write(at, byte)),
            (0..SECTORS, 1..6_u64).prop_map(|(at, count)| Step::Zero(at, count)),
        ];
        proptest::collection::vec(step, 0..30)
    }

    proptest! {
        #[test]
        fn it_reads_as_a_file_does_that_was_written_to(
            steps in steps(), at in 0_u64..60_000, bytes in 0_u64..20_000
        ) {
            let base = vec![0xee_u8; 10 * SECTOR + 100];
            let mut file = base.clone();
            let mut changes = Changes::of(base.len() as u64);
            for step in steps {
                let (at, data) = match step {
                    Step::Write(at, byte) => (at * SECTOR_BYTES, vec![byte; SECTOR]),
                    Step::Zero(at, count) => (at * SECTOR_BYTES, vec![0; count as usize * SECTOR]),
                };
                match step {
                    Step::Write(_, byte) => changes.write(at, Box::new([byte; SECTOR])),
                    Step::Zero(_, count) => changes.zero(at, count * SECTOR_BYTES),
                }
                let (at, end) = (at as usize, at as usize + data.len());
                file.resize(file.len().max(end), 0);
                file[at..end].copy_from_slice(&data);
            }
            let overlay = Overlay::new(base, changes);
            prop_assert_eq!(overlay.size_bytes(), file.len() as u64);
            let mut found = vec![1; bytes as usize];
            let outcome = overlay.read_exact_at(at, &mut found);
            match file.get(at as usize..(at + bytes) as usize) {
                Some(wanted) => prop_assert!(outcome.is_ok() && found == wanted),
                None => prop_assert!(outcome.is_err()),
            }
        }
    }
}
