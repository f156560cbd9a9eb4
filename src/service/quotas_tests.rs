//! Limits on every way in: what each lets through, and what is used afterwards.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream;

use super::*;
use crate::catalog::{differing_indexes, quotas as catalog};
use crate::model::job::{ImportRoute, Job, JobState, Place};
use crate::model::{Image, ImageId, Status};
use crate::service::identity::NewProject;
use crate::service::images::{BodyBroken, Change, Field, NewImage, NewImport, Patch};
use crate::service::testing::{member, rules, service, service_with, service_with_buckets, work_off};
use crate::service::{ErrorKind, OVER_LIMIT, Reason, Rules};
use crate::store::{Reach, Stats};

const MIB: usize = 1 << 20;

fn new_image() -> NewImage {
    let fields = [Field::DiskFormat(Some("raw".into())), Field::ContainerFormat(Some("bare".into()))];
    NewImage { id: None, changes: fields.map(Change::Set).into() }
}

fn create(service: &Service) -> Result<Image, Error> {
    service.create_image(&member("p"), new_image())
}

/// Sets a limit of all projects.
fn limit(service: &Service, resource: Resource, limit: i64) {
    let admin = service.local_admin().unwrap();
    service.set_default_quotas(&admin, vec![(resource, Limit::of_number(limit))]).unwrap();
}

fn used(service: &Service, project: &str) -> Usage {
    catalog::usage_of(&service.db.read().unwrap(), Some(&project.into())).unwrap()
}

/// The resource of which a limit refused something.
fn over<T>(outcome: Result<T, Error>) -> Resource {
    match outcome.map(drop) {
        Err(Error { kind: ErrorKind::TooLarge, reason: Some(Reason::OverLimit(resource)), .. }) => resource,
        other => panic!("{other:?}"),
    }
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind)
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

type Piece = Result<Bytes, BodyBroken>;

