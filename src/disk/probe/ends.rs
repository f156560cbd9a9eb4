//! The start and the end of a stream that has gone by, as a source.
//!
//! Invariant: what was not kept is an error of the kind [`NOT_KEPT`], and never zeros.

use std::io;

use crate::disk::source::Source;

/// What reading between the ends fails with.
const NOT_KEPT: io::ErrorKind = io::ErrorKind::Unsupported;

/// A stream of which only the ends are known.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'p> {
    head: &'p [u8],
    tail: &'p [u8],
    size_bytes: u64,
}

impl<'p> Ends<'p> {
    pub(super) fn new(head: &'p [u8], tail: &'p [u8], size_bytes: u64) -> Ends<'p> {
        Ends { head, tail, size_bytes }
    }

    /// Whether this is what a read between the ends fails with.
    pub fn is_not_kept(error: &io::Error) -> bool {
        error.kind() == NOT_KEPT
    }

    fn find(&self, at: u64, count: usize) -> Option<&'p [u8]> {
        let within = |bytes: &'p [u8], from: u64| {
            let start = usize::try_from(at.checked_sub(from)?).ok()?;
            bytes.get(start..start.checked_add(count)?)
        };
        let tail_at = self.size_bytes.checked_sub(self.tail.len() as u64)?;
        within(self.head, 0).or_else(|| within(self.tail, tail_at))
    }
}

impl Source for Ends<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(self.find(at, out.len()).ok_or(NOT_KEPT)?);
        Ok(())
    }
}
