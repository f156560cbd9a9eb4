//! Counting the live chunks of packs from the extents of the streams that name them.
//!
//! Invariant: memory is bounded by the packs that are counted, and those found live enough are let
//! go of at once, so that data many streams share costs a look at one of them. Pure: reads nothing.

use std::collections::HashMap;
use std::ops::Range;

use roaring::{RoaringBitmap, RoaringTreemap};

use super::manifest::Extent;

/// Ordinals that are counted as bits, 8 KiB of a pack at most; real packs have some 8,800. What is
/// beyond is counted too, at the pace of a compressed bitmap.
const BITS_MAX: u32 = 1 << 16;

/// Packs that are being counted.
pub struct Marking {
    packs: HashMap<u64, Counted>,
    /// Their numbers, to pass over streams that name none of them.
    numbers: RoaringTreemap,
}

/// What is known of one pack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    live: Ordinals,
    /// Bytes of these chunks before compression; where streams overlap in part, about.
    pub live_bytes: u64,
    /// As many live bytes as make it worth no further look.
    enough_bytes: u64,
}

/// Ordinals of one pack: a bit each, since runs come by the million, and most of them are short.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ordinals {
    words: Vec<u64>,
    beyond: RoaringBitmap,
}

impl Marking {
    /// Counts these packs, each until it has so many live bytes.
    pub fn new(packs: impl IntoIterator<Item = (u64, u64)>) -> Marking {
        let packs: HashMap<u64, Counted> = packs
            .into_iter()
            .map(|(pack, enough_bytes)| (pack, Counted { enough_bytes, ..Counted::default() }))
            .collect();
        Marking { numbers: packs.keys().copied().collect(), packs }
    }

    /// Whether some of these packs are still being counted.
    pub fn wants(&self, packs: &RoaringTreemap) -> bool {
        !self.numbers.is_disjoint(packs)
    }

    /// Whether any pack is still being counted.
    pub fn is_over(&self) -> bool {
        self.packs.is_empty()
    }

    /// Adds what one stream is made of.
    pub fn add(&mut self, extents: &[Extent]) {
        // Neighbours mostly lie in one pack: it is looked up once for all of them.
        for neighbours in extents.chunk_by(|one, next| pack_of(one) == pack_of(next)) {
            let Some(number) = pack_of(&neighbours[0]) else { continue };
            if let Some(counted) = self.packs.get_mut(&number)
                && counted.add(neighbours)
            {
                self.packs.remove(&number);
                self.numbers.remove(number);
            }
        }
    }

    /// The packs that were not found live enough, with all that is live of them.
    pub fn into_packs(self) -> HashMap<u64, Counted> {
        self.packs
    }
}

fn pack_of(extent: &Extent) -> Option<u64> {
    match extent {
        Extent::Run { pack, .. } => Some(*pack),
        Extent::Zeros { .. } => None,
    }
}

impl Counted {
    /// The ordinals that streams name.
    pub fn live(&self) -> RoaringBitmap {
        self.live.to_bitmap()
    }

    /// Whether streams name none.
    pub fn is_dead(&self) -> bool {
        self.live.is_empty()
    }

    /// Adds runs; says whether it is live enough now.
    fn add(&mut self, runs: &[Extent]) -> bool {
        for run in runs {
            let Extent::Run { bytes, first, count, .. } = *run else { continue };
            let fresh = self.live.insert(first..first.saturating_add(count));
            // Interleaved images share most of a run or nothing; in between it is split evenly.
            self.live_bytes += match fresh {
                0 => 0,
                fresh if fresh == count => bytes,
                fresh => bytes.saturating_mul(u64::from(fresh)) / u64::from(count),
            };
            if self.live_bytes >= self.enough_bytes {
                return true;
            }
        }
        false
    }
}

