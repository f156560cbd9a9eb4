//! Bytes of a header or a table, filled in field by field.

use super::Piece;

/// A structure that begins as zeros.
pub(super) struct Structure(Vec<u8>);

impl Structure {
    /// One of this many bytes.
    pub(super) fn new(bytes: u64) -> Structure {
        Structure(vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)])
    }

    /// Puts bytes at a place within it.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, for good.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What is left of it after `skip` bytes.
    pub(super) fn from(mut self, skip: u64) -> Piece {
        self.0.drain(..usize::try_from(skip).unwrap_or(usize::MAX).min(self.0.len()));
        Piece::Made(self.0)
    }
}
