//! The arithmetic of parity: where shards lie, and Reed–Solomon over groups of them.
//!
//! An object is cut into shards; shard `i` belongs to group `i mod groups`, so that bytes side by
//! side fall into different groups and a long rotten stretch hits each of them a little. Invariant:
//! works on one group at a time, so memory is bounded whatever the object's length. Must not know
//! where bytes come from.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

/// Shards of an object of [`LARGE_BYTES`] and more.
const LARGE_SHARD_BYTES: u32 = 64 << 10;
/// Shards of a smaller one: what a disk loses at least.
const SMALL_SHARD_BYTES: u32 = 4 << 10;
/// An object of so many bytes has large shards.
const LARGE_BYTES: u64 = 1 << 20;
/// Shards of one group at most: 8 MiB of an object, and about twice that in memory.
const GROUP_SHARDS: u32 = 128;

/// How much parity there is: so many shards for so many of data, rounded up in each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Shards of data.
    pub data: u32,
    /// Shards of parity for them.
    pub parity: u32,
}

impl Ratio {
    /// As much parity as data: what gives an object back that is gone altogether.
    pub const WHOLE: Ratio = Ratio { data: 1, parity: 1 };
}

/// How an object is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a shard; the last one ends in zeros.
    pub shard_bytes: u32,
    /// Shards of the object.
    pub shards: u32,
    /// Groups.
    pub groups: u32,
    /// Parity shards of each group.
    pub parity: u32,
}

/// What no group of shards makes: shards of unequal length, or more lost than there is parity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parity: {0}")]
pub struct CodeError(String);

impl From<reed_solomon_simd::Error> for CodeError {
    fn from(error: reed_solomon_simd::Error) -> CodeError {
        CodeError(error.to_string())
    }
}

impl Shape {
    /// The shape of an object of so many bytes.
    pub fn of(bytes: u64, ratio: Ratio) -> Shape {
        let shard_bytes = if bytes < LARGE_BYTES { SMALL_SHARD_BYTES } else { LARGE_SHARD_BYTES };
        let shards = bytes.div_ceil(shard_bytes.into()).max(1) as u32;
        let groups = shards.div_ceil(GROUP_SHARDS);
        let parity = (shards.div_ceil(groups) * ratio.parity).div_ceil(ratio.data);
        Shape { shard_bytes, shards, groups, parity }
    }

    /// Whether such a shape can be: what is read from a medium may say anything.
    pub fn is_possible(&self, bytes: u64) -> bool {
        let fits = |shard_bytes| self.shard_bytes == shard_bytes;
        (fits(SMALL_SHARD_BYTES) || fits(LARGE_SHARD_BYTES))
            && u64::from(self.shards) == bytes.div_ceil(self.shard_bytes.into()).max(1)
            && self.groups == self.shards.div_ceil(GROUP_SHARDS)
            && (1..=GROUP_SHARDS).contains(&self.parity)
    }

    /// The shards of a group, in order.
    pub fn group(&self, group: u32) -> impl Iterator<Item = u32> + use<> {
        (group..self.shards).step_by(self.groups as usize)
    }

    /// Where a shard begins in the object.
    pub fn start(&self, shard: u32) -> u64 {
        u64::from(shard) * u64::from(self.shard_bytes)
    }

