//! Images in the cache in front of the home: brought there, listed, let go of.
//!
//! What lies there, the store tells; here it is noted which images were brought, when, and how often all of one was read from
//! there. Invariant: an image is said to be cached only while everything it takes to read it lies in the cache. Must not know
//! how much of the cache it takes.

mod bringing;
#[cfg(test)]
mod tests;
pub use bringing::WholeDownload;

use super::access;
use crate::catalog::{cached_images, images, jobs};
use crate::db::Rows;
use crate::model::cached_image::CachedImage;
use crate::model::job::{Job, JobKind, Task};
use crate::model::{ContentId, Image, ImageId, Operation, Status, StorePlace};
use crate::service::audit::Act;
use crate::service::jobs::Order;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, ErrorKind, Service};

/// What lies in the cache, and what is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheListing {
    /// Images all of whose data is there, each with its length in bytes, in the order in which they came.
    pub cached: Vec<(CachedImage, u64)>,
    /// Images that jobs are to bring there, the one asked for first in front.
    pub queued: Vec<ImageId>,
}

/// What is to be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheTarget {
    /// What lies in the cache.
    Cache,
    /// What is to come.
    Queue,
    /// Both.
    Both,
}

impl Service {
    /// Whether there is a cache in front of the home.
    pub fn has_cache(&self) -> bool {
        self.store.cache_bytes().is_some()
    }

    /// What lies in the cache, and what is to come.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` where there is no cache; or when the catalog fails.
    pub fn cached_images(&self, actor: &Actor) -> Result<CacheListing, Error> {
        self.expect_cache(actor, Action::CacheList)?;
        let read = self.db.read()?;
        let mut cached = Vec::new();
        for note in cached_images::list(&read)? {
            if let Some(image) = images::get(&read, &note.image)?
                && self.lies_near(&image)
            {
                cached.push((note, image.size_bytes.unwrap_or(0)));
            }
        }
        let mut queued = open_jobs(&read)?;
        queued.sort_unstable_by_key(|job| job.number);
        Ok(CacheListing { cached, queued: queued.iter().flat_map(|job| job.images.clone()).collect() })
    }

    /// Has a job bring an image into the cache; `None` where it lies there, or a job is on its way.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` for the image, or where there is no cache; `Invalid` for an image that is not active;
    /// `Conflict` for one that has no data in the home, before which the cache lies.
    pub fn cache_image(&self, actor: &Actor, id: &ImageId) -> Result<Option<Job>, Error> {
        self.expect_cache(actor, Action::CacheFill)?;
        let read = self.db.read()?;
        let image = access::in_sight(&read, actor, id)?;
        let content = self.cacheable(&image)?;
        if open_jobs(&read)?.iter().any(|job| job.images.contains(id)) {
            return Ok(None);
        }
        drop(read);
        if self.store.lies_near(&content)? {
            self.note_cached(*id, 0)?;
            return Ok(None);
        }
        let order = Order { tasks: vec![(self.next_job_id(), Task::Cache { image: *id })], group: None };
        let (service, caller, id) = (self.clone(), actor.clone(), *id);
        let queued = self.queue_tasks(actor, order, move |txn| {
            service.cacheable(&access::in_sight(txn, &caller, &id)?).map(drop)
        });
        queued.map(Some)
    }

    /// Lets the cache go of an image, and of what others share with it; a job that was to bring it ends.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` for the image, or where there is no cache; or when the catalog fails.
    pub fn drop_cached_image(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        self.expect_cache(actor, Action::CacheDrop)?;
        let image = access::in_sight(&self.db.read()?, actor, id)?;
        self.end_caching(actor, |job| job.images.contains(id))?;
        let id = *id;
        self.recorded(actor, Act::new(Operation::DropCachedImage), move |txn, act| {
            act.image(&image);
            Ok::<_, Error>(cached_images::remove(txn, &id)?)
        })?;
        let image = images::get(&self.db.read()?, &id)?;
        let content = image.and_then(|image| image.copy_at(StorePlace::HOME));
        Ok(content.map_or(Ok(()), |content| self.store.send_away(&content))?)
    }

