//! Removing what crashes and failures left: objects under `tmp/`, and uploads in parts that nobody will complete.
//!
//! Invariant: only what lies below our own prefix is touched, and nothing that a writer of ours is at work
//! on: a name is in use from before the bucket hears of it until its writer has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::Error as Answer;
use object_store::path::Path;

use super::unfinished::UnfinishedUpload;
use super::{Bucket, fault};
use crate::objects::Error;
use crate::objects::key::UNFINISHED;

/// Where writers are at work: how many in each place, as two may want one name.
#[derive(Debug, Clone, Default)]
pub(super) struct InUse {
    places: Arc<Mutex<HashMap<Path, usize>>>,
}

/// A place in use until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    in_use: InUse,
    path: Path,
}

impl InUse {
    pub(super) fn claim(&self, path: Path) -> Claim {
        *self.lock().entry(path.clone()).or_default() += 1;
        Claim { in_use: self.clone(), path }
    }

    fn has(&self, path: &Path) -> bool {
        self.lock().contains_key(path)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Path, usize>> {
        // Each change is one step: whatever a panic left is still true.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut places = self.in_use.lock();
        if let Some(writers) = places.get_mut(&self.path) {
            *writers -= 1;
            if *writers == 0 {
                places.remove(&self.path);
            }
        }
    }
}

impl Bucket {
    pub(super) async fn sweep(&self) -> Result<u64, Error> {
        let unfinished = self.below(Some(&self.place(UNFINISHED))).await.map_err(fault::of_bucket)?;
        let mut swept = 0;
        // Whether one is in use is asked after it was seen: what is not then has no writer any more.
        for meta in unfinished.into_iter().filter(|meta| !self.inner.in_use.has(&meta.location)) {
            self.remove(&meta.location).await.map_err(fault::of_bucket)?;
            swept += 1;
        }
        swept += self.abort_unfinished().await?;
        Ok(swept)
    }

    /// Aborts the uploads below our prefix that have no writer: the prefix is ours alone.
    async fn abort_unfinished(&self) -> Result<u64, Error> {
        let Some(uploads) = &self.inner.uploads else { return Ok(0) };
        let found = self.calls().run(|| uploads.unfinished(&self.inner.prefix)).await;
        let Some(found) = found.map_err(fault::of_bucket)? else {
            self.inner.told_unlisted.call_once(|| {
                tracing::info!(
                    "the bucket does not list unfinished uploads; give it a rule that expires them, as a crash \
                     may leave some to be paid for"
                );
            });
            return Ok(0);
        };
        let mut aborted = 0;
        for UnfinishedUpload { path, id } in found.iter().filter(|found| !self.inner.in_use.has(&found.path))
        {
            aborted += 1;
            match self.calls().run(|| self.store().abort_multipart(path, id)).await {
                Ok(()) | Err(Answer::NotFound { .. }) => {}
                Err(error) => return Err(fault::of_bucket(error)),
            }
        }
        if aborted > 0 {
            tracing::info!(uploads = aborted, "aborted uploads that a crash had cut off");
        }
        Ok(aborted)
    }
}
