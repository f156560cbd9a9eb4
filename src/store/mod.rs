//! The chunk store: bytes in, bytes out, each block once. Has never heard of an image.
//!
//! Receives a stream ([`Store::ingest`]), keeps it durably, and gives any range of it back,
//! verified ([`Store::reader`]). A stream becomes visible when its [`Receipt`] is published in
//! the caller's transaction, and is let go of by [`Store::release`].
#![doc = include_str!("FORMAT.md")]

mod activity;
mod assemble;
mod compact;
mod compress;
mod copy;
mod cutter;
mod damage;
mod decompress;
mod dedup;
mod digest;
mod enrol;
mod enter;
mod error;
mod events;
mod filling;
mod format;
mod frames;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod index;
mod ingest;
mod inspect;
mod keyring;
mod keys;
#[cfg(test)]
mod keys_tests;
mod layouts;
mod log;
mod manifest;
mod mark;
mod media;
#[cfg(test)]
mod mute;
mod nearby;
mod object;
mod open;
mod pace;
mod pack;
mod parity;
mod pins;
mod read;
mod realm;
mod rebuild;
mod recipe;
mod reclaim;
mod recycle;
mod replace;
mod root;
mod rows;
mod scrub;
mod seal;
mod share;
mod spare;
mod stale_hooks;
mod steps;
mod stored;
mod survey;
mod tend;
mod thread;
mod totals;
mod unlisted;
mod unmarked;
mod vault;
mod verify;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use activity::Activity;
pub use compact::{Plan, PlannedPack, Resealed, RewritePolicy, Rewritten, Unfinished, Wish};
pub use damage::{DamageCounts, DamagedObject, Mended};
pub use dedup::{Compare, Shared};
pub use error::Error;
pub use events::{Event, EventKind, Listener};
pub use ingest::{Checkpoint, Ingest, Receipt};
pub use keyring::{AtOpen, DomainStatus, KeyError, MasterKey, NotAKey, RingStatus};
pub use log::{Description, Lag, Replayed};
pub use manifest::Extent;
pub use mark::{Counted, Marking};
pub use media::{PlaceMedium, PlaceStatus};
pub use nearby::Brought;
pub use open::{Options, VerifyHits};
pub use parity::{ParityTotals, Ratio as ParityRatio};
pub use read::{Reader, Spot};
pub use realm::Scope;
pub use rebuild::{Rebuilt, Tell, derived_tables};
pub use recipe::{Piece, Recast};
pub use reclaim::{Reach, Reclaimed};
pub use rows::FACTS;
pub use scrub::{ScrubStatus, Scrubbed};
pub use steps::{Progress, Watch};
pub use stored::Stored;
pub use tend::Incident;
pub use totals::{PlaceStats, Stats};
pub use vault::{Vault, catalog_objects};
pub use verify::Damage;

use crate::base::{Clock, Entropy};
use crate::db::{Db, Rows, WriteTxn};
use crate::model::{ContentId, DigestChoice, HashAlgorithm};
use crate::objects::{Entrance, Objects, Traffic};
use compress::Compressors;
use format::{FRAME_BYTES, Header, Kind};
use frames::Frames;
use index::Index;
use keyring::Keys;
use manifest::Manifest;
use object::Object;
use pack::{Line, Pack, PackWriter, pack_name};
use pins::{Held, Lease, Pins};
use read::Fetchers;
use realm::Realm;
use rows::{
    CONTENT_PACKS, CONTENTS, ContentRow, GRAVES, HOOKS, PACKS, PackRow, grave_key, hook_key, pack_key,
};
use share::Shares;

/// Footers read for one batch of look-ups at most.
const HOOKED_PACKS_MAX: usize = 16;

