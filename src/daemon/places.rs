//! The stores of a box beside its home: what the settings say of each, and the way to its medium.
//!
//! Invariants: each has a name of its own, which the home does not have; a place lies behind an entrance that the store
//! opens once it has recognised the medium.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::data_dir::DataDir;
use super::error::Error;
use super::medium::{self, Purpose};
use super::settings::{Recipes, Settings, StoreSettings};
use crate::model::StorePlace;
use crate::objects::{self, Entrance, Native, Trial};
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::store::{self, PlaceMedium, Store};

/// Longest name of a store, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A store beside the home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaceSettings {
    /// What clients call it: `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// What clients are told of it.
    pub description: String,
    /// An absolute path, or `s3://BUCKET/PREFIX`.
    pub location: String,
    /// Images are read from the store of the highest weight that has them.
    pub weight: i64,
    /// Whether no new data goes there.
    pub read_only: bool,
    /// Whether data goes there for which nobody names a store.
    pub default: bool,
    /// Whether its medium is known to be away, and not looked for.
    pub absent: bool,
    /// File with the credentials of an S3 bucket; empty for those of the environment.
    pub credentials_file: String,
    /// Where an S3 bucket is spoken to; empty for what the environment says.
    pub endpoint: String,
    /// Its region; empty for what the environment says.
    pub region: String,
    /// Whether it refuses to overwrite when asked to.
    pub conditional_puts: bool,
    /// Whether compressed containers are kept by recipes there.
    pub recipes: Recipes,
}

impl Default for PlaceSettings {
    fn default() -> Self {
        PlaceSettings {
            name: String::new(),
            description: String::new(),
            location: String::new(),
            weight: 0,
            read_only: false,
            default: false,
            absent: false,
            credentials_file: String::new(),
            endpoint: String::new(),
            region: String::new(),
            conditional_puts: true,
            recipes: Recipes::Off,
        }
    }
}

impl PlaceSettings {
    fn is_bucket(&self) -> bool {
        self.location.starts_with("s3://")
    }
}

/// Refuses stores that are named wrongly or twice, or lie nowhere.
pub(super) fn check(home: &StoreSettings, places: &[PlaceSettings]) -> Result<(), String> {
    check_name("store.name", &home.name)?;
    if places.len() > usize::from(StorePlace::MAX.0) {
        return Err(format!("place: {} places are too many, it takes {}", places.len(), StorePlace::MAX.0));
    }
    for (number, place) in places.iter().enumerate() {
        let PlaceSettings { name, location, .. } = place;
        check_name("place.name", name)?;
        if *name == home.name || places[..number].iter().any(|other| other.name == *name) {
            return Err(format!("place.name: \"{name}\" is there twice; the home's name is store.name"));
        }
        let lies_somewhere = place.is_bucket() || location.starts_with('/') || place.absent;
        if !lies_somewhere {
            return Err(format!(
                "place.location: \"{location}\" of {name} is neither an absolute path nor s3://BUCKET/PREFIX"
            ));
        }
        let of_s3 = [&place.credentials_file, &place.endpoint, &place.region];
        if !place.is_bucket() && of_s3.iter().any(|text| !text.is_empty()) {
            return Err(format!(
                "place: {name} is a directory: credentials_file, endpoint and region are for s3://BUCKET/PREFIX"
            ));
        }
        if place.default && place.read_only {
            return Err(format!("place: {name} is the default and takes no new data (read_only)"));
        }
    }
    if places.iter().filter(|place| place.default).count() > 1 {
        return Err("place.default: more than one place is the default".into());
    }
    Ok(())
}

/// Refuses a name for addresses of the web that a store has.
pub(super) fn check_apart(home: &StoreSettings, places: &[PlaceSettings], web: &str) -> Result<(), String> {
    match std::iter::once(&home.name).chain(places.iter().map(|place| &place.name)).any(|name| name == web) {
        false => Ok(()),
        true => Err(format!("imports.web_store: \"{web}\" is the name of a store; choose another")),
    }
}

fn check_name(setting: &str, name: &str) -> Result<(), String> {
    let is_good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_good) {
        return Ok(());
    }
    Err(format!(
        "{setting}: \"{name}\" is no name of a store: 1 to {NAME_BYTES_MAX} of a-z, 0-9, '-' and '_'"
    ))
}

