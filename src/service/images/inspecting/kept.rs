//! Reports that are kept: a look at a disk takes a moment, and data never changes.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::Inspection;
use crate::model::ContentId;
use crate::service::Error;

/// Reports that are kept; each is bounded by itself (some ten KiB for what distributions install).
const KEPT_MAX: usize = 64;

/// The data, and what it was taken for.
type Key = (ContentId, Option<&'static str>);

/// Reports on disks that were looked into lately. A clone is the same.
#[derive(Clone)]
pub struct Inspections(Arc<Cache<Key, Arc<Inspection>>>);

impl Default for Inspections {
    fn default() -> Inspections {
        Inspections(Arc::new(Cache::new(KEPT_MAX)))
    }
}

impl Inspections {
    /// The report on this data, made unless it is kept. Whoever asks for it meanwhile waits for the same one.
    pub(super) fn get_or_make(
        &self,
        content: ContentId,
        container: Option<&'static str>,
        make: impl FnOnce() -> Result<Inspection, Error>,
    ) -> Result<Arc<Inspection>, Error> {
        self.0.get_or_insert_with(&(content, container), || make().map(Arc::new))
    }
}
