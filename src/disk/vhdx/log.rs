//! The log of a VHDX: changes that were not yet made where they belong when the file was last closed.
//!
//! Source: MS-VHDX 2.3. Invariant: what an entry says is believed only when its checksum, its name and its place in the
//! newest whole sequence are right; a last entry that was torn is none.

use std::collections::BTreeMap;

use super::format::checksum;
use super::header::{Log, name};
use super::overlay::{Changes, Overlay, SECTOR};
use crate::disk::budgets::Budgets;
use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

const ENTRY_MAGIC: &[u8] = b"loge";
const ENTRY_BYTES: usize = 64;
const CHECKSUM_AT: usize = 4;
const DESCRIPTOR_BYTES: usize = 32;
const SECTOR_BYTES: u64 = SECTOR as u64;

/// An entry whose checksum and name are right.
struct Entry {
    sequence: u64,
    /// Where the oldest entry is that it belongs with.
    tail: usize,
    bytes: Vec<u8>,
}

/// Replays the log over the file.
pub(super) fn replayed<S: Source>(source: S, log: Log, budgets: &Budgets) -> Result<Overlay<S>, Error> {
    if log.name.is_nil() {
        let changes = Changes::of(source.size_bytes());
        return Ok(Overlay::new(source, changes));
    }
    let file = Structures::new(&source, Format::Vhdx);
    let ring = file.table("log", log.at, log.bytes, budgets.log_bytes_max)?;
    let mut entries = entries(&ring, log);
    let Some(sequence) = newest(&entries, ring.len()) else {
        return Err(file.refuse(
            Code::BadField,
            "log",
            "it is to be replayed, and no sequence in it is whole",
        ));
    };
    let mut changes = Changes::of(source.size_bytes());
    for at in sequence {
        let Some(entry) = entries.remove(&at) else { continue };
        replay(&file, source.size_bytes(), &entry, &mut changes)?;
    }
    Ok(Overlay::new(source, changes))
}

/// Every entry that is whole, by its place in the ring.
fn entries(ring: &[u8], log: Log) -> BTreeMap<usize, Entry> {
    let places = (0..ring.len()).step_by(SECTOR);
    places.filter_map(|at| Some((at, entry(ring, at, log)?))).collect()
}

fn entry(ring: &[u8], at: usize, log: Log) -> Option<Entry> {
    let head = ring.get(at..at + ENTRY_BYTES)?;
    let fields = Fields(head);
    let length = usize::try_from(fields.le32(8)).ok()?;
    let fits = length >= SECTOR && length.is_multiple_of(SECTOR) && length <= ring.len();
    if !head.starts_with(ENTRY_MAGIC) || !fits || name(head, 32) != log.name {
        return None;
    }
    // It may go on at the start of the ring.
    let first = &ring[at..ring.len().min(at + length)];
    let bytes = [first, &ring[..length - first.len()]].concat();
    let (sequence, tail) = (fields.le64(16), usize::try_from(fields.le32(12)).ok()?);
    (sequence > 0 && checksum(&bytes, CHECKSUM_AT) == fields.le32(CHECKSUM_AT)).then_some(Entry {
        sequence,
        tail,
        bytes,
    })
}

/// Where the entries of the newest sequence are, oldest first: one that is whole ends with an entry that names its start.
fn newest(entries: &BTreeMap<usize, Entry>, ring_bytes: usize) -> Option<Vec<usize>> {
    let mut best: Option<(u64, Vec<usize>)> = None;
    for (start, first) in entries {
        let (mut places, mut last, mut at) = (vec![*start], first, *start);
        loop {
            at = (at + last.bytes.len()) % ring_bytes;
            match entries.get(&at) {
                Some(next) if last.sequence.checked_add(1) == Some(next.sequence) => {
                    places.push(at);
                    last = next;
                }
                _ => break,
            }
        }
        let is_newer = best.as_ref().is_none_or(|(sequence, _)| last.sequence > *sequence);
        if last.tail == *start && is_newer {
            best = Some((last.sequence, places));
        }
    }
    best.map(|(_, places)| places)
}

fn replay(file: &Structures, size: u64, entry: &Entry, over: &mut Changes) -> Result<(), Error> {
    let fields = Fields(&entry.bytes);
    let wrong =
        |why: &str| Err(file.refuse(Code::BadField, "log entry", format!("{}: {why}", entry.sequence)));
    let (flushed, last) = (fields.le64(48), fields.le64(56));
    if flushed > size {
        let why = format!("the file had {flushed} bytes when it was written, and has {size}");
        return Err(file.refuse(Code::CutShort, "log entry", why));
    }
    over.grow(last);
    let count = fields.le32(24) as usize;
    let descriptors = count.checked_mul(DESCRIPTOR_BYTES).and_then(|bytes| bytes.checked_add(ENTRY_BYTES));
    let Some(data_at) = descriptors.and_then(|end| end.checked_next_multiple_of(SECTOR)) else {
        return wrong("it has too many descriptors");
    };
    let Some(head) = entry.bytes.get(..data_at) else { return wrong("its descriptors are cut short") };
    let mut sectors = entry.bytes[data_at..].chunks_exact(SECTOR);
    for descriptor in head[ENTRY_BYTES..].chunks_exact(DESCRIPTOR_BYTES).take(count) {
        let fields = Fields(descriptor);
        let at = fields.le64(16);
        if fields.le64(24) != entry.sequence || !at.is_multiple_of(SECTOR_BYTES) {
            return wrong("a descriptor is of another entry, or off the grid");
        }
        match &descriptor[..4] {
            b"zero" => {
                let bytes = fields.le64(8);
                if !bytes.is_multiple_of(SECTOR_BYTES) || at.checked_add(bytes).is_none_or(|end| end > last) {
                    return wrong("it writes zeros past the end of the file");
                }
                over.zero(at, bytes);
            }
            b"desc" => {
                let sector = sectors.next().and_then(|sector| data(sector, descriptor, entry.sequence));
                let Some(sector) = sector else {
                    return wrong("a sector of it is missing or of another entry");
                };
                if at.checked_add(SECTOR_BYTES).is_none_or(|end| end > last) {
                    return wrong("it writes past the end of the file");
                }
                over.write(at, sector);
            }
            _ => return wrong("a descriptor is of no kind that is known"),
        }
    }
    Ok(())
}

/// A sector as it was: the log keeps its first and last bytes in the descriptor.
fn data(sector: &[u8], descriptor: &[u8], sequence: u64) -> Option<Box<[u8; SECTOR]>> {
    let fields = Fields(sector);
    let marked = u64::from(fields.le32(4)) << 32 | u64::from(fields.le32(SECTOR - 4));
    if !sector.starts_with(b"data") || marked != sequence {
        return None;
    }
    let mut whole: Box<[u8; SECTOR]> = Box::new(sector.try_into().ok()?);
    whole[..8].copy_from_slice(&descriptor[8..16]);
    whole[SECTOR - 4..].copy_from_slice(&descriptor[4..8]);
    Some(whole)
}
