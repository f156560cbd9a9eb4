//! Listing, page by page.
//!
//! Invariant: every page is an operation of its own, so a listing may take longer than any one of
//! them has patience, and a failure costs one page.

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as Answer, ObjectMeta};

use super::{Bucket, fault};
use crate::base::Time;
use crate::objects::{Error, ObjectInfo, ObjectKey};

/// Objects listed at once: what S3 gives in one answer.
pub(super) const PAGE: usize = 1000;

impl Bucket {
    /// Everything in a folder and below. A page an operation, so that each has all the patience.
    pub(super) async fn below(&self, folder: Option<&Path>) -> object_store::Result<Vec<ObjectMeta>> {
        let mut found: Vec<ObjectMeta> = Vec::new();
        loop {
            let after = found.last().map(|meta| meta.location.clone());
            let page = || async {
                let page = match &after {
                    None => self.store().list(folder),
                    Some(after) => self.store().list_with_offset(folder, after),
                };
                page.take(PAGE).try_collect::<Vec<_>>().await
            };
            let mut page = self.calls().run(page).await?;
            let last = page.len() < PAGE;
            page.sort_unstable_by(|one, other| one.location.cmp(&other.location));
            if !last && after >= page.last().map(|meta| meta.location.clone()) {
                let source = "a listing does not get on: the bucket does not know start-after".into();
                return Err(Answer::NotSupported { source });
            }
            found.extend(page.into_iter().filter(|meta| Some(&meta.location) > after.as_ref()));
            if last {
                return Ok(found);
            }
        }
    }

    pub(super) async fn visit(&self, prefix: &str) -> Result<Vec<ObjectInfo>, Error> {
        // The crate lists whole folders only.
        let folder = match prefix.rsplit_once('/').map(|(folder, _)| ObjectKey::new(folder)) {
            None => self.inner.prefix.clone(),
            Some(Ok(folder)) => self.path(&folder),
            // Nothing can have been stored below a folder that is no legal name.
            Some(Err(_)) => return Ok(Vec::new()),
        };
        let found = self.below(Some(&folder)).await.map_err(fault::of_bucket)?;
        let info = |meta: ObjectMeta| {
            let key = self.key_at(&meta.location).filter(|key| key.as_str().starts_with(prefix))?;
            let modified = Some(Time(meta.last_modified.timestamp_micros()));
            Some(ObjectInfo { key, size_bytes: meta.size, modified })
        };
        Ok(found.into_iter().filter_map(info).collect())
    }
}
