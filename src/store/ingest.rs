//! A stream on its way in: digests beside cut → hash → look-up → frame → pack → durable.
//!
//! Three threads a stream work behind bounded queues, and one budget bounds what all streams hold
//! in memory; both push back to the socket. Invariant: a row is committed only after its object is
//! durable, and nothing of the stream is visible before its receipt is published.

use std::sync::Arc;

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha512};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::assemble::Assembler;
use super::error::Error;
use super::manifest::{Manifest, halves};
use super::object::Builder;
use super::pins::Held;
use super::realm::Realm;
use super::rows::{ContentRow, manifest_header};
use super::{Store, thread};
use crate::db::codec;
use crate::model::{ContentId, Digests};

/// Pieces a stream may have waiting before each of its threads: more than a batch of look-ups,
/// since the thread that works a batch off takes none meanwhile and the digests must not wait.
const QUEUE: usize = 32;
/// The budget counts in units of this many bytes.
pub const BUDGET_UNIT: usize = 4096;

type Piece = Arc<(Bytes, OwnedSemaphorePermit)>;

/// A stream on its way in. Dropping it abandons the stream; what it stored is reclaimed later.
pub struct Ingest {
    store: Store,
    lanes: [mpsc::Sender<Piece>; 3],
    md5: oneshot::Receiver<[u8; 16]>,
    /// SHA-512, BLAKE3, and the length.
    others: oneshot::Receiver<([u8; 64], [u8; 32], u64)>,
    assembled: oneshot::Receiver<Result<Assembler, Error>>,
}

/// A stream that is durable but not yet visible. Holding it keeps its packs from being reclaimed.
#[derive(Clone)]
pub struct Receipt(pub(super) Arc<Durable>);

pub(super) struct Durable {
    pub(super) content: ContentId,
    pub(super) row: ContentRow,
    pub(super) manifest: Manifest,
    digests: Digests,
    _held: Held,
}

impl Ingest {
    pub(super) fn start(store: Store, realm: Realm) -> Result<Ingest, Error> {
        let (md5_lane, md5) = lane("md5", digest_md5)?;
        let (sha512_lane, others) = lane("sha512", digest_sha512)?;
        let assembler = Assembler::new(store.clone(), realm);
        let (chunk_lane, assembled) = lane("chunks", |queue| assemble(assembler, queue))?;
        Ok(Ingest { store, lanes: [md5_lane, sha512_lane, chunk_lane], md5, others, assembled })
    }

    /// Takes the next bytes; waits while the store is busy (back-pressure).
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let units = bytes.len().div_ceil(BUDGET_UNIT).clamp(1, self.store.inner.budget_units) as u32;
        let budget = self.store.inner.budget.clone();
        let permit = budget.acquire_many_owned(units).await.map_err(|_| Error::Broken)?;
        self.store.inner.activity.received(bytes.len() as u64);
        let piece = Arc::new((bytes, permit));
        for lane in &self.lanes {
            if lane.send(piece.clone()).await.is_err() {
                return Err(self.failure().await);
            }
        }
        Ok(())
    }

    /// Ends the stream: everything durable, nothing visible yet. `record` is kept beside the
    /// content, so that the store can be read without the catalog.
    ///
    /// # Errors
    /// Whatever broke the stream.
    pub async fn finish(self, record: Vec<u8>) -> Result<Receipt, Error> {
        drop(self.lanes);
        let assembler = self.assembled.await.map_err(|_| Error::Broken)??;
        let md5 = self.md5.await.map_err(|_| Error::Broken)?;
        let (sha512, blake3, size_bytes) = self.others.await.map_err(|_| Error::Broken)?;
        let digests = Digests { md5, sha512, blake3 };
        let store = self.store;
        let (send, receive) = oneshot::channel();
        thread::spawn("manifest", move || {
            let _ = send.send(seal_manifest(&store, assembler, digests, size_bytes, record));
        })?;
        receive.await.map_err(|_| Error::Broken)?
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.assembled).await {
            Ok(Err(error)) => error,
            _ => Error::Broken,
        }
    }
}

/// Starts a thread that takes every piece of the stream; gives its queue and where its result goes.
fn lane<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(mpsc::Receiver<Piece>) -> T + Send + 'static,
) -> Result<(mpsc::Sender<Piece>, oneshot::Receiver<T>), Error> {
    let (send, queue) = mpsc::channel(QUEUE);
    let (report, result) = oneshot::channel();
    thread::spawn(name, move || {
        // Nobody listens when the stream was abandoned.
        let _ = report.send(work(queue));
    })?;
    Ok((send, result))
}

/// MD5 alone is as slow as the other digests together, so it has a thread of its own.
fn digest_md5(mut queue: mpsc::Receiver<Piece>) -> [u8; 16] {
    let mut md5 = Md5::new();
    while let Some(piece) = queue.blocking_recv() {
        md5.update(&piece.0);
    }
    md5.finalize().into()
}

fn digest_sha512(mut queue: mpsc::Receiver<Piece>) -> ([u8; 64], [u8; 32], u64) {
    let (mut sha512, mut root, mut size) = (Sha512::new(), blake3::Hasher::new(), 0);
    while let Some(piece) = queue.blocking_recv() {
        sha512.update(&piece.0);
        root.update(&piece.0);
        size += piece.0.len() as u64;
    }
    (sha512.finalize().into(), root.finalize().into(), size)
}

fn assemble(mut assembler: Assembler, mut queue: mpsc::Receiver<Piece>) -> Result<Assembler, Error> {
    while let Some(piece) = queue.blocking_recv() {
        assembler.push(&piece.0)?;
    }
    assembler.finish()?;
    Ok(assembler)
}

fn seal_manifest(
    store: &Store,
    assembler: Assembler,
    digests: Digests,
    size_bytes: u64,
    record: Vec<u8>,
) -> Result<Receipt, Error> {
    let content = ContentId(store.inner.entropy.id());
    let (cutter, extents, mut held) = assembler.into_parts();
    let manifest = Manifest {
        content: content.0,
        size_bytes,
        md5: digests.md5,
        sha512: halves(&digests),
        blake3: digests.blake3,
        cutter,
        extents,
        record,
    };
    let domain = store.inner.domain;
    let header = manifest_header(store.inner.entropy.id(), domain);
    held.object(header.id);
    let builder = Builder::start(&*store.inner.objects, &header, store.key(domain)?.as_deref())?;
    let written = builder.finish(codec::encode(&manifest))?;
    store.inner.activity.written(written.object_bytes);
    let row = ContentRow { object: header.id, domain, stored: written, size_bytes };
    Ok(Receipt(Arc::new(Durable { content, row, manifest, digests, _held: held })))
}

impl Receipt {
    /// The stream's name.
    pub fn content(&self) -> ContentId {
        self.0.content
    }

    /// Its length.
    pub fn size_bytes(&self) -> u64 {
        self.0.row.size_bytes
    }

    /// Its digests.
    pub fn digests(&self) -> &Digests {
        &self.0.digests
    }
}
