//! What a disk without a container is: divided by a table, a file system alone, or anything; and what is not in order
//! about its table.
//!
//! Sources: UEFI 2.10, sections 5.2 and 5.3. It is advice: no bytes are refused here. Invariant: reads are few, and none is
//! longer than a table may be. Must not know whether the source is all there: what it cannot read is its caller's.

use std::io;

use crc_fast::{CrcAlgorithm, Digest};

use super::fields::Fields;
use super::inside::{Kind, recognise_start};
use super::notes::{Note, NoteCode};
use super::probe::HEAD_BYTES;
use super::source::Source;

const SECTOR: usize = 512;
/// Sectors that disks have.
const SECTORS: [u64; 2] = [512, 4096];
const MBR_ENTRIES_AT: usize = 446;
const MBR_ENTRY_BYTES: usize = 16;
const MBR_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The type of an entry that stands for a GUID partition table.
const PROTECTIVE: u8 = 0xee;
const GPT_MAGIC: &[u8] = b"EFI PART";
const GPT_HEADER_BYTES_MIN: u64 = 92;
const GPT_ENTRIES_BYTES_MAX: u64 = 1 << 20;

/// File systems whose first sector is one that a machine can start from.
const BOOT_SECTORS: [Kind; 5] = [Kind::Fat, Kind::Ntfs, Kind::Exfat, Kind::Refs, Kind::BitLocker];

/// What a disk is by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice {
    /// `gpt`, `mbr`, a file system by its usual name, or nothing that is known.
    pub kind: Option<&'static str>,
    /// What is not in order, or missing.
    pub notes: Vec<Note>,
}

/// Looks at a disk.
///
/// # Errors
/// What reading fails with.
pub fn advise(disk: &dyn Source) -> io::Result<Advice> {
    let mut head = vec![0; disk.size_bytes().min(HEAD_BYTES as u64) as usize];
    disk.read_exact_at(0, &mut head)?;
    let mut notes = Vec::new();
    let table = gpt_sector(&head);
    if let Some(sector) = table {
        protective(&head, &mut notes);
        Gpt { disk, sector }.check(&mut notes)?;
        return Ok(Advice { kind: Some("gpt"), notes });
    }
    let found = recognise_start(&head);
    // Boot sectors of file systems are signed as tables are. Other marks may be older than the table.
    let is_boot_sector = found.as_ref().is_some_and(|found| BOOT_SECTORS.contains(&found.kind));
    if !is_boot_sector && mbr(&head, disk.size_bytes(), &mut notes) {
        return Ok(Advice { kind: Some("mbr"), notes });
    }
    notes.push(Note::new(NoteCode::NoPartitionTable, "master boot record"));
    Ok(Advice { kind: found.map(|found| found.name), notes })
}

/// The sectors of a GUID partition table, by where it begins.
fn gpt_sector(head: &[u8]) -> Option<u64> {
    let begins = |sector: &u64| Fields(head).bytes(*sector as usize, GPT_MAGIC.len()) == GPT_MAGIC;
    SECTORS.into_iter().find(begins)
}

/// An entry of the master boot record: its number, flag, type, first sector and length.
struct Entry {
    number: usize,
    flag: u8,
    kind: u8,
    first: u32,
    sectors: u32,
}

/// Entries that are used, where the first sector is signed as one with a table.
fn entries(head: &[u8]) -> Vec<Entry> {
    if Fields(head).bytes(SECTOR - 2, 2) != MBR_SIGNATURE {
        return Vec::new();
    }
    let entry = |number: usize| {
        let at = MBR_ENTRIES_AT + (number - 1) * MBR_ENTRY_BYTES;
        let bytes = Fields(Fields(head).bytes(at, MBR_ENTRY_BYTES));
        let byte = |at: usize| bytes.0.get(at).copied().unwrap_or_default();
        Entry { number, flag: byte(0), kind: byte(4), first: bytes.le32(8), sectors: bytes.le32(12) }
    };
    (1..=4).map(entry).filter(|entry| entry.kind != 0 && entry.sectors != 0).collect()
}

/// Whether the disk has a table in its master boot record; what is wrong with that.
fn mbr(head: &[u8], size_bytes: u64, notes: &mut Vec<Note>) -> bool {
    let entries = entries(head);
    // Code ends its sector in the same way, and has anything where entries would be: flags tell them apart.
    let flagged = |entry: &&Entry| matches!(entry.flag, 0 | 0x80);
    if entries.is_empty() || entries.iter().filter(flagged).count() * 2 < entries.len() {
        return false;
    }
    for entry in &entries {
        if !matches!(entry.flag, 0 | 0x80) {
            let value = format!("{:#04x} of partition {}", entry.flag, entry.number);
            notes.push(Note::with(NoteCode::MbrBootFlag, "boot indicator", value));
        }
        let end = (u64::from(entry.first) + u64::from(entry.sectors)) * SECTOR as u64;
        if end > size_bytes && entry.kind != PROTECTIVE {
            notes.push(Note::with(NoteCode::MbrPastEnd, "partition", entry.number));
        }
    }
    if entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        notes.push(Note::with(NoteCode::GptHeader, "signature", "there is none"));
    }
    true
}

