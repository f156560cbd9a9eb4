//! The table that chains clusters to files, in its three widths.
//!
//! Invariant: an entry that is followed leads to a cluster of the file system. A window of the table is kept.

use std::sync::{Mutex, PoisonError};

use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;
use crate::disk::inside::part::Part;

const WINDOW_BYTES: u64 = 16 << 10;
const FIRST: u32 = 2;
/// Fewer clusters are FAT12, and fewer than the second number FAT16, unless the boot sector is that of a FAT32.
const FAT16_CLUSTERS: u64 = 4085;
const FAT32_CLUSTERS: u64 = 65525;
/// Entries in memory that are gone through for one step: the windows that they are read in are counted by themselves.
const ENTRIES_PER_STEP: u64 = 64;
/// The largest table whose free entries are counted: of 8 Mi clusters.
const COUNTED_BYTES_MAX: u64 = 32 << 20;

/// Bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// The first copy of the table.
pub(super) struct Table {
    at: u64,
    bytes: u64,
    clusters: u64,
    width: Width,
    /// The latest bytes that were read of it, and where they begin in it.
    window: Mutex<(u64, Vec<u8>)>,
}

impl Table {
    /// That of a file system with so many clusters. `has_fat32_head` is whether its boot sector is laid out as that of a FAT32, which
    /// Linux and EDK2 go by: tools make small ones too, which the specification takes for FAT12 or FAT16.
    pub(super) fn new(at: u64, bytes: u64, clusters: u64, has_fat32_head: bool) -> Result<Table, Fault> {
        let width = match clusters {
            _ if has_fat32_head => Width::ThirtyTwo,
            0..FAT16_CLUSTERS => Width::Twelve,
            FAT16_CLUSTERS..FAT32_CLUSTERS => Width::Sixteen,
            _ => Width::ThirtyTwo,
        };
        let table = Table { at, bytes, clusters, width, window: Mutex::default() };
        let last = u32::try_from(clusters + 1).map_err(|_| Fault::broken("it has too many clusters"))?;
        let (from, count) = table.place(last);
        if from + count > bytes {
            return Err(Fault::broken("its table is shorter than its clusters"));
        }
        Ok(table)
    }

    pub(super) fn is_fat32(&self) -> bool {
        self.width == Width::ThirtyTwo
    }

    pub(super) fn clusters(&self) -> u64 {
        self.clusters
    }

    /// The cluster, if the file system has it.
    pub(super) fn expect_cluster(&self, cluster: u32) -> Result<u32, Fault> {
        let has_it = cluster >= FIRST && u64::from(cluster - FIRST) < self.clusters;
        has_it.then_some(cluster).ok_or_else(|| Fault::broken(format!("there is no cluster {cluster}")))
    }

    /// The cluster after this one; `None` after the last.
    pub(super) fn next(&self, part: &Part, cluster: u32) -> Result<Option<u32>, Fault> {
        part.effort().steps(1)?;
        self.link(part, cluster)
    }

    /// The cluster so many links after this one; `None` where the chain ends before.
    pub(super) fn after(&self, part: &Part, mut cluster: u32, links: u64) -> Result<Option<u32>, Fault> {
        part.effort().steps(links.div_ceil(ENTRIES_PER_STEP))?;
        for _ in 0..links {
            let Some(next) = self.link(part, cluster)? else { return Ok(None) };
            cluster = next;
        }
        Ok(Some(cluster))
    }

    /// Where an entry leads; `None` from the last of a chain.
    fn link(&self, part: &Part, cluster: u32) -> Result<Option<u32>, Fault> {
        let entry = self.entry(part, self.expect_cluster(cluster)?)?;
        let end = match self.width {
            Width::Twelve => 0xff8,
            Width::Sixteen => 0xfff8,
            Width::ThirtyTwo => 0x0fff_fff8,
        };
        if entry >= end { Ok(None) } else { self.expect_cluster(entry).map(Some) }
    }

    /// How many clusters are free; `None` where the table is too large to count them.
    pub(super) fn free(&self, part: &Part) -> Result<Option<u64>, Fault> {
        if self.bytes > COUNTED_BYTES_MAX {
            return Ok(None);
        }
        part.effort().steps(self.clusters / ENTRIES_PER_STEP)?;
        let mut free = 0;
        for cluster in (FIRST..).take(usize::try_from(self.clusters).unwrap_or(usize::MAX)) {
            free += u64::from(self.entry(part, cluster)? == 0);
        }
        Ok(Some(free))
    }

    /// Where an entry lies in the table, and in how many bytes.
    fn place(&self, cluster: u32) -> (u64, u64) {
        let cluster = u64::from(cluster);
        match self.width {
            Width::Twelve => (cluster + cluster / 2, 2),
            Width::Sixteen => (cluster * 2, 2),
            Width::ThirtyTwo => (cluster * 4, 4),
        }
    }

    fn entry(&self, part: &Part, cluster: u32) -> Result<u32, Fault> {
        let (at, count) = self.place(cluster);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, bytes) = &*window;
        if at < *from || at + count > from + bytes.len() as u64 {
            // Whole entries of all widths begin at multiples of three and of four.
            let from = at / 12 * 12;
            let bytes = part.bytes(self.at + from, WINDOW_BYTES.min(self.bytes - from) as usize)?;
            *window = (from, bytes);
        }
        let (from, bytes) = &*window;
        let fields = Fields(bytes);
        let at = (at - from) as usize;
        Ok(match self.width {
            Width::Twelve if cluster % 2 == 1 => u32::from(fields.le16(at) >> 4),
            Width::Twelve => u32::from(fields.le16(at) & 0xfff),
            Width::Sixteen => u32::from(fields.le16(at)),
            Width::ThirtyTwo => fields.le32(at) & 0x0fff_ffff,
        })
    }
}
