//! What a store is before any catalog is opened on it: its medium, its clear header, its keys.
//!
//! Invariant: a header is written last, after the key ring it calls for; a medium that holds image
//! data and no header is never made a new store. Must not know the catalog: its key comes from here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::format::{FORMAT_VERSION, Kind, key};
use super::keyring::{KeyError, Keys, MasterKey, restore};
use crate::base::{Clock, Entropy};
use crate::db::SealKey;
use crate::objects::{self, Objects};

/// A store that was recognised, or just made.
pub struct Vault {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) id: [u8; 16],
    /// `None` in a plain store.
    pub(super) keys: Option<Keys>,
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

impl Vault {
    /// The store on `objects`; `None` when there is none. `master` opens a sealed one, and a change of
    /// its keys that was cut off is finished or undone: nobody else may be at work on it.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::NewerFormat`], or the medium's failure.
    pub fn open(objects: Arc<dyn Objects>, master: Option<&MasterKey>) -> Result<Option<Vault>, Error> {
        let Some(header) = read_header(&*objects)? else { return Ok(None) };
        let id = parse_id(&header)?;
        let keys = match (header.sealed, master) {
            (false, _) => None,
            (true, None) => return Err(KeyError::Absent.into()),
            (true, Some(master)) => Some(Keys::open(&*objects, master, id)?),
        };
        Ok(Some(Vault { objects, id, keys }))
    }

    /// Makes a store where there is none; `master` seals it.
    ///
    /// # Errors
    /// [`Error::Foreign`] when the medium holds image data, or the medium's failure.
    pub fn create(
        objects: Arc<dyn Objects>,
        master: Option<&MasterKey>,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Vault, Error> {
        let id = entropy.id();
        refuse_data(&*objects)?;
        let keys = master.map(|master| Keys::create(&*objects, master, entropy, id)).transpose()?;
        write_header(&*objects, &id, keys.is_some(), clock)?;
        Ok(Vault { objects, id, keys })
    }

    /// What the store's catalog is to be sealed with; `None` in a plain store. Follows from the key
    /// ring, so that a new master key changes nothing of it.
    ///
    /// # Errors
    /// [`Error::Key`] when the ring lacks it.
    pub fn catalog_key(&self) -> Result<Option<SealKey>, Error> {
        Ok(self.catalog_keys()?.into_iter().next())
    }

    /// What the store's catalog may be sealed with, the newest first: more than one while the store's
    /// own domain is being sealed anew, none in a plain store. A catalog that is under an older one
    /// is to be put under the newest before it is used.
    ///
    /// # Errors
    /// [`Error::Key`] when the ring lacks them.
    pub fn catalog_keys(&self) -> Result<Vec<SealKey>, Error> {
        let keys = self.keys.as_ref().map(Keys::catalog_keys).transpose()?.unwrap_or_default();
        Ok(keys.into_iter().map(|(_, key)| key).collect())
    }

    /// Puts the lost key ring of the store on `objects` back from a backup; gives its version. With a
    /// master key, only if that opens it.
    ///
    /// # Errors
    /// [`Error::Key`] when it is not lost or this is no backup of it, or the medium's failure.
    pub fn restore_ring(
        objects: &dyn Objects,
        backup: &[u8],
        master: Option<&MasterKey>,
    ) -> Result<u32, Error> {
        let header = read_header(objects)?.ok_or_else(Error::lost)?;
        if !header.sealed {
            return Err(KeyError::Plain.into());
        }
        Ok(restore(objects, backup, parse_id(&header)?, master)?)
    }
}

/// A store that no catalog knows yet must hold nothing: reclaiming would take all of another
/// catalog's images for orphans.
pub(super) fn refuse_data(objects: &dyn Objects) -> Result<(), Error> {
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

/// The id in the store's header.
pub(super) fn store_id(objects: &dyn Objects) -> Result<[u8; 16], Error> {
    parse_id(&read_header(objects)?.ok_or(Error::Absent)?)
}

fn header_key() -> objects::ObjectKey {
    key("tintype-store".into())
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
