//! An object on its way into a bucket. Invariant: parts are sent as they fill, and what was sent in
//! parts is completed, aborted, or (after a crash only) aborted by the next sweep.
//!
//! Every step may be tried again after it took effect, and then meets its own success: equal bytes
//! under the name are the proof, see [`Bucket::is_ours`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{CopyMode, CopyOptions, Error as Answer, PutMode, PutPayload};
use tokio::task::JoinSet;

use super::spool::Part;
use super::sweep::Claim;
use super::{Bucket, fault};
use crate::objects::key::UNFINISHED;
use crate::objects::{Error, ObjectKey, ObjectWriter};

/// Numbers the unfinished objects of this process.
static UNFINISHED_COUNT: AtomicU64 = AtomicU64::new(0);

pub(super) struct BucketWriter {
    bucket: Bucket,
    key: ObjectKey,
    /// Whether it may take another's place.
    replaces: bool,
    /// The part being gathered.
    part: Part,
    /// There once the object has outgrown a single put.
    upload: Option<Upload>,
    size_bytes: u64,
    hasher: blake3::Hasher,
    /// The first failed write: what follows it would leave a hole.
    broken: Option<Error>,
}

/// An object that is sent in parts.
struct Upload {
    name: Arc<Name>,
    /// Parts begun.
    count: usize,
    /// Those on their way.
    sending: JoinSet<Result<(usize, PartId), Answer>>,
    /// Those that arrived.
    sent: Vec<(usize, PartId)>,
}

/// What the bucket knows an upload by.
struct Name {
    /// Where the parts become an object: its own name, or one it has until it is copied.
    place: Claim,
    id: String,
}

impl Name {
    fn path(&self) -> &Path {
        self.place.path()
    }
}

impl BucketWriter {
    pub(super) fn new(bucket: Bucket, key: ObjectKey, replaces: bool) -> BucketWriter {
        BucketWriter {
            bucket,
            key,
            replaces,
            part: Part::default(),
            upload: None,
            size_bytes: 0,
            hasher: blake3::Hasher::new(),
            broken: None,
        }
    }

