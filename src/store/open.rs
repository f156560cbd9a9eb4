//! Opening a store with the catalog it belongs to.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Semaphore;

use super::activity::Counts;
use super::compact::RewritePolicy;
use super::compress::Compressors;
use super::damage::Damage;
use super::error::Error;
use super::events::Events;
use super::format::FRAME_BYTES_MAX;
use super::frames::Frames;
use super::index::Index;
use super::ingest::BUDGET_UNIT;
use super::keyring::{MasterKey, STORE_DOMAIN};
use super::layouts::Layouts;
use super::log::Log;
use super::media::Media;
use super::parity::Ratio;
use super::pins::Pins;
use super::read::{self, Fetchers};
use super::rows;
use super::scrub::Turns;
use super::share::Shares;
use super::totals;
use super::vault::{Vault, refuse_data};
use super::{Inner, Store};
use crate::base::limits::MANIFEST_EXTENTS_MAX;
use crate::base::{Clock, Entropy};
use crate::db::Db;
use crate::model::DigestChoice;
use crate::objects::Objects;

/// Memory for each stream that may be at work, in bytes: its batch, its open frame, the names of its
/// packs' chunks, and its threads.
const STREAM_BYTES: usize = 1 << 20;
/// Streams that may be at work however little memory there is.
const PLACES_MIN: usize = 8;
/// Threads of the runtime's pool that may block on the medium at once, of the 512 it has.
const TURNS: usize = 64;

/// Settings of the store.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory of all transfers, footers and frames together, in bytes.
    pub memory_bytes: usize,
    /// zstd level of new data.
    pub zstd_level: i32,
    /// Stored size at which a pack is closed, in bytes.
    pub pack_bytes: u64,
    /// Space that new image data leaves free on the medium, in bytes.
    pub reserve_bytes: u64,
    /// What is computed of new streams beside BLAKE3.
    pub digests: DigestChoice,
    /// Whether known data is read back before it counts as stored.
    pub verify_hits: VerifyHits,
    /// Extents of one manifest beyond which an upload is refused; past a quarter of them it stops
    /// deduplicating.
    pub extents_max: usize,
    /// Length of all log objects since the last snapshot that calls for the next one, unless the
    /// last one is longer, in bytes.
    pub snapshot_log_bytes: u64,
    /// When packs are written anew, and how fast.
    pub rewrite: RewritePolicy,
    /// How much parity scrubs give to packs; `None` for none.
    pub parity: Option<Ratio>,
}

/// Which of the chunks that are known already are read back before an upload relies on them. One
/// that is damaged is then stored again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyHits {
    /// None: damage is found by checks and by reading.
    #[default]
    Off,
    /// One in 64.
    Sample,
    /// All, which makes an upload read what it need not write.
    Always,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_bytes: 128 << 20,
            zstd_level: 1,
            pack_bytes: 64 << 20,
            reserve_bytes: 64 << 20,
            digests: DigestChoice::default(),
            verify_hits: VerifyHits::Off,
            extents_max: MANIFEST_EXTENTS_MAX,
            snapshot_log_bytes: 16 << 20,
            rewrite: RewritePolicy::default(),
            parity: None,
        }
    }
}

