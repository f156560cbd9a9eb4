//! The media that packs lie on: the home, which has everything else too, and places beside it.
//!
//! Owns: which number each place has, and what a place must say of itself before it is used ([`header`]).
//! Invariants: a name has one number for ever; nothing is asked of a place, nor written to it, before its own
//! header named this store and its number, as read in this process; a medium that lacks what the catalog knows to be
//! on it is never taken for an empty one. Must not know what people use places for.

mod header;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::Error;
use super::events::EventKind;
use super::format::{SPREAD, any_name_at, place_of};
use super::rows;
use super::totals::{self, PlaceStats};
use crate::db::codec::Record;
use crate::db::{Db, Table};
use crate::model::StorePlace;
use crate::objects::{Entrance, Objects, Placed};
use header::PlaceHeader;

/// The names of places, by number.
pub const PLACES: Table = Table::facts("store-places-1");

/// A place beside the home, as whoever opens the store knows it.
#[derive(Debug, Clone)]
pub struct PlaceMedium {
    /// Its name.
    pub name: String,
    /// The way to it, which the store opens; `None` where it is known to be away, and is not looked for.
    pub way: Option<Entrance>,
}

/// The row of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PlaceRow {
    name: String,
}

impl Record for PlaceRow {
    const VERSION: u8 = 1;
    const NAME: &'static str = "place of the store";
}

/// A place and what lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceStatus {
    /// Its number.
    pub place: StorePlace,
    /// Its name; empty for the home, which its owner names.
    pub name: String,
    /// Whether requests reach it: why not, if not.
    pub trouble: Option<String>,
    /// What lies there.
    pub stats: PlaceStats,
    /// Bytes its medium has left, where that can be told now.
    pub free_bytes: Option<u64>,
}

/// The places of an open store, by number.
#[derive(Debug, Default)]
pub(super) struct Media {
    places: BTreeMap<StorePlace, PlaceMedium>,
}

impl Media {
    /// Gives each place its number: the one it has, or the next.
    ///
    /// # Errors
    /// [`Error::Place`] when one that has data is not among them, or there are too many; when the database fails.
    pub(super) fn settle(db: &Db, media: Vec<PlaceMedium>) -> Result<Media, Error> {
        let names: Vec<String> = media.iter().map(|medium| medium.name.clone()).collect();
        let read = db.read()?;
        let known = known(&read)?;
        for (place, name) in &known {
            let packs = totals::at_place(&read, *place)?.packs;
            if packs > 0 && !names.contains(name) {
                return Err(Error::Place(format!(
                    "{packs} packs of image data lie at the place \"{name}\", and no [[place]] of the settings has \
                     that name: put its section back; where its medium is away or lost, add absent = true there"
                )));
            }
        }
        drop(read);
        // In most cases all are known, and nothing is written.
        if names.iter().all(|name| known.values().any(|known| known == name)) {
            return Ok(Media::of(&known, media));
        }
        let known = db.write(move |txn| {
            let mut known = self::known(txn)?;
            for name in &names {
                if known.values().any(|known| known == name) {
                    continue;
                }
                let last = known.last_key_value().map_or(StorePlace::HOME, |(place, _)| *place);
                if last >= StorePlace::MAX {
                    let text = format!("\"{name}\" is one place too many: numbers end at {}", last.0);
                    return Err(Error::Place(text));
                }
                let place = StorePlace(last.0 + 1);
                txn.put_record(&PLACES, &[place.0], &PlaceRow { name: name.clone() })?;
                known.insert(place, name.clone());
            }
            Ok(known)
        })?;
        Ok(Media::of(&known, media))
    }

    /// The places of a store whose catalog is lost, by what the media say of themselves. Those that are not there are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Place`] when one is another store's, or the medium's failure.
    pub(super) fn look(store: &[u8; 16], media: Vec<PlaceMedium>) -> Result<Media, Error> {
        let mut places = BTreeMap::new();
        for medium in media {
            let Some(way) = &medium.way else { continue };
            if let Some(header) = PlaceHeader::read(&**way.medium())? {
                header.expect(store, None, &medium.name)?;
                way.open();
                places.insert(header.number(), medium);
            }
        }
        Ok(Media { places })
    }

    fn of(known: &BTreeMap<StorePlace, String>, media: Vec<PlaceMedium>) -> Media {
        let number = |name: &str| known.iter().find(|(_, known)| *known == name).map(|(place, _)| *place);
        let numbered = media.into_iter().filter_map(|medium| Some((number(&medium.name)?, medium)));
        Media { places: numbered.collect() }
    }

    /// Home and places as one medium.
    pub(super) fn around(&self, home: Arc<dyn Objects>) -> Arc<dyn Objects> {
        let guarded =
            |(place, medium): (&StorePlace, &PlaceMedium)| Some((place.0, medium.way.as_ref()?.guarded()));
        Arc::new(Placed::new(home, self.places.iter().filter_map(guarded).collect(), SPREAD))
    }
}

/// The names that have numbers.
fn known(rows: &impl crate::db::Rows) -> Result<BTreeMap<StorePlace, String>, Error> {
    let mut known = BTreeMap::new();
    rows::each(rows, &PLACES, |key, row: PlaceRow| {
        if let [number] = key {
            known.insert(StorePlace(*number), row.name);
        }
        Ok(())
    })?;
    Ok(known)
}

impl Store {
    /// The number of a place, by its name; `None` where no medium of that name was given.
    pub fn place_named(&self, name: &str) -> Option<StorePlace> {
        let places = &self.inner.media.places;
        places.iter().find(|(_, medium)| medium.name == name).map(|(place, _)| *place)
    }