/// The ways to all places that the settings name. Nothing is asked of any.
///
/// # Errors
/// When a directory does not open, or is the home's or another place's.
pub(super) fn open(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    purpose: Purpose,
) -> Result<Vec<PlaceMedium>, Error> {
    let mut folders: Vec<&Path> = Vec::new();
    let home = medium::folder(settings);
    for place in settings.place.iter().filter(|place| !place.absent && !place.is_bucket()) {
        let folder = Path::new(&place.location);
        let is_home = home.as_ref().is_some_and(|home| medium::is_same(home, folder));
        if is_home || folders.iter().any(|other| medium::is_same(other, folder)) {
            let PlaceSettings { name, location, .. } = place;
            return Err(Error::Settings(format!(
                "place.location: {location} of {name} is that of another store; give each a directory of its own"
            )));
        }
        folders.push(folder);
    }
    let places = settings.place.iter().enumerate();
    places
        .map(|(number, place)| {
            let way = match (place.absent, place.is_bucket()) {
                (true, _) => None,
                (false, true) => Some(bucket(settings, dir, handle, number, place, purpose)?),
                (false, false) => Some(folder(place)?),
            };
            Ok(PlaceMedium { name: place.name.clone(), way })
        })
        .collect()
}

fn folder(place: &PlaceSettings) -> Result<Entrance, Error> {
    let failed = |error: objects::Error| Error::from(store::Error::from(error));
    let medium = Native::open(&place.location).map_err(failed)?;
    // What a directory does is known.
    let trial: Trial = Box::new(|| Ok(()));
    Ok(Entrance::new(std::sync::Arc::new(medium), place.location.clone(), trial))
}

#[cfg(feature = "buckets")]
fn bucket(
    settings: &Settings,
    dir: &DataDir,
    handle: &Handle,
    number: usize,
    place: &PlaceSettings,
    purpose: Purpose,
) -> Result<Entrance, Error> {
    use super::remote::Remote;
    let asked = Remote {
        setting: "place",
        name: &place.name,
        location: &place.location,
        credentials_file: &place.credentials_file,
        endpoint: &place.endpoint,
        region: &place.region,
    };
    let spool = dir.bucket(&settings.bucket.local_dir).join(format!("place-{number}"));
    let options = crate::objects::BucketOptions {
        conditional_puts: place.conditional_puts,
        first_patience: medium::START_PATIENCE,
        ..medium::bucket_options(settings)
    };
    let bucket = std::sync::Arc::new(asked.open(handle, &spool, options)?);
    let tried = bucket.clone();
    let trial: Trial = match purpose {
        Purpose::Serve => Box::new(move || medium::try_out(&tried, crate::objects::Probe::Quick)),
        Purpose::Read => Box::new(|| Ok(())),
    };
    Ok(Entrance::new(bucket, place.location.clone(), trial))
}

#[cfg(not(feature = "buckets"))]
fn bucket(
    _: &Settings,
    _: &DataDir,
    _: &Handle,
    _: usize,
    place: &PlaceSettings,
    _: Purpose,
) -> Result<Entrance, Error> {
    Err(Error::Settings(format!("place {}: this build has no support for S3 buckets", place.name)))
}

