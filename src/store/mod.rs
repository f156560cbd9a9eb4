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
mod cutter;
mod damage;
mod decompress;
mod digest;
mod error;
mod filling;
mod format;
mod index;
mod ingest;
mod keyring;
mod keys;
mod log;
mod manifest;
mod mark;
mod object;
mod open;
mod pack;
mod parity;
mod pins;
mod read;
mod realm;
mod rebuild;
mod reclaim;
mod recycle;
mod root;
mod rows;
mod scrub;
mod seal;
mod share;
mod stored;
mod survey;
mod thread;
mod totals;
mod unmarked;
mod vault;
mod verify;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use activity::Activity;
pub use compact::{Plan, PlannedPack, Progress, RewritePolicy, Rewritten, Watch, Wish};
pub use damage::{DamageCounts, DamagedObject, Mended};
pub use error::Error;
pub use ingest::{Checkpoint, Ingest, Receipt};
pub use keyring::{AtOpen, DomainStatus, KeyError, MasterKey, NotAKey, RingStatus};
pub use log::{Description, Lag, Replayed};
pub use manifest::Extent;
pub use mark::{Counted, Marking};
pub use open::{Options, VerifyHits};
pub use parity::{ParityTotals, Ratio as ParityRatio};
pub use read::Reader;
pub use realm::Scope;
pub use rebuild::{Rebuilt, Tell, derived_tables};
pub use reclaim::{Reach, Reclaimed};
pub use rows::FACTS;
pub use scrub::{ScrubStatus, Scrubbed};
pub use stored::Stored;
pub use totals::Stats;
pub use vault::{Vault, catalog_objects};
pub use verify::Damage;

use crate::base::{Clock, Entropy};
use crate::db::{Db, Rows, WriteTxn};
use crate::model::ContentId;
use crate::objects::{Objects, Traffic};
use compress::Compressors;
use format::{FRAME_BYTES, Header, Kind};
use index::{Index, hooks};
use keyring::Keys;
use manifest::Manifest;
use object::Object;
use pack::{FinishedPack, OpenFrame, Pack, PackWriter, pack_name};
use pins::{Held, Pins};
use read::Layout;
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
    objects: Arc<dyn Objects>,
    keys: Option<Keys>,
    /// Domain of new packs and manifests; 0 is plain.
    domain: u32,
    options: Options,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    index: Index,
    /// Frames read lately, by pack, generation and place.
    frames: quick_cache::sync::Cache<FrameKey, OpenFrame, FrameWeight>,
    /// Layouts of the streams read lately, by their manifest's object.
    layouts: quick_cache::sync::Cache<[u8; 16], Arc<Layout>, LayoutWeight>,
    pins: Pins,
    budget: Arc<Semaphore>,
    budget_units: usize,
    /// Streams at work at once; more wait for the first of these to end.
    places: Arc<Semaphore>,
    /// What streams gather before they look chunks up.
    batches: Shares,
    /// What streams keep of the packs they fill.
    names: Shares,
    compressors: Arc<Compressors>,
    /// Those of packs that are written anew.
    recompressors: Arc<Compressors>,
    /// What all readers together may fetch ahead of their clients.
    read_budget: Arc<Semaphore>,
    /// Threads of the runtime's pool that may block on the medium at once.
    turns: Arc<Semaphore>,
    /// Fetches at work at once.
    fetchers: Arc<Semaphore>,
    next_pack: AtomicU64,
    reclaiming: std::sync::Mutex<()>,
    rewriting: std::sync::Mutex<()>,
    log: log::Log,
    activity: activity::Counts,
    damage: damage::Damage,
    scrub: scrub::Turns,
}

type FrameKey = (u64, u32, usize);

#[derive(Clone)]
struct FrameWeight;

impl quick_cache::Weighter<FrameKey, OpenFrame> for FrameWeight {
    fn weight(&self, _: &FrameKey, frame: &OpenFrame) -> u64 {
        frame.weight() as u64
    }
}

#[derive(Clone)]
struct LayoutWeight;

impl quick_cache::Weighter<[u8; 16], Arc<Layout>> for LayoutWeight {
    fn weight(&self, _: &[u8; 16], layout: &Arc<Layout>) -> u64 {
        layout.weight()
    }
}

impl Store {
    /// Starts a stream that shares its chunks within `scope`.
    ///
    /// # Errors
    /// When no thread can be had for it.
    pub fn ingest(&self, scope: Scope) -> Result<Ingest, Error> {
        Ingest::start(self.clone(), Realm::new(self.inner.domain, scope))
    }

