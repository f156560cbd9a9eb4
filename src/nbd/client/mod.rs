//! The other side: a disk that another server has, read as a source of bytes that tells its holes.
//!
//! One request at a time, blocking. Invariant: what a server says of lengths is compared with what was asked, so that it makes
//! nobody hold more than that; what it refuses is taken to its end, so that the next answer is found. Must not know what the
//! bytes are for.

mod address;
mod hands;

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

pub use address::Address;

use self::address::Stream;
use super::wire::{self, Fields, REQUEST, chunk, command};
use crate::disk::{Source, Stretch};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// Bytes that are asked about at once.
const ASKED_BYTES: u64 = 1 << 30;
/// Extents of one answer that are taken.
const EXTENTS_MAX: usize = 1 << 17;
/// Chunks of one answer that say what did not work, at most.
const REFUSALS_MAX: usize = 16;
/// Longest chunk of that kind: numbers, and a text as long as the protocol lets it be.
const REFUSAL_BYTES_MAX: usize = (4 << 10) + 64;
/// Characters of a server's words that are shown.
const SHOWN_CHARS: usize = 300;

/// A disk of another server.
pub struct Remote {
    line: Mutex<Line>,
    size_bytes: u64,
}

/// A connection in the middle of it.
struct Line {
    stream: Stream,
    is_structured: bool,
    /// Whether the server tells what is allocated.
    has_allocation: bool,
    cookie: u64,
    /// What was told of extents last: where each ends, and whether it is zeros; in order, from `told_from` on.
    told_from: u64,
    told: Vec<(u64, bool)>,
}

impl Remote {
    /// Connects, and comes to an agreement about the export.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or cannot be understood.
    pub fn connect(address: &Address) -> io::Result<Remote> {
        let mut stream = address.connect()?;
        let hands::Shaken { size_bytes, is_structured, has_allocation } =
            hands::shake(&mut stream, address.name())?;
        let line = Line { stream, is_structured, has_allocation, cookie: 0, told_from: 0, told: Vec::new() };
        Ok(Remote { line: Mutex::new(line), size_bytes })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Whoever is gone already need not be told.
        let _ = line.ask(command::DISCONNECT, 0, 0);
    }
}

impl Source for Remote {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = at;
        for piece in out.chunks_mut(READ_BYTES) {
            line.read(at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = self.size_bytes.saturating_sub(at);
        // What is not told of is read, where it shows why.
        line.stretch(at, rest).unwrap_or(Stretch { bytes: rest.min(READ_BYTES as u64), is_zero: false })
    }
}

impl Line {
    fn ask(&mut self, command: u16, at: u64, bytes: u32) -> io::Result<()> {
        self.cookie += 1;
        let mut request = REQUEST.to_be_bytes().to_vec();
        request.extend(0u16.to_be_bytes());
        request.extend(command.to_be_bytes());
        request.extend(self.cookie.to_be_bytes());
        request.extend(at.to_be_bytes());
        request.extend(bytes.to_be_bytes());
        self.stream.write_all(&request)
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.ask(command::READ, at, out.len() as u32)?;
        if !self.is_structured {
            return match self.header()? {
                Header::Simple(0) => self.stream.read_exact(out),
                Header::Simple(error) => Err(refused(error, "")),
                Header::Chunk(_) => Err(nonsense()),
            };
        }
        // Each byte comes once: fewer or more than all of them is no answer.
        let (mut missing, mut refusals) = (out.len(), Refusals::default());
        loop {
            let Header::Chunk(Chunk { kind, is_last, length }) = self.header()? else {
                return Err(nonsense());
            };
            match kind {
                chunk::OFFSET_DATA if (9..=out.len() + 8).contains(&length) => {
                    let from = u64::from_be_bytes(array(&mut self.stream)?);
                    let bytes = length - 8;
                    self.stream.read_exact(within(out, at, from, bytes)?)?;
                    missing = missing.checked_sub(bytes).ok_or_else(nonsense)?;
                }
                chunk::OFFSET_HOLE if length == 12 => {
                    let from = u64::from_be_bytes(array(&mut self.stream)?);
                    let bytes = u32::from_be_bytes(array(&mut self.stream)?) as usize;
                    within(out, at, from, bytes)?.fill(0);
                    missing = missing.checked_sub(bytes).filter(|_| bytes > 0).ok_or_else(nonsense)?;
                }
                chunk::NONE if is_last && length == 0 => {}
                kind => refusals.add(self.refusal(kind, length)?)?,
            }
            if is_last {
                return match refusals.first {
                    Some(refusal) => Err(refusal),
                    None if missing == 0 => Ok(()),
                    None => Err(nonsense()),
                };
            }
        }
    }

    /// What is told of byte `at`, with `rest` bytes to the end.
    fn stretch(&mut self, at: u64, rest: u64) -> io::Result<Stretch> {
        if !self.has_allocation {
            return Ok(Stretch { bytes: rest, is_zero: false });
        }
        if at < self.told_from || self.told.last().is_none_or(|(end, _)| *end <= at) {
            let Some(told) = self.extents(at, rest.min(ASKED_BYTES) as u32)? else {
                // Nobody asks again what is not told: all of it is read.
                self.has_allocation = false;
                return Ok(Stretch { bytes: rest, is_zero: false });
            };
            (self.told, self.told_from) = (told, at);
        }
        let found = self.told.partition_point(|(end, _)| *end <= at);
        let (end, is_zero) = *self.told.get(found).ok_or_else(nonsense)?;
        Ok(Stretch { bytes: (end - at).min(rest), is_zero })
    }

