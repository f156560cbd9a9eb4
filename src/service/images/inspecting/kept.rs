//! Reports that are kept, as data never changes, and turns for making them: a look at a disk takes a moment, and one at a
//! hostile disk may take minutes. Invariant: looks are so few at once that they take nobody else's turn at the medium.

use std::sync::Arc;

use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Inspection;
use crate::model::ContentId;
use crate::service::images::guests::ReadAs;
use crate::service::{Error, ErrorKind};

/// Reports that are kept; each is bounded by itself (some ten KiB for what distributions install).
const KEPT_MAX: usize = 64;
/// Disks that are looked into at once.
const LOOKS_AT_ONCE: usize = 2;

/// The data, and what it was taken for.
type Key = (ContentId, ReadAs);

/// Reports on disks that were looked into lately. A clone is the same.
#[derive(Clone)]
pub struct Inspections {
    kept: Arc<Cache<Key, Arc<Inspection>>>,
    turns: Arc<Semaphore>,
}

impl Default for Inspections {
    fn default() -> Inspections {
        Inspections { kept: Arc::new(Cache::new(KEPT_MAX)), turns: Arc::new(Semaphore::new(LOOKS_AT_ONCE)) }
    }
}

impl Inspections {
    /// Waits for a turn to look into a disk.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let closed = |_| Error::new(ErrorKind::Unavailable, "the server is stopping");
        self.turns.clone().acquire_owned().await.map_err(closed)
    }

    /// The report on this data, made unless it is kept. Whoever asks for it meanwhile waits for the same one.
    pub(super) fn get_or_make(
        &self,
        content: ContentId,
        read_as: ReadAs,
        make: impl FnOnce() -> Result<Inspection, Error>,
    ) -> Result<Arc<Inspection>, Error> {
        self.kept.get_or_insert_with(&(content, read_as), || make().map(Arc::new))
    }
}
