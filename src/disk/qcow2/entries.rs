//! Entries of the tables of a qcow2 file.

use std::ops::RangeInclusive;

/// Where an offset stands in an entry that has one.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const ZERO: u64 = 1 << 0;
const COMPRESSED: u64 = 1 << 62;
const COPIED: u64 = 1 << 63;
const SUBCLUSTERS: u32 = 32;

/// What an entry has that it may not have.
pub(super) type Wrong = &'static str;

/// Where the second-level table of an entry of the first level is; 0 where there is none.
pub(super) fn l2_table(entry: u64) -> Result<u64, Wrong> {
    if entry & !(OFFSET | COPIED) != 0 {
        return Err("it has reserved bits set");
    }
    Ok(entry & OFFSET)
}

/// What a cluster of the guest's disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Zeros.
    Zeros,
    /// A cluster of the file.
    Plain(u64),
    /// A cluster of the file of which only some subclusters count, or none: bits of those that are data.
    Parts {
        /// Where the cluster is.
        at: u64,
        /// A bit for each that is data, the first one's lowest. The others are zeros.
        data: u32,
    },
    /// Compressed, in this many bytes from there on.
    Packed {
        /// Where it begins.
        at: u64,
        /// The bytes that hold it.
        bytes: u64,
    },
}

/// What a second-level entry says; `bitmap` is the second half of an extended one.
pub(super) fn cluster(
    entry: u64,
    bitmap: Option<u64>,
    has_zero_clusters: bool,
    cluster_bits: u32,
) -> Result<Cluster, Wrong> {
    if entry & COMPRESSED != 0 {
        return match bitmap {
            None | Some(0) => Ok(packed(entry, cluster_bits)),
            Some(_) => Err("a compressed cluster has subclusters"),
        };
    }
    let zero_flag = if has_zero_clusters { ZERO } else { 0 };
    if entry & !(OFFSET | COPIED | zero_flag) != 0 {
        return Err("it has reserved bits set");
    }
    let at = entry & OFFSET;
    match bitmap {
        None if entry & zero_flag != 0 || at == 0 => Ok(Cluster::Zeros),
        None => Ok(Cluster::Plain(at)),
        Some(bitmap) => parts(at, bitmap),
    }
}

fn parts(at: u64, bitmap: u64) -> Result<Cluster, Wrong> {
    let (data, zeros) = (bitmap as u32, (bitmap >> SUBCLUSTERS) as u32);
    match data {
        _ if data & zeros != 0 => Err("a subcluster is data and zeros"),
        0 => Ok(Cluster::Zeros),
        _ if at == 0 => Err("subclusters are data, but no cluster is named"),
        u32::MAX => Ok(Cluster::Plain(at)),
        _ => Ok(Cluster::Parts { at, data }),
    }
}

fn packed(entry: u64, cluster_bits: u32) -> Cluster {
    let count_bits = cluster_bits - 8;
    let at_bits = 62 - count_bits;
    let at = entry & ((1 << at_bits) - 1);
    let more_sectors = (entry >> at_bits) & ((1 << count_bits) - 1);
    Cluster::Packed { at, bytes: (more_sectors + 1) * 512 - at % 512 }
}

/// The subclusters from `first` on that are all data, or all zeros, and which of the two.
pub(super) fn alike(data: u32, first: u32) -> (RangeInclusive<u32>, bool) {
    let is_data = data >> first & 1 == 1;
    let last = (first..SUBCLUSTERS).take_while(|at| (data >> at & 1 == 1) == is_data).last();
    (first..=last.unwrap_or(first), is_data)
}

/// Subclusters of a cluster.
pub(super) const fn subclusters() -> u64 {
    SUBCLUSTERS as u64
}
