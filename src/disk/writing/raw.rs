//! A disk without a container.

use super::{Blocks, Layout, Piece};

/// The guest's bytes, and no more.
pub(super) struct Raw(u64);

impl Raw {
    pub(super) fn new(disk: &Blocks) -> Raw {
        Raw(disk.guest_bytes())
    }
}

impl Layout for Raw {
    fn size_bytes(&self) -> u64 {
        self.0
    }

    fn piece_at(&self, at: u64) -> Piece {
        Piece::Guest { at, bytes: self.0 - at }
    }

    fn kept_bytes(&self) -> u64 {
        0
    }
}
