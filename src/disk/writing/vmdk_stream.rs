//! VMware's streamOptimized VMDK, in one pass: each packed grain goes out as it comes, and what tells where they are follows.
//!
//! Invariant: the bytes are those of the [layout](super::vmdk) that knows all lengths before.

use super::vmdk::{
    FILE_SECTORS_MAX, GROUP_END_SECTORS, TOO_MUCH, check, end, grain_marker, grain_sectors, table,
};
use super::vmdk_text::{FRONT_SECTORS, SECTOR, TABLE_ENTRIES, front};
use super::{Blocks, Form, Names, Unfit};

/// A VMDK on its way out.
pub struct VmdkStream {
    /// Of which only the size counts.
    disk: Blocks,
    /// Where the next grain goes, in sectors.
    at: u64,
    /// The group that is being written, and where its grains are, in sectors.
    group: u64,
    grains: Vec<(u64, u64)>,
    /// Tables that are written: of which group, and where.
    tables: Vec<(u64, u64)>,
}

impl VmdkStream {
    /// Begins with the bytes before the first grain.
    ///
    /// # Errors
    /// When there are no such disks.
    pub fn begin(disk: &Blocks, names: &Names) -> Result<(VmdkStream, Vec<u8>), Unfit> {
        check(disk)?;
        let disk = Blocks::new(disk.guest_bytes(), super::UNIT_BYTES);
        let front = front(&disk, names).into_bytes();
        let stream = VmdkStream { disk, at: FRONT_SECTORS, group: 0, grains: Vec::new(), tables: Vec::new() };
        Ok((stream, front))
    }

    /// Memory that the tables of such a disk take while it goes out, in bytes, at most.
    pub fn bytes_for(disk: &Blocks) -> u64 {
        // Those that were written, and the directory that is made of them.
        disk.groups(TABLE_ENTRIES).len() as u64 * 16 + disk.total().div_ceil(TABLE_ENTRIES) * 4
    }

    /// The bytes of the next unit of the disk: `packed` is empty for zeros, which are left out.
    ///
    /// # Errors
    /// When the file gets larger than such files are.
    pub fn unit(&mut self, unit: u64, packed: &[u8]) -> Result<Vec<u8>, Unfit> {
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        if unit / TABLE_ENTRIES != self.group {
            out = self.end_group();
            self.group = unit / TABLE_ENTRIES;
        }
        let sectors = grain_sectors(packed.len() as u64);
        if self.at + sectors > FILE_SECTORS_MAX {
            return Err(Unfit::new(Form::Vmdk, &self.disk, TOO_MUCH));
        }
        self.grains.push((unit % TABLE_ENTRIES, self.at));
        self.at += sectors;
        let start = out.len();
        out.extend(grain_marker(unit, packed.len() as u64));
        out.extend_from_slice(packed);
        out.resize(start + (sectors * SECTOR) as usize, 0);
        Ok(out)
    }

    /// The bytes after the last grain.
    pub fn finish(mut self) -> Vec<u8> {
        let mut out = self.end_group();
        out.extend(end(&self.disk, self.at, self.tables.iter().copied()).into_bytes());
        out
    }

    /// The table of the group, where it has a grain.
    fn end_group(&mut self) -> Vec<u8> {
        if self.grains.is_empty() {
            return Vec::new();
        }
        self.tables.push((self.group, self.at + 1));
        self.at += GROUP_END_SECTORS;
        table(self.grains.drain(..)).into_bytes()
    }
}
