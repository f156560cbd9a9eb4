//! The store's description of itself: log objects with every commit's changes of fact tables, and
//! between them snapshots of all fact rows. From these a lost catalog is rebuilt.
//!
//! Owns: what is shipped when, what is kept, and whether the description is whole. Invariants:
//! an entry leaves the journal only when a log object that holds it is durable; of two snapshots
//! the older stays, with every log object since, so that one damaged object never costs the whole
//! description; and what the store describes is one history, never two that went apart.
//! Must not know what any table means.
//!
//! The number of a log object or snapshot is the one that follows its last entry: whoever has read
//! it knows every entry below. A log object may repeat entries, as a write that seemed to fail may
//! have taken effect; then the entries are the same.

mod check;
mod compare;
pub(super) mod records;
mod replay;
#[cfg(test)]
mod replay_tests;
mod shelf;
mod ship;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use check::Description;
pub use replay::Replayed;

use super::Store;
use super::error::Error;
use super::format::{Header, Kind};
use super::seal::DomainKey;
use crate::base::Time;
use crate::objects::ObjectKey;
use ship::Standing;

/// Entries of one log object are at least one, and together no longer than this: a backlog of any
/// length is shipped in steps that fit into memory.
const LOG_BYTES: usize = 1 << 20;
/// Rows of one section of a snapshot are at least one, and together no longer than this.
const SECTION_BYTES: usize = 1 << 20;
/// Log objects since the last snapshot that call for another: a rebuild opens each, and a bucket
/// takes some 20 ms for it. With the default interval this is six hours of incessant change.
const LOG_OBJECTS_MAX: u64 = 4096;

/// What the store remembers between two shipments.
pub(super) struct Log {
    standing: Mutex<Option<Standing>>,
    /// Held while objects are read that must not be deleted meanwhile.
    reading: Mutex<()>,
    repair: Mutex<Repair>,
    progress: Mutex<Progress>,
}

/// What a check found to be done.
#[derive(Default)]
struct Repair {
    /// Whether the description needs a fresh snapshot to be whole.
    needs_snapshot: bool,
    /// Objects that are worth nothing, to be deleted after it.
    broken: Vec<ObjectKey>,
}

struct Progress {
    entries: u64,
    complete_at: Time,
}

/// How far the description is behind the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Commits that waited when the store last tried to ship them; those since not counted.
    pub entries: u64,
    /// Seconds since everything was shipped; never much more than the interval while all is well.
    pub seconds: u64,
}

impl Log {
    /// Nothing is known yet. Lag is counted from `now` on.
    pub(super) fn new(now: Time) -> Log {
        Log {
            standing: Mutex::default(),
            reading: Mutex::default(),
            repair: Mutex::default(),
            progress: Mutex::new(Progress { entries: 0, complete_at: now }),
        }
    }
}

impl Store {
    /// How far the description is behind. Asks neither the database nor the medium.
    pub fn log_lag(&self) -> Lag {
        let progress = lock(&self.inner.log.progress);
        let behind = self.inner.clock.now().seconds().saturating_sub(progress.complete_at.seconds());
        Lag { entries: progress.entries, seconds: u64::try_from(behind).unwrap_or(0) }
    }

    /// The header of a new log object or snapshot, and the key that seals it. Whoever writes one holds
    /// the log's standing, and whoever drops keys takes that too: the key stays until it is written.
    fn described(&self, kind: Kind, number: u64) -> Result<(Header, Option<Arc<DomainKey>>), Error> {
        let domain = self.inner.domain;
        let (version, key) = self.newest_key(domain)?;
        Ok((Header::plain(kind, self.inner.entropy.id(), number).in_domain(domain, version), key))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