/// The store. Cheap to share.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    /// The home alone.
    home: Arc<dyn Objects>,
    /// The home and all places, as one.
    objects: Arc<dyn Objects>,
    media: media::Media,
    keys: Option<Keys>,
    /// Domain of new packs and manifests; 0 is plain.
    domain: u32,
    /// Which key of that domain the catalog's follows from.
    catalog_key_version: u32,
    options: Options,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    index: Index,
    /// Frames read lately.
    frames: Arc<Frames>,
    layouts: layouts::Layouts,
    pins: Pins,
    budget: Arc<Semaphore>,
    budget_units: usize,
    /// Streams at work at once; more wait for the first of these to end.
    places: Arc<Semaphore>,
    /// What streams gather before they look chunks up.
    batches: Shares,
    /// What streams keep of the packs they fill.
    names: Shares,
    /// Frames of all streams that may wait on their way into a pack.
    lines: Arc<Semaphore>,
    compressors: Arc<Compressors>,
    /// Those of packs that are written anew.
    recompressors: Arc<Compressors>,
    /// What all readers together may fetch ahead of their clients.
    read_budget: Arc<Semaphore>,
    /// Threads of the runtime's pool that may block on the medium at once.
    turns: Arc<Semaphore>,
    /// Fetches at work at once.
    fetchers: Fetchers,
    next_pack: AtomicU64,
    reclaiming: std::sync::Mutex<()>,
    rewriting: std::sync::Mutex<()>,
    log: log::Log,
    activity: activity::Counts,
    damage: damage::Damage,
    scrub: scrub::Turns,
    events: events::Events,
    /// The bytes of the store's clear header, once they were read.
    header: std::sync::OnceLock<Vec<u8>>,
    /// Which store it is.
    id: [u8; 16],
    /// The way to the medium, where there is one to be opened.
    entrance: Option<Entrance>,
    entering: std::sync::Mutex<()>,
}

impl Store {
    /// Starts a stream that shares its chunks within `scope`, and is stored where that is.
    ///
    /// # Errors
    /// [`Error::Away`] while the medium, or that of the scope's place, was not recognised, or when no thread can be had for it.
    pub fn ingest(&self, scope: Scope) -> Result<Ingest, Error> {
        // At once: nobody should send what has no place to go to.
        self.expect_entered()?;
        self.expect_place(scope.place())?;
        Ingest::start(self.clone(), Realm::new(self.inner.domain, scope), self.inner.options.digests)
    }

    /// What is computed of new streams beside their BLAKE3.
    pub fn digests(&self) -> DigestChoice {
        self.inner.options.digests
    }

    /// As [`Store::ingest`], with this hash in the place of the one that new streams have.
    ///
    /// # Errors
    /// As [`Store::ingest`].
    pub fn ingest_hashing(&self, scope: Scope, algorithm: HashAlgorithm) -> Result<Ingest, Error> {
        self.expect_entered()?;
        self.expect_place(scope.place())?;
        let digests = DigestChoice { secure: Some(algorithm), ..self.inner.options.digests };
        Ingest::start(self.clone(), Realm::new(self.inner.domain, scope), digests)
    }

    /// Makes a durable stream visible, inside the caller's transaction. Checks again that every
    /// chunk it names is there.
    ///
    /// # Errors
    /// [`Error::Reclaimed`] when one has gone meanwhile, [`Error::Lost`] when it was found damaged,
    /// [`Error::Key`] when its key has gone, or the database's failure.
    pub fn publish(&self, txn: &WriteTxn, receipt: &Receipt) -> Result<(), Error> {
        self.expect_domain(receipt.0.row.domain)?;
        if let Some(pack) = self.lost_under(&receipt.0.manifest.extents) {
            return Err(Error::Lost(pack));
        }
        self.enrol_last(txn, receipt)?;
        let packs = receipt.0.manifest.packs();
        if let Some(pack) = rows::first_lacking(txn, &receipt.0.manifest, &packs)? {
            return Err(Error::Reclaimed(pack));
        }
        rows::put_packs(txn, &receipt.0.content.0, &packs)?;
        totals::add(txn, Stats::of_content(&receipt.0.row))?;
        Ok(txn.put_record(&CONTENTS, &receipt.0.content.0, &receipt.0.row)?)
    }

