//! What passed between us and a medium that is not at hand: counted where it happens, read by a
//! scrape.
//!
//! Invariant: counting never waits and never fails.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent.
    pub requests: u64,
    /// Requests that got no answer, or the answer that the server cannot now.
    pub requests_failed: u64,
    /// Operations' further tries after such a request.
    pub retries: u64,
    /// Operations that ran out of time, or were not begun as the bucket was known to be down.
    pub given_up: u64,
    /// What the cache did, where there is one.
    pub cache: Option<CacheTraffic>,
}

/// What a cache in front of a medium did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheTraffic {
    /// Blocks that were there.
    pub hits: u64,
    /// Blocks that were not.
    pub misses: u64,
    /// Bytes read from it.
    pub hit_bytes: u64,
    /// Bytes it holds now.
    pub held_bytes: u64,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