    /// Empties the cache, or ends the jobs that were to bring images, or both.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` where there is no cache; or when the catalog fails.
    pub fn clear_cache(&self, actor: &Actor, target: CacheTarget) -> Result<(), Error> {
        self.expect_cache(actor, Action::CacheDrop)?;
        if target != CacheTarget::Cache {
            self.end_caching(actor, |_| true)?;
        }
        let said = match target {
            CacheTarget::Cache => "what lies there",
            CacheTarget::Queue => "what is to come",
            CacheTarget::Both => "what lies there, and what is to come",
        };
        let act = Act::new(Operation::ClearCache).saying(said);
        self.recorded(actor, act, move |txn, _| {
            if target != CacheTarget::Queue {
                for note in cached_images::list(txn)? {
                    cached_images::remove(txn, &note.image)?;
                }
            }
            Ok::<_, Error>(())
        })?;
        if target != CacheTarget::Queue {
            self.store.clear_cache();
        }
        Ok(())
    }

    /// Forgets what is noted of images that do not lie in the cache any more.
    ///
    /// # Errors
    /// As [`Service::clear_cache`].
    pub fn clean_cache(&self, actor: &Actor) -> Result<(), Error> {
        self.expect_cache(actor, Action::CacheDrop)?;
        let read = self.db.read()?;
        let mut stale = Vec::new();
        for note in cached_images::list(&read)? {
            if !images::get(&read, &note.image)?.is_some_and(|image| self.lies_near(&image)) {
                stale.push(note.image);
            }
        }
        drop(read);
        let act = Act::new(Operation::ClearCache).saying("notes on what has gone by itself");
        self.recorded(actor, act, move |txn, _| {
            Ok::<_, Error>(stale.iter().try_for_each(|image| cached_images::remove(txn, image))?)
        })
    }

    /// Lets the cache go of what is beyond its bound, of which it keeps nothing for long by itself; how many blocks of how
    /// many bytes went.
    ///
    /// # Errors
    /// As [`Service::clear_cache`].
    pub fn prune_cache(&self, actor: &Actor) -> Result<(u64, u64), Error> {
        self.expect_cache(actor, Action::CacheDrop)?;
        let pruned = self.store.prune_cache();
        let said = format!("what is beyond its bound: {} bytes", pruned.1);
        self.record(actor, Act::new(Operation::ClearCache).saying(said))?;
        Ok(pruned)
    }

    /// Refuses whoever asks for something that only caches of several boxes have.
    ///
    /// # Errors
    /// `Forbidden`; `NotFound` for the image, or where there is no cache; else `Conflict`.
    pub fn cache_nodes(&self, actor: &Actor, id: &ImageId) -> Result<(), Error> {
        self.expect_cache(actor, Action::CacheList)?;
        access::in_sight(&self.db.read()?, actor, id)?;
        Err(Error::conflict(
            "this box keeps its cache for itself: there is no list of other nodes that have an image",
        ))
    }

    /// Where the data lies that is to be brought.
    pub(super) fn cacheable(&self, image: &Image) -> Result<ContentId, Error> {
        let id = image.id;
        if image.status != Status::Active {
            let status = image.status.as_str();
            return Err(Error::invalid(format!(
                "image {id} is {status}: only an active image can be cached"
            )));
        }
        image.copy_at(StorePlace::HOME).ok_or_else(|| {
            let home = self.stores.name_of(StorePlace::HOME);
            Error::conflict(format!(
                "image {id} has no data in {home}, which the cache is of; copy it there first"
            ))
        })
    }

    /// Whether all of an image lies in the cache. What cannot be told is not there.
    pub(super) fn lies_near(&self, image: &Image) -> bool {
        let near = image.copy_at(StorePlace::HOME).map(|content| self.store.lies_near(&content));
        near.is_some_and(|near| {
            near.unwrap_or_else(|error| {
                tracing::warn!(image = %image.id, %error, "whether an image is cached cannot be told");
                false
            })
        })
    }

    fn end_caching(&self, actor: &Actor, is_meant: impl Fn(&Job) -> bool) -> Result<(), Error> {
        for job in open_jobs(&self.db.read()?)?.into_iter().filter(is_meant) {
            match self.end_open_job(actor, job) {
                // It ended meanwhile.
                Err(error) if error.kind == ErrorKind::Conflict => {}
                ended => drop(ended?),
            }
        }
        Ok(())
    }

    fn expect_cache(&self, actor: &Actor, action: Action) -> Result<(), Error> {
        actor.expect(action, Resource::None)?;
        match self.has_cache() {
            true => Ok(()),
            false => Err(Error::not_found(
                "this box has no cache: its data lies on a disk at hand, or bucket.cache_bytes is 0",
            )),
        }
    }
}

/// Jobs that are to bring images.
fn open_jobs(rows: &impl Rows) -> Result<Vec<Job>, Error> {
    let mut open = jobs::open(rows)?;
    open.retain(|job| job.kind == JobKind::Cache);
    Ok(open)
}
