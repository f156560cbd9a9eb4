//! Removing what crashes left: objects under `tmp/`, and uploads in parts that nobody will complete.
//!
//! Invariant: only what lies below our own prefix is touched, and only while no writer of ours runs.

use object_store::Error as Answer;

use super::unfinished::UnfinishedUpload;
use super::{Bucket, fault};
use crate::objects::Error;
use crate::objects::key::UNFINISHED;

impl Bucket {
    pub(super) async fn sweep(&self) -> Result<u64, Error> {
        // What is being aborted would count as swept.
        self.inner.aborting.close();
        self.inner.aborting.wait().await;
        self.inner.aborting.reopen();
        let unfinished = self.below(Some(&self.place(UNFINISHED))).await.map_err(fault::of_bucket)?;
        let mut swept = unfinished.len() as u64;
        for meta in unfinished {
            self.remove(&meta.location).await.map_err(fault::of_bucket)?;
        }
        swept += self.abort_unfinished().await?;
        Ok(swept)
    }

    /// Aborts the uploads below our prefix. None is anybody's: no writer of ours is running, and the
    /// prefix is ours alone.
    async fn abort_unfinished(&self) -> Result<u64, Error> {
        let Some(uploads) = &self.inner.uploads else { return Ok(0) };
        let found = self.calls().run(|| uploads.unfinished(&self.inner.prefix)).await;
        let Some(found) = found.map_err(fault::of_bucket)? else {
            tracing::info!(
                "the bucket does not list unfinished uploads; give it a rule that expires them, as a crash \
                 may leave some to be paid for"
            );
            return Ok(0);
        };
        for UnfinishedUpload { path, id } in &found {
            match self.calls().run(|| self.store().abort_multipart(path, id)).await {
                Ok(()) | Err(Answer::NotFound { .. }) => {}
                Err(error) => return Err(fault::of_bucket(error)),
            }
        }
        if !found.is_empty() {
            tracing::info!(uploads = found.len(), "aborted uploads that a crash had cut off");
        }
        Ok(found.len() as u64)
    }
}