fn pieces(data: &[u8]) -> impl futures::Stream<Item = Piece> + Unpin + Send + use<> {
    let pieces: Vec<Piece> = data.chunks(60_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

async fn upload(service: &Service, id: &ImageId, declared: Option<u64>, data: &[u8]) -> Result<Image, Error> {
    let (service, id) = (service.clone(), *id);
    let begun =
        tokio::task::spawn_blocking(move || service.begin_upload(&member("p"), &id, declared)).await.unwrap();
    begun?.receive(pieces(data)).await
}

fn expect_whole(service: &Service) {
    assert_eq!(differing_indexes(&service.db.read().unwrap()).unwrap(), [""; 0]);
}

#[test]
fn an_image_too_many_is_refused_with_the_numbers() {
    let (service, _) = service();
    let first = create(&service).unwrap();
    limit(&service, Resource::ImageCountTotal, 2);
    create(&service).unwrap();
    let refused = create(&service);
    assert_eq!(refused.as_ref().unwrap_err().code(), OVER_LIMIT);
    let said = refused.as_ref().unwrap_err().message.clone();
    for part in ["project p", "image_count_total", "the limit is 2, 2 are used, and 1 more"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(over(refused), Resource::ImageCountTotal);
    let quotas = service.own_quotas(&member("p")).unwrap();
    assert_eq!((quotas.quotas[0].applied.limit, quotas.quotas[0].used), (Limit::AtMost(2), 2));
    // An administrator cannot give it one either.
    let admin = service.local_admin().unwrap();
    let other = service.create_image(&admin, new_image()).unwrap();
    let give = vec![Change::Set(Field::Owner(Some("p".into())))];
    assert_eq!(over(service.update_image(&admin, &other.id, give.clone())), Resource::ImageCountTotal);
    service.delete_image(&member("p"), &first.id).unwrap();
    service.update_image(&admin, &other.id, give).unwrap();
    assert_eq!((used(&service, "p").images, used(&service, "q").images), (2, 0));
    expect_whole(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_stops_where_the_limit_is_whether_its_length_is_known_or_not() {
    let (service, _) = service();
    limit(&service, Resource::ImageSizeTotal, 1);
    let id = create(&service).unwrap().id;
    let data = noise(MIB + 1, 0);
    // A length that is too much is refused before its first byte; else the byte that is too much is.
    assert_eq!(over(upload(&service, &id, Some(MIB as u64 + 1), &data).await), Resource::ImageSizeTotal);
    assert_eq!(over(upload(&service, &id, None, &data).await), Resource::ImageSizeTotal);
    let image = service.show_image(&member("p"), &id).unwrap();
    assert_eq!((image.status, image.size_bytes), (Status::Queued, None));
    assert_eq!(used(&service, "p"), Usage { images: 1, ..Usage::default() });
    while service.store.reclaim(Reach::Everything).unwrap().in_use > 0 {}
    assert_eq!(service.store.stats().unwrap(), Stats::default());
    upload(&service, &id, None, &data[..MIB]).await.unwrap();
    assert_eq!((used(&service, "p").image_bytes, used(&service, "p").reserved_bytes), (MIB as u64, 0));
    let other = create(&service).unwrap().id;
    assert_eq!(over(upload(&service, &other, None, b"x").await), Resource::ImageSizeTotal);
    // Nothing takes no room.
    assert_eq!(upload(&service, &other, None, b"").await.unwrap().status, Status::Active);
    service.delete_image(&member("p"), &id).unwrap();
    assert_eq!(used(&service, "p").image_bytes, 0);
    expect_whole(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_on_its_way_has_limits_of_its_own() {
    let (service, _) = service();
    let [one, two, three] = [(); 3].map(|()| create(&service).unwrap().id);
    limit(&service, Resource::ImageCountUploading, 2);
    limit(&service, Resource::ImageStageTotal, 1);
    let first = service.begin_upload(&member("p"), &one, Some(MIB as u64 - 10)).unwrap();
    assert_eq!(over(service.create_upload(&member("p"), &two, Some(11))), Resource::ImageStageTotal);
    service.create_upload(&member("p"), &two, Some(10)).unwrap();
    assert_eq!(over(service.begin_upload(&member("p"), &three, None)), Resource::ImageCountUploading);
    assert_eq!(used(&service, "p").reserved_bytes, MIB as u64);
    let image = first.receive(pieces(&noise(MIB - 10, 1))).await.unwrap();
    assert_eq!((image.status, used(&service, "p").reserved_bytes), (Status::Active, 10));
    service.delete_image(&member("p"), &two).unwrap();
    assert_eq!((used(&service, "p").reserved_bytes, used(&service, "p").uploading), (0, 0));
    // What a crash cut off gives its room back.
    let cut = service.begin_upload(&member("p"), &three, Some(5)).unwrap();
    std::mem::forget(cut);
    assert_eq!((used(&service, "p").reserved_bytes, service.recover_uploads().unwrap()), (5, 1));
    assert_eq!(used(&service, "p").reserved_bytes, 0);
    expect_whole(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_keeps_what_came_and_goes_on_when_there_is_room() {
    let (service, _) = service();
    limit(&service, Resource::ImageSizeTotal, 1);
    let id = create(&service).unwrap().id;
    let data = noise(2 * MIB, 2);
    assert_eq!(
        over(service.create_upload(&member("p"), &id, Some(2 * MIB as u64))),
        Resource::ImageSizeTotal
    );
    let begun = service.create_upload(&member("p"), &id, None).unwrap();
    let send = async |at: u64, declared_bytes, data: &[u8]| {
        let patch = Patch { offset: at, declared_bytes };
        service.receive_part(&member("p"), &id, begun.token, patch, pieces(data)).await
    };
    assert_eq!(over(send(0, None, &data).await), Resource::ImageSizeTotal);
    let stands = service.settled_upload(&member("p"), &id, begun.token).await.unwrap().received_bytes;
    assert!(stands > 900_000 && stands <= MIB as u64, "{stands}");
    assert_eq!(used(&service, "p").reserved_bytes, stands, "no more is held than what came");
    assert_eq!(over(send(stands, Some(2 * MIB as u64), &[]).await), Resource::ImageSizeTotal);
    limit(&service, Resource::ImageSizeTotal, 2);
    let done = send(stands, Some(2 * MIB as u64), &data[stands as usize..]).await.unwrap();
    assert!(done.complete);
    assert_eq!((used(&service, "p").image_bytes, used(&service, "p").reserved_bytes), (2 * MIB as u64, 0));
    expect_whole(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_images_keep_their_space_until_it_is_needed_and_need_a_place_to_come_back() {
    let (service, _) = service_with(Rules { retain_deleted_s: 3600, ..rules() });
    let owner = member("p");
    let mut deleted = Vec::new();
    for seed in 0..3 {
        let id = create(&service).unwrap().id;
        upload(&service, &id, None, &noise(MIB, seed)).await.unwrap();
        service.delete_image(&owner, &id).unwrap();
        deleted.push(id);
    }
    limit(&service, Resource::ImageCountTotal, 1);
    limit(&service, Resource::ImageSizeTotal, 3);
    let is_retained = |id: &ImageId| {
        let retained = service.deleted_images(&owner, None, 10).unwrap();
        retained.iter().any(|retained| retained.image.id == *id)
    };
    // What they cannot make room for purges none of them.
    let other = create(&service).unwrap().id;
    assert_eq!(over(upload(&service, &other, Some(4 * MIB as u64), b"x").await), Resource::ImageSizeTotal);
    assert!(deleted.iter().all(is_retained));
    assert_eq!(over(service.undelete_image(&owner, &deleted[0])), Resource::ImageCountTotal);
    // The oldest go first, and no more of them than it takes; another project's never.
    let theirs = service.create_image(&member("q"), new_image()).unwrap().id;
    service.delete_image(&member("q"), &theirs).unwrap();
    upload(&service, &other, Some(MIB as u64), &noise(MIB, 9)).await.unwrap();
    assert_eq!(deleted.iter().map(is_retained).collect::<Vec<_>>(), [false, true, true]);
    expect_whole(&service);
    // Data of unknown length purges nothing: whether all of it finds room shows at its end.
    service.delete_image(&owner, &other).unwrap();
    let last = create(&service).unwrap().id;
    let stream = upload(&service, &last, None, &noise(3 * MIB, 10)).await;
    assert_eq!(over(stream), Resource::ImageSizeTotal);
    assert_eq!(deleted.iter().map(is_retained).collect::<Vec<_>>(), [false, true, true]);
    upload(&service, &last, Some(3 * MIB as u64), &noise(3 * MIB, 10)).await.unwrap();
    assert!(!deleted.iter().any(is_retained) && !is_retained(&other));
    assert_eq!(used(&service, "p").image_bytes, 3 * MIB as u64);
    service.delete_image(&owner, &last).unwrap();
    service.purge_image(&owner, &last).unwrap();
    assert_eq!(used(&service, "p"), Usage::default());
    expect_whole(&service);
}

fn new_import(key: &str) -> NewImport {
    let image = NewImage { id: None, changes: vec![Change::Set(Field::Name(Some("made".into())))] };
    let from = Place { bucket: "in".into(), key: key.into() };
    NewImport { image, from, route: ImportRoute::System, key: None }
}

fn put(outer: &Path, key: &str, bytes: usize) {
    std::fs::write(outer.join("in").join(key), noise(bytes, 9)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reserves_what_it_brings_when_it_is_asked_for() {
    let outer = tempfile::tempdir().unwrap();
    let (service, _) = service_with_buckets(outer.path(), rules());
    let owner = member("p");
    put(outer.path(), "half.raw", MIB / 2);
    put(outer.path(), "more.raw", MIB / 2 + 1);
    limit(&service, Resource::ImageSizeTotal, 1);
    let both = || ["half.raw", "more.raw"].map(new_import).into();
    assert_eq!(over(service.import_images(&owner, both())), Resource::ImageSizeTotal);
    assert_eq!(used(&service, "p"), Usage::default(), "all of a set or none");
    let job = service.import_image(&owner, new_import("half.raw")).unwrap();
    assert_eq!(over(service.import_image(&owner, new_import("more.raw"))), Resource::ImageSizeTotal);
    let waiting = used(&service, "p");
    assert_eq!((waiting.uploading, waiting.reserved_bytes), (1, MIB as u64 / 2));
    work_off(&service).await;
    let ended = |job: &Job| service.job(&owner, job.id).unwrap();
    assert_eq!(ended(&job).state, JobState::Succeeded);
    // A copy shares every block, and counts all the same: it is the project's to have.
    let source = job.images[0];
    let copy = service.copy_image(&owner, &source, Vec::new(), None).unwrap();
    assert_eq!(over(service.copy_image(&owner, &source, Vec::new(), None)), Resource::ImageSizeTotal);
    work_off(&service).await;
    assert_eq!((ended(&copy).state, used(&service, "p").image_bytes), (JobState::Succeeded, MIB as u64));
    let registered = create(&service).unwrap().id;
    let from = Place { bucket: "in".into(), key: "half.raw".into() };
    let fill = service.import_into_image(&owner, &registered, &from);
    assert_eq!(over(fill), Resource::ImageSizeTotal);
    expect_whole(&service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_finds_more_than_it_reserved_fails_with_the_limit_and_may_be_repeated() {
    let outer = tempfile::tempdir().unwrap();
    let (service, _) = service_with_buckets(outer.path(), rules());
    let owner = member("p");
    put(outer.path(), "grows.raw", MIB);
    limit(&service, Resource::ImageSizeTotal, 1);
    let job = service.import_image(&owner, new_import("grows.raw")).unwrap();
    put(outer.path(), "grows.raw", MIB + 1);
    work_off(&service).await;
    assert_eq!(service.store.activity().received_bytes, 0, "it is refused before it is read");
    let ended = service.job(&owner, job.id).unwrap();
    let error = ended.error.unwrap();
    assert_eq!((ended.state, error.code.as_str()), (JobState::Failed, OVER_LIMIT));
    assert!(
        error.message.contains("image_size_total: the limit is 1 MiB (1048576 bytes)"),
        "{}",
        error.message
    );
    assert_eq!(service.show_image(&owner, &job.images[0]).unwrap().status, Status::Killed);
    assert_eq!(used(&service, "p"), Usage { killed: 1, ..Usage::default() });
    limit(&service, Resource::ImageCountTotal, 0);
    assert_eq!(over(service.retry_job(&owner, job.id)), Resource::ImageCountTotal);
    limit(&service, Resource::ImageCountTotal, 1);
    limit(&service, Resource::ImageSizeTotal, 2);
    service.retry_job(&owner, job.id).unwrap();
    work_off(&service).await;
    assert_eq!(service.job(&owner, job.id).unwrap().state, JobState::Succeeded);
    assert_eq!(used(&service, "p").image_bytes, MIB as u64 + 1);
    expect_whole(&service);
}

#[test]
fn a_project_has_its_own_limits_until_they_or_it_are_gone() {
    let (service, _) = service();
    let admin = service.local_admin().unwrap();
    let new = NewProject {
        name: "lab".into(),
        domain: None,
        description: None,
        enabled: true,
        tags: Vec::new(),
        extra: Default::default(),
    };
    let lab = service.create_project(&admin, new).unwrap().id;
    let set = |resource, limit: Option<i64>| {
        let limit = limit.map(|limit| Limit::of_number(limit).unwrap());
        service.set_quotas(&admin, &lab, vec![(resource, limit)])
    };
    let count = || {
        let quotas = service.project_quotas(&admin, &lab).unwrap();
        let applied = quotas.quotas[0].applied;
        (applied.limit.number(), applied.own.map(Limit::number), applied.registered.number())
    };
    assert_eq!(count(), (-1, None, -1));
    set(Resource::ImageCountTotal, Some(3)).unwrap();
    assert_eq!(count(), (3, Some(3), -1));
    limit(&service, Resource::ImageCountTotal, 5);
    set(Resource::ImageCountTotal, None).unwrap();
    set(Resource::ImageSizeTotal, None).unwrap();
    assert_eq!(count(), (5, None, 5));
    set(Resource::ImageCountTotal, Some(-1)).unwrap();
    assert_eq!(count(), (-1, Some(-1), 5));
    let gone = vec![(Resource::ImageCountTotal, None)];
    assert_eq!(kind(service.set_default_quotas(&admin, gone)), Some(ErrorKind::Invalid));
    assert_eq!(kind(service.set_quotas(&admin, &"nobody".into(), Vec::new())), Some(ErrorKind::NotFound));
    assert_eq!(kind(service.project_quotas(&admin, &"nobody".into())), Some(ErrorKind::NotFound));
    assert_eq!(service.project_limits(&admin).unwrap().len(), 1);
    service.delete_project(&admin, &lab).unwrap();
    assert_eq!(service.project_limits(&admin).unwrap(), []);
}

#[test]
fn a_member_sees_its_own_project_and_changes_nothing() {
    let (service, _) = service();
    create(&service).unwrap();
    let (reader, member) = (Actor { roles: ["reader".into()].into(), ..member("p") }, member("p"));
    assert_eq!(service.own_quotas(&reader).unwrap().usage.images, 1);
    let nobody = Actor { roles: Default::default(), ..member.clone() };
    let unscoped = Actor { scope: None, ..member.clone() };
    for actor in [&nobody, &unscoped] {
        assert_eq!(kind(service.own_quotas(actor)), Some(ErrorKind::Forbidden));
    }
    let settings = vec![(Resource::ImageCountTotal, Some(Limit::Unlimited))];
    for refused in [
        kind(service.project_quotas(&member, &"q".into())),
        kind(service.all_quotas(&member)),
        kind(service.set_default_quotas(&member, settings.clone())),
        kind(service.set_quotas(&member, &"p".into(), settings)),
        kind(service.recount_usage(&member)),
    ] {
        assert_eq!(refused, Some(ErrorKind::Forbidden));
    }
    let admin = service.local_admin().unwrap();
    // A project that nobody made, and that has images all the same, is in the report.
    let all = service.all_quotas(&admin).unwrap();
    let found: Vec<_> = all.iter().map(|one| (one.name.as_deref(), one.usage.images)).collect();
    assert!(found.contains(&(None, 1)) && found.contains(&(Some("admin"), 0)), "{found:?}");
}

#[test]
fn a_wrong_count_is_found_by_the_check_and_put_right() {
    let (service, _) = service();
    create(&service).unwrap();
    let admin = service.local_admin().unwrap();
    assert!(!service.recount_usage(&admin).unwrap());
    let table = catalog::USAGE;
    service
        .db
        .write(move |txn| {
            let mut keys = Vec::new();
            txn.scan_prefix(&table, &[], &mut |key, _| {
                keys.push(key.to_vec());
                std::ops::ControlFlow::Continue(())
            })?;
            keys.iter().try_for_each(|key| txn.remove(&table, key).map(drop))
        })
        .unwrap();
    let checked = service.check(&admin, &mut |_| ()).unwrap();
    assert_eq!(checked.differing_indexes, [catalog::USAGE.name]);
    assert!(service.recount_usage(&admin).unwrap());
    assert!(service.check(&admin, &mut |_| ()).unwrap().differing_indexes.is_empty());
    assert_eq!(used(&service, "p").images, 1);
}

/// Many at once, against limits that only some of them fit into.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_limit_is_ever_passed_however_many_try_at_once() {
    const PIECE: usize = 200_000;
    let (service, _) = service_with(Rules { retain_deleted_s: 3600, ..rules() });
    limit(&service, Resource::ImageCountTotal, 5);
    limit(&service, Resource::ImageSizeTotal, 1);
    limit(&service, Resource::ImageCountUploading, 3);
    let most = [(0, 5), (1, MIB as u64), (3, 3)];
    let (ended, watched) = (Arc::new(AtomicBool::new(false)), service.clone());
    let is_over = ended.clone();
    let watcher = std::thread::spawn(move || {
        let mut looks = 0u64;
        while !is_over.load(Ordering::Relaxed) {
            let used = used(&watched, "p");
            for (at, most) in most {
                assert!(used.amount(Resource::ALL[at]) <= most, "{used:?}");
            }
            looks += 1;
        }
        looks
    });
    let work = |number: u64| {
        let service = service.clone();
        async move {
            let mut outcomes = [0u32; 2];
            for turn in 0..12 {
                let Ok(image) = create(&service) else {
                    outcomes[0] += 1;
                    continue;
                };
                let data = noise(PIECE, number << 8 | turn);
                let declared = (turn % 2 == 0).then_some(PIECE as u64);
                outcomes[1] += u32::from(upload(&service, &image.id, declared, &data).await.is_ok());
                service.delete_image(&member("p"), &image.id).unwrap();
                if turn % 3 != 0 {
                    let _ = service.purge_image(&member("p"), &image.id);
                }
            }
            outcomes
        }
    };
    let at_work: Vec<_> = (0..8).map(|number| tokio::spawn(work(number))).collect();
    let (mut refused, mut filled) = (0, 0);
    for worker in at_work {
        let outcomes = worker.await.unwrap();
        refused += outcomes[0];
        filled += outcomes[1];
    }
    ended.store(true, Ordering::Relaxed);
    assert!(refused > 0 && filled > 0, "{refused} creates were refused, {filled} images were filled");
    let watch = watcher.join().unwrap();
    assert!(watch > 0);
    expect_whole(&service);
    let left = used(&service, "p");
    assert_eq!((left.images, left.uploading, left.reserved_bytes), (0, 0, 0));
}
