//! A stream on its way in: digests beside cut → hash → look-up → frame → pack → durable.
//!
//! Three threads a stream work behind bounded queues ([`lanes`]), and one budget bounds what all
//! streams hold in memory; both push back to the socket. A stream can be put down and taken up again
//! ([`progress`]). Invariant: a row is committed only after its object is durable, and nothing of the
//! stream is visible before its receipt is published.

mod lanes;
mod progress;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::assemble::Assembler;
use super::cutter::CutterParams;
use super::digest::Md5Blocks;
use super::error::Error;
use super::manifest::{Extent, Manifest, halves};
use super::object::Builder;
use super::pins::Held;
use super::realm::Realm;
use super::rows::{ContentRow, manifest_header};
use super::{Store, thread};
use crate::db::codec;
use crate::model::{ContentId, Digests};
use lanes::{Lanes, Others};
pub use progress::Checkpoint;
#[cfg(test)]
pub use progress::Progress;

/// The budget counts in units of this many bytes.
pub const BUDGET_UNIT: usize = 4096;

/// A stream on its way in. Dropping it abandons the stream; what it stored is reclaimed later.
pub struct Ingest {
    store: Store,
    /// Key domain of the stream.
    domain: u32,
    /// Its place among the streams at work, once there are bytes of it.
    place: Option<OwnedSemaphorePermit>,
    lanes: Lanes,
}

/// A stream that is durable but not yet visible. Holding it keeps its packs from being reclaimed.
#[derive(Clone)]
pub struct Receipt(pub(super) Arc<Durable>);

pub(super) struct Durable {
    pub(super) content: ContentId,
    pub(super) row: ContentRow,
    pub(super) manifest: Manifest,
    pub(super) digests: Digests,
    pub(super) _held: Held,
}

impl Ingest {
    pub(super) fn start(store: Store, realm: Realm) -> Result<Ingest, Error> {
        let assembler = Assembler::new(store.clone(), realm);
        let lanes = Lanes::start(Md5Blocks::default(), Others::default(), assembler)?;
        Ok(Ingest { store, domain: realm.domain, place: None, lanes })
    }

    /// Takes the next bytes; waits while the store is busy (back-pressure), and before the first of them
    /// until there is a place for the stream. Places are given in the order they are asked for.
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.place.is_none() {
            let places = self.store.inner.places.clone();
            self.place = Some(places.acquire_owned().await.map_err(|_| Error::Broken)?);
        }
        let units = bytes.len().div_ceil(BUDGET_UNIT).clamp(1, self.store.inner.budget_units) as u32;
        let budget = self.store.inner.budget.clone();
        let permit = budget.acquire_many_owned(units).await.map_err(|_| Error::Broken)?;
        self.store.inner.activity.received(bytes.len() as u64);
        self.lanes.send(Arc::new((bytes, permit))).await
    }

    /// Ends the stream: everything durable, nothing visible yet. `record` is kept beside the
    /// content, so that the store can be read without the catalog.
    ///
    /// # Errors
    /// Whatever broke the stream.
    pub async fn finish(self, record: Vec<u8>) -> Result<Receipt, Error> {
        let (digests, assembler) = self.lanes.finish().await?;
        let (cutter, extents, held) = assembler.into_parts();
        seal(self.store, Body { domain: self.domain, cutter, extents, held, digests, record }).await
    }
}

/// What a manifest says of a stream, and what keeps its packs alive.
struct Body {
    domain: u32,
    cutter: CutterParams,
    extents: Vec<Extent>,
    held: Held,
    digests: Digests,
    record: Vec<u8>,
}

/// Writes the manifest, on a thread of its own as it waits for the medium.
async fn seal(store: Store, body: Body) -> Result<Receipt, Error> {
    let (send, receive) = oneshot::channel();
    thread::spawn("manifest", move || {
        let _ = send.send(seal_manifest(&store, body));
    })?;
    receive.await.map_err(|_| Error::Broken)?
}

fn seal_manifest(store: &Store, body: Body) -> Result<Receipt, Error> {
    let content = ContentId(store.inner.entropy.id());
    let Body { domain, cutter, extents, mut held, digests, record } = body;
    let size_bytes = extents.iter().map(Extent::bytes).sum();
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
