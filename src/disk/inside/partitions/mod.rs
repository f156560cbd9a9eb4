//! Tables of partitions: which stretches of a disk a guest takes for disks of their own.
//!
//! Invariant: a partition that is told of lies on the disk; what a table says that cannot be is a remark, not a
//! partition. Numbers are those that Linux gives.

mod gpt;
mod mbr;
mod types;

#[cfg(test)]
pub(crate) use gpt::tests::image as gpt_image;
use uuid::Uuid;

use super::fault::Fault;
use super::part::Part;

/// Partitions that are told of; more are a remark.
const PARTITIONS_MAX: usize = 256;

/// The kind of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A GUID partition table.
    Gpt,
    /// A table of a master boot record.
    Mbr,
}

/// What a disk is divided into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its kind.
    pub kind: TableKind,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Whether code to start a machine lies in the disk's first sector.
    pub has_boot_code: bool,
    /// What is not in order about it, though it was read: a sentence each.
    pub remarks: Vec<String>,
}

/// A stretch of a disk that is a disk of its own to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1 on.
    pub number: u32,
    /// Its first byte on the disk.
    pub start_bytes: u64,
    /// How long it is.
    pub size_bytes: u64,
    /// What the table says it is for.
    pub purpose: Purpose,
    /// That as the table writes it: two hexadecimal digits, or a UUID.
    pub type_code: String,
    /// What people call that type.
    pub type_name: &'static str,
    /// Its name, where the table has names.
    pub name: Option<String>,
    /// Its own id, where the table has them.
    pub id: Option<Uuid>,
}

/// What a partition is for, as far as that decides how a machine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The files that UEFI starts a machine from.
    EfiSystem,
    /// The rest of a boot loader that a BIOS starts.
    BiosBoot,
    /// Swap.
    Swap,
    /// Anything else.
    Data,
}

/// The table of a disk; `None` where it has none.
///
/// # Errors
/// When its bytes cannot be had, or it takes too much.
pub fn table(disk: &Part) -> Result<Option<Table>, Fault> {
    let Some(first) = disk.bytes_if_inside(0, mbr::SECTOR_BYTES)? else { return Ok(None) };
    let mut found = match gpt::read(disk)? {
        Some(table) => Some(table),
        None => mbr::read(disk, &first)?,
    };
    if let Some(table) = &mut found {
        table.has_boot_code = mbr::has_boot_code(&first);
        if table.partitions.len() > PARTITIONS_MAX {
            table.partitions.truncate(PARTITIONS_MAX);
            table.remarks.push(format!("it has more than {PARTITIONS_MAX} partitions"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::inside::part::tests::disk;

    #[test]
    fn a_disk_without_a_table_has_none() {
        assert_eq!(table(&disk(vec![0; 100])).unwrap(), None);
        assert_eq!(table(&disk(vec![0; 1 << 20])).unwrap(), None);
        // A FAT file system alone ends its first sector as a table does.
        let mut fat = vec![0; 1 << 20];
        fat[0..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
        fat[0x1be] = b'x';
        fat[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(table(&disk(fat)).unwrap(), None);
    }
}
