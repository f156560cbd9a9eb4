//! Opening a store: its header, its keys, and the catalog it belongs to.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::activity::Counts;
use super::compact::RewritePolicy;
use super::compress::Compressors;
use super::error::Error;
use super::format::{FORMAT_VERSION, Kind, key};
use super::index::Index;
use super::ingest::BUDGET_UNIT;
use super::keyring::{KeyError, Keyring, MasterKey};
use super::log::Log;
use super::pins::Pins;
use super::rows;
use super::share::Shares;
use super::totals;
use super::{FrameWeight, Inner, LayoutWeight, Store};
use crate::base::limits::MANIFEST_EXTENTS_MAX;
use crate::base::{Clock, Entropy};
use crate::db::Db;
use crate::objects::{self, Objects};

/// Layouts that are expected in memory at once; their bytes are bounded apart from that.
const LAYOUTS: usize = 64;
/// The domain of a sealed store's data.
const SEALED_DOMAIN: u32 = 1;

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
            verify_hits: VerifyHits::Off,
            extents_max: MANIFEST_EXTENTS_MAX,
            snapshot_log_bytes: 16 << 20,
            rewrite: RewritePolicy::default(),
        }
    }
}

/// The clear object that says what the directory or bucket is. JSON, so that a person can read it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreHeader {
    tintype_store: u32,
    id: String,
    sealed: bool,
    created: String,
}

impl Store {
    /// Opens the store on `objects`, making it when there is none; `master` seals a new one and
    /// opens a sealed one.
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
        let known = rows::store_id(&db.read()?)?;
        let (id, sealed, fresh) = match read_header(&*objects)? {
            Some(header) => (parse_id(&header)?, header.sealed, false),
            None if known.is_some() => {
                return Err(Error::Foreign("the store's header is gone: is the medium mounted?".into()));
            }
            None => (entropy.id(), master.is_some(), true),
        };
        if known.is_none() {
            // Reclaiming would take all of another catalog's images for orphans.
            refuse_data(&*objects)?;
        }
        if known.as_ref().is_some_and(|known| known[..] != id[..]) {
            return Err(Error::Foreign(format!("the store there is {}", hex::encode(id))));
        }
        let keyring = match (sealed, master) {
            (false, _) => None,
            (true, None) => return Err(KeyError::Absent.into()),
            (true, Some(master)) if fresh => {
                Keyring::sweep_unused(&*objects)?;
                let ring = Keyring::create(&*entropy, id);
                ring.save(&*objects, master, &*entropy)?;
                Some(ring)
            }
            (true, Some(master)) => Some(Keyring::load(&*objects, master, id)?),
        };
        if fresh {
            write_header(&*objects, &id, sealed, &*clock)?;
        }
        if known.is_none() {
            db.write(move |txn| rows::set_store_id(txn, &id))?;
        }
        if totals::read(&db.read()?)?.is_none() {
            db.write(totals::recount)?;
        }
        objects.sweep_unfinished()?;
        Store::assemble(db, objects, keyring, options, clock, entropy)
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
        let header = read_header(&*objects)?.ok_or(Error::Absent)?;
        let keyring = match (header.sealed, master) {
            (false, _) => None,
            (true, None) => return Err(KeyError::Absent.into()),
            (true, Some(master)) => Some(Keyring::load(&*objects, master, parse_id(&header)?)?),
        };
        Store::assemble(db, objects, keyring, options, clock, entropy)
    }

    fn assemble(
        db: Db,
        objects: Arc<dyn Objects>,
        keyring: Option<Keyring>,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Store, Error> {
        let next_pack = AtomicU64::new(rows::next_pack(&db.read()?)?);
        let log = Log::new(clock.now());
        let memory = options.memory_bytes;
        let budget_units = (memory / 4 / BUDGET_UNIT).max(1);
        Ok(Store {
            inner: Arc::new(Inner {
                db,
                objects,
                domain: if keyring.is_some() { SEALED_DOMAIN } else { 0 },
                keyring,
                options,
                clock,
                entropy,
                index: Index::new(memory / 4),
                frames: quick_cache::sync::Cache::with_weighter(
                    (memory / 8 / super::format::FRAME_BYTES).max(16),
                    (memory / 8) as u64,
                    FrameWeight,
                ),
                layouts: quick_cache::sync::Cache::with_weighter(LAYOUTS, (memory / 16) as u64, LayoutWeight),
                pins: Pins::default(),
                budget: Arc::new(Semaphore::new(budget_units)),
                budget_units,
                batches: Shares::new(memory / 4),
                compressors: Arc::new(Compressors::new(options.zstd_level)),
                recompressors: Arc::new(Compressors::new(options.rewrite.level.into())),
                read_budget: Arc::new(Semaphore::new(memory / 16 / BUDGET_UNIT)),
                next_pack,
                reclaiming: Mutex::new(()),
                rewriting: Mutex::new(()),
                activity: Counts::default(),
                log,
            }),
        })
    }

    /// Whether new data is sealed.
    pub fn is_sealed(&self) -> bool {
        self.inner.domain != 0
    }
}

/// The id in the store's header.
pub(super) fn store_id(objects: &dyn Objects) -> Result<[u8; 16], Error> {
    parse_id(&read_header(objects)?.ok_or(Error::Absent)?)
}

fn header_key() -> objects::ObjectKey {
    key("tintype-store".into())
}

/// A store that no catalog knows yet must hold nothing.
fn refuse_data(objects: &dyn Objects) -> Result<(), Error> {
    match catalog_objects(objects)? {
        0 => Ok(()),
        found => Err(Error::Foreign(format!(
            "it holds {found} objects this new catalog knows nothing of; restore the catalog they belong to, or \
             choose another store.location"
        ))),
    }
}

/// How many objects there are that some catalog names or is told of by.
///
/// # Errors
/// The medium's failure.
pub fn catalog_objects(objects: &dyn Objects) -> Result<u64, Error> {
    let mut found = 0;
    for kind in [Kind::Pack, Kind::Manifest, Kind::Log, Kind::Snapshot] {
        objects.list(&format!("{}/", kind.prefix()), &mut |_| found += 1)?;
    }
    Ok(found)
}

fn read_header(objects: &dyn Objects) -> Result<Option<StoreHeader>, Error> {
    let bytes = match objects.get(&header_key()) {
        Ok(bytes) => bytes,
        Err(objects::Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let header: StoreHeader =
        serde_json::from_slice(&bytes).map_err(|e| Error::damaged("the store's header", e))?;
    if header.tintype_store > u32::from(FORMAT_VERSION) {
        return Err(Error::NewerFormat { found: header.tintype_store, supported: u32::from(FORMAT_VERSION) });
    }
    Ok(Some(header))
}

fn parse_id(header: &StoreHeader) -> Result<[u8; 16], Error> {
    hex::decode(&header.id)
        .ok()
        .and_then(|id| id.try_into().ok())
        .ok_or_else(|| Error::damaged("the store's header", "its id is not 32 hex digits"))
}

fn write_header(objects: &dyn Objects, id: &[u8; 16], sealed: bool, clock: &dyn Clock) -> Result<(), Error> {
    let header = StoreHeader {
        tintype_store: u32::from(FORMAT_VERSION),
        id: hex::encode(id),
        sealed,
        created: clock.now().rfc3339_seconds(),
    };
    let text = serde_json::to_vec(&header).map_err(|e| Error::damaged("the store's header", e))?;
    Ok(objects.put(&header_key(), &text)?)
}
