//! What is stored twice: stretches of chunks that lie side by side in two packs. Pure.
//!
//! Invariants: of two copies the older one stays, by pack and ordinal, so that what stays is never
//! let go of for something else in the same lot; no chunk is in two stretches.

use std::collections::BTreeMap;

/// Duplicates of fewer bytes side by side are left alone. A stretch that is named elsewhere makes up to two
/// more runs in every stream that has it: 60 bytes of manifest each, and, when it is read, a
/// frame of 128 KiB to be fetched and decoded for it. Four grid blocks are worth that, one is not.
const STRETCH_BYTES_MIN: u64 = 16 << 10;

/// Where a chunk is: pack and ordinal.
pub type Place = (u64, u32);

/// One chunk that is stored twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Twin {
    /// The copy that may go.
    pub goes: Place,
    /// The one that stays.
    pub stays: Place,
    /// Its length before compression.
    pub bytes: u32,
}

/// Chunks that follow each other in both packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first of those that may go.
    pub goes: Place,
    /// The first of those that stay.
    pub stays: Place,
    /// How many.
    pub count: u32,
    /// Their length before compression.
    pub bytes: u64,
}

/// A lot of stretches, by where those chunks are that may go.
#[derive(Debug, Default)]
pub struct Stretches(BTreeMap<Place, Stretch>);

impl Stretches {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in order.
    pub fn all(&self) -> impl Iterator<Item = &Stretch> {
        self.0.values()
    }

    /// Keeps those of which this is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&Stretch) -> bool) {
        self.0.retain(|_, stretch| keep(stretch));
    }

    /// Adds what one pack has in common with others: as stretches, and those that are long enough.
    pub fn add(&mut self, mut twins: Vec<Twin>) {
        twins.sort_unstable();
        twins.dedup_by_key(|twin| twin.goes);
        let mut open: Option<Stretch> = None;
        for twin in twins {
            // An older copy was found before, of this chunk or of the one that is to stay.
            if self.twin_of(twin.goes).is_some() {
                continue;
            }
            let twin = Twin { stays: self.twin_of(twin.stays).unwrap_or(twin.stays), ..twin };
            match &mut open {
                Some(stretch) if stretch.is_followed_by(&twin) => {
                    stretch.count += 1;
                    stretch.bytes += u64::from(twin.bytes);
                }
                _ => {
                    self.close(open.take());
                    let Twin { goes, stays, bytes } = twin;
                    open = Some(Stretch { goes, stays, count: 1, bytes: bytes.into() });
                }
            }
        }
        self.close(open);
    }

    /// The copy that stays of a chunk that may go.
    pub fn twin_of(&self, place: Place) -> Option<Place> {
        let stretch = self.over(place, 1).next()?;
        Some((stretch.stays.0, stretch.stays.1 + place.1 - stretch.goes.1))
    }

    fn close(&mut self, stretch: Option<Stretch>) {
        if let Some(stretch) = stretch.filter(|stretch| stretch.bytes >= STRETCH_BYTES_MIN) {
            self.0.insert(stretch.goes, stretch);
        }
    }

    /// The stretches some of whose chunks that may go are among these, in order.
    pub fn over(&self, (pack, first): Place, count: u32) -> impl Iterator<Item = &Stretch> {
        let end = first.saturating_add(count);
        let before = self.0.range((pack, 0)..(pack, first)).next_back();
        let reaches_in = before.filter(|(_, stretch)| stretch.end() > first);
        reaches_in.into_iter().chain(self.0.range((pack, first)..(pack, end))).map(|(_, stretch)| stretch)
    }
}

impl Stretch {
    /// The ordinal after the last of those that may go.
    pub fn end(&self) -> u32 {
        self.goes.1.saturating_add(self.count)
    }

    fn is_followed_by(&self, twin: &Twin) -> bool {
        let next = |(pack, ordinal): Place| (pack, ordinal.saturating_add(self.count));
        next(self.goes) == twin.goes && next(self.stays) == twin.stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin(goes: Place, stays: Place) -> Twin {
        Twin { goes, stays, bytes: 10_000 }
    }

    #[test]
    fn neighbours_make_a_stretch_and_short_ones_are_left_alone() {
        let mut stretches = Stretches::default();
        let follow = (0..4).rev().map(|n| twin((5, 10 + n), (1, 20 + n)));
        stretches.add(follow.chain([twin((5, 14), (1, 30)), twin((6, 0), (1, 40))]).collect());
        let found: Vec<_> = stretches.all().copied().collect();
        assert_eq!(found, [Stretch { goes: (5, 10), stays: (1, 20), count: 4, bytes: 40_000 }]);
    }

    #[test]
    fn the_oldest_copy_stays() {
        let mut stretches = Stretches::default();
        stretches.add(vec![twin((5, 0), (1, 0)), twin((5, 1), (1, 1))]);
        stretches.add((0..6).map(|n| twin((5, n), (2, n))).collect());
        let stays: Vec<_> = stretches.all().map(|s| (s.goes, s.stays, s.count)).collect();
        assert_eq!(stays, [((5, 0), (1, 0), 2), ((5, 2), (2, 2), 4)]);
    }

    #[test]
    fn what_stays_does_not_go_for_something_else() {
        let mut stretches = Stretches::default();
        stretches.add((0..4).map(|n| twin((5, n), (1, n))).collect());
        // The third copy was no stretch beside the first one, and is one beside the second.
        stretches.add((0..4).map(|n| twin((7, n), (5, n))).collect());
        assert_eq!(stretches.twin_of((7, 2)), Some((1, 2)));
    }

    #[test]
    fn a_stretch_is_found_from_any_of_its_chunks() {
        let mut stretches = Stretches::default();
        stretches.add((4..8).chain(20..22).map(|n| twin((5, n), (1, n))).collect());
        let over = |first, count| stretches.over((5, first), count).map(|s| s.goes.1).collect::<Vec<_>>();
        assert!(over(0, 4).is_empty());
        assert_eq!(over(0, 5), [4]);
        assert_eq!(over(7, 13), [4]);
        assert_eq!(over(7, 14), [4, 20]);
        assert!(over(8, 12).is_empty());
        assert_eq!(stretches.over((4, 0), 100).count(), 0);
    }
}