    /// Extents from `at` on: where each ends, and whether it is zeros. `None` where the server does not tell.
    fn extents(&mut self, at: u64, bytes: u32) -> io::Result<Option<Vec<(u64, bool)>>> {
        self.ask(command::BLOCK_STATUS, at, bytes)?;
        let (mut extents, mut refusals) = (Vec::new(), Refusals::default());
        loop {
            // An answer without data may be a simple one, whatever was agreed on.
            let Header::Chunk(Chunk { kind, is_last, length }) = self.header()? else { return Ok(None) };
            let is_whole = length >= 12 && length % 8 == 4 && length / 8 <= EXTENTS_MAX;
            match kind {
                // There is one for each context, and one context was chosen.
                chunk::BLOCK_STATUS if is_whole && extents.is_empty() => {
                    let mut data = vec![0; length];
                    self.stream.read_exact(&mut data)?;
                    let mut fields = Fields(data.get(4..).unwrap_or_default());
                    let mut end = at;
                    while let (Some(bytes), Some(status)) = (fields.u32(), fields.u32()) {
                        end = end.checked_add(bytes.into()).filter(|_| bytes > 0).ok_or_else(nonsense)?;
                        extents.push((end, status & wire::READS_AS_ZEROS != 0));
                    }
                }
                chunk::NONE if is_last && length == 0 => {}
                kind => refusals.add(self.refusal(kind, length)?)?,
            }
            if is_last {
                let is_told = refusals.first.is_none() && !extents.is_empty();
                return Ok(is_told.then_some(extents));
            }
        }
    }

    fn header(&mut self) -> io::Result<Header> {
        let found = match u32::from_be_bytes(array(&mut self.stream)?) {
            wire::SIMPLE_REPLY => simple_header(&array(&mut self.stream)?),
            wire::STRUCTURED_REPLY => chunk_header(&array(&mut self.stream)?),
            _ => None,
        };
        let (cookie, header) = found.ok_or_else(nonsense)?;
        if cookie == self.cookie { Ok(header) } else { Err(nonsense()) }
    }

    /// Takes all of a chunk that says what did not work, so that the next one is found.
    fn refusal(&mut self, kind: u16, length: usize) -> io::Result<io::Error> {
        if kind < chunk::ERRORS || !(6..=REFUSAL_BYTES_MAX).contains(&length) {
            return Err(nonsense());
        }
        let mut data = vec![0; length];
        self.stream.read_exact(&mut data)?;
        let mut fields = Fields(&data);
        let error = fields.u32().unwrap_or_default();
        let words = fields.u16().and_then(|length| fields.bytes(length.into())).unwrap_or_default();
        Ok(refused(error, &shown(words)))
    }
}

/// What a reply begins with.
enum Header {
    /// A simple one: 0, or an error.
    Simple(u32),
    /// A chunk of a structured one.
    Chunk(Chunk),
}

/// The header of a chunk.
struct Chunk {
    kind: u16,
    is_last: bool,
    length: usize,
}

/// The header of a simple reply behind its magic, and the cookie of it.
fn simple_header(bytes: &[u8; wire::SIMPLE_BYTES - 4]) -> Option<(u64, Header)> {
    let mut fields = Fields(bytes);
    let (error, cookie) = (fields.u32()?, fields.u64()?);
    Some((cookie, Header::Simple(error)))
}

/// The header of a chunk behind its magic, and the cookie of it.
fn chunk_header(bytes: &[u8; wire::CHUNK_BYTES - 4]) -> Option<(u64, Header)> {
    let mut fields = Fields(bytes);
    let (flags, kind, cookie, length) = (fields.u16()?, fields.u16()?, fields.u64()?, fields.u32()? as usize);
    Some((cookie, Header::Chunk(Chunk { kind, is_last: flags & chunk::DONE != 0, length })))
}

/// What an answer says of what did not work: the first of it, of so many chunks and no more.
#[derive(Default)]
struct Refusals {
    first: Option<io::Error>,
    count: usize,
}

impl Refusals {
    fn add(&mut self, refusal: io::Error) -> io::Result<()> {
        self.count += 1;
        self.first.get_or_insert(refusal);
        if self.count <= REFUSALS_MAX { Ok(()) } else { Err(nonsense()) }
    }
}

/// The part of what was asked from `at` on that a chunk is about.
fn within(out: &mut [u8], at: u64, from: u64, bytes: usize) -> io::Result<&mut [u8]> {
    let start = from.checked_sub(at).and_then(|start| usize::try_from(start).ok());
    let range = start.and_then(|start| Some(start..start.checked_add(bytes)?));
    range.and_then(|range| out.get_mut(range)).ok_or_else(nonsense)
}

fn array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the NBD server's answer is none to what was asked")
}

fn refused(error: u32, words: &str) -> io::Error {
    let colon = if words.is_empty() { "" } else { ": " };
    io::Error::other(format!("the NBD server could not do it (error {error}){colon}{words}"))
}

/// A server's words, without what could steer a terminal.
fn shown(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
#[path = "../client_tests.rs"]
mod tests;
