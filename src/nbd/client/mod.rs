//! The other side: a disk that another server has, read as a source of bytes that tells its holes.
//!
//! One request at a time, blocking. Invariant: what a server says of lengths is compared with what was asked, so that it makes
//! nobody hold more than that. Must not know what the bytes are for.

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
            let header: [u8; wire::SIMPLE_BYTES] = array(&mut self.stream)?;
            let mut fields = Fields(&header);
            let (magic, error, cookie) = (fields.u32(), fields.u32(), fields.u64());
            if magic != Some(wire::SIMPLE_REPLY) || cookie != Some(self.cookie) {
                return Err(nonsense());
            }
            return match error {
                Some(0) => self.stream.read_exact(out),
                error => Err(refused(error.unwrap_or_default())),
            };
        }
        // Each byte comes once: fewer or more than all of them is no answer.
        let mut missing = out.len();
        loop {
            let Chunk { kind, is_last, length } = self.chunk()?;
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
                    missing = missing.checked_sub(bytes).ok_or_else(nonsense)?;
                }
                0 if length == 0 => {}
                kind => return Err(self.failure(kind, length)),
            }
            if is_last {
                return if missing == 0 { Ok(()) } else { Err(nonsense()) };
            }
        }
    }

    /// What is told of byte `at`, with `rest` bytes to the end.
    fn stretch(&mut self, at: u64, rest: u64) -> io::Result<Stretch> {
        if !self.has_allocation {
            return Ok(Stretch { bytes: rest, is_zero: false });
        }
        if at < self.told_from || self.told.last().is_none_or(|(end, _)| *end <= at) {
            self.told = self.extents(at, rest.min(ASKED_BYTES) as u32)?;
            self.told_from = at;
        }
        let found = self.told.partition_point(|(end, _)| *end <= at);
        let (end, is_zero) = *self.told.get(found).ok_or_else(nonsense)?;
        Ok(Stretch { bytes: (end - at).min(rest), is_zero })
    }

    /// Extents from `at` on: where each ends, and whether it is zeros.
    fn extents(&mut self, at: u64, bytes: u32) -> io::Result<Vec<(u64, bool)>> {
        self.ask(command::BLOCK_STATUS, at, bytes)?;
        let mut extents = Vec::new();
        loop {
            let Chunk { kind, is_last, length } = self.chunk()?;
            match kind {
                chunk::BLOCK_STATUS if length >= 12 && length % 8 == 4 && length / 8 <= EXTENTS_MAX => {
                    let mut data = vec![0; length];
                    self.stream.read_exact(&mut data)?;
                    let mut fields = Fields(data.get(4..).unwrap_or_default());
                    let mut end = at;
                    while let (Some(bytes), Some(status)) = (fields.u32(), fields.u32()) {
                        end = end.checked_add(bytes.into()).filter(|_| bytes > 0).ok_or_else(nonsense)?;
                        extents.push((end, status & wire::READS_AS_ZEROS != 0));
                    }
                }
                0 if length == 0 => {}
                kind => return Err(self.failure(kind, length)),
            }
            if is_last {
                return Ok(extents);
            }
        }
    }

    fn chunk(&mut self) -> io::Result<Chunk> {
        let header: [u8; wire::CHUNK_BYTES] = array(&mut self.stream)?;
        let mut fields = Fields(&header);
        let magic = fields.u32();
        let chunk = (|| {
            let (flags, kind, cookie, length) = (fields.u16()?, fields.u16()?, fields.u64()?, fields.u32()?);
            let is_last = flags & chunk::DONE != 0;
            (cookie == self.cookie).then_some(Chunk { kind, is_last, length: length as usize })
        })();
        chunk.filter(|_| magic == Some(wire::STRUCTURED_REPLY)).ok_or_else(nonsense)
    }

    /// What a chunk that holds nothing of what was asked is about.
    fn failure(&mut self, kind: u16, length: usize) -> io::Error {
        if kind < chunk::ERRORS || !(6..=4096).contains(&length) {
            return nonsense();
        }
        match array(&mut self.stream) {
            Ok(error) => refused(u32::from_be_bytes(error)),
            Err(error) => error,
        }
    }
}

/// The header of a chunk.
struct Chunk {
    kind: u16,
    is_last: bool,
    length: usize,
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

fn refused(error: u32) -> io::Error {
    io::Error::other(format!("the NBD server could not do it (error {error})"))
}

#[cfg(test)]
#[path = "../client_tests.rs"]
mod tests;
