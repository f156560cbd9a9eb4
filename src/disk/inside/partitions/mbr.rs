//! The table of a master boot record, with the chain of logical partitions in an extended one.
//!
//! Source: block/partitions/msdos.c of Linux, for what a chain is and how its partitions are numbered. Invariant: the chain ends
//! after a bounded number of links, and at one that it has been at.

use std::collections::BTreeSet;

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
const LINKS_MAX: usize = 128;
/// Entries of a link that are for partitions, and for the next link. The others are unused, and may hold anything.
const ENTRIES_OF_LINK: usize = 2;

/// One of the four entries.
struct Entry {
    status: u8,
    kind: u8,
    first: u64,
    sectors: u64,
}

impl Entry {
    /// Whether it is of an extended partition, or of the next link of one.
    fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.kind)
    }
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
        if entry.is_extended() {
            extended = extended.or(Some(entry));
            continue;
        }
        table.add(disk, number, entry, 0);
    }
    if let Some(extended) = extended {
        table.add_logical(disk, extended)?;
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

    /// Follows the chain of an extended partition, in whichever order its links lie. Links count from its first sector, and
    /// partitions from their link's; a link without a partition takes no number.
    fn add_logical(&mut self, disk: &Part, extended: &Entry) -> Result<(), Fault> {
        let (base, base_end) = (extended.first, extended.first + extended.sectors);
        let (mut link, mut link_sectors) = (base, extended.sectors);
        let (mut number, mut seen) = (FIRST_LOGICAL, BTreeSet::new());
        while seen.insert(link) {
            if seen.len() > LINKS_MAX {
                self.remarks.push(format!("its extended partition has more than {LINKS_MAX} links"));
                return Ok(());
            }
            let Some(sector) = disk.bytes_if_inside(link * SECTOR, SECTOR_BYTES)? else {
                self.remarks.push("a link of its extended partition leads past the end of the disk".into());
                return Ok(());
            };
            if !is_signed(&sector) {
                self.remarks.push("a link of its extended partition leads to something else".into());
                return Ok(());
            }
            let entries = entries(&sector);
            for (index, entry) in entries.iter().enumerate() {
                let end = entry.first + entry.sectors;
                let may_be_one = index < ENTRIES_OF_LINK || (end <= link_sectors && link + end <= base_end);
                if entry.sectors > 0 && !entry.is_extended() && may_be_one {
                    self.add(disk, number, entry, link);
                    number += 1;
                }
            }
            // The second one as a rule; the first where the link has no partition.
            let Some(next) = entries.iter().find(|entry| entry.sectors > 0 && entry.is_extended()) else {
                return Ok(());
            };
            (link, link_sectors) = (base + next.first, next.sectors);
        }
        self.remarks.push("the chain of its extended partition leads back to where it was".into());
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
    fn a_chain_that_leads_to_itself_or_nowhere_ends_with_a_remark() {
        for first in [0, 60] {
            let mut looped = usual();
            entry(&mut looped, 160, 1, 0x05, first, 60);
            let (partitions, remarks) = found(looped);
            assert_eq!(partitions.len(), 4);
            assert_eq!(remarks, ["the chain of its extended partition leads back to where it was"]);
        }
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
    fn a_chain_is_followed_in_whichever_order_its_links_lie() {
        let mut image = vec![0; 300 * SECTOR_BYTES];
        entry(&mut image, 0, 0, 0x0f, 100, 200);
        entry(&mut image, 100, 0, 0x83, 2, 10);
        entry(&mut image, 100, 1, 0x05, 120, 60);
        entry(&mut image, 220, 0, 0x83, 2, 20);
        entry(&mut image, 220, 1, 0x05, 60, 60);
        entry(&mut image, 160, 0, 0x82, 2, 30);
        let (partitions, remarks) = found(image);
        assert_eq!(partitions, [(5, 102, 10), (6, 222, 20), (7, 162, 30)]);
        assert_eq!(remarks, Vec::<String>::new());
    }

    #[test]
    fn links_without_a_partition_take_no_number_and_may_have_the_next_one_in_front() {
        let mut image = vec![0; 300 * SECTOR_BYTES];
        entry(&mut image, 0, 0, 0x05, 100, 200);
        entry(&mut image, 100, 0, 0x05, 60, 60);
        entry(&mut image, 160, 0, 0x83, 2, 20);
        entry(&mut image, 160, 1, 0x05, 120, 60);
        entry(&mut image, 220, 1, 0x05, 40, 10);
        entry(&mut image, 140, 0, 0x83, 2, 2);
        // A third partition of a link, and what is none: it leaves the link's own stretch.
        entry(&mut image, 140, 2, 0x83, 4, 2);
        entry(&mut image, 140, 3, 0x83, 9, 5);
        let (partitions, remarks) = found(image);
        assert_eq!(partitions, [(5, 162, 20), (6, 142, 2), (7, 144, 2)]);
        assert_eq!(remarks, Vec::<String>::new());
    }

    #[test]
    fn a_chain_of_too_many_links_ends_with_a_remark() {
        let mut image = vec![0; 400 * SECTOR_BYTES];
        entry(&mut image, 0, 0, 0x05, 100, 300);
        (100..399).for_each(|sector| entry(&mut image, sector, 1, 0x05, sector as u32 - 99, 1));
        assert_eq!(found(image).1, ["its extended partition has more than 128 links"]);
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
