//! GUID partition tables (UEFI 2.10, section 5.3): the first copy, or the second where the first is not in order.
//!
//! Invariant: a copy counts when its header's and its entries' checksums are right.

use crc_fast::{CrcAlgorithm, Digest};
use uuid::Uuid;

use super::types::gpt_type;
use super::{Partition, Table, TableKind};
use crate::disk::fields::{Fields, array};
use crate::disk::inside::fault::Fault;
use crate::disk::inside::part::Part;

const MAGIC: &[u8] = b"EFI PART";
/// Sectors that disks have.
const SECTOR_BYTES: [u64; 2] = [512, 4096];
const HEADER_BYTES_MIN: u32 = 92;
const HEADER_CHECKSUM_AT: usize = 16;
const ENTRY_BYTES_MIN: u64 = 128;
const ENTRIES_BYTES_MAX: u64 = 1 << 20;
const NAME_BYTES: usize = 72;

/// The table, where the disk has one.
pub(super) fn read(disk: &Part) -> Result<Option<Table>, Fault> {
    for sector in SECTOR_BYTES {
        let Some(last) = (disk.size_bytes() / sector).checked_sub(1) else { continue };
        let first_copy = copy(disk, sector, 1)?;
        let is_marked = first_copy.is_marked;
        if let Some(mut table) = first_copy.table {
            if copy(disk, sector, last)?.table.is_none() {
                table
                    .remarks
                    .push("its second copy at the end of the disk is missing or not in order".into());
            }
            return Ok(Some(table));
        }
        if let Some(mut table) = copy(disk, sector, last)?.table {
            table.remarks.push("its first copy is not in order: this is the second".into());
            return Ok(Some(table));
        }
        if is_marked {
            let remarks = vec!["neither copy of its GUID partition table is in order".into()];
            let partitions = Vec::new();
            return Ok(Some(Table { kind: TableKind::Gpt, partitions, has_boot_code: false, remarks }));
        }
    }
    Ok(None)
}

/// One copy, as far as it is there.
struct Copy {
    /// Whether it begins as one does.
    is_marked: bool,
    table: Option<Table>,
}

fn copy(disk: &Part, sector: u64, at: u64) -> Result<Copy, Fault> {
    let nothing = Copy { is_marked: false, table: None };
    let Some(block) = disk.bytes_if_inside(at * sector, sector as usize)? else { return Ok(nothing) };
    let header = Fields(&block);
    if header.bytes(0, MAGIC.len()) != MAGIC {
        return Ok(nothing);
    }
    let broken = Ok(Copy { is_marked: true, table: None });
    let header_bytes = header.le32(12);
    if header_bytes < HEADER_BYTES_MIN || u64::from(header_bytes) > sector || header.le64(24) != at {
        return broken;
    }
    if header_checksum(header.bytes(0, header_bytes as usize)) != header.le32(HEADER_CHECKSUM_AT) {
        return broken;
    }
    let (count, entry_bytes) = (u64::from(header.le32(80)), u64::from(header.le32(84)));
    let total = count.saturating_mul(entry_bytes);
    if entry_bytes < ENTRY_BYTES_MIN || total > ENTRIES_BYTES_MAX {
        return broken;
    }
    let Some(entries_at) = header.le64(72).checked_mul(sector) else { return broken };
    let Some(entries) = disk.bytes_if_inside(entries_at, total as usize)? else { return broken };
    if crc32(&[&entries]) != header.le32(88) {
        return broken;
    }
    let mut table =
        Table { kind: TableKind::Gpt, partitions: Vec::new(), has_boot_code: false, remarks: Vec::new() };
    for (number, entry) in (1..).zip(entries.chunks_exact(entry_bytes as usize)) {
        table.add_entry(disk, sector, number, entry);
    }
    Ok(Copy { is_marked: true, table: Some(table) })
}

impl Table {
    fn add_entry(&mut self, disk: &Part, sector: u64, number: u32, entry: &[u8]) {
        let fields = Fields(entry);
        if fields.is_zero(0, 16) {
            return;
        }
        let (first, last) = (fields.le64(32), fields.le64(40));
        let start_bytes = first.checked_mul(sector);
        let sectors = last.checked_sub(first).and_then(|more| more.checked_add(1));
        let size_bytes = sectors.and_then(|sectors| sectors.checked_mul(sector));
        let place = start_bytes.zip(size_bytes).filter(|(at, bytes)| disk.stretch(*at, *bytes).is_some());
        let Some((start_bytes, size_bytes)) = place else {
            self.remarks.push(format!("partition {number} does not lie on the disk"));
            return;
        };
        let kind = guid(&fields, 0);
        let (purpose, type_name) = gpt_type(&kind);
        self.partitions.push(Partition {
            number,
            start_bytes,
            size_bytes,
            purpose,
            type_code: kind.to_string(),
            type_name,
            name: name(fields.bytes(56, NAME_BYTES)),
            id: Some(guid(&fields, 16)),
        });
    }
}

/// A GUID as UEFI writes it: its first three numbers have their low byte in front.
fn guid(fields: &Fields<'_>, at: usize) -> Uuid {
    Uuid::from_bytes_le(array(fields.bytes(at, 16), 0).unwrap_or_default())
}

fn name(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| Fields(pair).le16(0)).collect();
    let length = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    let name = String::from_utf16_lossy(units.get(..length).unwrap_or_default());
    Some(name).filter(|name| !name.is_empty())
}

