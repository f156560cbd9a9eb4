//! Bringing images into the cache: by a job, or as all of one is downloaded.
//!
//! Invariant: it is noted of an image that it is cached only once all of it was found there.

use std::ops::ControlFlow;

use crate::catalog::{cached_images, images};
use crate::model::cached_image::CachedImage;
use crate::model::job::Task;
use crate::model::{ContentId, Image, ImageId, StorePlace};
use crate::service::images::upload::{gone, in_background};
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Service};
use crate::store::Brought;

/// Bytes that may be fetched once more after a download, so that all of an image comes to be in the cache: what the memory of
/// frames had was not read through it.
const TOP_UP_BYTES_MAX: u64 = 64 << 20;

/// A download of all of an image, for as long as it takes.
pub struct WholeDownload {
    service: Service,
    image: ImageId,
    content: ContentId,
    was_near: bool,
}

impl Service {
    /// Follows a download of all of an image, which fills the cache; `None` where there is nothing to follow. Blocks.
    pub fn begin_whole_download(&self, image: &Image) -> Option<WholeDownload> {
        let content = image.copy_at(StorePlace::HOME).filter(|_| self.has_cache())?;
        Some(WholeDownload {
            service: self.clone(),
            image: image.id,
            content,
            was_near: self.lies_near(image),
        })
    }

    /// Brings an image into the cache, to the job's recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_caching(&self, mut job: JobAtWork) -> Result<(), Error> {
        let Some(Task::Cache { image }) = job.job().task else {
            return job.finish(Err(&Error::invalid("this job caches nothing")));
        };
        let service = self.clone();
        let turn = self.store.turn().await;
        in_background(move || {
            let outcome = turn.map_err(Error::from).and_then(|_turn| service.bring_near(&mut job, image));
            job.finish(outcome.as_ref().map(|fetched| [("fetched_bytes".to_owned(), *fetched)].into()))
        })
        .await
    }

    /// Says how many bytes it took.
    fn bring_near(&self, job: &mut JobAtWork, id: ImageId) -> Result<u64, Error> {
        let image = images::get(&self.db.read()?, &id)?.ok_or_else(|| gone(&id))?;
        let content = self.cacheable(&image)?;
        let brought =
            self.store.bring_near(&content, &mut |Brought { done_bytes, total_bytes, .. }| {
                job.step(&Step { phase: "caching", done: done_bytes, total: Some(total_bytes) })
            })?;
        let fetched = match brought {
            ControlFlow::Break(so_far) => return Ok(so_far.fetched_bytes),
            ControlFlow::Continue(all) => all.fetched_bytes,
        };
        if !self.store.lies_near(&content)? {
            let most = self.store.cache_bytes().unwrap_or(0);
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "image {id} did not stay in the cache: it takes more than the cache's {most} bytes \
                     (bucket.cache_bytes), others were read meanwhile, or its disk has no room (the log says so)"
                ),
            ));
        }
        self.note_cached(id, 0)?;
        Ok(fetched)
    }

    /// Notes that all of an image is in the cache, and was read from there so many times more.
    pub(super) fn note_cached(&self, id: ImageId, hits: u64) -> Result<(), Error> {
        let now = self.clock.now();
        self.db.write(move |txn| {
            if images::get(txn, &id)?.is_none() {
                return Ok(());
            }
            let note = match cached_images::get(txn, &id)? {
                Some(note) if hits == 0 => note,
                Some(note) => CachedImage { hits: note.hits.saturating_add(hits), accessed_at: now, ..note },
                None => {
                    let number = cached_images::next_number(txn)?;
                    CachedImage { image: id, number, hits, accessed_at: now, cached_at: now }
                }
            };
            Ok::<_, Error>(cached_images::put(txn, &note)?)
        })
    }
}

impl WholeDownload {
    /// All of it was handed out: notes that, in the background. What the memory of frames had is fetched once more, so that the
    /// cache has all of the image.
    pub fn ended(self) {
        tokio::spawn(async move {
            let Ok(_turn) = self.service.store.turn().await else { return };
            let image = self.image;
            if let Err(error) = in_background(move || self.note()).await {
                tracing::warn!(%image, %error, "a download was not noted with the cache");
            }
        });
    }

    fn note(&self) -> Result<(), Error> {
        let store = &self.service.store;
        if self.was_near {
            return self.service.note_cached(self.image, 1);
        }
        let brought = store.bring_near(&self.content, &mut |brought| match brought.fetched_bytes
            < TOP_UP_BYTES_MAX
        {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })?;
        if brought.is_break() || !store.lies_near(&self.content)? {
            return Ok(());
        }
        self.service.note_cached(self.image, 0)
    }
}
