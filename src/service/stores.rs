//! The stores that clients may choose from: the box's home and its places, as the operator describes them.
//!
//! Invariants: one of them is the default; which copy of an image comes first follows from the weights alone, as they
//! are now. Must not know on which media they are.

use std::sync::Arc;

use super::images::RecipePolicy;
use super::{Actor, Error, Service};
use crate::model::{ContentId, Image, StorePlace};
use crate::service::rights::{Action, Resource};
use crate::store::PlaceStatus;

/// A store, as the operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Its number.
    pub place: StorePlace,
    /// What clients call it.
    pub name: String,
    /// What the operator says of it; empty for nothing.
    pub description: String,
    /// Images are read from the store of the highest weight that has them.
    pub weight: i64,
    /// Whether no new data goes there. What is deleted is given back all the same.
    pub read_only: bool,
    /// Whether data goes there for which nobody names a store.
    pub is_default: bool,
    /// What it is on.
    pub kind: StoreKind,
    /// The directory, or the bucket.
    pub location: String,
    /// Whether compressed containers are kept by recipes there.
    pub recipes: RecipePolicy,
}

/// What a store is on, in the Image API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A directory.
    File,
    /// A bucket.
    S3,
}

impl StoreKind {
    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            StoreKind::File => "file",
            StoreKind::S3 => "s3",
        }
    }
}

/// The stores that somebody wants data in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Wherever it goes by itself.
    Default,
    /// Those of these names.
    Named(Vec<String>),
    /// All that take new data.
    All,
}

/// All stores of a box, the heaviest first.
#[derive(Debug, Clone)]
pub struct Stores(Arc<[StoreInfo]>);

impl Default for Stores {
    fn default() -> Stores {
        Stores::new(vec![StoreInfo {
            place: StorePlace::HOME,
            name: "main".into(),
            description: String::new(),
            weight: 0,
            read_only: false,
            is_default: true,
            kind: StoreKind::File,
            location: String::new(),
            recipes: RecipePolicy::Off,
        }])
    }
}

impl Stores {
    /// These stores; where none is the default, the home is.
    pub fn new(mut stores: Vec<StoreInfo>) -> Stores {
        if stores.iter().all(|store| !store.is_default) {
            stores.iter_mut().for_each(|store| store.is_default = store.place.is_home());
        }
        stores.sort_by_key(|store| (std::cmp::Reverse(store.weight), store.place));
        Stores(stores.into())
    }

    /// Each of them, the heaviest first.
    pub fn iter(&self) -> impl Iterator<Item = &StoreInfo> {
        self.0.iter()
    }

    /// Whether there is more than one to choose from.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// The store of this name.
    pub fn named(&self, name: &str) -> Option<&StoreInfo> {
        self.iter().find(|store| store.name == name)
    }

    /// The store at a place.
    pub fn at(&self, place: StorePlace) -> Option<&StoreInfo> {
        self.iter().find(|store| store.place == place)
    }

    /// What people call the store at a place.
    pub fn name_of(&self, place: StorePlace) -> String {
        self.at(place).map_or_else(|| place.to_string(), |store| format!("store {}", store.name))
    }