    /// Makes a durable stream visible, inside the caller's transaction. Checks again that every
    /// chunk it names is there.
    ///
    /// # Errors
    /// [`Error::Reclaimed`] when one has gone meanwhile, [`Error::Lost`] when it was found damaged,
    /// [`Error::Key`] when its key has gone, or the database's failure.
    pub fn publish(&self, txn: &WriteTxn, receipt: &Receipt) -> Result<(), Error> {
        self.key(receipt.0.row.domain)?;
        if let Some(pack) = self.lost_under(&receipt.0.manifest.extents) {
            return Err(Error::Lost(pack));
        }
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
                Some(packs) => packs.iter().try_for_each(|pack| unmarked::add(txn, pack, &content.0))?,
                None => unmarked::lose(txn)?,
            }
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

    fn open_reader(&self, content: &ContentId) -> Result<Reader, Error> {
        let row: ContentRow =
            self.inner.db.read()?.record(&CONTENTS, &content.0)?.ok_or(Error::Missing(*content))?;
        // What is in memory does not outlive its key.
        self.key(row.domain)?;
        let layouts = &self.inner.layouts;
        let layout = layouts
            .get_or_insert_with(&row.object, || self.manifest(&row).map(Layout::new).map(Arc::new))
            .inspect_err(|error| self.inner.activity.failed_read(error))?;
        let mut held = self.inner.pins.hold();
        let all_held = layout.manifest().packs().iter().all(|pack| held.pack(pack));
        // Only a stream that was released while we looked loses packs, or chunks of them.
        if !all_held || self.inner.db.read()?.get(&CONTENTS, &content.0)?.is_none() {
            return Err(Error::Missing(*content));
        }
        Ok(Reader::new(self.clone(), layout, held))
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

    fn manifest(&self, row: &ContentRow) -> Result<Manifest, Error> {
        let header = row.header();
        let object = Object::new(self.inner.objects.clone(), header, self.key(row.domain)?.as_deref());
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
            let (objects, key) = (self.inner.objects.clone(), self.key(row.domain)?);
            let pack = Arc::new(Pack::open(objects, row.header(number), &row.stored, key.as_deref(), lease)?);
            self.inner.index.insert(row.realm(), pack.clone());
            // Nor may memory keep what was replaced while it was read.
            if self.lies_in(number, &row.object)? {
                return Ok(pack);
            }
            self.inner.index.remove(number);
        }
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
        Ok(self.key(realm.domain)?.map_or(scoped, |key| key.name(&scoped)))
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
        let header = Header {
            kind: Kind::Pack,
            sealed: realm.domain != 0,
            domain: realm.domain,
            id: self.inner.entropy.id(),
            number: self.inner.next_pack.fetch_add(1, Ordering::Relaxed),
            generation: 0,
        };
        held.object(header.id);
        held.pack(header.number);
        let key = self.key(realm.domain)?;
        let compressors = self.inner.compressors.clone();
        PackWriter::start(&*self.inner.objects, header, realm.scope, key.as_deref(), FRAME_BYTES, compressors)
    }

    /// Gives a durable pack its row and hooks, in one commit.
    fn commit_pack(&self, finished: FinishedPack) -> Result<(), Error> {
        let FinishedPack { header, written, footer, raw_bytes } = finished;
        self.inner.activity.written(written.object_bytes);
        let row = PackRow {
            object: header.id,
            generation: header.generation,
            domain: header.domain,
            scope: footer.scope,
            stored: written,
            chunks: footer.names.len() as u32,
            raw_bytes,
            created_at: self.inner.clock.now().0,
            level: self.inner.options.zstd_level.clamp(0, u8::MAX.into()) as u8,
        };
        let lease = self.inner.pins.lease(header.id);
        let realm = row.realm();
        let keys = self.hook_keys(realm, &hooks(footer.names.iter()))?;
        let found_again = self.found_again(realm, header.number, &footer.names)?;
        self.inner.db.write(move |txn| {
            rows::raise_next_pack(txn, header.number)?;
            txn.put_record(&PACKS, &pack_key(header.number), &row)?;
            totals::add(txn, Stats::of_pack(&row))?;
            // Until a stream that names it is seen.
            unmarked::add(txn, header.number, &row.object)?;
            for key in &keys {
                txn.put(&HOOKS, key, &pack_key(header.number))?;
            }
            damage::sources::note(txn, &found_again)?;
            Ok::<_, Error>(())
        })?;
        let key = self.key(header.domain)?;
        let object = Object::new(self.inner.objects.clone(), header, key.as_deref());
        self.inner.index.insert(realm, Arc::new(Pack::new(header.number, footer, object, lease)?));
        Ok(())
    }
}

#[cfg(test)]
mod distrust_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod nonce_tests;
#[cfg(test)]
mod rebuild_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