/// The stores as clients see them, of a store that was opened with these places.
pub(super) fn stores(settings: &Settings, store: &Store) -> Stores {
    let kind = |is_bucket| if is_bucket { StoreKind::S3 } else { StoreKind::File };
    let home = &settings.store;
    let folder = medium::folder(settings);
    let own = StoreInfo {
        place: StorePlace::HOME,
        name: home.name.clone(),
        description: home.description.clone(),
        weight: home.weight,
        read_only: false,
        is_default: false,
        kind: kind(medium::is_bucket(settings)),
        location: folder.map_or_else(|| home.location.clone(), |folder| folder.display().to_string()),
        recipes: home.recipes.into(),
    };
    let places = settings.place.iter().filter_map(|place| {
        Some(StoreInfo {
            place: store.place_named(&place.name)?,
            name: place.name.clone(),
            description: place.description.clone(),
            weight: place.weight,
            // Nothing can be sent to a medium that is away for good.
            read_only: place.read_only || place.absent,
            is_default: place.default && !place.absent,
            kind: kind(place.is_bucket()),
            location: place.location.clone(),
            recipes: place.recipes.into(),
        })
    });
    Stores::new(std::iter::once(own).chain(places).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{compose, init, rebuild};

    fn place(name: &str, location: &str) -> PlaceSettings {
        PlaceSettings { name: name.into(), location: location.into(), ..PlaceSettings::default() }
    }

    #[test]
    fn stores_are_named_once_and_lie_somewhere() {
        let home = StoreSettings::default();
        let cold = || place("cold", "/srv/cold");
        check(&home, &[cold(), place("far-2_x", "s3://b/p")]).unwrap();
        check(&home, &[PlaceSettings { absent: true, ..place("cold", "") }]).unwrap();
        for (places, wanted) in [
            (vec![place("Cold", "/a")], "place.name"),
            (vec![place("", "/a")], "place.name"),
            (vec![place("main", "/a")], "twice"),
            (vec![cold(), cold()], "twice"),
            (vec![place("cold", "srv")], "place.location"),
            (vec![PlaceSettings { region: "r".into(), ..cold() }], "is a directory"),
            (vec![PlaceSettings { default: true, read_only: true, ..cold() }], "takes no new data"),
            (
                vec![
                    PlaceSettings { default: true, ..cold() },
                    PlaceSettings { default: true, ..place("b", "/b") },
                ],
                "more than one",
            ),
        ] {
            assert!(check(&home, &places).unwrap_err().contains(wanted), "{places:?}");
        }
        let unnamed = StoreSettings { name: String::new(), ..StoreSettings::default() };
        assert!(check(&unnamed, &[]).unwrap_err().contains("store.name"));
        assert_eq!(check_apart(&home, &[cold()], "web"), Ok(()));
        for taken in ["main", "cold"] {
            assert!(check_apart(&home, &[cold()], taken).unwrap_err().contains("imports.web_store"));
        }
    }

    fn settings(outer: &tempfile::TempDir) -> Settings {
        let mut settings = Settings::default();
        settings.server.data = outer.path().join("data");
        let cold = outer.path().join("cold").to_str().unwrap().to_owned();
        settings.place = vec![PlaceSettings { weight: 5, default: true, ..place("cold", &cold) }];
        settings
    }

    #[test]
    fn a_box_with_a_place_opens_again_and_is_rebuilt() {
        let outer = tempfile::tempdir().unwrap();
        let settings = settings(&outer);
        drop(init::init(&settings, false).unwrap());
        assert!(outer.path().join("cold/tintype-place").is_file());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let parts = compose::open(&settings, runtime.handle()).unwrap();
        let stores: Vec<(u8, &str, bool)> =
            parts.service.stores().iter().map(|s| (s.place.0, s.name.as_str(), s.is_default)).collect();
        assert_eq!(stores, [(1, "cold", true), (0, "main", false)]);
        parts.settle();
        let dir = parts.close().0;
        std::fs::remove_file(dir.catalog()).unwrap();
        drop(dir);
        rebuild::rebuild(&settings, &mut |_, _| ()).unwrap();
        let parts = compose::open(&settings, runtime.handle()).unwrap();
        assert_eq!(parts.service.store().place_named("cold"), Some(StorePlace(1)));
        parts.close().1.unwrap();
        // Nothing lies there: it can be left out.
        let without = Settings { place: Vec::new(), ..settings };
        compose::open(&without, runtime.handle()).unwrap().close().1.unwrap();
    }

    #[test]
    fn two_stores_never_share_a_directory() {
        let outer = tempfile::tempdir().unwrap();
        let mut settings = settings(&outer);
        let dir = DataDir::create(&settings.server.data).unwrap();
        let home = DataDir::store(&settings.server.data);
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(&home, outer.path().join("link")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut refused = |places: Vec<PlaceSettings>| {
            settings.place = places;
            open(&settings, &dir, runtime.handle(), Purpose::Serve).err().map(|error| error.to_string())
        };
        let at = |name: &str, folder: &str| place(name, outer.path().join(folder).to_str().unwrap());
        assert!(refused(vec![at("a", "link")]).unwrap().contains("another store"));
        assert!(refused(vec![at("a", "x"), at("b", "x")]).unwrap().contains("another store"));
        assert_eq!(refused(vec![at("a", "x"), at("b", "y")]), None);
    }
}
