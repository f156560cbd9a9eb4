//! QEMU's qcow2, version 3, in clusters of 64 KiB.
//!
//! Source: QEMU's `docs/interop/qcow2.rst`. All numbers are big-endian. The file has, in this order: the header, the table of
//! reference counts and its blocks, the first-level table, second-level tables where there is data, and the data.

use super::structure::Structure;
use super::{Blocks, Layout, Piece, UNIT_BYTES};

/// A cluster, in bytes.
pub(super) const CLUSTER: u64 = UNIT_BYTES;
const CLUSTER_BITS: u32 = CLUSTER.trailing_zeros();
/// Clusters that a second-level table tells of.
pub(super) const L2_ENTRIES: u64 = CLUSTER / 8;
/// Clusters that a block of counts tells of, in 16 bits each.
pub(super) const COUNTS: u64 = CLUSTER / 2;
const COUNT_BITS_LOG: u32 = 4;
/// What an entry has of a cluster that nobody else refers to.
const COPIED: u64 = 1 << 63;
const VERSION: u32 = 3;
const HEADER_BYTES: u32 = 112;

/// What stands before the data, in clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Front {
    disk_bytes: u64,
    /// The table of counts, after the header.
    count_table: u64,
    count_blocks: u64,
    l1: u64,
    l1_entries: u64,
    /// Groups of clusters that have a second-level table, in order.
    groups: Vec<u64>,
}

/// A cluster that stands before the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// The header, or the first-level table or that of counts, made already.
    Cluster,
    /// A block of counts: of that number.
    Counts(u64),
    /// The second-level table of that group.
    Second(u64),
}

impl Front {
    /// Of a disk whose data takes so many clusters.
    pub(super) fn new(disk: &Blocks, data_clusters: u64) -> Front {
        let l1_entries = disk.disk_bytes().div_ceil(CLUSTER * L2_ENTRIES);
        let mut front = Front {
            disk_bytes: disk.disk_bytes(),
            count_table: 1,
            count_blocks: 1,
            l1: (l1_entries * 8).div_ceil(CLUSTER).max(1),
            l1_entries,
            groups: disk.groups(L2_ENTRIES),
        };
        // Counts count themselves too.
        loop {
            let blocks = (front.clusters() + data_clusters).div_ceil(COUNTS);
            let table = (blocks * 8).div_ceil(CLUSTER);
            if (blocks, table) == (front.count_blocks, front.count_table) {
                return front;
            }
            (front.count_blocks, front.count_table) = (blocks, table);
        }
    }

    /// Clusters of the file before the data.
    pub(super) fn clusters(&self) -> u64 {
        self.second_at() + self.groups.len() as u64
    }

    fn l1_at(&self) -> u64 {
        1 + self.count_table + self.count_blocks
    }

    fn second_at(&self) -> u64 {
        self.l1_at() + self.l1
    }

    /// Memory that it takes, in bytes.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.groups.len() as u64 * 8
    }

    /// What the cluster of this number is, which stands before the data.
    pub(super) fn table(&self, cluster: u64) -> (Table, Structure) {
        let mut made = Structure::new(CLUSTER);
        if cluster == 0 {
            self.fill_header(&mut made);
        } else if let Some(at) = within(cluster, 1, self.count_table) {
            let first = 1 + self.count_table;
            let blocks = at * L2_ENTRIES..self.count_blocks.min((at + 1) * L2_ENTRIES);
            fill(&mut made, blocks.map(|block| (block % L2_ENTRIES, (first + block) * CLUSTER)));
        } else if let Some(block) = within(cluster, 1 + self.count_table, self.count_blocks) {
            return (Table::Counts(block), made);
        } else if let Some(at) = within(cluster, self.l1_at(), self.l1) {
            let from = self.groups.partition_point(|group| *group < at * L2_ENTRIES);
            let groups = self.groups[from..].iter().take_while(|group| **group < (at + 1) * L2_ENTRIES);
            let entries = groups
                .zip(from as u64..)
                .map(|(group, place)| (group % L2_ENTRIES, plain((self.second_at() + place) * CLUSTER)));
            fill(&mut made, entries);
        } else {
            let place = usize::try_from(cluster - self.second_at()).unwrap_or(usize::MAX);
            return (Table::Second(self.groups.get(place).copied().unwrap_or_default()), made);
        }
        (Table::Cluster, made)
    }

    fn fill_header(&self, header: &mut Structure) {
        header.put(0, b"QFI\xfb");
        for (at, number) in [
            (4, VERSION),
            (20, CLUSTER_BITS),
            (36, u32::try_from(self.l1_entries).unwrap_or(u32::MAX)),
            (56, u32::try_from(self.count_table).unwrap_or(u32::MAX)),
            (96, COUNT_BITS_LOG),
            (100, HEADER_BYTES),
        ] {
            header.put(at, &number.to_be_bytes());
        }
        for (at, number) in [(24, self.disk_bytes), (40, self.l1_at() * CLUSTER), (48, CLUSTER)] {
            header.put(at, &number.to_be_bytes());
        }
    }
}

/// Fills a table's entries.
pub(super) fn fill(table: &mut Structure, entries: impl Iterator<Item = (u64, u64)>) {
    entries.for_each(|(index, entry)| table.put(index * 8, &entry.to_be_bytes()));
}

/// An entry of a table for a cluster of the file that nothing else refers to.
pub(super) fn plain(at: u64) -> u64 {
    at | COPIED
}

/// How far after `first` it is, where it is one of the `count` from there.
fn within(cluster: u64, first: u64, count: u64) -> Option<u64> {
    cluster.checked_sub(first).filter(|at| *at < count)
}

/// A disk as a qcow2 file whose clusters are as the guest has them.
pub(super) struct Qcow2 {
    disk: Blocks,
    front: Front,
}

impl Qcow2 {
    pub(super) fn new(disk: Blocks) -> Qcow2 {
        let front = Front::new(&disk, disk.count());
        Qcow2 { disk, front }
    }

    fn clusters(&self) -> u64 {
        self.front.clusters() + self.disk.count()
    }
}

impl Layout for Qcow2 {
    fn size_bytes(&self) -> u64 {
        self.clusters() * CLUSTER
    }

    fn piece_at(&self, at: u64) -> Piece {
        let (cluster, skip) = (at / CLUSTER, at % CLUSTER);
        let front = self.front.clusters();
        if let Some(ordinal) = cluster.checked_sub(front) {
            return self.disk.data(ordinal, skip, u64::MAX);
        }
        let (table, mut made) = self.front.table(cluster);
        match table {
            Table::Cluster => {}
            Table::Counts(block) => {
                let counted = self.clusters().saturating_sub(block * COUNTS).min(COUNTS);
                (0..counted).for_each(|cluster| made.put(cluster * 2, &1_u16.to_be_bytes()));
            }
            Table::Second(group) => {
                let blocks = self.disk.within(group * L2_ENTRIES..(group + 1) * L2_ENTRIES);
                let entries =
                    blocks.map(|(block, ordinal)| (block % L2_ENTRIES, plain((front + ordinal) * CLUSTER)));
                fill(&mut made, entries);
            }
        }
        made.from(skip)
    }

    fn kept_bytes(&self) -> u64 {
        self.disk.kept_bytes() + self.front.kept_bytes()
    }
}