    /// The parity of a group, given its shards in order.
    pub fn encode(&self, shards: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, CodeError> {
        let mut encoder =
            ReedSolomonEncoder::new(shards.len(), self.parity as usize, self.shard_bytes as usize)?;
        shards.iter().try_for_each(|shard| encoder.add_original_shard(shard))?;
        Ok(encoder.encode()?.recovery_iter().map(<[u8]>::to_vec).collect())
    }

    /// The shards of a group that are `None`, by their place in it, from those that are there and
    /// from its parity.
    pub fn decode(
        &self,
        shards: &[Option<Vec<u8>>],
        parity: &[Option<Vec<u8>>],
    ) -> Result<Vec<(usize, Vec<u8>)>, CodeError> {
        let mut decoder =
            ReedSolomonDecoder::new(shards.len(), self.parity as usize, self.shard_bytes as usize)?;
        for (place, shard) in shards.iter().enumerate() {
            shard.iter().try_for_each(|shard| decoder.add_original_shard(place, shard))?;
        }
        for (place, shard) in parity.iter().enumerate() {
            shard.iter().try_for_each(|shard| decoder.add_recovery_shard(place, shard))?;
        }
        let restored = decoder.decode()?;
        Ok(restored.restored_original_iter().map(|(place, shard)| (place, shard.to_vec())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_IN_16: Ratio = Ratio { data: 16, parity: 1 };

    fn shards(shape: &Shape, seed: u64) -> Vec<Vec<u8>> {
        let fill = |shard: u32| {
            let mut bytes = vec![0; shape.shard_bytes as usize];
            let label = [seed, shard.into()].map(u64::to_le_bytes).concat();
            blake3::Hasher::new().update(&label).finalize_xof().fill(&mut bytes);
            bytes
        };
        shape.group(0).map(fill).collect()
    }

    #[test]
    fn p5_a_group_is_bounded_and_the_cost_is_the_ratio() {
        for bytes in [0, 1, 4096, 4097, 1 << 20, (1 << 20) - 1, 64 << 20, (64 << 20) + 1, 1 << 30] {
            let shape = Shape::of(bytes, ONE_IN_16);
            assert!(shape.is_possible(bytes), "{bytes}: {shape:?}");
            assert!(shape.group(0).count() <= GROUP_SHARDS as usize);
            let all: u32 = (0..shape.groups).map(|group| shape.group(group).count() as u32).sum();
            assert_eq!(all, shape.shards);
            let parity = u64::from(shape.groups * shape.parity * shape.shard_bytes);
            let most = bytes / 16 + u64::from(shape.groups) * u64::from(shape.shard_bytes);
            assert!(parity <= most, "{bytes}: {parity} of at most {most}");
        }
    }

    #[test]
    fn as_many_shards_as_there_is_parity_come_back_whichever_they_are() {
        let shape = Shape::of(7 << 20, ONE_IN_16);
        let data = shards(&shape, 1);
        let parity = shape.encode(&data).unwrap();
        assert_eq!((shape.groups, parity.len()), (1, 7));
        for first in [0, 50, data.len() - 7] {
            let mut hurt: Vec<_> = data.iter().cloned().map(Some).collect();
            hurt[first..first + 7].fill(None);
            let all: Vec<_> = parity.iter().cloned().map(Some).collect();
            let back = shape.decode(&hurt, &all).unwrap();
            assert_eq!(back.len(), 7);
            assert!(back.iter().all(|(place, shard)| *shard == data[*place]));
            // One more is too many, and so is one parity shard less.
            let mut worse = hurt.clone();
            worse[(first + 20) % 100] = None;
            assert!(shape.decode(&worse, &all).is_err());
            let mut less = all.clone();
            less[3] = None;
            assert!(shape.decode(&hurt, &less).is_err());
        }
    }

    #[test]
    fn full_parity_gives_back_what_is_gone_altogether() {
        let shape = Shape::of(10_000, Ratio::WHOLE);
        let data = shards(&shape, 2);
        let parity: Vec<_> = shape.encode(&data).unwrap().into_iter().map(Some).collect();
        let back = shape.decode(&vec![None; data.len()], &parity).unwrap();
        assert_eq!(back.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>(), data);
    }

    #[test]
    fn parity_is_what_it_always_was() {
        // It lies on disks: another release must read it.
        let shape = Shape::of(1 << 20, ONE_IN_16);
        let parity = shape.encode(&shards(&shape, 3)).unwrap().concat();
        assert_eq!(blake3::hash(&parity).to_hex()[..16], *"25a405a46fb24553");
    }

    #[test]
    fn a_shape_that_cannot_be_is_refused() {
        let good = Shape::of(5 << 20, ONE_IN_16);
        for bad in [
            Shape { shard_bytes: 65, ..good },
            Shape { shards: good.shards + 1, ..good },
            Shape { groups: 0, ..good },
            Shape { parity: 0, ..good },
            Shape { parity: 1000, ..good },
        ] {
            assert!(!bad.is_possible(5 << 20), "{bad:?}");
        }
    }
}
