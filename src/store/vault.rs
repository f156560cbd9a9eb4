//! What a store is before any catalog is opened on it: its medium, its clear header, its keys.
//!
//! Invariant: a header is written last, after the key ring it calls for, and once more with a sum beside
//! it, so that one of the two may rot; a medium that holds image
//! data and no header is never made a new store; and what may be another's is only looked at, until whoever
//! has the catalog says that it is theirs. Must not know the catalog: its key comes from here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::format::{FORMAT_VERSION, Kind, key};
use super::keyring::{KeyError, Keys, MasterKey, restore};
use super::media::PlaceMedium;
use super::tend::Incident;
use crate::base::{Clock, Entropy};
use crate::db::SealKey;
use crate::objects::{self, Entrance, ObjectKey, Objects};

/// A store that was recognised, or just made.
pub struct Vault {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) id: [u8; 16],
    /// `None` in a plain store.
    pub(super) keys: Option<Keys>,
    /// The bytes of the clear header, as they were written; `None` where they are still to be read.
    pub(super) header: Option<Vec<u8>>,
    /// The way to the medium, where there is one to be opened.
    pub(super) entrance: Option<Entrance>,
    /// The places beside the home.
    pub(super) places: Vec<PlaceMedium>,
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

/// The header once more, with what proves it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderCopy {
    /// The header's text.
    header: String,
    /// BLAKE3 of it, in hex.
    sum: String,
}

impl HeaderCopy {
    fn encode(header: &[u8]) -> Result<Vec<u8>, Error> {
        let text = String::from_utf8(header.to_vec()).map_err(|e| Error::damaged(HEADER, e))?;
        let copy = HeaderCopy { sum: blake3::hash(header).to_string(), header: text };
        serde_json::to_vec(&copy).map_err(|e| Error::damaged(HEADER, e))
    }

    /// The header in a copy that is whole.
    fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
        let copy: HeaderCopy = serde_json::from_slice(bytes).ok()?;
        let header = copy.header.into_bytes();
        (blake3::hash(&header).to_string() == copy.sum).then_some(header)
    }
}

impl Vault {
    /// The store on `objects`; `None` when there is none. `master` opens a sealed one, and a change of
    /// its keys that was cut off is finished or undone: nobody else may be at work on it.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::NewerFormat`], or the medium's failure.
    pub fn open(objects: Arc<dyn Objects>, master: Option<&MasterKey>) -> Result<Option<Vault>, Error> {
        let mut vault = Vault::look(objects, master)?;
        vault.iter_mut().for_each(Vault::settle_keys);
        Ok(vault)
    }

    /// As [`Vault::open`], and changes nothing: whoever knows that the store is theirs has to call
    /// [`Vault::settle_keys`] before they use its keys.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn look(objects: Arc<dyn Objects>, master: Option<&MasterKey>) -> Result<Option<Vault>, Error> {
        let Some(text) = read_header(&*objects)? else { return Ok(None) };
        let header = parse(&text)?;
        let id = parse_id(&header)?;
        let keys = match (header.sealed, master) {
            (false, _) => None,
            (true, None) => return Err(KeyError::Absent.into()),
            (true, Some(master)) => Some(Keys::open(&*objects, master, id)?),
        };
        Ok(Some(Vault { objects, id, keys, header: Some(text), entrance: None, places: Vec::new() }))
    }

    /// Finishes or undoes a change of the keys that was cut off. What cannot be done now, the next change
    /// of them does first.
    pub fn settle_keys(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.settle(&*self.objects);
        }
    }

    /// The plain store `id` of a catalog that is there, behind a way that stays closed until the store can be
    /// recognised. Nothing is asked of the medium.
    pub fn awaited(id: [u8; 16], entrance: &Entrance) -> Vault {
        let objects = entrance.guarded();
        Vault { objects, id, keys: None, header: None, entrance: Some(entrance.clone()), places: Vec::new() }
    }

    /// Has the store used through `objects`, which lie behind `entrance` where there is one: that is opened
    /// once the store was recognised.
    #[must_use]
    pub fn behind(self, objects: Arc<dyn Objects>, entrance: Option<Entrance>) -> Vault {
        Vault { objects, entrance, ..self }
    }

    /// Has packs lie at these places too.
    #[must_use]
    pub fn with_places(self, places: Vec<PlaceMedium>) -> Vault {
        Vault { places, ..self }
    }

    /// Which store it is.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The medium itself.
    pub(super) fn ground(&self) -> &Arc<dyn Objects> {
        self.entrance.as_ref().map_or(&self.objects, Entrance::medium)
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
        let header = write_header(&*objects, &id, keys.is_some(), clock)?;
        Ok(Vault { objects, id, keys, header: Some(header), entrance: None, places: Vec::new() })
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
        let header = parse(&read_header(objects)?.ok_or_else(Error::lost)?)?;
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
    parse_id(&parse(&read_header(objects)?.ok_or(Error::Absent)?)?)
}

/// The header on `objects`, which must be that of the store `id`, sealed or not as the catalog took it to be.
///
/// # Errors
/// [`Error::Foreign`], or the medium's failure.
pub(super) fn recognise(objects: &dyn Objects, id: &[u8; 16], sealed: bool) -> Result<Vec<u8>, Error> {
    let text = read_header(objects)?.ok_or_else(Error::lost)?;
    let header = parse(&text)?;
    let found = parse_id(&header)?;
    if found != *id {
        return Err(Error::another(&found));
    }
    if header.sealed != sealed {
        return Err(Error::Foreign("the store there is not sealed as the catalog is".into()));
    }
    Ok(text)
}