impl Store {
    /// Opens the store on `objects`, making it when there is none; `master` seals a new one and
    /// opens a sealed one. For catalogs that are open already; see [`Store::open_in`].
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::NewerFormat`], [`Error::Foreign`], or the medium's failure.
    pub fn open(
        db: Db,
        objects: Arc<dyn Objects>,
        master: Option<&MasterKey>,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let vault = match Vault::open(objects.clone(), master)? {
            Some(vault) => vault,
            None => {
                Store::refuse_lost(&db)?;
                Vault::create(objects, master, &*clock, &*entropy)?
            }
        };
        Store::open_in(db, vault, options, clock, entropy)
    }

    /// Refuses to make a store for a catalog that belongs to one.
    ///
    /// # Errors
    /// [`Error::Foreign`], or the database's failure.
    pub fn refuse_lost(db: &Db) -> Result<(), Error> {
        match Store::known_id(db)? {
            Some(_) => Err(Error::lost()),
            None => Ok(()),
        }
    }

    /// Which store a catalog belongs to; `None` of one that was not bound to any yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn known_id(db: &Db) -> Result<Option<[u8; 16]>, Error> {
        let known = rows::store_id(&db.read()?)?;
        let id = |bytes: Vec<u8>| {
            bytes
                .try_into()
                .map_err(|_| Error::damaged("the store's id in the catalog", "it is not 16 bytes"))
        };
        known.map(id).transpose()
    }

    /// Opens the store of a vault with its catalog, which it binds to itself when it is new. Behind an
    /// entrance the store may open though its medium does not answer: see [`Store::enter`].
    ///
    /// # Errors
    /// [`Error::Foreign`] when the two do not belong together, or the medium's or the database's
    /// failure.
    pub fn open_in(
        db: Db,
        vault: Vault,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let id = vault.id;
        match Store::known_id(&db)? {
            Some(known) if known != id => {
                return Err(Error::another(&id));
            }
            Some(_) => {}
            None => {
                refuse_data(&**vault.ground())?;
                db.write(move |txn| rows::set_store_id(txn, &id))?;
            }
        }
        if totals::read(&db.read()?)?.is_none() {
            db.write(totals::recount)?;
        }
        let media = Media::settle(&db, vault.places.clone())?;
        let store = Store::assemble(db, vault, media, options, clock, entropy)?;
        store.enter_first()?;
        store.enter_places_first()?;
        Ok(store)
    }

    /// Opens the store of a catalog that was lost: `db` is empty, and is to be filled from the store
    /// ([`Store::rebuild`]). Changes nothing on the medium.
    ///
    /// # Errors
    /// [`Error::Absent`] when there is no store; else as [`Store::open`].
    pub fn open_lost(
        db: Db,
        objects: Arc<dyn Objects>,
        master: Option<&MasterKey>,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let vault = Vault::open(objects, master)?.ok_or(Error::Absent)?;
        Store::open_lost_in(db, vault, options, clock, entropy)
    }

    /// As [`Store::open_lost`], of a vault that was opened to find the key of the new catalog.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_lost_in(
        db: Db,
        vault: Vault,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let media = Media::look(&vault.id, vault.places.clone())?;
        Store::assemble(db, vault, media, options, clock, entropy)
    }

    fn assemble(
        db: Db,
        vault: Vault,
        media: Media,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let Vault { id, objects, keys, header, entrance, .. } = vault;
        let newest = keys.as_ref().map(|keys| keys.newest(STORE_DOMAIN)).transpose()?;
        let catalog_key_version = newest.map_or(0, |newest| newest.version);
        let fetchers = read::fetches_at_once(objects.traffic().is_some(), options.memory_bytes);
        let next_pack = AtomicU64::new(rows::next_pack(&db.read()?)?);
        let log = Log::new(clock.now());
        let (damage, scrub) = (Damage::load(&db)?, Turns::load(&db)?);
        let memory = options.memory_bytes;
        let budget_units = (memory / 4 / BUDGET_UNIT).max(1);
        let places = (memory / STREAM_BYTES).max(PLACES_MIN);
        Ok(Store {
            inner: Arc::new(Inner {
                db,
                objects: media.around(objects.clone()),
                home: objects,
                media,
                domain: if keys.is_some() { STORE_DOMAIN } else { 0 },
                // Whoever opens a store has put the catalog under the newest key first.
                catalog_key_version,
                keys,
                options,
                clock,
                entropy,
                index: Index::new(memory / 4),
                frames: Arc::new(Frames::new(memory)),
                layouts: Layouts::new((memory / 16) as u64, (memory / 4 * 3) as u64),
                pins: Pins::default(),
                budget: Arc::new(Semaphore::new(budget_units)),
                budget_units,
                places: Arc::new(Semaphore::new(places)),
                batches: Shares::new(memory * 3 / 16, places),
                names: Shares::new(memory / 8, places),
                lines: Arc::new(Semaphore::new(memory / 16 / FRAME_BYTES_MAX)),
                compressors: Arc::new(Compressors::new(options.zstd_level)),
                recompressors: Arc::new(Compressors::new(options.rewrite.level.into())),
                read_budget: Arc::new(Semaphore::new(memory / 16 / BUDGET_UNIT)),
                turns: Arc::new(Semaphore::new(TURNS)),
                fetchers: Fetchers::new(fetchers),
                next_pack,
                reclaiming: Mutex::new(()),
                rewriting: Mutex::new(()),
                activity: Counts::default(),
                damage,
                scrub,
                log,
                events: Events::default(),
                header: header.map(OnceLock::from).unwrap_or_default(),
                id,
                entrance,
                entering: Mutex::new(()),
            }),
        })
    }

    /// Whether new data is sealed.
    pub fn is_sealed(&self) -> bool {
        self.inner.domain != 0
    }
}