/// The entry that keeps tools which know no GUID partition tables away from one.
fn protective(head: &[u8], notes: &mut Vec<Note>) {
    let entries = entries(head);
    let wrong = match entries.iter().find(|entry| entry.kind == PROTECTIVE) {
        None => Some("there is none".to_owned()),
        Some(entry) if entry.first != 1 => Some(format!("it starts at sector {}", entry.first)),
        Some(_) if entries.len() > 1 => Some(format!("there are {} entries beside it", entries.len() - 1)),
        Some(_) => None,
    };
    notes.extend(wrong.map(|value| Note::with(NoteCode::MbrProtective, "protective entry", value)));
}

/// A GUID partition table.
struct Gpt<'d> {
    disk: &'d dyn Source,
    sector: u64,
}

impl Gpt<'_> {
    fn check(&self, notes: &mut Vec<Note>) -> io::Result<()> {
        let first = match self.header(1)? {
            Ok(header) => Some(header),
            Err(wrong) => {
                notes.push(Note::with(NoteCode::GptHeader, "header", wrong));
                None
            }
        };
        if let Some(wrong) = first.as_ref().map(|header| self.entries(header)).transpose()?.flatten() {
            notes.push(Note::with(NoteCode::GptEntries, "partition entry array", wrong));
        }
        let Some(last) = (self.disk.size_bytes() / self.sector).checked_sub(1).filter(|last| *last > 1)
        else {
            notes.push(Note::with(NoteCode::GptBackup, "alternate LBA", "the disk ends before it"));
            return Ok(());
        };
        let wrong = match (self.header(last)?, &first) {
            (Err(wrong), _) => Some(wrong),
            (Ok(second), Some(first)) if !agree(first, &second) => Some("it differs from the first"),
            _ => None,
        };
        notes.extend(wrong.map(|wrong| Note::with(NoteCode::GptBackup, "alternate LBA", wrong)));
        Ok(())
    }

    /// The header in a sector, or what is wrong with it.
    fn header(&self, at: u64) -> io::Result<Result<Vec<u8>, &'static str>> {
        let Some(start) = at.checked_mul(self.sector).filter(|start| self.is_inside(*start, self.sector))
        else {
            return Ok(Err("the disk ends before it"));
        };
        let mut block = vec![0; self.sector as usize];
        self.disk.read_exact_at(start, &mut block)?;
        let header = Fields(&block);
        let length = u64::from(header.le32(12));
        if header.bytes(0, GPT_MAGIC.len()) != GPT_MAGIC {
            return Ok(Err("there is none"));
        }
        if !(GPT_HEADER_BYTES_MIN..=self.sector).contains(&length) {
            return Ok(Err("its length is none that it can have"));
        }
        let sum = crc32(&[header.bytes(0, 16), &[0; 4], header.bytes(20, length as usize - 20)]);
        if sum != header.le32(16) {
            return Ok(Err("its checksum is wrong"));
        }
        if header.le64(24) != at {
            return Ok(Err("it says that it lies elsewhere"));
        }
        Ok(Ok(block))
    }

    /// What is wrong with the entries that a header names.
    fn entries(&self, header: &[u8]) -> io::Result<Option<&'static str>> {
        let header = Fields(header);
        let (count, each) = (u64::from(header.le32(80)), u64::from(header.le32(84)));
        let total = count.saturating_mul(each);
        if total > GPT_ENTRIES_BYTES_MAX {
            return Ok(Some("they take more than 1 MiB"));
        }
        let start = header.le64(72).checked_mul(self.sector).filter(|start| self.is_inside(*start, total));
        let Some(start) = start else { return Ok(Some("they lie past the end of the disk")) };
        let mut entries = vec![0; total as usize];
        self.disk.read_exact_at(start, &mut entries)?;
        Ok((crc32(&[&entries]) != header.le32(88)).then_some("their checksum is wrong"))
    }

    fn is_inside(&self, at: u64, bytes: u64) -> bool {
        at.checked_add(bytes).is_some_and(|end| end <= self.disk.size_bytes())
    }
}

/// Whether two copies of a header tell of the same table: each names the other, and all but its own place is alike.
fn agree(first: &[u8], second: &[u8]) -> bool {
    let (a, b) = (Fields(first), Fields(second));
    let alike = |at: usize, count: usize| a.bytes(at, count) == b.bytes(at, count);
    // First and last sector for partitions, the disk's id; count, length and checksum of the entries.
    a.le64(32) == b.le64(24) && b.le64(32) == a.le64(24) && alike(40, 32) && alike(80, 12)
}

fn crc32(pieces: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    pieces.iter().for_each(|piece| digest.update(piece));
    // Of an algorithm of 32 bits.
    digest.finalize() as u32
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
