//! Objects in a bucket: anything the `object_store` crate speaks to, in practice S3.
//!
//! Invariant: no object is ever overwritten. A small object is one conditional put. A large one is
//! uploaded in parts to `tmp/`, then copied to its name on condition that the name is free, as
//! completing an upload in parts knows no such condition.
//!
//! Retries of single requests are the crate's. A retry can meet its own success: see
//! [`Bucket::is_ours`].
//!
//! The bucket should have a rule that expires incomplete multipart uploads: parts of an upload that
//! a crash cut off are invisible to listings, and so to [`Objects::sweep_unfinished`].

mod fault;
#[cfg(feature = "buckets")]
mod url;
mod writer;

use std::fmt;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use self::fault::fault;
#[cfg(feature = "buckets")]
pub use self::url::open_url;
use self::writer::BucketWriter;
use super::key::UNFINISHED;
use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects};
use crate::base::Time;

/// Bytes read at once where a whole object is hashed.
const HASH_STEP_BYTES: u64 = 1 << 20;

/// A bucket, or a part of one below a prefix. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    handle: Handle,
}

impl Bucket {
    /// Wraps a store. Its requests run on the runtime of `handle`, which must have threads of its
    /// own and outlive the bucket.
    pub fn new(store: Arc<dyn ObjectStore>, handle: Handle) -> Bucket {
        Bucket { store, handle }
    }

    /// Whether the object that a create found under its name is the one it wrote: a request whose
    /// answer was lost is sent again, and then finds its own success. Equal bytes are the proof.
    async fn is_ours(&self, key: &ObjectKey, size_bytes: u64, hash: blake3::Hash) -> Result<bool, Error> {
        if self.head(key).await?.size != size_bytes {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < size_bytes {
            let end = size_bytes.min(offset + HASH_STEP_BYTES);
            let bytes =
                self.store.get_range(&path(key), offset..end).await.map_err(|error| fault(key, error))?;
            hasher.update(&bytes);
            offset = end;
        }
        Ok(hasher.finalize() == hash)
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.store.head(&path(key)).await.map_err(|error| fault(key, error))
    }

    async fn read_range(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let past_end = Error::past_end(key, offset, out.len());
        let Some(end) = offset.checked_add(out.len() as u64) else { return Err(past_end) };
        if out.is_empty() {
            // No protocol can ask for an empty range.
            return self.head(key).await.map(drop);
        }
        let options = GetOptions { range: Some(GetRange::Bounded(offset..end)), ..GetOptions::default() };
        let answer = match self.store.get_opts(&path(key), options).await {
            Ok(answer) => answer,
            // A range that starts past the end is an error like any other: only the length tells.
            Err(error) => {
                let short = self.head(key).await.is_ok_and(|meta| meta.size < end);
                return Err(if short { past_end } else { fault(key, error) });
            }
        };
        if answer.range != (offset..end) {
            return Err(past_end);
        }
        fill(out, answer.into_stream().map_err(|error| fault(key, error)), past_end).await
    }

    async fn visit(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        // The crate lists whole folders only.
        let folder = match prefix.rsplit_once('/').map(|(folder, _)| ObjectKey::new(folder)) {
            None => None,
            Some(Ok(folder)) => Some(path(&folder)),
            // Nothing can have been stored below a folder that is no legal name.
            Some(Err(_)) => return Ok(()),
        };
        let mut found = self.store.list(folder.as_ref());
        while let Some(meta) = found.next().await {
            let meta = meta.map_err(fault::of_bucket)?;
            // What has no legal name is not ours, or it is unfinished.
            if let Ok(key) = ObjectKey::new(meta.location.as_ref())
                && key.as_str().starts_with(prefix)
            {
                let modified = Some(Time(meta.last_modified.timestamp_micros()));
                visit(ObjectInfo { key, size_bytes: meta.size, modified });
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<u64, Error> {
        let unfinished: Vec<ObjectMeta> =
            self.store.list(Some(&Path::from(UNFINISHED))).try_collect().await.map_err(fault::of_bucket)?;
        let mut swept = 0;
        for meta in unfinished {
            self.remove(&meta.location).await.map_err(fault::of_bucket)?;
            swept += 1;
        }
        Ok(swept)
    }

    async fn remove(&self, path: &Path) -> object_store::Result<()> {
        match self.store.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}

impl Objects for Bucket {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        Ok(Box::new(BucketWriter::new(self.clone(), key.clone())))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.handle.block_on(self.read_range(key, offset, out))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        Ok(self.handle.block_on(self.head(key))?.size)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.handle.block_on(self.remove(&path(key))).map_err(|error| fault(key, error))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        // Collected first: the visitor may call back, which must not happen inside the runtime.
        let mut found = Vec::new();
        self.handle.block_on(self.visit(prefix, &mut |info| found.push(info)))?;
        found.into_iter().for_each(visit);
        Ok(())
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.handle.block_on(self.sweep())
    }
}

impl fmt::Debug for Bucket {
    /// The store's short name only: its own debug form may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.store)
    }
}

/// Where an object lies. Legal keys are legal paths as they are.
fn path(key: &ObjectKey) -> Path {
    Path::from(key.as_str())
}

/// Fills `out` from a body that must have exactly its length.
async fn fill(
    out: &mut [u8],
    body: impl Stream<Item = Result<bytes::Bytes, Error>>,
    wrong_length: Error,
) -> Result<(), Error> {
    let mut body = std::pin::pin!(body);
    let mut rest = out;
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        let Some((part, left)) = rest.split_at_mut_checked(bytes.len()) else { return Err(wrong_length) };
        part.copy_from_slice(&bytes);
        rest = left;
    }
    if rest.is_empty() { Ok(()) } else { Err(wrong_length) }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[test]
    fn an_upload_that_a_crash_cut_off_before_its_copy_is_swept() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::new(store.clone(), runtime.handle().clone());
        bucket.put(&key("a"), b"kept").unwrap();
        let left_over = Path::from("tmp/pack/1/77-0");
        runtime.block_on(store.put(&left_over, b"left over".to_vec().into())).unwrap();
        assert_eq!(bucket.sweep_unfinished(), Ok(1));
        assert_eq!(bucket.sweep_unfinished(), Ok(0));
        assert_eq!(bucket.get(&key("a")).unwrap(), b"kept");
    }

    #[test]
    fn a_create_that_meets_its_own_success_succeeds() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bucket = Bucket::new(Arc::new(InMemory::new()), runtime.handle().clone());
        for bytes in [vec![7; 100], vec![7; 9 << 20]] {
            let key = key(&format!("a{}", bytes.len()));
            bucket.put(&key, &bytes).unwrap();
            assert_eq!(bucket.put(&key, &bytes), Ok(()));
            let mut other = bytes.clone();
            other[50] = 8;
            assert_eq!(bucket.put(&key, &other), Err(Error::Exists(key.clone())));
        }
    }
}
