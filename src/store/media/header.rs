//! What a place says of itself: whose it is, and which one.

use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::format::{FORMAT_VERSION, key};
use super::super::vault;
use crate::base::Time;
use crate::model::StorePlace;
use crate::objects::{self, ObjectKey, Objects};

/// The clear object that says what a place is. JSON, so that a person can read it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceHeader {
    tintype_place: u32,
    /// The store's id, in hex.
    store: String,
    number: u8,
    /// The name when it was made.
    name: String,
    created: String,
}

fn header_key() -> ObjectKey {
    key("tintype-place".into())
}

impl PlaceHeader {
    /// The header of a new place.
    pub fn new(store: &[u8; 16], place: StorePlace, name: &str, now: Time) -> PlaceHeader {
        PlaceHeader {
            tintype_place: u32::from(FORMAT_VERSION),
            store: hex::encode(store),
            number: place.0,
            name: name.to_owned(),
            created: now.rfc3339_seconds(),
        }
    }

    /// The header on a medium; `None` where there is none.
    pub fn read(medium: &dyn Objects) -> Result<Option<PlaceHeader>, Error> {
        let bytes = match medium.get(&header_key()) {
            Ok(bytes) => bytes,
            Err(objects::Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let header: PlaceHeader = serde_json::from_slice(&bytes)
            .map_err(|error| Error::damaged("the header of a place, tintype-place", error))?;
        if header.tintype_place > u32::from(FORMAT_VERSION) {
            return Err(Error::NewerFormat {
                found: header.tintype_place,
                supported: u32::from(FORMAT_VERSION),
            });
        }
        Ok(Some(header))
    }

    /// Which of its store's places it is.
    pub fn number(&self) -> StorePlace {
        StorePlace(self.number)
    }

    /// Writes it to a medium that has none.
    pub fn write(&self, medium: &dyn Objects) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::damaged("tintype-place", error))?;
        Ok(medium.put(&header_key(), &text)?)
    }

    /// Refuses a medium that is not this place of this store. Without a number, whichever has the name.
    pub fn expect(&self, store: &[u8; 16], place: Option<StorePlace>, name: &str) -> Result<(), Error> {
        if self.store != hex::encode(store) {
            return Err(Error::Place(format!(
                "the place \"{name}\": its medium belongs to another store ({}); name the right one in its [[place]]",
                self.store
            )));
        }
        let is_other = place.map_or(self.name != name, |place| self.number() != place);
        if is_other {
            return Err(Error::Place(format!(
                "the place \"{name}\": its medium is that of the place \"{}\" (number {}) of this box; are two [[place]] \
                 sections exchanged?",
                self.name, self.number
            )));
        }
        Ok(())
    }
}

/// Refuses to make a place of a medium that has no header and is no new one: the catalog has `packs` there, or it holds
/// something of a store.
pub fn expect_fresh(medium: &dyn Objects, name: &str, packs: u64) -> Result<(), Error> {
    if packs > 0 {
        return Err(Error::Place(format!(
            "the place \"{name}\": the catalog has {packs} packs there, and the medium has no header (tintype-place); is it \
             mounted? To start without it, add absent = true to its [[place]]"
        )));
    }
    if vault::catalog_objects(medium)? > 0 || vault::has_header(medium)? {
        return Err(Error::Place(format!(
            "the place \"{name}\": its medium holds a store of its own, or what is left of one; choose an empty one"
        )));
    }
    Ok(())
}
