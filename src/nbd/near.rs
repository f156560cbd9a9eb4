//! Reads that memory can answer: done where the request was read, and small ones written together.
//!
//! Invariant: nothing here waits for a disk; what memory has not all of is left to who may wait. Replies that wait to be
//! written are bounded. Must not know why something is in memory.

use super::exports::{Disk, Extent};
use super::pages::SMALL_BYTES;
use super::wire::{self, Errno, Request, chunk};

/// Replies that wait to be written, in bytes; one more may be there beside them.
const TOGETHER_BYTES: usize = 32 << 10;

/// A disk as far as memory has it: all else fails.
pub struct Near<'d, D>(pub &'d D);

impl<D: Disk> Disk for Near<'_, D> {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn is_writable(&self) -> bool {
        false
    }

    fn description(&self) -> String {
        self.0.description()
    }

    fn extent_at(&self, at: u64) -> Result<Extent, Errno> {
        self.0.extent_near(at).ok_or(Errno::Io)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno> {
        if self.0.read_near(at, out) { Ok(()) } else { Err(Errno::Io) }
    }

    fn extent_near(&self, at: u64) -> Option<Extent> {
        self.0.extent_near(at)
    }

    fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        self.0.read_near(at, out)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::Permission)
    }

    fn zero(&self, _: u64, _: u64) -> Result<(), Errno> {
        Err(Errno::Permission)
    }
}

/// Replies to small reads that wait to be written.
#[derive(Default)]
pub struct Together(Vec<u8>);

impl Together {
    /// Adds the reply to a read that makes sense, if it is small and memory has what it wants.
    pub fn add(&mut self, disk: &impl Disk, request: &Request, is_structured: bool) -> bool {
        let bytes = request.length as usize;
        if bytes > SMALL_BYTES {
            return false;
        }
        let before = self.0.len();
        if is_structured {
            let header = wire::chunk_header(
                request.cookie,
                chunk::OFFSET_DATA,
                true,
                request.length.saturating_add(8),
            );
            self.0.extend_from_slice(&header);
            self.0.extend_from_slice(&request.offset.to_be_bytes());
        } else {
            self.0.extend_from_slice(&wire::simple_reply(request.cookie, 0));
        }
        let from = self.0.len();
        self.0.resize(from + bytes, 0);
        let found = self.0.get_mut(from..).is_some_and(|out| disk.read_near(request.offset, out));
        if !found {
            self.0.truncate(before);
        }
        found
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.0.len() >= TOGETHER_BYTES
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What waits.
    pub fn replies(&self) -> &[u8] {
        &self.0
    }

    /// All of it was written.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
