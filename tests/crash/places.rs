//! A box with a store beside its home: power fails at every step of what goes there, is copied there and is written
//! anew there.
//!
//! Both media hang on one power supply, so that the order of their steps is that of the box.

use tintype::model::job::JobState;
use tintype::model::{ContentId, DataCopy, Status, StorePlace};
use tintype::objects::{Entrance, ObjectKey, Objects};
use tintype::service::stores::{StoreInfo, StoreKind, Stores};
use tintype::store::{PlaceMedium, Store};

use std::sync::Arc;

use crate::acts::{Act, text};
use crate::every_step::{Before, Workload, number, prepared, run_as, undisturbed};
use crate::machine::{Build, Machine, actor};
use crate::shelf::Stock;
use crate::workloads::{dense, filled, similar};
use crate::world::{Body, Picture};

/// What callers call the store beside the home.
const NAME: &str = "cold";
/// Its number.
const COLD: StorePlace = StorePlace(1);

impl Machine {
    /// The way to the store beside the home, where this box has one.
    pub fn places(&self) -> Vec<PlaceMedium> {
        if !self.has_place() {
            return Vec::new();
        }
        let medium: Arc<dyn Objects> = Arc::new(self.cold.clone());
        let way = Entrance::new(medium, NAME.to_owned(), Box::new(|| Ok(())));
        vec![PlaceMedium { name: NAME.to_owned(), way: Some(way) }]
    }

    /// The stores as callers see them.
    pub fn stores(&self, store: &Store) -> Stores {
        let info = |place: StorePlace, name: &str| StoreInfo {
            place,
            name: name.to_owned(),
            description: String::new(),
            weight: 0,
            read_only: false,
            is_default: place.is_home(),
            kind: StoreKind::File,
            location: String::new(),
            recipes: tintype::service::images::RecipePolicy::Off,
        };
        let cold = store.place_named(NAME).map(|place| info(place, NAME));
        Stores::new([info(StorePlace::HOME, "main")].into_iter().chain(cold).collect())
    }

    /// All objects, wherever they lie.
    pub fn stock(&self) -> Stock {
        self.shelf.stock().into_iter().chain(self.cold.stock()).collect()
    }

    /// Fills an image in the store beside the home.
    pub async fn upload_cold(&self, slot: u64, body: &Body) -> Result<(), String> {
        let Some(before) = self.known(slot).filter(|known| known.image.status == Status::Queued) else {
            return Ok(());
        };
        let mut filled = before.filled(body);
        filled.image.place = COLD;
        let states = vec![Some(before.changed(|_| ())), Some(filled)];
        self.tell(|world| world.doubt(before.image.id, states));
        let service = self.service();
        let upload = service.begin_upload_to(&actor(), &before.image.id, None, Some(NAME)).map_err(text)?;
        let pieces = futures::stream::iter([Ok(bytes::Bytes::copy_from_slice(body))]);
        let image = upload.receive(pieces).await.map_err(text)?;
        self.learn(image, Some(body.clone()));
        Ok(())
    }

    /// Has an image copied to the store beside the home.
    pub async fn copy_to_cold(&self, slot: u64) -> Result<(), String> {
        let Some(before) = self.known(slot).filter(|known| known.body.is_some()) else { return Ok(()) };
        let copy = DataCopy { place: COLD, content: ContentId([0; 16]) };
        let copied = before.changed(|state: &mut Picture| state.image.copies.push(copy));
        let (id, body) = (before.image.id, before.body.clone());
        self.tell(|world| world.doubt(id, vec![Some(before.changed(|_| ())), Some(copied)]));
        let job = self.service().copy_to_places(&actor(), &id, vec![COLD], true).map_err(text)?;
        self.work().await?;
        let ended = self.service().job(&actor(), job.id).map_err(text)?;
        if ended.state != JobState::Succeeded {
            return Err(format!("{ended:?}"));
        }
        self.learn(self.service().show_image(&actor(), &id).map_err(text)?, body);
        Ok(())
    }

    /// Takes an image's data from the home, where it lies beside it too.
    pub fn drop_home(&self, slot: u64) -> Result<(), String> {
        let Some(before) = self.known(slot).filter(|known| !known.image.copies.is_empty()) else {
            return Ok(());
        };
        let (id, body) = (before.image.id, before.body.clone());
        let dropped = before.changed(|state: &mut Picture| {
            state.image.take_copy(StorePlace::HOME);
        });
        self.tell(|world| world.doubt(id, vec![Some(before), Some(dropped)]));
        self.service().drop_copy(&actor(), &id, "main").map_err(text)?;
        self.learn(self.service().show_image(&actor(), &id).map_err(text)?, body);
        Ok(())
    }
}

/// Data that goes to the other store, is copied there, dropped here, and written anew there.
pub fn places() -> Workload {
    Workload {
        name: "places",
        before: Before::Done([filled(0, dense(0)), vec![Act::Create(1), Act::Create(2)]].concat()),
        acts: vec![
            Act::UploadCold(1, similar(0)),
            Act::CopyToCold(0),
            Act::DropHome(0),
            Act::Delete(1),
            Act::Rewrite,
            Act::Reclaim,
        ],
        recovery: vec![Act::Work],
        stride: 2,
    }
}

/// A first start that makes the place, and what is sent there at once.
fn first_place() -> Workload {
    Workload {
        name: "first-place",
        before: Before::Nothing,
        acts: vec![Act::Create(1), Act::UploadCold(1, dense(1)), Act::Ship],
        recovery: Vec::new(),
        stride: 2,
    }
}

fn run(workload: &Workload, sealed: bool) {
    let seed = number("TINTYPE_CRASH_SEED").unwrap_or(1);
    run_as(workload, Build::honest(sealed, seed).with_place());
}

#[test]
fn p2_places_plain() {
    run(&places(), false);
}

#[test]
fn p2_places_sealed() {
    run(&places(), true);
}

#[test]
fn first_place_plain() {
    run(&first_place(), false);
}

#[test]
fn undisturbed_the_place_has_what_was_sent_there_and_nothing_else() {
    let build = Build::honest(false, 1).with_place();
    let start = prepared(build, &places().before).unwrap();
    let machine = undisturbed(build, &start, &places().acts).unwrap();
    machine.judge().unwrap();
    let is_pack = |key: &ObjectKey| key.as_str().starts_with("pack/");
    assert!(machine.cold.stock().keys().any(is_pack), "nothing went there");
    let foreign = |key: &ObjectKey| !is_pack(key) && key.as_str() != "tintype-place";
    assert!(!machine.cold.stock().keys().any(foreign), "{:?}", machine.cold.stock().keys());
    assert!(!machine.shelf.stock().keys().any(is_pack), "image 0 was dropped here, image 1 never was");
}
