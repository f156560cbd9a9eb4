//! What is answered: bytes and holes of a disk as chunks, extents, and errors.
//!
//! Invariant: a chunk says what its bytes are before they are there, so it is made whole, or taken back, before anything of it
//! leaves. Blocks on the disk. Must not know who asks.

use super::exports::Disk;
use super::negotiation::ALLOCATION_ID;
use super::pages::{HEADERS_BYTES, PIECE_BYTES, Page};
use super::wire::{self, CHUNK_BYTES, DATA_CHUNK_BYTES, Errno, HOLE_OF_ZEROS, chunk};

/// A hole that is shorter is sent as the zeros that it is, in bytes.
const HOLE_BYTES_MIN: u64 = 4096;
/// Looks at extents for one request, at most.
const LOOKS_MAX: usize = 16 << 10;
/// Extents in one answer, at most.
const EXTENTS_MAX: usize = 4096;

/// A range of a disk; `end` is behind its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u64,
    /// Behind its last.
    pub end: u64,
}

/// Adds chunks of the beginning of `span` to an empty page; says where the next page goes on. The chunk that ends the span
/// is the last.
pub fn chunks(disk: &impl Disk, cookie: u64, span: Span, page: &mut Page) -> Result<u64, Errno> {
    let mut at = span.start;
    // Data and holes of the least length in turn take less than the room for headers.
    let stop = span.end.min(at + PIECE_BYTES as u64);
    while at < stop && page.room_bytes() > DATA_CHUNK_BYTES + CHUNK_BYTES + 12 {
        let known = match begins_with(disk, at, span.end)? {
            Begins::Data(known) => known,
            Begins::Hole(next) => {
                page.push(&wire::chunk_header(cookie, chunk::OFFSET_HOLE, next == span.end, 12));
                page.push(&at.to_be_bytes());
                page.push(&((next - at) as u32).to_be_bytes());
                at = next;
                continue;
            }
        };
        let most = stop.min(at + (page.room_bytes() - DATA_CHUNK_BYTES) as u64);
        let next = data_end(disk, known, most)?;
        data_chunk(disk, cookie, Span { start: at, end: next }, next == span.end, page)?;
        at = next;
    }
    Ok(at)
}

/// Adds one chunk of bytes.
pub fn data_chunk(
    disk: &impl Disk,
    cookie: u64,
    span: Span,
    is_last: bool,
    page: &mut Page,
) -> Result<(), Errno> {
    let bytes = (span.end - span.start) as usize;
    page.push(&wire::chunk_header(cookie, chunk::OFFSET_DATA, is_last, bytes as u32 + 8));
    page.push(&span.start.to_be_bytes());
    disk.read_at(span.start, page.extend(bytes))
}

/// Adds a simple reply with its bytes.
pub fn simple(disk: &impl Disk, cookie: u64, span: Span, page: &mut Page) -> Result<(), Errno> {
    page.push(&wire::simple_reply(cookie, 0));
    disk.read_at(span.start, page.extend((span.end - span.start) as usize))
}

/// What a stretch of a disk begins with.
enum Begins {
    /// Zeros that make a hole, up to here.
    Hole(u64),
    /// What is sent as it is, up to here at least.
    Data(u64),
}

fn begins_with(disk: &impl Disk, at: u64, end: u64) -> Result<Begins, Errno> {
    let mut next = at;
    for _ in 0..LOOKS_MAX {
        let extent = disk.extent_at(next)?;
        let before = next;
        next = next.saturating_add(extent.bytes).min(end);
        if !extent.is_zero {
            return Ok(if before - at >= HOLE_BYTES_MIN { Begins::Hole(before) } else { Begins::Data(next) });
        }
        if next == end {
            return Ok(Begins::Hole(end));
        }
    }
    Ok(if next - at >= HOLE_BYTES_MIN { Begins::Hole(next) } else { Begins::Data(next) })
}

/// Where bytes end that are sent as they are, and are known to be up to `known`: where a hole begins, or at `most`.
fn data_end(disk: &impl Disk, known: u64, most: u64) -> Result<u64, Errno> {
    let mut next = known;
    // Where the hole would begin.
    let mut zeros_from = None;
    for _ in 0..LOOKS_MAX {
        if next >= most {
            break;
        }
        let extent = disk.extent_at(next)?;
        let end = next.saturating_add(extent.bytes);
        let from = *zeros_from.get_or_insert(next);
        if !extent.is_zero {
            zeros_from = None;
        } else if end - from >= HOLE_BYTES_MIN {
            return Ok(from.min(most));
        }
        next = end;
    }
    Ok(next.min(most))
}

/// The answer about the extents of `span`, which begins with the first of them; one alone where `one` is asked for.
pub fn status(disk: &impl Disk, cookie: u64, span: Span, one: bool) -> Result<Vec<u8>, Errno> {
    let mut extents: Vec<(u64, bool)> = Vec::new();
    let mut at = span.start;
    for _ in 0..LOOKS_MAX {
        if at >= span.end {
            break;
        }
        let extent = disk.extent_at(at)?;
        let bytes = extent.bytes.min(span.end - at);
        let is_full = extents.len() == if one { 1 } else { EXTENTS_MAX };
        match extents.last_mut() {
            Some((before, is_zero)) if *is_zero == extent.is_zero => *before += bytes,
            Some(_) if is_full => break,
            _ => extents.push((bytes, extent.is_zero)),
        }
        at += bytes;
    }
    let mut answer = Vec::with_capacity(CHUNK_BYTES + 4 + 8 * extents.len());
    answer.extend(wire::chunk_header(cookie, chunk::BLOCK_STATUS, true, 4 + 8 * extents.len() as u32));
    answer.extend(ALLOCATION_ID.to_be_bytes());
    for (bytes, is_zero) in extents {
        answer.extend((bytes as u32).to_be_bytes());
        answer.extend((if is_zero { HOLE_OF_ZEROS } else { 0 }).to_be_bytes());
    }
    Ok(answer)
}

/// The answer to a request that was not done, as a structured reply.
pub fn error_chunk(cookie: u64, error: Errno) -> Vec<u8> {
    let mut answer = wire::chunk_header(cookie, chunk::ERROR, true, 6).to_vec();
    answer.extend((error as u32).to_be_bytes());
    // No words about it.
    answer.extend(0u16.to_be_bytes());
    answer
}

/// Room for headers is enough for data and holes in turn.
const _: () = assert!(
    (PIECE_BYTES as u64 / (2 * HOLE_BYTES_MIN) + 2) * (DATA_CHUNK_BYTES + CHUNK_BYTES + 12) as u64
        <= HEADERS_BYTES as u64
);
