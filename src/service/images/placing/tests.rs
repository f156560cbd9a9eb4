//! Images in two stores: copied, read, dropped, counted, and what is refused.

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::model::ProjectId;
use crate::model::quota::{Limit, Resource};
use crate::objects::{Entrance, Memory, Objects};
use crate::service::Rules;
use crate::service::images::{Change, Field, NewImage};
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::service::testing::{member, rules, service_with_places};
use crate::store::PlaceMedium;

/// A box with a store "cold" beside its home, and a read-only one.
struct Box2 {
    service: Service,
    home: Memory,
    cold: Memory,
}

fn store(place: u8, name: &str, weight: i64) -> StoreInfo {
    StoreInfo {
        place: StorePlace(place),
        name: name.into(),
        description: String::new(),
        weight,
        read_only: name == "shut",
        is_default: place == 0,
        kind: StoreKind::File,
        location: String::new(),
        recipes: crate::service::images::RecipePolicy::Off,
    }
}

fn two() -> Box2 {
    let (home, cold) = (Memory::new(), Memory::new());
    let place = |name: &str, medium: &Memory| {
        let way = Entrance::new(std::sync::Arc::new(medium.clone()), name.into(), Box::new(|| Ok(())));
        PlaceMedium { name: name.into(), way: Some(way) }
    };
    let places = vec![place("cold", &cold), place("shut", &Memory::new())];
    let rules = Rules { retain_deleted_s: 100, ..rules() };
    let (service, _clock) = service_with_places(home.clone(), places, rules);
    let stores = Stores::new(vec![store(0, "main", 0), store(1, "cold", 5), store(2, "shut", -1)]);
    Box2 { service: service.with_stores(stores), home, cold }
}

fn packs(medium: &Memory) -> usize {
    let mut packs = 0;
    medium.list("pack/", &mut |_| packs += 1).unwrap();
    packs
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(b"placing").finalize_xof().fill(&mut out);
    out
}

impl Box2 {
    fn queued(&self) -> ImageId {
        let set = |field| Change::Set(field);
        let formats = vec![
            set(Field::DiskFormat(Some("raw".into()))),
            set(Field::ContainerFormat(Some("bare".into()))),
        ];
        self.service.create_image(&member("p"), NewImage { id: None, changes: formats }).unwrap().id
    }

    async fn active(&self, store: Option<&str>, data: &[u8]) -> ImageId {
        let id = self.queued();
        let upload = self.service.begin_upload_to(&member("p"), &id, None, store).unwrap();
        upload.receive(stream::iter([Ok(Bytes::copy_from_slice(data))])).await.unwrap();
        id
    }

    fn image(&self, id: &ImageId) -> Image {
        images::get(&self.service.db.read().unwrap(), id).unwrap().unwrap()
    }

    fn places(&self, id: &ImageId) -> Vec<u8> {
        self.image(id).data().map(|copy| copy.place.0).collect()
    }

    /// Does the job that was asked for.
    async fn work(&self) -> Job {
        let job = self.service.claim_task().unwrap().unwrap();
        let id = job.id();
        self.service.perform(job).await;
        self.service.job(&admin(), id).unwrap()
    }

    fn read(&self, id: &ImageId, preferred: &[StorePlace]) -> Result<Vec<u8>, Error> {
        let reader = self.service.download_from(&member("p"), id, preferred)?.reader.unwrap();
        let mut out = vec![0; reader.size_bytes() as usize];
        reader.read_at(0, &mut out)?;
        Ok(out)
    }
}

