//! A stretch of a source, as a source of its own.
//!
//! Invariant: no read leaves the stretch.

use std::io;

use bytes::Bytes;

use crate::disk::source::{Source, Stretch};

/// The `bytes` of a source from byte `at` on.
pub(super) struct Window<S> {
    source: S,
    at: u64,
    bytes: u64,
}

impl<S: Source> Window<S> {
    /// A stretch that lies within the source.
    pub(super) fn new(source: S, at: u64, bytes: u64) -> Window<S> {
        Window { source, at, bytes }
    }

    /// Where its byte `at` lies in the source.
    fn place(&self, at: u64) -> Option<u64> {
        self.at.checked_add(at)
    }

    /// Where so many of its bytes from `at` on lie in the source.
    fn range(&self, at: u64, bytes: usize) -> io::Result<u64> {
        let is_inside = at.checked_add(bytes as u64).is_some_and(|end| end <= self.bytes);
        self.place(at).filter(|_| is_inside).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl<S: Source> Source for Window<S> {
    fn size_bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.source.read_exact_at(self.range(at, out.len())?, out)
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        self.range(at, out.len()).is_ok_and(|place| self.source.read_near_at(place, out))
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        self.source.pieces_at(self.range(at, bytes)?, bytes)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        let left = self.bytes.saturating_sub(at);
        match self.place(at) {
            Some(place) => {
                let found = self.source.stretch_at(place);
                Stretch { bytes: found.bytes.min(left), ..found }
            }
            None => Stretch { bytes: left, is_zero: false },
        }
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        self.source.origin_at(self.place(at)?)
    }

    fn unpacked_at(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        self.place(at).map_or(Ok(None), |place| self.source.unpacked_at(place))
    }
}
