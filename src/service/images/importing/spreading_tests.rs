//! Imports into several stores: what comes to lie where, what clients are told meanwhile, and what is left of failures.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::holding::task_id;
use super::tests::{HELD, PENDING, chunks, data, kind, read, registered, shown, stage, with_server};
use super::unwrapping::Staged;
use super::*;
use crate::catalog::uploads;
use crate::model::job::{IntakeKind, Job, JobState, Task};
use crate::model::quota::{Limit, Resource};
use crate::model::{Image, StorePlace};
use crate::objects::{Entrance, Flaky, Memory, Objects};
use crate::service::stores::{StoreInfo, StoreKind, Stores, Wanted};
use crate::service::testing::{member, rules, service_with_places, work_off};
use crate::service::{Actor, ErrorKind, Rules, Service};
use crate::store::{PlaceMedium, Reach};

const FAILED: &str = "os_glance_failed_import";

/// A box with "cold" and "warm" beside its home "main", "away", which is, and "shut", which takes nothing.
struct Box3 {
    service: Service,
    home: Memory,
    cold: Flaky,
    warm: Memory,
}

fn store(place: u8, name: &str, weight: i64) -> StoreInfo {
    StoreInfo {
        place: StorePlace(place),
        name: name.into(),
        description: String::new(),
        weight,
        read_only: matches!(name, "shut" | "away"),
        is_default: place == 0,
        kind: StoreKind::File,
        location: String::new(),
        recipes: crate::service::images::RecipePolicy::Off,
    }
}

fn boxed(imports: ImportRules) -> Box3 {
    ruled(Rules { imports, ..rules() })
}

fn ruled(rules: Rules) -> Box3 {
    let (home, cold, warm) = (Memory::new(), Flaky::default(), Memory::new());
    let way =
        |name: &str, medium: Arc<dyn Objects>| Some(Entrance::new(medium, name.into(), Box::new(|| Ok(()))));
    let place = |name: &str, way| PlaceMedium { name: name.into(), way };
    let places = vec![
        place("cold", way("cold", Arc::new(cold.clone()))),
        place("warm", way("warm", Arc::new(warm.clone()))),
        place("shut", way("shut", Arc::new(Memory::new()))),
        place("away", None),
    ];
    let (service, _clock) = service_with_places(home.clone(), places, rules);
    let stores = Stores::new(vec![
        store(0, "main", 0),
        store(1, "cold", 5),
        store(2, "warm", 3),
        store(3, "shut", 1),
        store(4, "away", 9),
    ]);
    Box3 { service: service.with_stores(stores), home, cold, warm }
}

fn packs(medium: &impl Objects) -> usize {
    let mut packs = 0;
    medium.list("pack/", &mut |_| packs += 1).unwrap();
    packs
}

impl Box3 {
    fn to(&self, wanted: &Wanted, must_all: bool) -> Destination {
        let places = self.service.stores().wanted(wanted).unwrap();
        let places = places.iter().map(|store| store.place).collect();
        Destination { places, all: *wanted == Wanted::All, must_all }
    }

    fn order(&self, id: &ImageId, origin: DataOrigin, to: Destination) -> Result<Job, Error> {
        let new = NewIntake { kind: IntakeKind::ImageImport, origin, input: "{}".into(), to, convert: None };
        self.service.import_image_data(&member("one"), id, new)
    }

    fn copy(&self, by: &Actor, id: &ImageId, to: Destination) -> Result<Option<Job>, Error> {
        let (kind, origin) = (IntakeKind::ImageImport, DataOrigin::Own);
        self.service.import_to_more_stores(
            by,
            id,
            NewIntake { kind, origin, input: "{}".into(), to, convert: None },
        )
    }

    async fn staged(&self, bytes: &[u8]) -> ImageId {
        let id = registered(&self.service, &member("one"), Some("raw"));
        stage(&self.service, &member("one"), &id, bytes).await.unwrap();
        id
    }

    async fn active(&self, bytes: &[u8]) -> ImageId {
        let id = self.staged(bytes).await;
        self.order(&id, DataOrigin::Staged, Destination::default()).unwrap();
        work_off(&self.service).await;
        id
    }

    fn image(&self, id: &ImageId) -> Image {
        shown(&self.service, &member("one"), id)
    }

