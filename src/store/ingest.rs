//! A stream on its way in: digests beside cut → hash → look-up → frame → pack → durable.
//!
//! Two threads a stream work behind bounded queues, and one budget bounds what all streams hold
//! in memory; both push back to the socket. Invariant: a row is committed only after its object is
//! durable, and nothing of the stream is visible before its receipt is published.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha512};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Store;
use super::assemble::Assembler;
use super::error::Error;
use super::manifest::{Manifest, halves};
use super::object::Builder;
use super::pins::Held;
use super::realm::Realm;
use super::rows::{ContentRow, manifest_header};
use crate::db::codec;
use crate::model::{ContentId, Digests};

/// Pieces a stream may have waiting before each of its two threads.
const QUEUE: usize = 8;
/// The budget counts in units of this many bytes.
pub const BUDGET_UNIT: usize = 4096;

type Piece = Arc<(Bytes, OwnedSemaphorePermit)>;

/// A stream on its way in. Dropping it abandons the stream; what it stored is reclaimed later.
pub struct Ingest {
    store: Store,
    digests: mpsc::Sender<Piece>,
    chunks: mpsc::Sender<Piece>,
    digested: oneshot::Receiver<(Digests, u64)>,
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
        let (digests, digest_queue) = mpsc::channel(QUEUE);
        let (chunks, chunk_queue) = mpsc::channel(QUEUE);
        let (digested_send, digested) = oneshot::channel();
        let (assembled_send, assembled) = oneshot::channel();
        spawn("digests", move || {
            // Nobody listens when the stream was abandoned.
            let _ = digested_send.send(digest(digest_queue));
        })?;
        let assembler = Assembler::new(store.clone(), realm);
        spawn("chunks", move || {
            let _ = assembled_send.send(assemble(assembler, chunk_queue));
        })?;
        Ok(Ingest { store, digests, chunks, digested, assembled })
    }

    /// Takes the next bytes; waits while the store is busy (back-pressure).
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let units = bytes.len().div_ceil(BUDGET_UNIT).clamp(1, self.store.inner.budget_units) as u32;
        let budget = self.store.inner.budget.clone();
        let permit = budget.acquire_many_owned(units).await.map_err(|_| Error::Broken)?;
        let piece = Arc::new((bytes, permit));
        let sent = self.digests.send(piece.clone()).await.is_ok() && self.chunks.send(piece).await.is_ok();
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    /// Ends the stream: everything durable, nothing visible yet. `record` is kept beside the
    /// content, so that the store can be read without the catalog.
    ///
    /// # Errors
    /// Whatever broke the stream.
    pub async fn finish(self, record: Vec<u8>) -> Result<Receipt, Error> {
        drop((self.digests, self.chunks));
        let assembler = self.assembled.await.map_err(|_| Error::Broken)??;
        let (digests, size_bytes) = self.digested.await.map_err(|_| Error::Broken)?;
        let store = self.store;
        let (send, receive) = oneshot::channel();
        spawn("manifest", move || {
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

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map(|_| ())
        .map_err(|e| Error::Unavailable(format!("no thread for an upload: {e}")))
}

fn digest(mut queue: mpsc::Receiver<Piece>) -> (Digests, u64) {
    let (mut md5, mut sha512, mut root, mut size) = (Md5::new(), Sha512::new(), blake3::Hasher::new(), 0);
    while let Some(piece) = queue.blocking_recv() {
        md5.update(&piece.0);
        sha512.update(&piece.0);
        root.update(&piece.0);
        size += piece.0.len() as u64;
    }
    let digests = Digests {
        md5: md5.finalize().into(),
        sha512: sha512.finalize().into(),
        blake3: root.finalize().into(),
    };
    (digests, size)
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
    let builder = Builder::start(&*store.inner.objects, &header, store.key(domain)?)?;
    let written = builder.finish(codec::encode(&manifest))?;
    let row = ContentRow {
        object: header.id,
        domain,
        object_bytes: written.object_bytes,
        footer_offset: written.footer.offset,
        footer_bytes: written.footer.bytes,
        footer_counter: written.footer.counter,
        size_bytes,
    };
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

/// Ordinals of the chunks already in the pack being filled.
pub(super) type OpenNames = HashMap<[u8; 32], u32>;
