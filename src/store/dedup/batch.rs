//! The names of some packs in bounded memory, to find the chunks that others have too. Pure.
//!
//! Invariant: eight bytes a name: 40 bits of it, and where in the batch it is. A name that is there is
//! always found; one find in 100,000 is wrong, so that whoever relies on one compares whole names.

/// Bits that say where a chunk is: the ordinals of all packs laid end to end.
const PLACE_BITS: u32 = 24;
const PLACES: u64 = 1 << PLACE_BITS;
/// Bits of a name.
const NAME_BITS: u32 = 64 - PLACE_BITS;
/// Names that share a bucket, about: those of a cache line.
const BUCKET: usize = 8;

/// Names that are gathered.
pub struct Gathering {
    entries: Vec<u64>,
    packs: Packs,
    places: u64,
    names_max: usize,
}

/// Names that were gathered, in order.
pub struct Batch {
    entries: Vec<u64>,
    /// Where the entries of each bucket begin, and where the last one ends.
    buckets: Vec<u32>,
    bucket_bits: u32,
    packs: Packs,
}

/// Each pack's number, and the place of its first ordinal.
type Packs = Vec<(u64, u32)>;

impl Gathering {
    /// At most `names_max` names, of which about `expected` will come.
    pub fn new(names_max: usize, expected: u64) -> Gathering {
        let names_max = names_max.clamp(1, PLACES as usize / 2);
        let expected = usize::try_from(expected).unwrap_or(names_max).min(names_max);
        Gathering { entries: Vec::with_capacity(expected), packs: Vec::new(), places: 0, names_max }
    }

    /// Adds a pack: the first ordinal past its last one, and each chunk's ordinal and short name.
    /// `false` when it does not fit; the first one always does, as far as it can be counted.
    pub fn add(&mut self, pack: u64, end: u32, chunks: impl ExactSizeIterator<Item = (u32, u64)>) -> bool {
        let (places, names) = (self.places + u64::from(end), self.entries.len() + chunks.len());
        if places > PLACES || (names > self.names_max && !self.packs.is_empty()) {
            return false;
        }
        let base = self.places as u32;
        self.packs.push((pack, base));
        self.places = places;
        let entry = |(ordinal, name)| name >> PLACE_BITS << PLACE_BITS | u64::from(base + ordinal);
        self.entries.extend(chunks.map(entry));
        true
    }

    /// Makes them ready to be looked up.
    pub fn sort(mut self) -> Batch {
        self.entries.sort_unstable();
        let bucket_bits = (self.entries.len() / BUCKET).max(2).ilog2();
        let mut buckets = vec![0; (1 << bucket_bits) + 1];
        for entry in &self.entries {
            buckets[(entry >> (64 - bucket_bits)) as usize + 1] += 1;
        }
        let mut begins = 0;
        for bucket in &mut buckets {
            begins += *bucket;
            *bucket = begins;
        }
        Batch { entries: self.entries, buckets, bucket_bits, packs: self.packs }
    }
}

impl Batch {
    /// Where in the batch chunks are whose names begin like this one, by pack and ordinal.
    pub fn find(&self, name: u64) -> impl Iterator<Item = (u64, u32)> {
        let bucket = (name >> (64 - self.bucket_bits)) as usize;
        let entries = &self.entries[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let same = move |entry: &&u64| (*entry ^ name) >> (64 - NAME_BITS) == 0;
        entries.iter().filter(same).map(|entry| self.place((entry & (PLACES - 1)) as u32))
    }

    fn place(&self, place: u32) -> (u64, u32) {
        let (pack, base) = self.packs[self.packs.partition_point(|(_, base)| *base <= place) - 1];
        (pack, place - base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some name that only this number gives.
    fn name(number: u64) -> u64 {
        let hash = blake3::hash(&number.to_le_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
    }

    fn chunks(names: &[u64]) -> impl ExactSizeIterator<Item = (u32, u64)> {
        names.iter().enumerate().map(|(ordinal, number)| (ordinal as u32 * 2, name(*number)))
    }

    #[test]
    fn every_name_is_found_wherever_it_is() {
        let mut gathering = Gathering::new(10_000, 0);
        for pack in 0..50u64 {
            let names: Vec<u64> = (pack * 90..pack * 90 + 100).collect();
            assert!(gathering.add(pack + 7, 200, chunks(&names)));
        }
        let batch = gathering.sort();
        for number in 0..50 * 90 + 10 {
            let found: Vec<(u64, u32)> = batch.find(name(number)).collect();
            let expected = (0..50u64).filter(|pack| (pack * 90..pack * 90 + 100).contains(&number));
            let expected: Vec<_> = expected.map(|pack| (pack + 7, (number - pack * 90) as u32 * 2)).collect();
            assert_eq!(found, expected, "{number}");
        }
        assert_eq!(batch.find(name(1 << 40)).count(), 0);
    }

    #[test]
    fn p5_a_batch_takes_so_many_names_and_one_pack_at_least() {
        let mut gathering = Gathering::new(10, 1 << 40);
        assert!(gathering.add(1, 24, chunks(&(0..12).collect::<Vec<_>>())));
        assert!(!gathering.add(2, 2, chunks(&[1])));
        let mut gathering = Gathering::new(10, 0);
        assert!(gathering.add(1, 12, chunks(&(0..6).collect::<Vec<_>>())));
        assert!(gathering.add(2, 8, chunks(&(0..4).collect::<Vec<_>>())));
        assert!(!gathering.add(3, 2, chunks(&[1])));
        // More than can be counted.
        assert!(!Gathering::new(10, 0).add(1, u32::MAX, chunks(&[1])));
        assert_eq!(Gathering::new(10, 0).sort().find(name(1)).count(), 0);
    }
}
