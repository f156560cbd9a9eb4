//! A bucket in memory whose requests fail as told: for tests.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as Answer, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done and answered.
    Done,
    /// It is not done, and there is no answer.
    Lost,
    /// It is done, and there is no answer.
    AnswerLost,
    /// A read's body ends early. Others are done.
    Short,
    /// A read's body has a flipped bit. Others are done.
    Corrupt,
}

/// Fates of the coming requests, then all are done.
#[derive(Debug, Default)]
pub(super) struct Shaky {
    pub(super) inner: InMemory,
    fates: Mutex<VecDeque<Fate>>,
    /// Ignores the conditions of puts and copies, as simple servers do.
    careless: bool,
    /// Looks whether a name is taken, and writes a while after.
    slow_to_write: bool,
}

impl Shaky {
    pub(super) fn new(careless: bool) -> Shaky {
        Shaky { careless, ..Shaky::default() }
    }

    /// One that does not decide between writers.
    pub(super) fn racy() -> Shaky {
        Shaky { slow_to_write: true, ..Shaky::default() }
    }

    /// Decides the coming requests.
    pub(super) fn expect(&self, fates: impl IntoIterator<Item = Fate>) {
        *self.fates.lock().unwrap() = fates.into_iter().collect();
    }

    /// Whether all that was decided has come.
    pub(super) fn is_spent(&self) -> bool {
        self.fates.lock().unwrap().is_empty()
    }

    fn fate(&self) -> Fate {
        self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Done)
    }

    async fn ask<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.fate() {
            Fate::Lost => Err(lost()),
            Fate::AnswerLost => request.await.and(Err(lost())),
            _ => request.await,
        }
    }
}

fn lost() -> Answer {
    let source = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("told to fail"));
    Answer::Generic { store: "shaky", source: Box::new(source) }
}

impl fmt::Display for Shaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shaky")
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.slow_to_write && options.mode == PutMode::Create && self.inner.head(path).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            options.mode = PutMode::Overwrite;
        }
        if self.careless {
            options.mode = PutMode::Overwrite;
        }
        self.ask(self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let fate = self.fate();
        if matches!(fate, Fate::Lost | Fate::AnswerLost) {
            return Err(lost());
        }
        let answer = self.inner.get_opts(path, options).await?;
        if !matches!(fate, Fate::Short | Fate::Corrupt) {
            return Ok(answer);
        }
        let (meta, range, attributes) =
            (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
        let extensions = answer.extensions.clone();
        let mut body = answer.bytes().await?.to_vec();
        match fate {
            Fate::Short => body.truncate(body.len() / 2),
            _ => body[0] ^= 1,
        }
        let body = futures::stream::iter([Ok(body.into())]).boxed();
        Ok(GetResult { payload: GetResultPayload::Stream(body), meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fate() {
            Fate::Lost => futures::stream::iter([Err(lost())]).boxed(),
            Fate::AnswerLost => {
                self.inner.delete_stream(paths).map(|deleted| deleted.and(Err(lost()))).boxed()
            }
            _ => self.inner.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fate() {
            Fate::Lost | Fate::AnswerLost => futures::stream::iter([Err(lost())]).boxed(),
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, mut options: CopyOptions) -> Result<()> {
        if self.careless {
            options.mode = object_store::CopyMode::Overwrite;
        }
        self.ask(self.inner.copy_opts(from, to, options)).await
    }
}

#[async_trait]
impl MultipartStore for Shaky {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.ask(self.inner.create_multipart(path)).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        part: PutPayload,
    ) -> Result<PartId> {
        self.ask(self.inner.put_part(path, id, number, part)).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.ask(async {
            // S3 forgets an upload that is completed; this crate's memory says so in other words.
            self.inner.complete_multipart(path, id, parts).await.map_err(|error| match error {
                Answer::Generic { source, .. } => Answer::NotFound { path: path.to_string(), source },
                error => error,
            })
        })
        .await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.ask(self.inner.abort_multipart(path, id)).await
    }
}
