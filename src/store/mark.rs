//! Counting the live chunks of packs from the extents of the streams that name them.
//!
//! Invariant: memory is bounded by the packs that are counted, and those found live enough are let
//! go of at once, so that data many streams share costs a look at one of them. Pure: reads nothing.

use std::collections::HashMap;

use roaring::{RoaringBitmap, RoaringTreemap};

use super::manifest::Extent;

/// Packs that are being counted.
pub struct Marking {
    packs: HashMap<u64, Counted>,
    /// Their numbers, to pass over streams that name none of them.
    numbers: RoaringTreemap,
}

/// What is known of one pack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// The ordinals that streams name.
    pub live: RoaringBitmap,
    /// Bytes of these chunks before compression; where streams overlap in part, about.
    pub live_bytes: u64,
    /// As many live bytes as make it worth no further look.
    enough_bytes: u64,
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
        let mut rest = extents;
        while let Some(pack) = rest.iter().position(|extent| matches!(extent, Extent::Run { .. })) {
            let Extent::Run { pack: number, .. } = rest[pack] else { return };
            // Neighbours mostly lie in one pack: it is looked up once for all of them.
            let of_pack = |extent: &Extent| matches!(extent, Extent::Run { pack, .. } if *pack == number);
            let end =
                rest[pack..].iter().position(|extent| !of_pack(extent)).map_or(rest.len(), |n| pack + n);
            if let Some(counted) = self.packs.get_mut(&number)
                && counted.add(&rest[pack..end])
            {
                self.packs.remove(&number);
                self.numbers.remove(number);
            }
            rest = &rest[end..];
        }
    }

    /// The packs that were not found live enough, with all that is live of them.
    pub fn into_packs(self) -> HashMap<u64, Counted> {
        self.packs
    }
}

impl Counted {
    /// Adds runs; says whether it is live enough now.
    fn add(&mut self, runs: &[Extent]) -> bool {
        for run in runs {
            let Extent::Run { bytes, first, count, .. } = *run else { continue };
            let Some(last) = first.checked_add(count.saturating_sub(1)) else { continue };
            let fresh = self.live.insert_range(first..=last);
            // Interleaved images share most of a run or nothing; in between it is split evenly.
            self.live_bytes += match fresh {
                0 => 0,
                fresh if fresh == u64::from(count) => bytes,
                fresh => (u128::from(bytes) * u128::from(fresh) / u128::from(count)) as u64,
            };
            if self.live_bytes >= self.enough_bytes {
                return true;
            }
        }
        self.live.optimize();
        false
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
        assert_eq!(packs[&1].live, [0, 1, 2, 3, 4, 5, 8, 9].into_iter().collect());
        assert_eq!(packs[&1].live_bytes, 80);
        assert_eq!(packs[&2].live, [3].into_iter().collect());
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
}