    async fn gather(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.bucket.spool().is_full(&self.part) {
                self.send_part().await?;
            }
            let patience = self.bucket.options().patience;
            rest = self.bucket.spool().fill(&mut self.part, rest, patience).await?;
        }
        Ok(())
    }

    /// Sends the gathered part; waits while too much of all writers is on its way.
    async fn send_part(&mut self) -> Result<(), Error> {
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.start_upload().await?,
        };
        let outcome = upload.arrived().map_err(|error| self.upload_fault(error));
        let slot = self.bucket.sending_slot().await;
        match outcome.and_then(|()| self.bucket.spool().take(&mut self.part)) {
            Ok(part) => {
                let (bucket, name, number) = (self.bucket.clone(), upload.name.clone(), upload.count);
                upload.count += 1;
                upload.sending.spawn(async move {
                    let part = PutPayload::from(part);
                    let put = || bucket.store().put_part(name.path(), &name.id, number, part.clone());
                    let sent = bucket.calls().run(put).await;
                    drop(slot);
                    sent.map(|id| (number, id))
                });
                self.upload = Some(upload);
                Ok(())
            }
            Err(error) => {
                upload.abort(&self.bucket).await;
                Err(error)
            }
        }
    }

    async fn start_upload(&self) -> Result<Upload, Error> {
        let path = if self.bucket.options().conditional_puts {
            // The key is part of the name, so that even two boxes on one bucket do not mix objects up.
            let number = UNFINISHED_COUNT.fetch_add(1, Ordering::Relaxed);
            self.bucket.place(&format!("{UNFINISHED}/{}/{}-{number}", self.key, std::process::id()))
        } else {
            self.bucket.path(&self.key)
        };
        let place = self.bucket.inner.in_use.claim(path);
        let create = || self.bucket.store().create_multipart(place.path());
        let id = self.bucket.calls().run(create).await.map_err(|error| fault(&self.key, error))?;
        let name = Arc::new(Name { place, id });
        Ok(Upload { name, count: 0, sending: JoinSet::new(), sent: Vec::new() })
    }

    /// Sends an object that fits into one request.
    async fn put_whole(&mut self) -> Result<(), Error> {
        let slot = if self.part.is_on_disk() { Some(self.bucket.sending_slot().await) } else { None };
        let payload = PutPayload::from(self.bucket.spool().take(&mut self.part)?);
        let path = self.bucket.path(&self.key);
        let is_free = self.bucket.options().conditional_puts && !self.replaces;
        let mode = if is_free { PutMode::Create } else { PutMode::Overwrite };
        let put = || self.bucket.store().put_opts(&path, payload.clone(), mode.clone().into());
        let put = self.bucket.calls().run(put).await;
        drop(slot);
        put.map(drop).map_err(|error| fault(&self.key, error))
    }

    /// Completes an upload and gives it its name.
    async fn publish(&mut self) -> Result<(), Error> {
        self.send_part().await?;
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        if let Err(error) = self.complete(&mut upload).await {
            upload.abort(&self.bucket).await;
            return Err(error);
        }
        if !self.bucket.options().conditional_puts {
            return Ok(());
        }
        let (from, to) = (upload.name.path(), &self.bucket.path(&self.key));
        let mode = if self.replaces { CopyMode::Overwrite } else { CopyMode::Create };
        let options = || CopyOptions { mode, ..CopyOptions::default() };
        let copied = self.bucket.calls().run(|| self.bucket.store().copy_opts(from, to, options())).await;
        if let Err(error) = self.bucket.remove(from).await {
            tracing::warn!(%error, path = %from, "a copied upload stays until the next sweep");
        }
        copied.map_err(|error| self.upload_fault(error))
    }

    async fn complete(&self, upload: &mut Upload) -> Result<(), Error> {
        let parts = upload.all().await.map_err(|error| self.upload_fault(error))?;
        let (path, id) = (upload.name.path(), &upload.name.id);
        let complete = || self.bucket.store().complete_multipart(path, id, parts.clone());
        match self.bucket.calls().run(complete).await {
            // The upload is gone when an earlier try completed it.
            Err(Answer::NotFound { .. }) if self.is_at(path).await? => Ok(()),
            completed => completed.map(drop).map_err(|error| self.upload_fault(error)),
        }
    }

    /// The failure of an upload in parts. A bucket that died may have forgotten it.
    fn upload_fault(&self, error: Answer) -> Error {
        match fault(&self.key, error) {
            Error::NotFound(key) => {
                Error::Unavailable(format!("the bucket dropped the parts of {key} before it was complete"))
            }
            error => error,
        }
    }

    /// Whether the upload became the object it was to be. Nobody else writes to a name of an upload,
    /// so the length tells; but what takes another's place under its own name has the length of that.
    async fn is_at(&self, path: &Path) -> Result<bool, Error> {
        if self.replaces && !self.bucket.options().conditional_puts {
            return match self.bucket.is_ours(&self.key, self.size_bytes, self.hasher.finalize()).await {
                Err(Error::NotFound(_)) => Ok(false),
                found => found,
            };
        }
        match self.bucket.head(path).await {
            Ok(meta) => Ok(meta.size == self.size_bytes),
            Err(Answer::NotFound { .. }) => Ok(false),
            Err(error) => Err(fault(&self.key, error)),
        }
    }

    async fn finish(&mut self) -> Result<(), Error> {
        let naming = self.bucket.naming(&self.key).await;
        if naming.is_some() && !self.replaces && self.bucket.is_taken(&self.key).await? {
            if let Some(upload) = self.upload.take() {
                upload.abort(&self.bucket).await;
            }
            return self.settle().await;
        }
        let sent = if self.upload.is_some() { self.publish().await } else { self.put_whole().await };
        match sent {
            Err(Error::Exists(_)) => self.settle().await,
            sent => sent,
        }
    }

    /// Decides what "exists already" means: see [`Bucket::is_ours`].
    async fn settle(&self) -> Result<(), Error> {
        let key = self.key.clone();
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
        let handle = self.bucket.handle().clone();
        handle.block_on(self.gather(bytes)).inspect_err(|error| self.broken = Some(error.clone()))
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let handle = self.bucket.handle().clone();
        handle.block_on(self.finish())
    }
}

impl Drop for BucketWriter {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            // Not waited for: the one who drops may be an async worker, which must not block.
            let bucket = self.bucket.clone();
            self.bucket.in_background(async move { upload.abort(&bucket).await });
        }
    }
}

impl Upload {
    /// Takes in what has arrived by now.
    fn arrived(&mut self) -> Result<(), Answer> {
        while let Some(part) = self.sending.try_join_next() {
            self.sent.push(part??);
        }
        Ok(())
    }

    /// Waits for every part; gives them in order.
    async fn all(&mut self) -> Result<Vec<PartId>, Answer> {
        while let Some(part) = self.sending.join_next().await {
            self.sent.push(part??);
        }
        self.sent.sort_unstable_by_key(|(number, _)| *number);
        Ok(std::mem::take(&mut self.sent).into_iter().map(|(_, id)| id).collect())
    }

    /// Gives the parts back, as the bucket would charge for them.
    async fn abort(mut self, bucket: &Bucket) {
        // A part that arrives after the abort would stay.
        self.sending.shutdown().await;
        let (path, id) = (self.name.path(), &self.name.id);
        match bucket.calls().run(|| bucket.store().abort_multipart(path, id)).await {
            // An earlier try was heard.
            Ok(()) | Err(Answer::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%error, %path, "an upload's parts stay until the next sweep"),
        }
    }
}