    /// Those that are wanted, in the order in which they are named, else the heaviest first. None where there is no
    /// choice, as there is one store only.
    ///
    /// # Errors
    /// `Invalid` for an unknown store.
    pub fn wanted(&self, wanted: &Wanted) -> Result<Vec<&StoreInfo>, Error> {
        let mut found: Vec<&StoreInfo> = match wanted {
            Wanted::Default => self.at(self.default_place()).into_iter().collect(),
            Wanted::All => self.iter().filter(|store| !store.read_only).collect(),
            Wanted::Named(names) => {
                let named = |name: &String| self.named(name).ok_or_else(|| unknown(self, name));
                names.iter().map(named).collect::<Result<_, _>>()?
            }
        };
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|store| seen.insert(store.place));
        if !self.are_several() {
            found.clear();
        }
        Ok(found)
    }

    /// The names of the stores at these places, as far as settings name them.
    pub fn names_at(&self, places: &[StorePlace]) -> Vec<String> {
        places.iter().filter_map(|place| Some(self.at(*place)?.name.clone())).collect()
    }

    /// Where data goes for which nobody names a store.
    pub fn default_place(&self) -> StorePlace {
        self.iter().find(|store| store.is_default).map_or(StorePlace::HOME, |store| store.place)
    }

    /// Where an image's data goes that is made from another: to one of that one's stores, where it shares all chunks,
    /// if any of them takes new data.
    pub fn place_beside(&self, origin: &Image) -> StorePlace {
        let beside = self.of(origin).find(|store| !store.read_only);
        beside.map_or_else(|| self.default_place(), |store| store.place)
    }

    /// The stores that have an image's data, the heaviest first. A place that no setting names any more has none.
    pub fn of<'s>(&'s self, image: &'s Image) -> impl Iterator<Item = &'s StoreInfo> {
        self.iter().filter(|store| image.copy_at(store.place).is_some())
    }

    /// The streams of an image's data in the order in which they are to be read: those at `preferred` places first, then
    /// by weight.
    pub fn contents(&self, image: &Image, preferred: &[StorePlace]) -> Vec<ContentId> {
        let by_weight = self.iter().map(|store| &store.place);
        let mut contents: Vec<ContentId> = Vec::new();
        // What lies where no setting says is tried last.
        let known = preferred.iter().chain(by_weight).filter_map(|place| image.copy_at(*place));
        for content in known.chain(image.contents()) {
            if !contents.contains(&content) {
                contents.push(content);
            }
        }
        contents
    }
}

impl Service {
    /// The same with more stores than the home.
    pub fn with_stores(self, stores: Stores) -> Service {
        Service { stores, ..self }
    }

    /// The stores that clients may choose from.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Where new data goes, by the name of a store; the default where none is named.
    ///
    /// # Errors
    /// `Invalid` for an unknown store; `Gone` for one that takes no new data; `Unavailable` for one that cannot be reached.
    pub fn store_for_new_data(&self, name: Option<&str>) -> Result<StorePlace, Error> {
        let Some(name) = name else { return Ok(self.stores.default_place()) };
        let store = self.stores.named(name).ok_or_else(|| unknown(&self.stores, name))?;
        if store.read_only {
            return Err(Error::new(super::ErrorKind::Gone, format!("store {name} takes no new data")));
        }
        if !store.place.is_home() {
            // Before the image is taken for an upload that cannot come to anything.
            self.store.expect_place(store.place)?;
        }
        Ok(store.place)
    }

    /// The places of stores that somebody prefers.
    ///
    /// # Errors
    /// `Invalid` for an unknown store, and where there is but one.
    pub fn preferred_stores<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<StorePlace>, Error> {
        if !self.stores.are_several() {
            return Err(Error::invalid("prefer: this box has one store only, and nothing to prefer"));
        }
        let place = |name| self.stores.named(name).map(|store| store.place);
        names.into_iter().map(|name| place(name).ok_or_else(|| unknown(&self.stores, name))).collect()
    }

    /// The stores with what lies there, the heaviest first.
    ///
    /// # Errors
    /// `Forbidden`, or when the catalog fails.
    pub fn store_details(&self, actor: &Actor) -> Result<Vec<(StoreInfo, PlaceStatus)>, Error> {
        actor.expect(Action::StoreList, Resource::None)?;
        let statuses = self.store.places()?;
        let status = |store: &StoreInfo| statuses.iter().find(|status| status.place == store.place).cloned();
        Ok(self.stores.iter().filter_map(|store| Some((store.clone(), status(store)?))).collect())
    }
}

/// The refusal of a store that there is not.
pub(super) fn unknown(stores: &Stores, name: &str) -> Error {
    let names: Vec<&str> = stores.iter().map(|store| store.name.as_str()).collect();
    Error::invalid(format!("there is no store {name:?}; there is: {}", names.join(", ")))
}
