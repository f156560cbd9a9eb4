//! Reading: lengths, ranges, and the proof that an object is the one that was written.
//!
//! Invariant: a range comes whole, as far as the object reaches, or not at all.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error as Answer, GetOptions, GetRange, ObjectMeta, ObjectStoreExt};

use super::wire::is_passing;
use super::{Bucket, fault};
use crate::objects::{Error, ObjectKey};

/// Bytes read at once where a whole object is hashed.
const HASH_STEP_BYTES: u64 = 1 << 20;

impl Bucket {
    /// Whether the object that a create found under its name is the one it wrote: a request whose
    /// answer was lost is sent again, and then finds its own success. Equal bytes are the proof.
    pub(super) async fn is_ours(
        &self,
        key: &ObjectKey,
        size_bytes: u64,
        hash: blake3::Hash,
    ) -> Result<bool, Error> {
        let path = self.path(key);
        if self.head(&path).await.map_err(|error| fault(key, error))?.size != size_bytes {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset < size_bytes {
            let end = size_bytes.min(offset + HASH_STEP_BYTES);
            for bytes in self.range(&path, offset, end).await.map_err(|error| fault(key, error))? {
                hasher.update(&bytes);
            }
            offset = end;
        }
        Ok(hasher.finalize() == hash)
    }

    pub(super) async fn is_taken(&self, key: &ObjectKey) -> Result<bool, Error> {
        match self.head(&self.path(key)).await.map_err(|error| fault(key, error)) {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn head(&self, path: &Path) -> object_store::Result<ObjectMeta> {
        self.calls().run(|| self.store().head(path)).await
    }

    /// The bytes of a range, in pieces, as far as the object reaches.
    pub(super) async fn range(&self, path: &Path, offset: u64, end: u64) -> object_store::Result<Vec<Bytes>> {
        self.calls().run(|| self.try_range(path, offset, end)).await
    }

    async fn try_range(&self, path: &Path, offset: u64, end: u64) -> object_store::Result<Vec<Bytes>> {
        let options = GetOptions { range: Some(GetRange::Bounded(offset..end)), ..GetOptions::default() };
        let answer = self.store().get_opts(path, options).await?;
        // A bucket gives what there is of a range.
        let told = answer.range.clone();
        if told.start != offset || told.end != end.min(answer.meta.size) {
            return Err(Answer::Generic { store: "bucket", source: "it gave another range".into() });
        }
        let pieces: Vec<Bytes> = answer.into_stream().try_collect().await?;
        let came = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if came != told.end - told.start {
            let short = format!("a range of {} bytes came with {came}", told.end - told.start);
            let source = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other(short));
            return Err(Answer::Generic { store: "bucket", source: Box::new(source) });
        }
        Ok(pieces)
    }

    pub(super) async fn read_range(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        if out.is_empty() {
            // No protocol can ask for an empty range.
            return self.head(&self.path(key)).await.map(drop).map_err(|error| fault(key, error));
        }
        let came = self.read_range_some(key, offset, out).await?;
        if came == out.len() { Ok(()) } else { Err(Error::past_end(key, offset, out.len())) }
    }

    pub(super) async fn read_range_some(
        &self,
        key: &ObjectKey,
        offset: u64,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let path = self.path(key);
        let past_end = Error::past_end(key, offset, out.len());
        let Some(end) = offset.checked_add(out.len() as u64) else { return Err(past_end) };
        let pieces = match self.range(&path, offset, end).await {
            Ok(pieces) => pieces,
            Err(error @ Answer::NotFound { .. }) => return Err(fault(key, error)),
            Err(error) if is_passing(&error) => return Err(fault(key, error)),
            // A range that starts past the end is an error like any other: only the length tells.
            Err(error) => {
                let past = self.head(&path).await.is_ok_and(|meta| meta.size <= offset);
                return Err(if past { past_end } else { fault(key, error) });
            }
        };
        let mut filled = 0;
        for piece in pieces {
            out[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        Ok(filled)
    }
}
