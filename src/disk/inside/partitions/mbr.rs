//! The table of a master boot record, with the chain of logical partitions in an extended one.
//!
//! Invariant: the chain ends after a bounded number of links, and never goes back.

use super::types::mbr_type;
use super::{Partition, Table, TableKind};
use crate::disk::fields::Fields;
use crate::disk::inside::fault::Fault;
use crate::disk::inside::part::Part;

pub(super) const SECTOR_BYTES: usize = 512;
const SECTOR: u64 = SECTOR_BYTES as u64;
const CODE_BYTES: usize = 440;
const ENTRIES_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
const SIGNATURE_AT: usize = 510;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// The type of a partition that stands for a GUID partition table.
const PROTECTIVE: u8 = 0xee;
/// Logical partitions are numbered from here on.
const FIRST_LOGICAL: u32 = 5;
const LOGICAL_MAX: u32 = 128;

/// One of the four entries.
struct Entry {
    status: u8,
    kind: u8,
    first: u64,
    sectors: u64,
}

/// The table, where the first sector has one.
pub(super) fn read(disk: &Part, first: &[u8]) -> Result<Option<Table>, Fault> {
    let entries = entries(first);
    // Boot sectors of file systems end like a table: entries are what tells them apart.
    let is_table = is_signed(first)
        && entries.iter().all(|entry| matches!(entry.status, 0 | 0x80))
        && entries.iter().any(|entry| entry.kind != 0 && entry.kind != PROTECTIVE && entry.sectors > 0)
        && entries.iter().all(|entry| entry.kind == 0 || entry.first > 0);
    if !is_table {
        return Ok(None);
    }
    let mut table =
        Table { kind: TableKind::Mbr, partitions: Vec::new(), has_boot_code: false, remarks: Vec::new() };
    let mut extended = None;
    for (number, entry) in (1..).zip(&entries) {
        if entry.kind == 0 || entry.sectors == 0 {
            continue;
        }
        if EXTENDED.contains(&entry.kind) {
            extended = extended.or(Some(entry.first));
            continue;
        }
        table.add(disk, number, entry, 0);
    }
    if let Some(base) = extended {
        table.add_logical(disk, base)?;
    }
    Ok(Some(table))
}

/// Whether the first sector begins with code.
pub(super) fn has_boot_code(first: &[u8]) -> bool {
    is_signed(first) && !Fields(first).is_zero(0, CODE_BYTES)
}

/// Whether a sector ends as one with a table or code does.
fn is_signed(sector: &[u8]) -> bool {
    Fields(sector).bytes(SIGNATURE_AT, 2) == SIGNATURE
}

fn entries(sector: &[u8]) -> [Entry; 4] {
    let fields = Fields(sector);
    [0, 1, 2, 3].map(|index| {
        let at = ENTRIES_AT + index * ENTRY_BYTES;
        Entry {
            status: fields.bytes(at, 1).first().copied().unwrap_or_default(),
            kind: fields.bytes(at + 4, 1).first().copied().unwrap_or_default(),
            first: u64::from(fields.le32(at + 8)),
            sectors: u64::from(fields.le32(at + 12)),
        }
    })
}

impl Table {
    fn add(&mut self, disk: &Part, number: u32, entry: &Entry, base: u64) {
        let (start_bytes, size_bytes) = ((base + entry.first) * SECTOR, entry.sectors * SECTOR);
        if disk.stretch(start_bytes, size_bytes).is_none() {
            self.remarks.push(format!("partition {number} reaches past the end of the disk"));
            return;
        }
        let (purpose, type_name) = mbr_type(entry.kind);
        self.partitions.push(Partition {
            number,
            start_bytes,
            size_bytes,
            purpose,
            type_code: format!("{:02x}", entry.kind),
            type_name,
            name: None,
            id: None,
        });
    }