/// The checksum of a header, whose own field counts as zeros.
fn header_checksum(header: &[u8]) -> u32 {
    let (before, rest) = header.split_at(HEADER_CHECKSUM_AT.min(header.len()));
    crc32(&[before, &[0; 4], rest.get(4..).unwrap_or_default()])
}

fn crc32(pieces: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    for piece in pieces {
        digest.update(piece);
    }
    // Of an algorithm of 32 bits.
    digest.finalize() as u32
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Purpose, table};
    use super::*;
    use crate::disk::fixtures::put;
    use crate::disk::inside::part::tests::disk;

    const SECTORS_MIN: u64 = 400;
    const SECTORS_MAX: u64 = 1 << 16;
    const ENTRIES: u64 = 128;

    /// A disk with both copies of a table of these entries: type, first and last sector, name.
    pub(crate) fn image(entries: &[(Uuid, u64, u64, &str)]) -> Vec<u8> {
        let lasts = entries
            .iter()
            .map(|(_, _, last, _)| last.saturating_add(40))
            .filter(|sectors| *sectors < SECTORS_MAX);
        let sectors = lasts.max().unwrap_or_default().max(SECTORS_MIN);
        let mut image = vec![0; sectors as usize * 512];
        let mut table = vec![0; (ENTRIES * 128) as usize];
        for (index, (kind, first, last, name)) in entries.iter().enumerate() {
            let at = index * 128;
            put(&mut table, at, &kind.to_bytes_le());
            put(&mut table, at + 16, &[7; 16]);
            put(&mut table, at + 32, &first.to_le_bytes());
            put(&mut table, at + 40, &last.to_le_bytes());
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            put(&mut table, at + 56, &name);
        }
        for (own, entries_at) in [(1, 2), (sectors - 1, sectors - 33)] {
            let mut header = vec![0; 92];
            put(&mut header, 0, MAGIC);
            put(&mut header, 12, &92_u32.to_le_bytes());
            put(&mut header, 24, &own.to_le_bytes());
            put(&mut header, 72, &entries_at.to_le_bytes());
            put(&mut header, 80, &(ENTRIES as u32).to_le_bytes());
            put(&mut header, 84, &128_u32.to_le_bytes());
            put(&mut header, 88, &crc32(&[&table]).to_le_bytes());
            let sum = header_checksum(&header);
            put(&mut header, 16, &sum.to_le_bytes());
            put(&mut image, own as usize * 512, &header);
            put(&mut image, entries_at as usize * 512, &table);
        }
        image
    }

    const ESP: Uuid = uuid::uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    const LINUX: Uuid = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

    fn usual() -> Vec<u8> {
        image(&[(ESP, 40, 99, "EFI"), (LINUX, 100, 299, "wurzel ä")])
    }

    #[test]
    fn partitions_have_their_types_names_and_places() {
        let table = table(&disk(usual())).unwrap().unwrap();
        assert_eq!((table.kind, table.remarks.len()), (TableKind::Gpt, 0));
        let root = &table.partitions[1];
        assert_eq!((root.number, root.start_bytes, root.size_bytes), (2, 100 * 512, 200 * 512));
        assert_eq!((root.name.as_deref(), root.type_name), (Some("wurzel ä"), "Linux"));
        assert_eq!(root.type_code, LINUX.to_string());
        assert_eq!(table.partitions[0].purpose, Purpose::EfiSystem);
    }

    #[test]
    fn the_second_copy_is_read_where_the_first_is_not_in_order() {
        for at in [512 + 20, 2 * 512 + 33] {
            let mut image = usual();
            image[at] ^= 1;
            let table = table(&disk(image)).unwrap().unwrap();
            assert_eq!(table.partitions.len(), 2);
            assert_eq!(table.remarks, ["its first copy is not in order: this is the second"]);
        }
        let mut no_second = usual();
        let end = no_second.len();
        no_second[end - 512..].fill(0);
        let table = table(&disk(no_second)).unwrap().unwrap();
        assert_eq!(table.partitions.len(), 2);
        assert_eq!(table.remarks, ["its second copy at the end of the disk is missing or not in order"]);
    }

    #[test]
    fn two_broken_copies_are_a_table_without_partitions() {
        let mut image = usual();
        let end = image.len();
        image[512 + 20] ^= 1;
        image[end - 512 + 20] ^= 1;
        let table = table(&disk(image)).unwrap().unwrap();
        assert_eq!(table.partitions, []);
        assert_eq!(table.remarks, ["neither copy of its GUID partition table is in order"]);
    }

    #[test]
    fn b3_absurd_counts_and_places_are_refused_before_they_are_read() {
        let mut absurd = usual();
        let end = absurd.len();
        for at in [512, end - 512] {
            put(&mut absurd, at + 80, &u32::MAX.to_le_bytes());
            let sum = header_checksum(&absurd[at..at + 92]);
            put(&mut absurd, at + 16, &sum.to_le_bytes());
        }
        assert_eq!(table(&disk(absurd)).unwrap().unwrap().partitions, []);
        let outside = image(&[(LINUX, 100, u64::MAX, ""), (LINUX, 300, 200, ""), (LINUX, 100, 110, "")]);
        let table = table(&disk(outside)).unwrap().unwrap();
        assert_eq!(table.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [3]);
        assert_eq!(table.remarks.len(), 2);
    }
}
