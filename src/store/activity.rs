//! What the store did since the process started: counted where it happens, read by a scrape.
//!
//! Invariant: counting never waits and never fails.

use std::sync::atomic::{AtomicU64, Ordering};

use super::compact::Rewritten;
use super::dedup::Shared;
use super::error::Error;
use super::reclaim::Reclaimed;

/// Figures since the process started. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Bytes of streams that came in, those that were abandoned included.
    pub received_bytes: u64,
    /// Bytes of the objects written for them.
    pub written_bytes: u64,
    /// Reclaims that ended well.
    pub reclaims: u64,
    /// Reclaims that failed.
    pub reclaims_failed: u64,
    /// Bytes given back.
    pub reclaimed_bytes: u64,
    /// Packs that lost dead chunks.
    pub compacted_packs: u64,
    /// Packs that were compressed better.
    pub recompressed_packs: u64,
    /// Bytes of the objects written for them.
    pub rewritten_bytes: u64,
    /// Bytes, before compression, that were found stored twice.
    pub duplicate_bytes: u64,
    /// Streams that were given one copy of what was stored twice.
    pub shared_streams: u64,
    /// Streams that are kept by a recipe since.
    pub kept_recipes: u64,
    /// Reads that met damage.
    pub damaged_reads: u64,
    /// Bytes that scrubs compared with what was written.
    pub scrubbed_bytes: u64,
    /// Damaged objects that were written anew from what was stored again.
    pub healed_objects: u64,
    /// Damaged objects that were repaired with their parity.
    pub repaired_objects: u64,
    /// Damaged objects that were put right from a copy elsewhere.
    pub copied_objects: u64,
}

/// The running counts.
#[derive(Debug, Default)]
pub struct Counts {
    received_bytes: AtomicU64,
    written_bytes: AtomicU64,
    reclaims: AtomicU64,
    reclaims_failed: AtomicU64,
    reclaimed_bytes: AtomicU64,
    compacted_packs: AtomicU64,
    recompressed_packs: AtomicU64,
    rewritten_bytes: AtomicU64,
    duplicate_bytes: AtomicU64,
    shared_streams: AtomicU64,
    kept_recipes: AtomicU64,
    damaged_reads: AtomicU64,
    scrubbed_bytes: AtomicU64,
    healed_objects: AtomicU64,
    repaired_objects: AtomicU64,
    copied_objects: AtomicU64,
}

impl Counts {
    /// Bytes of a stream arrived.
    pub fn received(&self, bytes: u64) {
        add(&self.received_bytes, bytes);
    }

    /// An object was written.
    pub fn written(&self, bytes: u64) {
        add(&self.written_bytes, bytes);
    }

    /// A reclaim ended; what it freed counts even when it failed later.
    pub fn reclaimed(&self, freed: &Reclaimed, well: bool) {
        add(if well { &self.reclaims } else { &self.reclaims_failed }, 1);
        self.gave_back(freed.bytes);
    }

    /// Space was given back.
    pub fn gave_back(&self, bytes: u64) {
        add(&self.reclaimed_bytes, bytes);
    }

    /// Packs were written anew.
    pub fn rewritten(&self, outcome: &Rewritten) {
        add(&self.compacted_packs, outcome.compacted);
        add(&self.recompressed_packs, outcome.recompressed);
        add(&self.rewritten_bytes, outcome.written_bytes);
    }

    /// Packs were compared with each other.
    pub fn shared(&self, outcome: &Shared) {
        add(&self.duplicate_bytes, outcome.bytes);
        add(&self.shared_streams, outcome.streams);
    }

    /// A stream is kept by a recipe.
    pub fn kept_recipe(&self) {
        add(&self.kept_recipes, 1);
    }

    /// A read failed.
    pub fn failed_read(&self, error: &Error) {
        if matches!(error, Error::Damaged { .. }) {
            add(&self.damaged_reads, 1);
        }
    }

    /// A scrub compared bytes.
    pub fn scrubbed(&self, bytes: u64) {
        add(&self.scrubbed_bytes, bytes);
    }

    /// A damaged object was written anew.
    pub fn healed(&self) {
        add(&self.healed_objects, 1);
    }

    /// A damaged object was repaired with its parity.
    pub fn repaired(&self) {
        add(&self.repaired_objects, 1);
    }

    /// A damaged object was put right from a copy elsewhere.
    pub fn copied(&self) {
        add(&self.copied_objects, 1);
    }

    /// The counts of this moment.
    pub fn read(&self) -> Activity {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Activity {
            received_bytes: of(&self.received_bytes),
            written_bytes: of(&self.written_bytes),
            reclaims: of(&self.reclaims),
            reclaims_failed: of(&self.reclaims_failed),
            reclaimed_bytes: of(&self.reclaimed_bytes),
            compacted_packs: of(&self.compacted_packs),
            recompressed_packs: of(&self.recompressed_packs),
            rewritten_bytes: of(&self.rewritten_bytes),
            duplicate_bytes: of(&self.duplicate_bytes),
            shared_streams: of(&self.shared_streams),
            kept_recipes: of(&self.kept_recipes),
            damaged_reads: of(&self.damaged_reads),
            scrubbed_bytes: of(&self.scrubbed_bytes),
            healed_objects: of(&self.healed_objects),
            repaired_objects: of(&self.repaired_objects),
            copied_objects: of(&self.copied_objects),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
