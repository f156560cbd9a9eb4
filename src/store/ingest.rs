//! A stream on its way in: digests beside cut → hash → look-up → frame → pack → durable.
//!
//! Up to four threads a stream work behind bounded queues ([`lanes`]), helped by others where cores are
//! idle ([`super::spare`]), and one budget bounds what all streams hold in memory; both push back to the
//! socket. A stream can be put down and taken up again
//! ([`progress`]). Invariant: a row is committed only after its object is durable, and nothing of the
//! stream is visible before its receipt is published.

mod digesting;
mod lanes;
mod progress;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::assemble::{Assembled, Assembler};
use super::cutter::CutterParams;
use super::enrol::NewPack;
use super::error::Error;
use super::format::fresh_id;
use super::frames::Incoming;
use super::manifest::{Extent, Manifest};
use super::object::Builder;
use super::pins::Held;
use super::realm::Realm;
use super::recipe::Recipe;
use super::rows::{ContentRow, manifest_header};
use super::{Store, thread};
use crate::model::{ContentId, DigestChoice, Digests, StorePlace};
use digesting::Digesting;
use lanes::Lanes;
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
    place: Option<Place>,
    lanes: Lanes,
}

/// A place among the streams at work.
struct Place {
    incoming: Incoming,
    _permit: OwnedSemaphorePermit,
}

/// A stream that is durable but not yet visible. Holding it keeps its packs from being reclaimed.
#[derive(Clone)]
pub struct Receipt(pub(super) Arc<Durable>);

pub(super) struct Durable {
    pub(super) content: ContentId,
    pub(super) row: ContentRow,
    pub(super) manifest: Manifest,
    /// A pack that gets its row with the stream.
    pub(super) last_pack: Option<NewPack>,
    pub(super) digests: Digests,
    pub(super) _held: Held,
}

impl Ingest {
    pub(super) fn start(store: Store, realm: Realm, digests: DigestChoice) -> Result<Ingest, Error> {
        let assembler = Assembler::new(store.clone(), realm);
        let lanes = Lanes::start(Digesting::new(digests), assembler)?;
        Ok(Ingest { store, domain: realm.domain, place: None, lanes })
    }

    /// Takes the next bytes; waits while the store is busy (back-pressure), and before the first of them
    /// until there is a place for the stream. Places are given in the order they are asked for.
    ///
    /// # Errors
    /// Whatever broke the stream; it is abandoned then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let place = match &mut self.place {
            Some(place) => place,
            none => none.insert(self.store.place().await?),
        };
        place.incoming.brought(bytes.len() as u64);
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
        let (digesting, assembled) = self.lanes.finish().await?;
        let last_pack = assembled.last_pack.map(|pack| self.store.describe(pack)).transpose()?;
        let Assembled { cutter, extents, held, .. } = assembled;
        let (domain, digests) = (self.domain, digesting.finalize());
        seal(self.store, Body { domain, cutter, extents, held, last_pack, digests, record, recipe: None })
            .await
    }
}

impl Store {
    /// Waits for a place among the streams at work.
    async fn place(&self) -> Result<Place, Error> {
        let permit = self.inner.places.clone().acquire_owned().await.map_err(|_| Error::Broken)?;
        Ok(Place { incoming: self.inner.frames.incoming(), _permit: permit })
    }
}

/// What a manifest says of a stream, and what keeps its packs alive.
pub(super) struct Body {
    pub(super) domain: u32,
    pub(super) cutter: CutterParams,
    pub(super) extents: Vec<Extent>,
    pub(super) held: Held,
    pub(super) last_pack: Option<NewPack>,
    pub(super) digests: Digests,
    pub(super) record: Vec<u8>,
    /// How the stream is made of what the extents name, where it is not just that.
    pub(super) recipe: Option<Recipe>,
}

/// Writes the manifest, on a thread of its own as it waits for the medium.
async fn seal(store: Store, body: Body) -> Result<Receipt, Error> {
    let (send, receive) = oneshot::channel();
    thread::spawn("manifest", move || {
        let _ = send.send(seal_manifest(&store, body));
    })?;
    receive.await.map_err(|_| Error::Broken)?
}

/// Writes the manifest. Blocks on the medium.
pub(super) fn seal_manifest(store: &Store, body: Body) -> Result<Receipt, Error> {
    let content = ContentId(store.inner.entropy.id());
    let Body { domain, cutter, extents, mut held, last_pack, digests, record, recipe } = body;
    let stored_bytes = extents.iter().map(Extent::bytes).sum();
    let size_bytes = recipe.as_ref().map_or(stored_bytes, Recipe::size_bytes);
    let digests_form = (&digests).into();
    let manifest =
        Manifest { content: content.0, size_bytes, digests: digests_form, cutter, extents, record, recipe };
    let (header, key) = store.sealing(
        &mut held,
        manifest_header(fresh_id(&*store.inner.entropy, StorePlace::HOME)),
        domain,
    )?;
    let builder = Builder::start(&*store.inner.objects, &header, key.as_deref())?;
    let written = builder.finish(manifest.to_bytes())?;
    store.inner.activity.written(written.object_bytes);
    let key_version = header.key_version;
    let row = ContentRow { object: header.id, domain, stored: written, size_bytes, key_version };
    Ok(Receipt(Arc::new(Durable { content, row, manifest, last_pack, digests, _held: held })))
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