/// Puts right what of the store's header is not what it was; says what that was. The catalog has confirmed the
/// store's id by now.
pub(super) fn settle_header(objects: &dyn Objects, header: &[u8]) -> Result<Vec<Incident>, Error> {
    let is_first = !has_header_copy(objects);
    let mut found = tend_header(objects, header)?;
    // A store of an earlier release is given its copy, which is no incident.
    found.retain(|incident| !is_first || incident.object != header_copy_key().as_str());
    Ok(found)
}

/// What the header is called where it is damaged.
const HEADER: &str = "the store's header";

fn header_key() -> ObjectKey {
    key("tintype-store".into())
}

fn header_copy_key() -> ObjectKey {
    key("tintype-store-copy".into())
}

fn get(objects: &dyn Objects, key: &ObjectKey) -> Result<Option<Vec<u8>>, objects::Error> {
    match objects.get(key) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(objects::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The header as it was written: by the copy beside it, which proves itself, else by its own word, as
/// earlier releases wrote no copy; else by that of a copy of the store, whose id the catalog has too.
fn read_header(objects: &dyn Objects) -> Result<Option<Vec<u8>>, Error> {
    let (own, copy) = (get(objects, &header_key()), get(objects, &header_copy_key()));
    if let Ok(Some(header)) = copy.as_ref().map(|copy| copy.as_deref().and_then(HeaderCopy::decode)) {
        return Ok(Some(header));
    }
    let own = own?;
    let refused = match (&own, &copy) {
        (Some(header), _) => match parse(header) {
            Err(error @ Error::Damaged { .. }) => error,
            _ => return Ok(own),
        },
        (None, Ok(None)) => return Ok(None),
        (None, _) => Error::damaged(HEADER, "it is gone, and its copy is damaged"),
    };
    let elsewhere = objects.copies().iter().find_map(|source| {
        let header = source.objects().get(&header_key()).ok().filter(|header| parse(header).is_ok())?;
        tracing::warn!(%refused, copy = source.name(), "the store's header is taken from a copy of the store");
        Some(header)
    });
    elsewhere.map(Some).ok_or(refused)
}

fn parse(bytes: &[u8]) -> Result<StoreHeader, Error> {
    let header: StoreHeader = serde_json::from_slice(bytes).map_err(|e| Error::damaged(HEADER, e))?;
    if header.tintype_store > u32::from(FORMAT_VERSION) {
        return Err(Error::NewerFormat { found: header.tintype_store, supported: u32::from(FORMAT_VERSION) });
    }
    Ok(header)
}

/// Makes the header and its copy what they were again, where they are not.
pub(super) fn tend_header(objects: &dyn Objects, header: &[u8]) -> Result<Vec<Incident>, Error> {
    let mut found = Vec::new();
    let both = [(header_key(), header.to_vec()), (header_copy_key(), HeaderCopy::encode(header)?)];
    let read = both.each_ref().map(|(key, _)| get(objects, key));
    if let [Err(error), Err(_)] = read {
        // The medium is away.
        return Err(error.into());
    }
    for ((key, whole), read) in both.into_iter().zip(read) {
        let reason = match read {
            Ok(Some(bytes)) if bytes == whole => continue,
            Ok(Some(_)) => "it is not what was written".to_owned(),
            Ok(None) => "it is not there".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        let written = objects.replace(&key).and_then(|mut writer| {
            writer.write(&whole)?;
            writer.commit()
        });
        let outcome = written.map(|()| "written again".to_owned());
        let outcome = outcome.map_err(|error| format!("it could not be written again: {error}"));
        found.push(Incident { object: key.to_string(), reason, outcome });
    }
    Ok(found)
}

/// Whether a medium says that it is a store's home.
pub(super) fn has_header(objects: &dyn Objects) -> Result<bool, Error> {
    Ok(get(objects, &header_key())?.is_some())
}

/// Whether the header has a copy beside it; stores of earlier releases have none.
fn has_header_copy(objects: &dyn Objects) -> bool {
    !matches!(get(objects, &header_copy_key()), Ok(None))
}

fn parse_id(header: &StoreHeader) -> Result<[u8; 16], Error> {
    hex::decode(&header.id)
        .ok()
        .and_then(|id| id.try_into().ok())
        .ok_or_else(|| Error::damaged(HEADER, "its id is not 32 hex digits"))
}

fn write_header(
    objects: &dyn Objects,
    id: &[u8; 16],
    sealed: bool,
    clock: &dyn Clock,
) -> Result<Vec<u8>, Error> {
    let header = StoreHeader {
        tintype_store: u32::from(FORMAT_VERSION),
        id: hex::encode(id),
        sealed,
        created: clock.now().rfc3339_seconds(),
    };
    let text = serde_json::to_vec(&header).map_err(|e| Error::damaged(HEADER, e))?;
    objects.put(&header_key(), &text)?;
    // A crash before this leaves what the next start adds.
    objects.put(&header_copy_key(), &HeaderCopy::encode(&text)?)?;
    Ok(text)
}