    /// Follows the chain of an extended partition. Links count from its first sector, and partitions from their link's.
    fn add_logical(&mut self, disk: &Part, base: u64) -> Result<(), Fault> {
        let mut link = base;
        for number in FIRST_LOGICAL..FIRST_LOGICAL + LOGICAL_MAX {
            let Some(sector) = disk.bytes_if_inside(link * SECTOR, SECTOR_BYTES)? else {
                self.remarks.push("a link of its extended partition leads past the end of the disk".into());
                return Ok(());
            };
            let [one, next, ..] = entries(&sector);
            if !is_signed(&sector) {
                self.remarks.push("a link of its extended partition leads to something else".into());
                return Ok(());
            }
            if one.kind != 0 && one.sectors > 0 {
                self.add(disk, number, &one, link);
            }
            if !EXTENDED.contains(&next.kind) || next.sectors == 0 {
                return Ok(());
            }
            if base + next.first <= link {
                self.remarks.push("the chain of its extended partition goes back".into());
                return Ok(());
            }
            link = base + next.first;
        }
        self.remarks.push(format!("its extended partition has more than {LOGICAL_MAX} links"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, table};
    use super::*;
    use crate::disk::fixtures::put;
    use crate::disk::inside::part::tests::disk;

    fn entry(image: &mut [u8], sector: usize, index: usize, kind: u8, first: u32, sectors: u32) {
        let at = sector * SECTOR_BYTES + ENTRIES_AT + index * ENTRY_BYTES;
        image[at + 4] = kind;
        put(image, at + 8, &first.to_le_bytes());
        put(image, at + 12, &sectors.to_le_bytes());
        put(image, sector * SECTOR_BYTES + SIGNATURE_AT, &SIGNATURE);
    }

    fn found(image: Vec<u8>) -> (Vec<(u32, u64, u64)>, Vec<String>) {
        let table = table(&disk(image)).unwrap().unwrap();
        assert_eq!(table.kind, TableKind::Mbr);
        let parts = table.partitions.iter();
        (parts.map(|p| (p.number, p.start_bytes / SECTOR, p.size_bytes / SECTOR)).collect(), table.remarks)
    }

    /// Two primary partitions, and an extended one from sector 100 on with two logical ones.
    fn usual() -> Vec<u8> {
        let mut image = vec![0; 300 * SECTOR_BYTES];
        entry(&mut image, 0, 0, 0x83, 1, 50);
        entry(&mut image, 0, 1, 0xef, 51, 10);
        entry(&mut image, 0, 2, 0x05, 100, 200);
        entry(&mut image, 100, 0, 0x83, 2, 40);
        entry(&mut image, 100, 1, 0x05, 60, 60);
        entry(&mut image, 160, 0, 0x82, 2, 20);
        image
    }

    #[test]
    fn primary_and_logical_partitions_are_numbered_as_linux_does() {
        let (partitions, remarks) = found(usual());
        assert_eq!(partitions, [(1, 1, 50), (2, 51, 10), (5, 102, 40), (6, 162, 20)]);
        assert_eq!(remarks, Vec::<String>::new());
        let table = table(&disk(usual())).unwrap().unwrap();
        let purposes: Vec<Purpose> = table.partitions.iter().map(|partition| partition.purpose).collect();
        assert_eq!(purposes, [Purpose::Data, Purpose::EfiSystem, Purpose::Data, Purpose::Swap]);
        assert_eq!(table.partitions[0].type_name, "Linux");
        assert!(!table.has_boot_code);
        let mut with_code = usual();
        with_code[0] = 0xeb;
        assert!(super::super::table(&disk(with_code)).unwrap().unwrap().has_boot_code);
    }

    #[test]
    fn a_chain_that_goes_back_or_nowhere_ends_with_a_remark() {
        let mut looped = usual();
        entry(&mut looped, 160, 1, 0x05, 0, 60);
        assert_eq!(found(looped).1, ["the chain of its extended partition goes back"]);
        let mut outside = usual();
        entry(&mut outside, 160, 1, 0x05, u32::MAX, 60);
        let (partitions, remarks) = found(outside);
        assert_eq!(partitions.len(), 4);
        assert_eq!(remarks, ["a link of its extended partition leads past the end of the disk"]);
        let mut nothing = usual();
        entry(&mut nothing, 160, 1, 0x05, 70, 60);
        assert_eq!(found(nothing).1, ["a link of its extended partition leads to something else"]);
    }

    #[test]
    fn what_reaches_past_the_end_is_a_remark_and_no_partition() {
        let mut image = usual();
        entry(&mut image, 0, 3, 0x83, 299, 2);
        let (partitions, remarks) = found(image);
        assert!(partitions.iter().all(|(number, ..)| *number != 4));
        assert_eq!(remarks, ["partition 4 reaches past the end of the disk"]);
    }
}