    fn stores(&self, id: &ImageId) -> Vec<String> {
        self.service.stores().of(&self.image(id)).map(|store| store.name.clone()).collect()
    }

    fn said(&self, id: &ImageId, property: &str) -> Option<String> {
        self.image(id).properties.get(property).cloned()
    }

    fn job(&self, job: &Job) -> Job {
        self.service.job(&self.service.local_admin().unwrap(), job.id).unwrap()
    }

    fn tidy(&self) {
        self.service.give_back(Reach::Everything).unwrap();
    }
}

fn all() -> Wanted {
    Wanted::All
}

fn named(names: &[&str]) -> Wanted {
    Wanted::Named(names.iter().map(ToString::to_string).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_into_all_stores_is_active_once_it_is_in_each_or_in_the_first() {
    for must_all in [true, false] {
        let b = boxed(ImportRules::default());
        let content = data(1, 300_000);
        let id = b.staged(&content).await;
        let asked = b.order(&id, DataOrigin::Staged, b.to(&all(), must_all)).unwrap();
        assert_eq!(b.said(&id, PENDING).unwrap(), "main,cold,warm", "what is staged lies in main");
        assert_eq!(b.said(&id, HELD).unwrap(), task_id(&asked.id));
        let job = b.service.claim_task().unwrap().unwrap();
        if !must_all {
            // With the first store alone.
            let (job, outcome) = b.service.take_in_data(job).await.unwrap();
            assert!(outcome.is_ok());
            let image = b.image(&id);
            assert_eq!((image.status, b.stores(&id)), (Status::Active, vec!["main".to_owned()]));
            assert_eq!(b.said(&id, PENDING).unwrap(), "cold,warm");
            assert_eq!(b.said(&id, HELD).unwrap(), task_id(&asked.id), "and held until the last");
            // The process dies here: another one goes on.
            std::mem::forget(job);
            b.service.restart_jobs();
            work_off(&b.service).await;
        } else {
            b.service.perform(job).await;
        }
        let done = b.job(&asked);
        assert_eq!((done.state, &done.error), (JobState::Succeeded, &None));
        assert_eq!(b.stores(&id), ["cold", "warm", "main"], "the heaviest first");
        assert_eq!((b.said(&id, PENDING), b.said(&id, FAILED)), (Some("".into()), Some("".into())));
        assert_eq!(b.said(&id, HELD), None);
        assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (1, 1, 1));
        for place in [0, 1, 2] {
            let preferred = [StorePlace(place)];
            let reader = b.service.download_from(&member("one"), &id, &preferred).unwrap().reader.unwrap();
            let mut read = vec![0; content.len()];
            reader.read_at(0, &mut read).unwrap();
            assert!(read == content, "{place}");
        }
        assert_eq!(b.service.usage(&b.service.local_admin().unwrap()).unwrap().image_bytes, 900_000);
        let checked = b.service.check(&b.service.local_admin().unwrap(), &mut |_| ()).unwrap();
        assert_eq!((checked.images, checked.damaged.len()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_store_fails_all_is_let_go_of_or_the_rest_stays_and_it_is_named() {
    for must_all in [true, false] {
        let b = boxed(ImportRules::default());
        let id = b.staged(&data(1, 300_000)).await;
        let asked = b.order(&id, DataOrigin::Staged, b.to(&all(), must_all)).unwrap();
        b.cold.fail_after(Some(0), false);
        work_off(&b.service).await;
        b.cold.fail_after(None, false);
        b.tidy();
        let job = b.job(&asked);
        // With all or nothing it is in none of them; the one that failed comes first.
        assert_eq!(b.said(&id, FAILED).unwrap(), if must_all { "cold,main,warm" } else { "cold" });
        assert_eq!((b.said(&id, PENDING).unwrap(), b.said(&id, HELD)), (String::new(), None));
        if must_all {
            assert_eq!((job.state, b.image(&id).status), (JobState::Failed, Status::Queued));
            assert!(job.error.unwrap().message.starts_with("store cold: "));
            assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (0, 0, 0));
        } else {
            assert_eq!((job.state, b.image(&id).status), (JobState::Succeeded, Status::Active));
            assert_eq!(b.stores(&id), ["warm", "main"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_copies_that_a_crash_cut_off_are_made_anew_and_nothing_is_left_over() {
    let b = boxed(ImportRules::default());
    let id = b.staged(&data(1, 300_000)).await;
    let asked = b.order(&id, DataOrigin::Staged, b.to(&all(), true)).unwrap();
    let job = b.service.claim_task().unwrap().unwrap();
    let Some(Task::Intake(intake)) = job.job().task else { panic!("an import") };
    let upload = uploads::get(&b.service.db.read().unwrap(), &id).unwrap().unwrap();
    let mut image = b.image(&id);
    image.status = Status::Importing;
    b.service.db.write(move |txn| Ok::<_, Error>(images::update(txn, &image)?)).unwrap();
    let (job, landing) = b.service.land(job, &intake, &Staged { upload, wrapper: None, form: None }).await;
    assert_eq!(landing.unwrap().copies.len(), 2);
    assert_eq!((packs(&b.cold), packs(&b.warm)), (1, 1), "they are there, and nothing names them");
    assert_eq!(b.said(&id, PENDING).unwrap(), "main");
    std::mem::forget(job);
    b.service.restart_jobs();
    work_off(&b.service).await;
    assert_eq!(b.job(&asked).error, None);
    b.tidy();
    assert_eq!(b.stores(&id), ["cold", "warm", "main"]);
    assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (1, 1, 1));
    assert_eq!(b.service.store.stats().unwrap().contents, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_goes_only_where_it_is_to_and_is_fetched_once() {
    let b = boxed(ImportRules { decompress: true, ..ImportRules::default() });
    let (service, base, asked) = with_server(b.service.clone()).await;
    let b = Box3 { service, ..b };
    for must_all in [true, false] {
        let before = asked.0.load(Ordering::Relaxed);
        let id = registered(&b.service, &member("one"), Some("raw"));
        let web = DataOrigin::Web { url: format!("{base}/shaky") };
        let job = b.order(&id, web, b.to(&named(&["warm", "cold", "warm"]), must_all)).unwrap();
        work_off(&b.service).await;
        assert_eq!(b.job(&job).error, None);
        let tries = if before == 0 { 2 } else { 1 };
        assert_eq!(asked.0.load(Ordering::Relaxed) - before, tries, "the rest alone was asked for again");
        assert_eq!(b.stores(&id), ["cold", "warm"]);
        assert!(read(&b.service, &member("one"), &id) == data(9, 300_000));
        assert_eq!(b.image(&id).place, StorePlace(2), "the first that was named");
    }
    // What was never fetched came to none of them.
    let id = registered(&b.service, &member("one"), Some("raw"));
    let web = DataOrigin::Web { url: format!("{base}/none") };
    b.order(&id, web, b.to(&named(&["warm", "cold"]), true)).unwrap();
    work_off(&b.service).await;
    assert_eq!((b.image(&id).status, b.said(&id, FAILED).unwrap()), (Status::Queued, "warm,cold".into()));
    // Without a length, and in a wrapper.
    for (path, content) in [("/unmeasured", data(8, 200_000)), ("/wrapped", data(6, 250_000))] {
        let id = registered(&b.service, &member("one"), Some("raw"));
        let web = DataOrigin::Web { url: format!("{base}{path}") };
        let job = b.order(&id, web, b.to(&named(&["warm", "cold"]), true)).unwrap();
        work_off(&b.service).await;
        assert_eq!((b.job(&job).error, b.stores(&id)), (None, vec!["cold".to_owned(), "warm".to_owned()]));
        assert!(read(&b.service, &member("one"), &id) == content, "{path}");
    }
    b.tidy();
    assert_eq!(packs(&b.home), 0);
    // What was staged goes elsewhere, plain and out of a wrapper, and leaves nothing behind.
    for (place, must_all) in [("cold", true), ("warm", false)] {
        for staged in [data(4, 300_000), zstd::encode_all(&data(4, 300_000)[..], 1).unwrap()] {
            let id = b.staged(&staged).await;
            let job = b.order(&id, DataOrigin::Staged, b.to(&named(&[place]), must_all)).unwrap();
            work_off(&b.service).await;
            assert_eq!((b.job(&job).error, b.stores(&id)), (None, vec![place.to_owned()]));
            assert!(read(&b.service, &member("one"), &id) == data(4, 300_000));
        }
    }
    let id = b.staged(&zstd::encode_all(&data(5, 300_000)[..], 1).unwrap()).await;
    let job = b.order(&id, DataOrigin::Staged, b.to(&named(&["cold", "warm"]), true)).unwrap();
    work_off(&b.service).await;
    assert_eq!((b.job(&job).error, b.stores(&id).len()), (None, 2));
    assert!(read(&b.service, &member("one"), &id) == data(5, 300_000));
    b.tidy();
    assert_eq!(packs(&b.home), 0);
    // An empty image is in all of them too.
    let id = b.staged(b"").await;
    b.order(&id, DataOrigin::Staged, b.to(&all(), true)).unwrap();
    work_off(&b.service).await;
    assert_eq!(b.stores(&id).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_copied_to_more_stores_by_whoever_may() {
    let b = boxed(ImportRules::default());
    let admin = b.service.local_admin().unwrap();
    let content = data(1, 300_000);
    let id = b.active(&content).await;
    assert_eq!(kind(b.copy(&member("one"), &id, b.to(&all(), true))), Some(ErrorKind::Forbidden));
    assert_eq!(kind(b.copy(&member("two"), &id, b.to(&all(), true))), Some(ErrorKind::NotFound));
    assert_eq!(kind(b.copy(&admin, &id, b.to(&named(&["main"]), true))), Some(ErrorKind::Invalid));
    assert_eq!(kind(b.copy(&admin, &id, b.to(&Wanted::Default, true))), Some(ErrorKind::Invalid));
    assert_eq!(kind(b.copy(&admin, &id, b.to(&named(&["shut"]), true))), Some(ErrorKind::Gone));
    let queued = registered(&b.service, &member("one"), Some("raw"));
    assert_eq!(kind(b.copy(&admin, &queued, b.to(&all(), true))), Some(ErrorKind::Conflict));
    assert!(b.service.claim_task().unwrap().is_none(), "something was queued all the same");
    // One store fails: with all or nothing the others are taken back.
    b.cold.fail_after(Some(0), false);
    let asked = b.copy(&admin, &id, b.to(&all(), true)).unwrap().unwrap();
    assert_eq!(b.said(&id, PENDING).unwrap(), "cold,warm");
    assert_eq!(kind(b.copy(&admin, &id, b.to(&all(), true))), Some(ErrorKind::Conflict), "a task holds it");
    assert_eq!(
        kind(b.service.copy_to_places(&admin, &id, vec![StorePlace(1)], true)),
        Some(ErrorKind::Conflict)
    );
    work_off(&b.service).await;
    let failed = b.job(&asked);
    assert_eq!((failed.state, b.stores(&id)), (JobState::Failed, vec!["main".to_owned()]));
    assert_eq!((b.image(&id).status, b.said(&id, HELD)), (Status::Active, None));
    assert_eq!(
        (b.said(&id, PENDING).unwrap(), b.said(&id, FAILED).unwrap()),
        ("".into(), "cold,warm".into())
    );
    // Else they stay, and a job that begins again does what is left.
    let asked = b.copy(&admin, &id, b.to(&all(), false)).unwrap().unwrap();
    work_off(&b.service).await;
    assert_eq!(
        (b.job(&asked).state, b.stores(&id)),
        (JobState::Succeeded, vec!["warm".into(), "main".into()])
    );
    assert_eq!(b.said(&id, FAILED).unwrap(), "cold");
    b.cold.fail_after(None, false);
    b.service.retry_job(&admin, failed.id).unwrap();
    assert_eq!(b.said(&id, PENDING).unwrap(), "cold");
    work_off(&b.service).await;
    assert_eq!((b.job(&failed).error, b.stores(&id).len()), (None, 3));
    assert_eq!((b.said(&id, FAILED).unwrap(), b.said(&id, HELD)), (String::new(), None));
    assert!(b.copy(&admin, &id, b.to(&all(), true)).unwrap().is_none(), "nothing is left to do");
    assert!(b.service.claim_task().unwrap().is_none());
    assert!(read(&b.service, &member("one"), &id) == content);
    assert_eq!(
        b.service.import_tasks_of(&member("one"), &id).unwrap().len(),
        3,
        "each is a task of the image"
    );
    b.tidy();
    assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_that_no_store_can_take_or_no_limit_has_room_for_are_refused_at_once() {
    let b = boxed(ImportRules::default());
    let admin = b.service.local_admin().unwrap();
    let id = b.staged(&data(1, 2 << 20)).await;
    let places = |places: &[u8], must_all| Destination {
        places: places.iter().map(|place| StorePlace(*place)).collect(),
        all: false,
        must_all,
    };
    assert_eq!(kind(b.order(&id, DataOrigin::Staged, places(&[3], true))), Some(ErrorKind::Gone));
    assert_eq!(kind(b.order(&id, DataOrigin::Staged, places(&[9], true))), Some(ErrorKind::Invalid));
    assert!(b.service.stores().wanted(&named(&["main", "no"])).is_err());
    // One that is away: it must be reached, or is missed.
    let writable = [(0, "main"), (1, "cold"), (4, "away")];
    let stores = writable.map(|(place, name)| StoreInfo { read_only: false, ..store(place, name, 0) });
    let b = Box3 { service: b.service.clone().with_stores(Stores::new(stores.into())), ..b };
    assert_eq!(kind(b.order(&id, DataOrigin::Staged, places(&[4, 1], true))), Some(ErrorKind::Unavailable));
    assert_eq!(kind(b.order(&id, DataOrigin::Staged, places(&[4], false))), Some(ErrorKind::Unavailable));
    let limit = vec![(Resource::ImageSizeTotal, Limit::of_number(5))];
    b.service.set_default_quotas(&admin, limit).unwrap();
    let three = places(&[0, 1, 4], false);
    assert_eq!(kind(b.order(&id, DataOrigin::Staged, three)), Some(ErrorKind::TooLarge));
    assert_eq!((b.image(&id).status, b.said(&id, HELD)), (Status::Uploading, None));
    b.order(&id, DataOrigin::Staged, places(&[4, 1], false)).unwrap();
    assert_eq!(b.said(&id, PENDING).unwrap(), "cold,away", "what can be reached comes first");
    work_off(&b.service).await;
    assert_eq!((b.stores(&id), b.said(&id, FAILED).unwrap()), (vec!["cold".to_owned()], "away".into()));
    assert!(chunks(&b.service) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_in_another_format_are_refused() {
    let b = boxed(ImportRules::default());
    let id = b.active(&data(1, 300_000)).await;
    let new = NewIntake {
        kind: IntakeKind::ImageImport,
        origin: DataOrigin::Own,
        input: "{}".into(),
        to: b.to(&all(), true),
        convert: Some(Form::Qcow2),
    };
    let admin = b.service.local_admin().unwrap();
    assert_eq!(kind(b.service.import_to_more_stores(&admin, &id, new)), Some(ErrorKind::Invalid));
    assert!(b.service.claim_task().unwrap().is_none(), "something was queued all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_what_is_refused_in_the_end_are_found_to_be_reclaimed() {
    let b = boxed(ImportRules::default());
    let id = registered(&b.service, &member("one"), Some("qcow2"));
    stage(&b.service, &member("one"), &id, &data(1, 300_000)).await.unwrap();
    let asked = b.order(&id, DataOrigin::Staged, b.to(&all(), true)).unwrap();
    b.service.litter().take();
    work_off(&b.service).await;
    assert!(b.job(&asked).error.unwrap().message.contains("qcow2"));
    assert_eq!((packs(&b.cold), packs(&b.warm)), (1, 1), "nothing names them");
    assert_eq!(b.service.litter().take(), Some(Reach::Everything));
    b.tidy();
    assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_wrapper_is_bounded_in_further_stores_too() {
    let imports = ImportRules { decompress: true, ..ImportRules::default() };
    let b = ruled(Rules { imports, image_bytes_max: 1_000_000, ..rules() });
    let id = b.staged(&zstd::encode_all(&vec![1_u8; 3_000_000][..], 1).unwrap()).await;
    let asked = b.order(&id, DataOrigin::Staged, b.to(&all(), true)).unwrap();
    work_off(&b.service).await;
    let error = b.job(&asked).error.unwrap();
    assert_eq!(error.code, "too_large");
    assert!(error.message.starts_with("store cold: an image may have at most 1000000 bytes"), "{error:?}");
    assert_eq!(b.image(&id).status, Status::Queued);
    b.tidy();
    assert_eq!((packs(&b.home), packs(&b.cold), packs(&b.warm)), (0, 0, 0));
}