    /// Recognises the places that were not yet, and lets everybody in there. Does nothing once that was done. Blocks
    /// on the media; all of them are tried.
    ///
    /// # Errors
    /// Of the first that cannot be used: [`Error::Away`] or [`Error::Unavailable`] while it does not answer,
    /// [`Error::Place`] when it is another's. All can be repeated.
    pub fn enter_places(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for (place, medium) in &self.inner.media.places {
            let Some(way) = medium.way.as_ref().filter(|way| !way.is_open()) else { continue };
            match self.enter_place(*place, &medium.name, way) {
                Ok(()) => {
                    let detail = "it answers, and is this box's";
                    self.record(EventKind::Back, way.place(), detail, Vec::new());
                }
                Err(error) => {
                    way.stays_closed(error.to_string());
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }

    /// The same when the store is opened; places that do not answer are waited for.
    pub(super) fn enter_places_first(&self) -> Result<(), Error> {
        for (place, medium) in &self.inner.media.places {
            let Some(way) = &medium.way else { continue };
            match self.enter_place(*place, &medium.name, way) {
                Ok(()) => {}
                Err(error) if error.is_absence() => {
                    way.stays_closed(error.to_string());
                    tracing::error!(place = medium.name, %error, "a place does not answer; the start goes on without it");
                    self.record(EventKind::Away, way.place(), error.to_string(), Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether every place that is looked for was recognised.
    pub fn has_entered_places(&self) -> bool {
        let mut ways = self.inner.media.places.values().filter_map(|medium| medium.way.as_ref());
        ways.all(Entrance::is_open)
    }

    fn enter_place(&self, place: StorePlace, name: &str, way: &Entrance) -> Result<(), Error> {
        let ground = &**way.medium();
        match PlaceHeader::read(ground)? {
            Some(header) => {
                header.expect(&self.inner.id, Some(place), name)?;
                way.try_out()?;
            }
            None => {
                let packs = totals::at_place(&self.inner.db.read()?, place)?.packs;
                header::expect_fresh(ground, name, packs)?;
                way.try_out()?;
                PlaceHeader::new(&self.inner.id, place, name, self.inner.clock.now()).write(ground)?;
            }
        }
        ground.sweep_unfinished()?;
        way.open();
        Ok(())
    }

    /// Refuses what needs a place that is not there, or was not recognised.
    ///
    /// # Errors
    /// [`Error::Away`] while a server looks for it, else [`Error::Unavailable`].
    pub fn expect_place(&self, place: StorePlace) -> Result<(), Error> {
        if place.is_home() {
            return self.expect_entered();
        }
        match self.inner.media.places.get(&place) {
            Some(PlaceMedium { way: Some(way), .. }) => Ok(way.check()?),
            Some(PlaceMedium { name, way: None }) => Err(Error::Unavailable(format!(
                "the place \"{name}\" is away, as absent = true of its [[place]] says"
            ))),
            None => Err(Error::Unavailable(format!("no [[place]] of the settings is {place}"))),
        }
    }

    /// How many places do not answer, as far as is known without asking.
    pub fn places_away(&self) -> u64 {
        self.inner.media.places.keys().filter(|place| self.trouble_at(**place).is_some()).count() as u64
    }

    /// Whether the medium that an object of this id lies on answers, as far as is known without asking. Of the home
    /// that is always taken to be so: without it nothing goes at all.
    pub(super) fn answers_for(&self, id: &[u8; 16]) -> bool {
        let place = place_of(id);
        place.is_home() || self.trouble_at(place).is_none()
    }

    /// Whether a failure is that of a place beside the home which does not answer, so that others can go on.
    pub(super) fn is_away_beside(&self, error: &Error, id: &[u8; 16]) -> bool {
        error.is_absence() && !place_of(id).is_home()
    }

    /// Refuses what needs a place that does not answer, as far as is known without asking.
    pub(super) fn expect_answering(&self, place: StorePlace) -> Result<(), Error> {
        self.expect_place(place)?;
        let medium = self.inner.media.places.get(&place);
        match medium.and_then(|medium| medium.way.as_ref()).and_then(|way| way.medium().trouble()) {
            Some(why) => Err(Error::Unavailable(why)),
            None => Ok(()),
        }
    }

    fn trouble_at(&self, place: StorePlace) -> Option<String> {
        match place.is_home() {
            true => self.trouble(),
            false => self.expect_answering(place).err().map(|refused| refused.to_string()),
        }
    }

    /// Bytes that the medium of a place has left, where that can be told.
    ///
    /// # Errors
    /// When the medium does not answer.
    pub(super) fn free_bytes_at(&self, place: StorePlace) -> Result<Option<u64>, Error> {
        Ok(self.inner.objects.free_bytes_for(&any_name_at(place))?)
    }

    /// The home and every place, by number. A place that does not answer is no error.
    ///
    /// # Errors
    /// When the database fails.
    pub fn places(&self) -> Result<Vec<PlaceStatus>, Error> {
        let read = self.inner.db.read()?;
        let all = totals::read(&read)?.unwrap_or_default();
        let mut home =
            PlaceStats { packs: all.packs, chunk_bytes: all.chunk_bytes, stored_bytes: all.stored_bytes };
        let mut statuses = Vec::new();
        for (place, medium) in &self.inner.media.places {
            let stats = totals::at_place(&read, *place)?;
            home = home.less(stats);
            statuses.push(self.status_of(*place, medium.name.clone(), stats));
        }
        statuses.insert(0, self.status_of(StorePlace::HOME, String::new(), home));
        Ok(statuses)
    }

    fn status_of(&self, place: StorePlace, name: String, stats: PlaceStats) -> PlaceStatus {
        let trouble = self.trouble_at(place);
        let free_bytes = if trouble.is_none() { self.free_bytes_at(place).ok().flatten() } else { None };
        PlaceStatus { place, name, trouble, stats, free_bytes }
    }
}
