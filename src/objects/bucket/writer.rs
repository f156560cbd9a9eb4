//! An object on its way into a bucket. Invariant: what was uploaded in parts is completed, aborted,
//! or (after a crash only) left to the bucket's own expiry.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{CopyMode, CopyOptions, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};

use super::{Bucket, fault, path};
use crate::objects::key::UNFINISHED;
use crate::objects::{Error, ObjectKey, ObjectWriter};

/// Bytes of a part, and the most that goes in a single put. S3 wants at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts of one object on their way at once, beside the one being gathered.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// Numbers the unfinished objects of this process.
static UNFINISHED_COUNT: AtomicU64 = AtomicU64::new(0);

pub(super) struct BucketWriter {
    bucket: Bucket,
    key: ObjectKey,
    /// The part being gathered.
    part: Vec<u8>,
    /// There once the object has outgrown a single put.
    upload: Option<Upload>,
    size_bytes: u64,
    hasher: blake3::Hasher,
    /// The first failed write: what follows it would leave a hole.
    broken: Option<Error>,
}

struct Upload {
    /// Where the parts become an object, before it gets its name.
    path: Path,
    parts: WriteMultipart,
}

impl BucketWriter {
    pub(super) fn new(bucket: Bucket, key: ObjectKey) -> BucketWriter {
        BucketWriter {
            bucket,
            key,
            part: Vec::new(),
            upload: None,
            size_bytes: 0,
            hasher: blake3::Hasher::new(),
            broken: None,
        }
    }

    fn send_part(&mut self) -> Result<(), Error> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        let handle = self.bucket.handle.clone();
        handle.block_on(async {
            let mut upload = match self.upload.take() {
                Some(upload) => upload,
                None => self.start_upload().await?,
            };
            if let Err(error) = upload.parts.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await {
                upload.abort().await;
                return Err(fault(&self.key, error));
            }
            upload.parts.put(part);
            self.upload = Some(upload);
            Ok(())
        })
    }

    async fn start_upload(&self) -> Result<Upload, Error> {
        // The key is part of the name, so that even two boxes on one bucket do not mix objects up.
        let number = UNFINISHED_COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::from(format!("{UNFINISHED}/{}/{}-{number}", self.key, std::process::id()));
        let upload = self.bucket.store.put_multipart(&path).await.map_err(|error| fault(&self.key, error))?;
        Ok(Upload { path, parts: WriteMultipart::new_with_chunk_size(upload, PART_BYTES) })
    }

    /// Sends an object that fits into one request.
    async fn put_whole(&mut self) -> object_store::Result<()> {
        let payload = PutPayload::from(std::mem::take(&mut self.part));
        self.bucket.store.put_opts(&path(&self.key), payload, PutMode::Create.into()).await.map(drop)
    }

    /// Completes an upload and gives it its name.
    async fn publish(&mut self, mut upload: Upload) -> object_store::Result<()> {
        upload.parts.put(std::mem::take(&mut self.part).into());
        // Aborts the upload by itself when it fails.
        upload.parts.finish().await?;
        let options = CopyOptions { mode: CopyMode::Create, ..CopyOptions::default() };
        let copied = self.bucket.store.copy_opts(&upload.path, &path(&self.key), options).await;
        if let Err(error) = self.bucket.remove(&upload.path).await {
            tracing::warn!(%error, path = %upload.path, "a copied upload stays until the next sweep");
        }
        copied
    }

    async fn finish(&mut self) -> Result<(), Error> {
        let sent = match self.upload.take() {
            None => self.put_whole().await,
            Some(upload) => self.publish(upload).await,
        };
        match sent.map_err(|error| fault(&self.key, error)) {
            Err(Error::Exists(key)) => self.settle(key).await,
            sent => sent,
        }
    }

    /// Decides what "exists already" means: see [`Bucket::is_ours`].
    async fn settle(&self, key: ObjectKey) -> Result<(), Error> {
        match self.bucket.is_ours(&key, self.size_bytes, self.hasher.finalize()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Exists(key)),
            // S3 also refuses while another create of the name is under way, which then failed.
            Err(Error::NotFound(key)) => Err(Error::Unavailable(format!("object {key} was contended"))),
            Err(error) => Err(error),
        }
    }
}

impl ObjectWriter for BucketWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.part.len() == PART_BYTES {
                self.send_part().inspect_err(|error| self.broken = Some(error.clone()))?;
            }
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let handle = self.bucket.handle.clone();
        handle.block_on(self.finish())
    }
}

impl Drop for BucketWriter {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            // Not waited for: the one who drops may be an async worker, which must not block.
            self.bucket.handle.spawn(upload.abort());
        }
    }
}

impl Upload {
    /// Gives the parts back, as the bucket would charge for them.
    async fn abort(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::warn!(%error, path = %self.path, "an upload's parts stay until the bucket expires them");
        }
    }
}