    /// Lets go of a stream, inside the caller's transaction. Its space is reclaimed later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn release(&self, txn: &WriteTxn, content: &ContentId) -> Result<(), Error> {
        if let Some(row) = txn.record::<ContentRow>(&CONTENTS, &content.0)? {
            match rows::packs_of(txn, &content.0)? {
                Some(packs) => {
                    for pack in &packs {
                        // Those of a revoked domain go before their streams.
                        if txn.get(&PACKS, &pack_key(pack))?.is_some() {
                            unmarked::add(txn, pack, &content.0)?;
                        }
                    }
                }
                // It named packs that are dead in any case.
                None if self.is_revoked(row.domain) => {}
                None => unmarked::lose(txn)?,
            }
            unlisted::forget(txn, &content.0)?;
            txn.remove(&CONTENTS, &content.0)?;
            txn.remove(&CONTENT_PACKS, &content.0)?;
            totals::subtract(txn, Stats::of_content(&row))?;
            txn.put(&GRAVES, &grave_key(Kind::Manifest, &row.object), &[])?;
        }
        Ok(())
    }

    /// Opens a published stream. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Key`] when its key was revoked, or the medium's failure.
    pub fn reader(&self, content: &ContentId) -> Result<Reader, Error> {
        let stored = Stored::Manifest(*content);
        match self.open_reader(content) {
            // What was repaired just now is worth a second try.
            Err(Error::Damaged { .. }) if self.suspect(stored, None, (0, 0)) => self.open_reader(content),
            opened => opened,
        }
    }

    /// The same for work that nobody waits for: the box does not count as busy because of it.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn reader_for_upkeep(&self, content: &ContentId) -> Result<Reader, Error> {
        Ok(self.reader(content)?.for_upkeep())
    }

    fn open_reader(&self, content: &ContentId) -> Result<Reader, Error> {
        loop {
            let row = self.content_row(content)?.ok_or(Error::Missing(*content))?;
            // What is in memory does not outlive its key.
            self.expect_key(row.domain, row.key_version)?;
            let bytes = row.stored.object_bytes;
            let layout = self.inner.layouts.get(&row.object, bytes, || self.manifest(&row));
            let mut held = self.inner.pins.hold();
            let all_held = layout
                .as_ref()
                .is_ok_and(|layout| layout.manifest().packs().iter().all(|pack| held.pack(pack)));
            // Only a stream that was released, or got another manifest, while we looked loses that
            // object, packs, or chunks of them: what is held now is there as long as the row is the same.
            match self.content_row(content)? {
                Some(now) if now.object != row.object => continue,
                Some(_) if all_held || layout.is_err() => {
                    let layout = layout.inspect_err(|error| self.inner.activity.failed_read(error))?;
                    return Ok(Reader::new(self.clone(), layout, held));
                }
                _ => return Err(Error::Missing(*content)),
            }
        }
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(totals::read(&self.inner.db.read()?)?.unwrap_or_default())
    }

    /// What the store did since it was opened.
    pub fn activity(&self) -> Activity {
        self.inner.activity.read()
    }

    /// Why the medium cannot be reached, as far as is known without asking; `None` while it can.
    pub fn trouble(&self) -> Option<String> {
        self.inner.objects.trouble()
    }

    /// What passed between here and the medium, where that is not at hand.
    pub fn traffic(&self) -> Option<Traffic> {
        self.inner.objects.traffic()
    }

    /// Waits for a turn to block on the medium from the runtime's own pool. A medium that is slow
    /// or down would otherwise take all of the pool's threads, and everyone else would wait with it.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.inner.turns.clone().acquire_owned().await.map_err(|_| Error::Broken)
    }

    /// Bytes the medium has left, where that can be told.
    ///
    /// # Errors
    /// When the medium does not answer.
    pub fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(self.inner.objects.free_bytes()?)
    }

    /// The manifest of a stream that had this row a moment ago: it may have another object by now, and
    /// the one before, or its key, be gone.
    fn manifest_now(&self, content: &ContentId, row: &ContentRow) -> Result<Manifest, Error> {
        let mut row = row.clone();
        loop {
            let error = match self.manifest(&row) {
                Err(error) => error,
                manifest => return manifest,
            };
            let now: Option<ContentRow> = self.inner.db.read()?.record(&CONTENTS, &content.0)?;
            match now {
                Some(now) if now.object != row.object => row = now,
                Some(_) => return Err(error),
                None => return Err(Error::Missing(*content)),
            }
        }
    }

    fn manifest(&self, row: &ContentRow) -> Result<Manifest, Error> {
        let header = row.header();
        let object = Object::new(self.inner.objects.clone(), header, self.key_of(&header)?.as_deref());
        let bytes = object.footer_of(&row.stored)?;
        crate::db::codec::decode(&bytes).map_err(|e| Error::damaged(header.key().to_string(), e))
    }

    /// A pack's footer, from memory or from its object.
    fn pack(&self, number: u64) -> Result<Arc<Pack>, Error> {
        loop {
            if let Some(pack) = self.inner.index.pack(number) {
                return Ok(pack);
            }
            let row = self
                .pack_row(number)?
                .ok_or_else(|| Error::damaged(pack_name(number), "the catalog has no row for it"))?;
            let lease = self.inner.pins.lease(row.object);
            // An object that is still named now is not deleted while it is leased.
            if !self.lies_in(number, &row.object)? {
                continue;
            }
            let pack = match self.open_pack(number, &row, lease) {
                // Sealed with another key by now.
                Err(Error::Key(_)) if !self.lies_in(number, &row.object)? => continue,
                pack => Arc::new(pack?),
            };
            self.remember(row.realm(), pack.clone());
            // Nor may memory keep what was replaced while it was read.
            if self.lies_in(number, &row.object)? {
                return Ok(pack);
            }
            self.inner.index.remove(number);
        }
    }

    /// Keeps a pack's footer in the index; frames make room for it.
    fn remember(&self, realm: Realm, pack: Arc<Pack>) {
        self.inner.index.insert(realm, pack);
        self.inner.frames.beside_index(|| self.inner.index.bytes());
    }

    /// Reads the footer of a pack from the object its row names, past the index.
    fn open_pack(&self, number: u64, row: &PackRow, lease: Lease) -> Result<Pack, Error> {
        let header = row.header(number);
        let key = self.key_of(&header)?;
        Pack::open(self.inner.objects.clone(), header, &row.stored, key.as_deref(), lease)
    }

    /// Whether a pack still lies in this object.
    fn lies_in(&self, number: u64, object: &[u8; 16]) -> Result<bool, Error> {
        Ok(self.pack_row(number)?.is_some_and(|row| row.object == *object))
    }

    /// Brings the footers of packs into memory that have one of these names.
    fn load_hooked(&self, realm: Realm, names: &HashSet<[u8; 32]>) -> Result<(), Error> {
        let read = self.inner.db.read()?;
        let mut loaded = 0;
        for name in names {
            let Some(value) = read.get(&HOOKS, &hook_key(realm.domain, &self.public_name(realm, name)?))?
            else {
                continue;
            };
            let Ok(number) = value.try_into().map(u64::from_be_bytes) else { continue };
            if self.inner.index.pack(number).is_some() || loaded == HOOKED_PACKS_MAX {
                continue;
            }
            // A hook may outlive its pack, and a damaged pack is a miss: its data is stored again.
            if let Err(error) = self.pack(number) {
                tracing::debug!(number, %error, "a hook leads nowhere");
            }
            loaded += 1;
        }
        Ok(())
    }

    /// The name under which a chunk stands outside sealed objects.
    fn public_name(&self, realm: Realm, name: &[u8; 32]) -> Result<[u8; 32], Error> {
        let scoped = realm.scoped(name);
        Ok(self.newest_key(realm.domain)?.1.map_or(scoped, |key| key.name(&scoped)))
    }

    /// The keys of hooks, sorted.
    fn hook_keys<'n>(
        &self,
        realm: Realm,
        hooks: impl IntoIterator<Item = &'n [u8; 32]>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let key = |name| Ok(hook_key(realm.domain, &self.public_name(realm, name)?));
        let mut keys = hooks.into_iter().map(key).collect::<Result<Vec<_>, Error>>()?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn start_pack(&self, realm: Realm, held: &mut Held) -> Result<PackWriter, Error> {
        let number = self.inner.next_pack.fetch_add(1, Ordering::Relaxed);
        held.pack(number);
        let id = format::fresh_id(&*self.inner.entropy, realm.place);
        let header = Header::plain(Kind::Pack, id, number);
        let (header, key) = self.sealing(held, header, realm.domain)?;
        let line = Line::new(self.inner.compressors.clone(), Some(self.inner.lines.clone()));
        PackWriter::start(&*self.inner.objects, header, realm.scope, key.as_deref(), FRAME_BYTES, line)
    }
}

// What tests of this module look at.
#[cfg(test)]
use index::hooks;

#[cfg(test)]
mod distrust_tests;
#[cfg(test)]
mod enrol_tests;
#[cfg(test)]
mod enter_tests;
#[cfg(test)]
mod fairness_tests;
#[cfg(test)]
mod flips_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod inspect_tests;
#[cfg(test)]
mod nonce_tests;
#[cfg(test)]
mod packing_tests;
#[cfg(test)]
mod rebuild_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
