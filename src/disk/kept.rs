//! What is kept of pieces that were read or decoded, as far as a budget goes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Pieces by where they begin in the container.
pub(super) type Kept = Cache<u64, Arc<Vec<u8>>, ByLength>;

/// A piece weighs its bytes.
#[derive(Clone)]
pub(super) struct ByLength;

impl Weighter<u64, Arc<Vec<u8>>> for ByLength {
    fn weight(&self, _: &u64, piece: &Arc<Vec<u8>>) -> u64 {
        piece.len() as u64
    }
}

/// Room for `bytes` of pieces of some `each` bytes; for one of them in any case.
pub(super) fn kept(bytes: u64, each: u64) -> Kept {
    let usual = usize::try_from(bytes / each.max(1)).unwrap_or(usize::MAX).max(1);
    Cache::with_weighter(usual, bytes.max(each), ByLength)
}
