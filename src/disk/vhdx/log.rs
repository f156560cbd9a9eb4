//! The log of a VHDX: changes that were not yet made where they belong when the file was last closed.
//!
//! Source: MS-VHDX 2.3. Invariants: what an entry says is believed only when its checksum, its name and its place in the
//! newest whole sequence are right; a last entry that was torn is none. Entries do not lie in each other, so that all of them
//! together take no more than the ring, in memory and in sums.

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
    let (ring_bytes, mut entries) = (ring.len(), entries(&ring, log));
    // A range of zeros takes more room in memory than in an entry: the ring makes place for that.
    drop(ring);
    let Some(sequence) = newest(&entries, ring_bytes) else {
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
    let parts = [first, &ring[..length - first.len()]];
    // What follows its first sector is descriptors and data, each of which begins with a mark of its own.
    let mut following = parts.iter().flat_map(|part| part.chunks(SECTOR)).skip(1);
    if following.any(|sector| sector.starts_with(ENTRY_MAGIC)) {
        return None;
    }
    let bytes = parts.concat();
    let (sequence, tail) = (fields.le64(16), usize::try_from(fields.le32(12)).ok()?);
    (sequence > 0 && checksum(&bytes, CHECKSUM_AT) == fields.le32(CHECKSUM_AT)).then_some(Entry {
        sequence,
        tail,
        bytes,
    })
}

/// Where the entries of the newest sequence are, oldest first: one that is whole ends with an entry that names its start.
fn newest(entries: &BTreeMap<usize, Entry>, ring_bytes: usize) -> Option<Vec<usize>> {
    let next = |at: usize| {
        let entry = entries.get(&at)?;
        let following = (at + entry.bytes.len()) % ring_bytes;
        let sequence = entries.get(&following)?.sequence;
        (entry.sequence.checked_add(1) == Some(sequence)).then_some(following)
    };
    // Where what begins with each entry ends: gone over once, however many begin on the way.
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for start in entries.keys() {
        let (mut passed, mut at) = (Vec::new(), *start);
        let end = loop {
            if let Some(end) = ends.get(&at) {
                break *end;
            }
            passed.push(at);
            match next(at) {
                Some(following) => at = following,
                None => break at,
            }
        };
        ends.extend(passed.into_iter().map(|at| (at, end)));
    }
    let whole = entries.iter().filter(|(at, last)| ends.get(&last.tail) == Some(*at));
    let (end, last) = whole.max_by_key(|(_, last)| last.sequence)?;
    let mut places = vec![last.tail];
    while let Some(at) = places.last().filter(|at| *at != end).and_then(|at| next(*at)) {
        places.push(at);
    }
    Some(places)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::fixtures::put;

    const LOG: Log = Log { name: uuid::Uuid::from_u128(7), at: 0, bytes: 0 };

    /// An entry of this length at this place, whatever lies in it.
    fn put_entry(ring: &mut [u8], at: usize, bytes: usize, tail: usize, sequence: u64) {
        put(ring, at, &[0; ENTRY_BYTES]);
        put(ring, at, ENTRY_MAGIC);
        put(ring, at + 8, &(bytes as u32).to_le_bytes());
        put(ring, at + 12, &(tail as u32).to_le_bytes());
        put(ring, at + 16, &sequence.to_le_bytes());
        put(ring, at + 32, &LOG.name.to_bytes_le());
        let sum = checksum(&ring[at..at + bytes], CHECKSUM_AT);
        put(ring, at + CHECKSUM_AT, &sum.to_le_bytes());
    }

    #[test]
    fn b3_entries_in_entries_are_none() {
        let mut ring = vec![0; 64 * SECTOR];
        // From the last one on, so that each has the right sum of all that lies in it.
        for at in (0..ring.len()).step_by(SECTOR).rev() {
            let bytes = ring.len() - at;
            put_entry(&mut ring, at, bytes, at, 1 + at as u64);
        }
        let found = entries(&ring, LOG);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [63 * SECTOR]);
    }

    #[test]
    fn b7_a_long_sequence_is_gone_over_once() {
        let mut ring = vec![0; 16_384 * SECTOR];
        for number in 0..16_384 {
            put_entry(&mut ring, number * SECTOR, SECTOR, 0, 1 + number as u64);
        }
        let found = entries(&ring, LOG);
        let places = newest(&found, ring.len()).unwrap();
        assert_eq!((places.len(), places[0], places[16_383]), (16_384, 0, 16_383 * SECTOR));
    }
}
