//! FAT12, FAT16 and FAT32, read only: what EFI system partitions are.
//!
//! Source: Microsoft's FAT specification (fatgen103). Invariants: a cluster is read only where it lies in the file system;
//! a chain ends where the file does, so that one that bites its own tail is no longer than that.

mod directory;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use super::fault::Fault;
use super::part::Part;
use super::tree::{Entry, FileSystem, Listing, Node, NodeKind, Spot, Usage};
use crate::disk::fields::Fields;
use table::Table;

/// Where a file's clusters begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The first one; 0 for an empty file, or the fixed topmost directory of FAT12 and FAT16.
    first: u32,
}

/// A cluster of a chain.
#[derive(Debug, Clone, Copy)]
struct Mark {
    chain: Chain,
    /// How many links it is from the first one.
    links: u64,
    cluster: u32,
}

/// An opened file system.
pub(super) struct Fat {
    part: Part,
    table: Table,
    cluster_bytes: u64,
    /// Where cluster 2, which is the first, begins.
    data_at: u64,
    /// The topmost directory of FAT12 and FAT16, which is no chain: where it begins, and how long it is.
    fixed_root: Option<(u64, u64)>,
    root: Chain,
    /// Where the latest read ended: whoever reads a file piece by piece goes on from there.
    latest: Mutex<Option<Mark>>,
}

impl Fat {
    /// Opens what lies in a part.
    pub(super) fn open(part: Part) -> Result<Fat, Fault> {
        let bytes = part.bytes(0, 512)?;
        let fields = Fields(&bytes);
        let byte = |at: usize| u64::from(fields.bytes(at, 1).first().copied().unwrap_or_default());
        let or = |small: u16, large: u32| if small == 0 { u64::from(large) } else { u64::from(small) };
        let sector = u64::from(fields.le16(11));
        let cluster_bytes = sector * byte(13);
        let table_at = u64::from(fields.le16(14)) * sector;
        let table_bytes = or(fields.le16(22), fields.le32(36)) * sector;
        let root_bytes = u64::from(fields.le16(17)) * 32;
        let size = or(fields.le16(19), fields.le32(32)) * sector;
        let root_at = table_at + byte(16) * table_bytes;
        let data_at = root_at + root_bytes.next_multiple_of(sector.max(1));
        if !(512..=4096).contains(&sector) || !(512..=1 << 20).contains(&cluster_bytes) {
            return Err(Fault::broken("its sectors or clusters are of no possible size"));
        }
        if data_at > size || size > part.size_bytes() {
            return Err(Fault::broken("it is larger than what it lies in"));
        }
        let clusters = (size - data_at) / cluster_bytes;
        // A FAT32 tells the size of its table further on alone.
        let table = Table::new(table_at, table_bytes, clusters, fields.le16(22) == 0)?;
        let fixed_root = (!table.is_fat32()).then_some((root_at, root_bytes));
        let root = Chain { first: if table.is_fat32() { fields.le32(44) } else { 0 } };
        Ok(Fat { part, table, cluster_bytes, data_at, fixed_root, root, latest: Mutex::default() })
    }

    /// Where a cluster begins.
    fn place(&self, cluster: u32) -> u64 {
        self.data_at + u64::from(cluster.saturating_sub(2)) * self.cluster_bytes
    }

    /// Fills `out` from byte `at` of a chain on.
    fn read_chain(&self, chain: Chain, at: u64, mut out: &mut [u8]) -> Result<(), Fault> {
        let mut mark = self.seek(chain, at / self.cluster_bytes)?;
        let mut skip = at % self.cluster_bytes;
        while !out.is_empty() {
            // Clusters that follow each other are read at once.
            let first = mark.cluster;
            let mut there = self.cluster_bytes - skip;
            while there < out.len() as u64 {
                let before = mark.cluster;
                let next = self.table.next(&self.part, before)?.ok_or_else(short)?;
                mark = Mark { links: mark.links + 1, cluster: next, ..mark };
                if next != before.wrapping_add(1) {
                    break;
                }
                there += self.cluster_bytes;
            }
            let here = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            self.part.read(self.place(first) + skip, now)?;
            (out, skip) = (later, 0);
        }
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
        Ok(())
    }

    /// The cluster so many links from the first of a chain, from where that was read last where it is not before.
    fn seek(&self, chain: Chain, links: u64) -> Result<Mark, Fault> {
        let latest = *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let start = match latest.filter(|mark| mark.chain == chain && mark.links <= links) {
            Some(mark) => mark,
            None => Mark { chain, links: 0, cluster: self.table.expect_cluster(chain.first)? },
        };
        let cluster = self.table.after(&self.part, start.cluster, links - start.links)?;
        Ok(Mark { chain, links, cluster: cluster.ok_or_else(short)? })
    }
}

fn short() -> Fault {
    Fault::broken("a chain of clusters is shorter than its file")
}

fn chain_of(node: &Node) -> Result<Chain, Fault> {
    match &node.spot {
        Spot::Fat(chain) => Ok(*chain),
        _ => Err(Fault::broken("it is of another file system")),
    }
}

impl FileSystem for Fat {
    fn usage(&self) -> Result<Usage, Fault> {
        let size_bytes = Some(self.table.clusters() * self.cluster_bytes);
        let free_bytes = self.table.free(&self.part)?.map(|free| free * self.cluster_bytes);
        Ok(Usage { size_bytes, free_bytes, remarks: Vec::new() })
    }

    fn root(&self) -> Result<Node, Fault> {
        let kind = NodeKind::Directory;
        Ok(Node { kind, size_bytes: 0, mode: None, modified_s: None, spot: Spot::Fat(self.root) })
    }

    /// Names are compared without case, long or short.
    fn child(&self, directory: &Node, name: &str) -> Result<Option<Node>, Fault> {
        let mut wanted = None;
        self.each_entry(chain_of(directory)?, &mut |found| {
            let is_it = found.name.to_lowercase() == name.to_lowercase()
                || found.short_name.eq_ignore_ascii_case(name);
            if is_it {
                wanted = Some(found.node);
            }
            !is_it
        })?;
        Ok(wanted)
    }

    fn list(&self, directory: &Node, entries_max: usize) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        self.each_entry(chain_of(directory)?, &mut |found| {
            listing.is_cut = listing.entries.len() >= entries_max;
            if !listing.is_cut {
                listing.entries.push(Entry { name: found.name, node: found.node });
            }
            !listing.is_cut
        })?;
        Ok(listing)
    }

    fn link(&self, _: &Node) -> Result<String, Fault> {
        Err(Fault::broken("FAT has no links"))
    }

    fn read(&self, file: &Node, at: u64, out: &mut [u8]) -> Result<(), Fault> {
        if out.is_empty() { Ok(()) } else { self.read_chain(chain_of(file)?, at, out) }
    }
}