impl Ordinals {
    /// Adds some that follow each other; gives how many of them were not there.
    fn insert(&mut self, range: Range<u32>) -> u32 {
        if range.end > BITS_MAX {
            let beyond = range.start.max(BITS_MAX)..range.end;
            let more = self.beyond.insert_range(beyond) as u32;
            return if range.start < BITS_MAX { more + self.insert(range.start..BITS_MAX) } else { more };
        }
        if range.is_empty() {
            return 0;
        }
        let (first, last) = (range.start as usize / 64, (range.end as usize - 1) / 64);
        if last >= self.words.len() {
            self.words.resize(last + 1, 0);
        }
        let (from, until) = (u64::MAX << (range.start % 64), u64::MAX >> (63 - (range.end - 1) % 64));
        let mut fresh = 0;
        for (at, word) in self.words[first..=last].iter_mut().enumerate() {
            let mut mask = u64::MAX;
            if at == 0 {
                mask &= from;
            }
            if first + at == last {
                mask &= until;
            }
            fresh += (mask & !*word).count_ones();
            *word |= mask;
        }
        fresh
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0) && self.beyond.is_empty()
    }

    fn to_bitmap(&self) -> RoaringBitmap {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut all = RoaringBitmap::from_lsb0_bytes(0, &bytes) | &self.beyond;
        all.optimize();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pack: u64, first: u32, count: u32) -> Extent {
        Extent::Run { bytes: u64::from(count) * 10, pack, first, count }
    }

    #[test]
    fn p6_what_streams_name_is_live_once_however_often_it_is_named() {
        let mut marking = Marking::new([(1, 1000), (2, 1000)]);
        marking.add(&[run(1, 0, 4), Extent::Zeros { bytes: 5 }, run(1, 8, 2), run(2, 3, 1)]);
        marking.add(&[run(1, 2, 4), run(9, 0, 100)]);
        let packs = marking.into_packs();
        assert_eq!(packs[&1].live(), [0, 1, 2, 3, 4, 5, 8, 9].into_iter().collect());
        assert_eq!(packs[&1].live_bytes, 80);
        assert_eq!(packs[&2].live(), [3].into_iter().collect());
        assert_eq!(packs.len(), 2);
    }

    #[test]
    fn p5_a_pack_that_is_live_enough_is_let_go_of() {
        let mut marking = Marking::new([(1, 50), (2, 50)]);
        let of_one: RoaringTreemap = [1].into_iter().collect();
        assert!(marking.wants(&of_one));
        marking.add(&[run(1, 0, 4), run(1, 10, 1), run(1, 20, 1)]);
        assert!(!marking.wants(&of_one) && !marking.is_over());
        marking.add(&[run(2, 0, 4)]);
        marking.add(&[run(2, 0, 4)]);
        assert!(!marking.is_over());
        marking.add(&[run(2, 3, 2)]);
        assert!(marking.is_over());
    }

    #[test]
    fn ordinals_are_counted_as_a_bitmap_counts_them() {
        let mut draw = blake3::Hasher::new().update(b"ordinals").finalize_xof();
        let mut number = |end: u64| {
            let mut bytes = [0; 8];
            draw.fill(&mut bytes);
            (u64::from_le_bytes(bytes) % end) as u32
        };
        let (mut counted, mut expected) = (Ordinals::default(), RoaringBitmap::new());
        assert!(counted.is_empty());
        for _ in 0..20_000 {
            // About the bound, some across it.
            let first = if number(4) == 0 { BITS_MAX - 300 + number(600) } else { number(9000) };
            let range = first..first + number(200);
            assert_eq!(u64::from(counted.insert(range.clone())), expected.insert_range(range));
        }
        assert_eq!(counted.to_bitmap(), expected);
        assert_eq!(counted.insert(u32::MAX - 1..u32::MAX), 1);
        assert!(counted.to_bitmap().contains(u32::MAX - 1));
    }

    #[test]
    fn p5_a_pack_takes_a_bounded_number_of_bits() {
        let mut marking = Marking::new([(1, u64::MAX)]);
        marking.add(&[run(1, u32::MAX - 10, 5), run(1, 0, 1 << 20)]);
        let packs = marking.into_packs();
        assert_eq!(packs[&1].live.words.len(), BITS_MAX as usize / 64);
        assert_eq!(packs[&1].live().len(), (1 << 20) + 5);
        assert!(!packs[&1].is_dead());
    }
}
