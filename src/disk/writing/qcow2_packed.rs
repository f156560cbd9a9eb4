//! QEMU's qcow2 with compressed clusters: the tables in front, then clusters that got smaller, byte after byte, then those
//! that did not.

use super::packing::Packed;
use super::qcow2::{CLUSTER, COUNTS, Front, L2_ENTRIES, Table, fill, plain};
use super::sizes::{Before, Sized, Sizes};
use super::structure::Structure;
use super::{Blocks, Layout, Piece};

const COMPRESSED: u64 = 1 << 62;
/// Where the number of further sectors stands in an entry, for clusters of 64 KiB.
const SECTORS_SHIFT: u32 = 62 - (16 - 8);
const SECTOR: u64 = 512;

/// A disk as a qcow2 file whose clusters are packed.
pub(super) struct Qcow2Packed {
    disk: Blocks,
    sizes: Sizes,
    front: Front,
}

impl Qcow2Packed {
    pub(super) fn new(disk: Blocks, sizes: Sizes) -> Qcow2Packed {
        let front = Front::new(&disk, packed_clusters(&sizes) + sizes.all().plain);
        Qcow2Packed { disk, sizes, front }
    }

    /// Where the packed clusters begin.
    fn packed_at(&self) -> u64 {
        self.front.clusters() * CLUSTER
    }

    /// Where the others begin.
    fn plain_at(&self) -> u64 {
        self.packed_at() + packed_clusters(&self.sizes) * CLUSTER
    }

    fn entry(&self, unit: &Sized) -> u64 {
        match unit.packed_bytes {
            0 => 0,
            CLUSTER.. => plain(self.plain_at() + unit.before.plain * CLUSTER),
            bytes => {
                let at = self.packed_at() + unit.before.packed_bytes;
                let more = (at + bytes - 1) / SECTOR - at / SECTOR;
                COMPRESSED | more << SECTORS_SHIFT | at
            }
        }
    }

    /// How often each cluster is referred to: a cluster with packed ones in it, by each of these.
    fn fill_counts(&self, block: u64, table: &mut Structure) {
        let (first, packed_first) = (block * COUNTS, self.front.clusters());
        let plain_first = self.plain_at() / CLUSTER;
        let mut counts = vec![0_u16; COUNTS as usize];
        let mut count = |cluster: u64| {
            let place = cluster.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            if let Some(counted) = place.and_then(|at| counts.get_mut(at)) {
                *counted += 1;
            }
        };
        let end = (first + COUNTS).min(plain_first + self.sizes.all().plain);
        (first..end).filter(|at| *at < packed_first || *at >= plain_first).for_each(&mut count);
        let from = first.saturating_sub(packed_first) * CLUSTER;
        let begin = self.sizes.find(from, packed_bytes).map_or(0, |(ordinal, _)| ordinal);
        for (_, unit) in self.sizes.from(begin).filter(|(_, unit)| (1..CLUSTER).contains(&unit.packed_bytes))
        {
            let at = unit.before.packed_bytes;
            let clusters = at / CLUSTER..=(at + unit.packed_bytes - 1) / CLUSTER;
            if packed_first + clusters.start() >= first + COUNTS {
                break;
            }
            clusters.for_each(|cluster| count(packed_first + cluster));
        }
        for (cluster, counted) in counts.iter().enumerate() {
            table.put(cluster as u64 * 2, &counted.to_be_bytes());
        }
    }

    fn packed_piece(&self, at: u64) -> Piece {
        let end = self.sizes.all().packed_bytes;
        let filled = packed_clusters(&self.sizes) * CLUSTER;
        let rest = Piece::Zeros(filled - at);
        if at >= end {
            return rest;
        }
        let Some((ordinal, unit)) = self.sizes.find(at, packed_bytes) else { return rest };
        Piece::Packed {
            unit: self.disk.block(ordinal),
            as_: Packed::Cluster,
            packed_bytes: unit.packed_bytes,
            skip: at - unit.before.packed_bytes,
        }
    }

    fn plain_piece(&self, at: u64) -> Piece {
        let (number, skip) = (at / CLUSTER, at % CLUSTER);
        let found = self.sizes.find(number, |before| before.plain);
        let ordinal = found.map_or(0, |(ordinal, _)| ordinal);
        self.disk.data(ordinal, skip, CLUSTER - skip)
    }
}

fn packed_bytes(before: &Before) -> u64 {
    before.packed_bytes
}

/// Clusters of the file that packed ones take together.
fn packed_clusters(sizes: &Sizes) -> u64 {
    sizes.all().packed_bytes.div_ceil(CLUSTER)
}

impl Layout for Qcow2Packed {
    fn size_bytes(&self) -> u64 {
        self.plain_at() + self.sizes.all().plain * CLUSTER
    }

    fn piece_at(&self, at: u64) -> Piece {
        if at >= self.plain_at() {
            return self.plain_piece(at - self.plain_at());
        }
        if at >= self.packed_at() {
            return self.packed_piece(at - self.packed_at());
        }
        let (table, mut made) = self.front.table(at / CLUSTER);
        match table {
            Table::Cluster => {}
            Table::Counts(block) => self.fill_counts(block, &mut made),
            Table::Second(group) => {
                let blocks = group * L2_ENTRIES..(group + 1) * L2_ENTRIES;
                let units = self.sizes.from(self.disk.before(blocks.start));
                let entries = self
                    .disk
                    .within(blocks)
                    .zip(units)
                    .map(|((block, _), (_, unit))| (block % L2_ENTRIES, self.entry(&unit)));
                fill(&mut made, entries);
            }
        }
        made.from(at % CLUSTER)
    }

    fn kept_bytes(&self) -> u64 {
        self.disk.kept_bytes() + self.sizes.kept_bytes() + self.front.kept_bytes()
    }
}
