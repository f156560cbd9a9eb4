//! What lies in the cache, for whoever knows which bytes of which objects belong together.
//!
//! Invariant: nothing is asked of the medium behind the cache. What is here now may go at any time, as any block may.

use std::ops::Range;
use std::sync::Arc;

use super::blocks::{BLOCK_BYTES, Blocks};
use crate::objects::ObjectKey;

/// Bytes of the blocks that are missing and named at once, at most: what one request should bring.
const RUN_BYTES_MAX: u64 = 4 << 20;

/// A look into a cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Near {
    blocks: Arc<Blocks>,
}

impl Near {
    pub(super) fn new(blocks: Arc<Blocks>) -> Near {
        Near { blocks }
    }

    /// The first bytes of these of an object that are not here, as many as one request should bring.
    pub fn first_missing(&self, key: &ObjectKey, bytes: Range<u64>) -> Option<Range<u64>> {
        if bytes.is_empty() {
            return None;
        }
        let block = BLOCK_BYTES as u64;
        let numbers = bytes.start / block..bytes.end.div_ceil(block);
        let missing = self.blocks.first_missing(key, numbers)?;
        let start = (missing.start * block).max(bytes.start);
        let end = (missing.end * block).min(missing.start * block + RUN_BYTES_MAX).min(bytes.end);
        Some(start..end)
    }

    /// Whether all of these bytes of an object are here.
    pub fn holds(&self, key: &ObjectKey, bytes: Range<u64>) -> bool {
        self.first_missing(key, bytes).is_none()
    }

    /// Lets go of all of an object.
    pub fn forget(&self, key: &ObjectKey) {
        self.blocks.forget(key);
    }

    /// Lets go of everything; how many blocks of how many bytes went.
    pub fn clear(&self) -> (u64, u64) {
        self.blocks.shrink_to(0)
    }

    /// Lets go of what is beyond the bound; how many blocks of how many bytes went.
    pub fn prune(&self) -> (u64, u64) {
        self.blocks.shrink_to(self.blocks.bytes_max())
    }

    /// The most that it may hold, in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.blocks.bytes_max()
    }
}
