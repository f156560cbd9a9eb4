//! Objects in a bucket: anything the `object_store` crate speaks to, in practice S3.
//!
//! Invariants: no object is ever overwritten but for repair, and every operation ends within the
//! patience given. A small object is one conditional put. A large one is uploaded in parts to `tmp/`,
//! then copied to its name on condition that the name is free, as completing an upload in parts knows
//! no such condition. A repair goes the same ways without the conditions. Where the bucket knows no
//! conditions at all, names are looked at before they are written, under a lock of this process
//! ([`BucketOptions::conditional_puts`]).
//!
//! Tries are made here ([`calls`]), not by the crate. One can meet an earlier one's success: see
//! [`Bucket::is_ours`].

mod calls;
mod counts;
mod exchange;
mod fault;
mod listing;
mod options;
mod probe;
mod pulse;
mod read;
mod spool;
mod sweep;
mod unfinished;
mod url;
mod wire;
mod writer;

#[cfg(test)]
mod shaky;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path as Folder;
use std::sync::{Arc, Once};

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Error as Answer, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use self::calls::Calls;
use self::counts::Counts;
pub use self::exchange::BucketExchange;
use self::fault::fault;
pub use self::options::BucketOptions;
pub use self::probe::{Probe, Verdict};
use self::spool::Spool;
use self::sweep::InUse;
pub use self::unfinished::{ListUnfinished, UnfinishedUpload};
pub use self::url::open_url;
use self::writer::BucketWriter;
use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects, Traffic};

/// Locks that names share where the bucket cannot be relied on to refuse one that is taken.
const NAMING_LOCKS: usize = 32;

/// What a bucket must be able to do.
pub trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// A bucket, or a part of one below a prefix. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    uploads: Option<Arc<dyn ListUnfinished>>,
    prefix: Path,
    handle: Handle,
    options: BucketOptions,
    calls: Calls,
    spool: Spool,
    /// Parts that may be in memory, on their way.
    sending: Arc<Semaphore>,
    naming: [Arc<Mutex<()>>; NAMING_LOCKS],
    in_use: InUse,
    told_unlisted: Once,
}

impl Bucket {
    /// Wraps a store, keeping to what lies below `prefix`. Its requests run on the runtime of
    /// `handle`, which must have threads of its own and outlive the bucket. Parts of large objects
    /// are gathered in `folder`, whose content is removed.
    ///
    /// # Errors
    /// When `folder` cannot be used.
    pub fn new(
        store: Arc<dyn Store>,
        prefix: Path,
        handle: Handle,
        folder: &Folder,
        options: BucketOptions,
    ) -> Result<Bucket, Error> {
        Bucket::with_counts(store, None, prefix, handle, folder, options, Arc::default())
    }

    fn with_counts(
        store: Arc<dyn Store>,
        uploads: Option<Arc<dyn ListUnfinished>>,
        prefix: Path,
        handle: Handle,
        folder: &Folder,
        options: BucketOptions,
        counts: Arc<Counts>,
    ) -> Result<Bucket, Error> {
        let inner = Inner {
            store,
            uploads,
            prefix,
            handle,
            calls: Calls::new(counts, options.patience, options.first_patience),
            spool: Spool::open(folder, &options)?,
            sending: Arc::new(Semaphore::new((options.sending_bytes / options.part_bytes).max(1))),
            naming: std::array::from_fn(|_| Arc::default()),
            in_use: InUse::default(),
            told_unlisted: Once::new(),
            options,
        };
        Ok(Bucket { inner: Arc::new(inner) })
    }

    fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    fn calls(&self) -> &Calls {
        &self.inner.calls
    }

    fn options(&self) -> &BucketOptions {
        &self.inner.options
    }

    fn spool(&self) -> &Spool {
        &self.inner.spool
    }

    fn handle(&self) -> &Handle {
        &self.inner.handle
    }

    /// Waits until one more part may be in memory. Those that are there leave it in bounded time.
    async fn sending_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.sending.clone().acquire_owned().await.ok()
    }

    fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.handle.spawn(work);
    }

    /// Keeps others of this process from taking a name, where the bucket does not.
    async fn naming(&self, key: &ObjectKey) -> Option<OwnedMutexGuard<()>> {
        if self.inner.options.conditional_puts {
            return None;
        }
        let lock = blake3::hash(key.as_str().as_bytes()).as_bytes()[0] as usize % NAMING_LOCKS;
        Some(self.inner.naming[lock].clone().lock_owned().await)
    }

    /// Where an object lies. Legal keys are legal paths as they are.
    fn path(&self, key: &ObjectKey) -> Path {
        self.place(key.as_str())
    }

    fn place(&self, name: &str) -> Path {
        let name = Path::from(name);
        self.inner.prefix.parts().chain(name.parts()).collect()
    }

    /// The name of what lies there; `None` where it is none of ours, or unfinished.
    fn key_at(&self, path: &Path) -> Option<ObjectKey> {
        let name: Path = path.prefix_match(&self.inner.prefix)?.collect();
        ObjectKey::new(name.as_ref()).ok()
    }

    async fn remove(&self, path: &Path) -> object_store::Result<()> {
        match self.calls().run(|| self.store().delete(path)).await {
            Err(Answer::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}

impl Objects for Bucket {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(BucketWriter::new(self.clone(), key.clone(), false)))
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(BucketWriter::new(self.clone(), key.clone(), true)))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.handle().block_on(self.read_range(key, offset, out))
    }

    fn read_some(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        self.handle().block_on(self.read_range_some(key, offset, out))
    }

    fn distrust(&self, _: &ObjectKey) -> bool {
        // It may have been changed on its way, where that is not encrypted.
        true
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        let meta = self.handle().block_on(self.head(&self.path(key)));
        Ok(meta.map_err(|error| fault(key, error))?.size)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.handle().block_on(self.remove(&self.path(key))).map_err(|error| fault(key, error))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        // Collected first: the visitor may call back, which must not happen inside the runtime.
        self.handle().block_on(self.visit(prefix))?.into_iter().for_each(visit);
        Ok(())
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.handle().block_on(self.sweep())
    }

    fn trouble(&self) -> Option<String> {
        self.calls().pulse.trouble()
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.calls().counts.read())
    }
}

impl fmt::Debug for Bucket {
    /// The store's short name only: its own debug form may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({}/{})", self.inner.store, self.inner.prefix)
    }
}