fn admin() -> Actor {
    Actor::local_admin(ProjectId::from("p"))
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_copied_to_another_store_read_from_either_and_dropped_from_one() {
    let b = two();
    let data = noise(300_000);
    let id = b.active(None, &data).await;
    assert_eq!((b.places(&id), packs(&b.cold)), (vec![0], 0));
    let cold = b.service.places_named(["cold"]).unwrap();
    let asked = b.service.copy_to_places(&admin(), &id, cold.clone(), true).unwrap();
    assert_eq!(kind(b.service.copy_to_places(&admin(), &id, cold.clone(), true)), Some(ErrorKind::Conflict));
    let job = b.work().await;
    assert_eq!((job.id, job.state.as_str()), (asked.id, "succeeded"), "{job:?}");
    assert_eq!(job.result["stores_reached"], 1);
    assert_eq!(b.places(&id), [0, 1]);
    assert!(packs(&b.cold) > 0);
    let names: Vec<String> = b.service.stores().of(&b.image(&id)).map(|store| store.name.clone()).collect();
    assert_eq!(names, ["cold", "main"], "the heaviest first");
    // Bytes count once for each store.
    let used = b.service.usage(&admin()).unwrap();
    assert_eq!(used.image_bytes, 600_000);
    assert_eq!(kind(b.service.copy_to_places(&admin(), &id, cold, true)), Some(ErrorKind::Invalid));
    let checked = b.service.check(&admin(), &mut |_| ()).unwrap();
    assert_eq!((checked.images, checked.image_bytes, checked.damaged.len()), (1, 600_000, 0));
    // Either store alone is enough.
    for (lost, kept) in [(&b.cold, StorePlace(0)), (&b.home, StorePlace(1))] {
        let mut gone = Vec::new();
        lost.list("pack/", &mut |info| gone.push(info.key)).unwrap();
        let bytes: Vec<_> = gone.iter().map(|key| lost.get(key).unwrap()).collect();
        gone.iter().for_each(|key| lost.delete(key).unwrap());
        assert_eq!(b.read(&id, &[]).unwrap(), data, "without what is not at {kept}");
        gone.iter().zip(&bytes).for_each(|(key, bytes)| lost.put(key, bytes).unwrap());
    }
    assert_eq!(kind(b.service.drop_copy(&member("p"), &id, "main")), Some(ErrorKind::Forbidden));
    b.service.drop_copy(&admin(), &id, "main").unwrap();
    assert_eq!(b.places(&id), [1]);
    b.service.give_back(Reach::Everything).unwrap();
    assert_eq!(packs(&b.home), 0);
    assert_eq!(b.read(&id, &[]).unwrap(), data);
    assert_eq!(b.service.usage(&admin()).unwrap().image_bytes, 300_000);
    for (store, wanted) in
        [("main", ErrorKind::NotFound), ("cold", ErrorKind::Forbidden), ("no", ErrorKind::Conflict)]
    {
        assert_eq!(kind(b.service.drop_copy(&admin(), &id, store)), Some(wanted), "{store}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_made_anew_from_another_store() {
    let b = two();
    let data = noise(300_000);
    let id = b.active(None, &data).await;
    b.service.copy_to_places(&admin(), &id, vec![StorePlace(1)], true).unwrap();
    b.work().await;
    let before = b.image(&id);
    for (medium, at) in [(&b.cold, StorePlace(1)), (&b.home, StorePlace(0))] {
        let mut lost = Vec::new();
        medium.list("pack/", &mut |info| lost.push(info.key)).unwrap();
        lost.iter().for_each(|key| medium.delete(key).unwrap());
        b.service.store.scrub_all(&mut |_| ()).unwrap();
        assert!(b.service.store.damage_counts().packs > 0);
        assert!(b.service.mend().unwrap().manifests > 0, "nothing was made anew at {at}");
        b.service.give_back(Reach::Everything).unwrap();
        let healed = b.image(&id);
        assert_ne!(healed.copy_at(at), before.copy_at(at));
        assert_eq!((b.places(&id), healed.updated_at), (vec![0, 1], before.updated_at));
        assert!(b.service.store.verify().unwrap().is_empty());
        assert_eq!(b.read(&id, &[at]).unwrap(), data);
    }
    let checked = b.service.check(&admin(), &mut |_| ()).unwrap();
    assert_eq!((checked.images, checked.damaged.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_image_lets_go_of_all_its_copies_when_it_is_purged_and_brings_them_back_when_it_is_not() {
    let b = two();
    let data = noise(200_000);
    let id = b.active(None, &data).await;
    b.service.copy_to_places(&admin(), &id, vec![StorePlace(1)], true).unwrap();
    b.work().await;
    b.service.delete_image(&member("p"), &id).unwrap();
    b.service.give_back(Reach::Everything).unwrap();
    assert!(packs(&b.home) > 0 && packs(&b.cold) > 0, "it is retained");
    b.service.undelete_image(&member("p"), &id).unwrap();
    assert_eq!(b.places(&id), [0, 1]);
    b.service.delete_image(&member("p"), &id).unwrap();
    b.service.purge_image(&member("p"), &id).unwrap();
    b.service.give_back(Reach::Everything).unwrap();
    assert_eq!((packs(&b.home), packs(&b.cold)), (0, 0));
    assert_eq!(b.service.store.stats().unwrap().contents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_to_the_store_that_they_name_whole_and_in_parts() {
    let b = two();
    let data = noise(200_000);
    let id = b.active(Some("cold"), &data).await;
    assert_eq!((b.places(&id), packs(&b.home)), (vec![1], 0));
    assert_eq!(b.read(&id, &[StorePlace(0)]).unwrap(), data);
    let queued = b.queued();
    let refused = |store| kind(b.service.begin_upload_to(&member("p"), &queued, None, Some(store)));
    assert_eq!((refused("no"), refused("shut")), (Some(ErrorKind::Invalid), Some(ErrorKind::Gone)));
    assert_eq!(b.image(&queued).status, Status::Queued);
    let part = |offset| crate::service::images::Patch { offset, declared_bytes: None };
    let declared = Some(data.len() as u64);
    let upload = b.service.create_upload_to(&member("p"), &queued, declared, Some("cold")).unwrap();
    for (offset, bytes) in [(0, &data[..70_000]), (70_000, &data[70_000..])] {
        let body = stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
        b.service.receive_part(&member("p"), &queued, upload.token, part(offset), body).await.unwrap();
    }
    assert_eq!((b.places(&queued), packs(&b.home)), (vec![1], 0), "a checkpoint went home");
    assert_eq!(b.read(&queued, &[]).unwrap(), data);
    // A copy of an image goes where that one is, and shares all of it.
    let before = packs(&b.cold);
    b.service.copy_image(&member("p"), &id, Vec::new(), None).unwrap();
    let job = b.work().await;
    assert_eq!((b.places(&job.images[0]), packs(&b.cold), packs(&b.home)), (vec![1], before, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_store_is_not_reached_all_is_taken_back_or_the_rest_stays_as_was_asked() {
    for must_all in [true, false] {
        let (home, cold, far) = (Memory::new(), Memory::new(), Memory::new());
        let way = |name: &str, medium: &Memory| {
            Entrance::new(std::sync::Arc::new(medium.clone()), name.into(), Box::new(|| Ok(())))
        };
        let place = |name: &str, way: Option<Entrance>| PlaceMedium { name: name.into(), way };
        // What is known to be away takes nothing.
        let places = vec![place("cold", Some(way("cold", &cold))), place("far", None)];
        let (service, _clock) = service_with_places(home.clone(), places, rules());
        let stores = Stores::new(vec![store(0, "main", 0), store(1, "cold", 5), store(2, "far", -1)]);
        let b = Box2 { service: service.with_stores(stores), home, cold };
        let id = b.active(None, &noise(100_000)).await;
        let refused = b.service.begin_upload_to(&member("p"), &b.queued(), None, Some("far"));
        assert_eq!(kind(refused), Some(ErrorKind::Unavailable));
        let both = vec![StorePlace(1), StorePlace(2)];
        b.service.copy_to_places(&admin(), &id, both, must_all).unwrap();
        let job = b.work().await;
        b.service.give_back(Reach::Everything).unwrap();
        if must_all {
            assert_eq!((job.state.as_str(), b.places(&id)), ("failed", vec![0]));
            assert!(job.error.unwrap().message.contains("far"));
            assert_eq!(packs(&b.cold), 0, "what was taken back is still stored");
        } else {
            assert_eq!((job.state.as_str(), b.places(&id)), ("succeeded", vec![0, 1]));
            assert_eq!((job.result["stores_reached"], job.result["stores_missed"]), (1, 1));
        }
        assert_eq!(packs(&far), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_refused_to_whom_and_where_they_may_not_be() {
    let b = two();
    let (id, queued) = (b.active(None, &noise(1000)).await, b.queued());
    let ask = |actor: &Actor, id: &ImageId, places: &[u8]| {
        let places = places.iter().map(|place| StorePlace(*place)).collect();
        kind(b.service.copy_to_places(actor, id, places, true))
    };
    assert_eq!(ask(&member("p"), &id, &[1]), Some(ErrorKind::Forbidden));
    assert_eq!(ask(&member("other"), &id, &[1]), Some(ErrorKind::NotFound));
    assert_eq!(ask(&admin(), &queued, &[1]), Some(ErrorKind::Conflict));
    assert_eq!(ask(&admin(), &id, &[]), Some(ErrorKind::Invalid));
    assert_eq!(ask(&admin(), &id, &[9]), Some(ErrorKind::Invalid));
    assert_eq!(ask(&admin(), &id, &[1, 1]), Some(ErrorKind::Invalid));
    assert_eq!(ask(&admin(), &id, &[2]), Some(ErrorKind::Gone));
    b.service.set_default_quotas(&admin(), vec![(Resource::ImageSizeTotal, Limit::of_number(0))]).unwrap();
    assert_eq!(ask(&admin(), &id, &[1]), Some(ErrorKind::TooLarge));
    assert!(kind(b.service.places_named(["cold", "no"])) == Some(ErrorKind::Invalid));
    assert!(b.service.claim_task().unwrap().is_none(), "something was queued all the same");
}
