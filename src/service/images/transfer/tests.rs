//! Images in and out of buckets: what a job leaves, however it ends.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::disk::fixtures::empty_qcow2;
use crate::model::Visibility;
use crate::model::image::MemberStatus;
use crate::model::job::{ImportRoute, Job, JobState, Place};
use crate::service::Actor;
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{self, member, work_off};
use crate::service::{KeyDomains, Rules, Service};

fn boxed(rules: Rules) -> (TempDir, Service) {
    let outer = tempfile::tempdir().unwrap();
    let (service, _) = testing::service_with_buckets(outer.path(), rules);
    (outer, service)
}

pub(super) fn place(bucket: &str, key: &str) -> Place {
    Place { bucket: bucket.into(), key: key.into() }
}

fn put(outer: &Path, key: &str, bytes: &[u8]) {
    let path = outer.join("in").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(super) fn data(label: u32) -> Vec<u8> {
    (0..700_000u32).map(|n| (n / 7 + label) as u8).collect()
}

pub(super) fn new_import(key: &str, route: ImportRoute, min_disk: u64) -> NewImport {
    let fields = [
        Field::Name(Some("made".into())),
        Field::Visibility(Visibility::Private),
        Field::MinDiskGib(min_disk),
    ];
    let image = NewImage { id: None, changes: fields.map(Change::Set).into() };
    NewImport { image, from: place("in", key), route, key: None }
}

fn import(service: &Service, actor: &Actor, key: &str) -> Result<Job, Error> {
    service.import_image(actor, new_import(key, ImportRoute::System, 1))
}

fn image_of(service: &Service, actor: &Actor, job: &Job) -> Image {
    service.show_image(actor, &job.images[0]).unwrap()
}

fn read(service: &Service, actor: &Actor, image: &ImageId) -> Vec<u8> {
    let reader = service.download_image(actor, image).unwrap().reader.unwrap();
    let mut bytes = vec![0; reader.size_bytes() as usize];
    reader.read_at(0, &mut bytes).unwrap();
    bytes
}

fn word<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    outcome.unwrap_err().code()
}

/// The job as it ended, and its image.
pub(super) async fn done(service: &Service, actor: &Actor, job: &Job) -> (Job, Image) {
    work_off(service).await;
    let job = service.job(actor, job.id).unwrap();
    let image = image_of(service, actor, &job);
    (job, image)
}

pub(super) async fn imported(service: &Service, actor: &Actor, outer: &Path, label: u32) -> Image {
    put(outer, "data.raw", &data(label));
    let job = import(service, actor, "data.raw").unwrap();
    done(service, actor, &job).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_saving_until_its_file_has_come_and_then_is_that_file() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    put(outer.path(), "a/Disk 1.raw", &data(1));
    let job = import(&service, &actor, "a/Disk 1.raw").unwrap();
    let image = image_of(&service, &actor, &job);
    assert_eq!((job.state, image.status, image.disk_format), (JobState::Queued, Status::Saving, None));
    // Nobody else fills it meanwhile.
    assert_eq!(service.begin_upload(&actor, &image.id, None).err().unwrap().kind, ErrorKind::Conflict);
    assert_eq!(service.create_upload(&actor, &image.id, None).unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(service.upload_of(&actor, &image.id).unwrap(), None);
    assert_eq!(service.recover_uploads().unwrap(), 0, "its job does");
    let (job, image) = done(&service, &actor, &job).await;
    assert_eq!((job.state, image.status), (JobState::Succeeded, Status::Active), "{job:?}");
    assert_eq!((image.disk_format.as_deref(), image.size_bytes), (Some("raw"), Some(700_000)));
    assert_eq!(job.result["image_bytes"], 700_000);
    assert!(read(&service, &actor, &image.id) == data(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_stored_in_the_form_that_the_operator_wants() {
    use crate::disk::writing::Form;
    use crate::disk::{fixtures, probe};
    use crate::service::images::ImportRules;
    let imports = ImportRules { convert: Some(Form::Qcow2), ..ImportRules::default() };
    let (outer, service) = boxed(Rules { imports, ..testing::rules() });
    let actor = member("one");
    put(outer.path(), "disk.raw", &data(1));
    let job = import(&service, &actor, "disk.raw").unwrap();
    let (job, image) = done(&service, &actor, &job).await;
    assert_eq!((job.state, image.disk_format.as_deref()), (JobState::Succeeded, Some("qcow2")), "{job:?}");
    let disk = fixtures::read(probe::Format::Qcow2, read(&service, &actor, &image.id)).unwrap();
    // A disk is whole sectors.
    assert!(disk[..700_000] == data(1) && disk[700_000..].iter().all(|byte| *byte == 0));
    assert_eq!(service.store.stats().unwrap().contents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_image_is_refused_at_once_or_kills_it() {
    let (outer, service) = boxed(Rules { image_bytes_max: 800_000, ..testing::rules() });
    let actor = member("one");
    put(outer.path(), "empty", b"");
    put(outer.path(), "long.raw", &[0; 800_001]);
    for (key, wanted) in [
        ("none", "no_object"),
        ("empty", "no_object"),
        ("../in/empty", "bad_key"),
        ("/etc/passwd", "bad_key"),
        ("long.raw", "object_too_large"),
    ] {
        assert_eq!(word(import(&service, &actor, key)), wanted, "{key}");
    }
    let elsewhere = |bucket: &str| {
        let from = place(bucket, "empty");
        let import = NewImport { from, ..new_import("", ImportRoute::System, 1) };
        word(service.import_image(&actor, import))
    };
    assert_eq!((elsewhere("nowhere"), elsewhere("closed")), ("no_bucket", "no_bucket"));
    let reader = Actor { roles: ["reader".to_owned()].into(), ..actor.clone() };
    assert_eq!(word(import(&service, &reader, "none")), "role");
    assert!(service.jobs(&actor, None, 10).unwrap().is_empty());
    put(outer.path(), "wrong.qcow2", &data(1));
    put(outer.path(), "large.qcow2", &empty_qcow2((1 << 30) + 1));
    put(outer.path(), "backed.qcow2", &[&b"QFI\xfb\0\0\0\x02\0\0\0\0\0\0\0\x09"[..], &[0; 70_000]].concat());
    put(outer.path(), "quick.qcow2", &empty_qcow2(1 << 20));
    for (key, route, wanted) in [
        ("wrong.qcow2", ImportRoute::System, "bad_content"),
        ("large.qcow2", ImportRoute::System, "disk_too_small"),
        ("backed.qcow2", ImportRoute::System, "unsupported_content"),
        ("quick.qcow2", ImportRoute::Quick, "not_quick"),
    ] {
        let job = service.import_image(&actor, new_import(key, route, 1)).unwrap();
        let (job, image) = done(&service, &actor, &job).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, wanted), "{key}");
        assert_eq!((image.status, image.upload, image.size_bytes), (Status::Killed, None, None), "{key}");
        assert!(service.download_image(&actor, &image.id).unwrap().reader.is_none());
        assert_eq!(service.begin_upload(&actor, &image.id, None).err().unwrap().kind, ErrorKind::Conflict);
        service.delete_image(&actor, &image.id).unwrap();
    }
    assert_eq!(service.usage(&actor_admin(&service)).unwrap().image_bytes, 0);
    let fits = service.import_image(&actor, new_import("quick.qcow2", ImportRoute::System, 1)).unwrap();
    let (_, image) = done(&service, &actor, &fits).await;
    assert_eq!((image.status, image.disk_format.as_deref()), (Status::Active, Some("qcow2")));
    assert_eq!(image.virtual_size_bytes, Some(1 << 20));
}

fn actor_admin(service: &Service) -> Actor {
    service.local_admin().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_image_is_filled_by_a_retry() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    put(outer.path(), "disk.qcow2", &data(1));
    let job = import(&service, &actor, "disk.qcow2").unwrap();
    assert_eq!(done(&service, &actor, &job).await.1.status, Status::Killed);
    put(outer.path(), "disk.qcow2", &empty_qcow2(1 << 20));
    service.retry_job(&actor, job.id).unwrap();
    assert_eq!(image_of(&service, &actor, &job).status, Status::Saving);
    let (job, image) = done(&service, &actor, &job).await;
    assert_eq!((job.state, image.status), (JobState::Succeeded, Status::Active));
    // One whose image was deleted has nothing to begin again with.
    put(outer.path(), "disk.qcow2", &data(1));
    let job = import(&service, &actor, "disk.qcow2").unwrap();
    work_off(&service).await;
    service.delete_image(&actor, &job.images[0]).unwrap();
    assert_eq!(word(service.retry_job(&actor, job.id)), "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_deleted_or_whose_job_is_ended_leaves_nothing() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    put(outer.path(), "a.raw", &data(1));
    let (gone, ended) =
        (import(&service, &actor, "a.raw").unwrap(), import(&service, &actor, "a.raw").unwrap());
    service.delete_image(&actor, &gone.images[0]).unwrap();
    assert_eq!(service.cancel_job(&actor, ended.id).unwrap().state, JobState::Cancelled);
    assert_eq!(image_of(&service, &actor, &ended).status, Status::Killed);
    work_off(&service).await;
    let seen = service.job(&actor, gone.id).unwrap();
    assert_eq!((seen.state, seen.error.unwrap().code.as_str()), (JobState::Failed, "gone"));
    let usage = service.usage(&actor_admin(&service)).unwrap();
    assert_eq!((usage.image_bytes, usage.stored_bytes), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_make_one_job_with_parts() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    put(outer.path(), "system.raw", &data(1));
    put(outer.path(), "data.raw", &data(2));
    let imports =
        vec![new_import("system.raw", ImportRoute::System, 1), new_import("data.raw", ImportRoute::Data, 1)];
    let job = service.import_images(&actor, imports).unwrap();
    work_off(&service).await;
    let seen = service.job(&actor, job.id).unwrap();
    assert_eq!((seen.state, seen.images.len()), (JobState::Succeeded, 2));
    let parts = service.job_parts(&actor, job.id).unwrap();
    assert!(read(&service, &actor, &parts[1].images[0]) == data(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_image_is_filled_once() {
    let (outer, service) = boxed(testing::rules());
    let (actor, other) = (member("one"), member("two"));
    put(outer.path(), "a.raw", &data(1));
    let name = Change::Set(Field::Visibility(Visibility::Shared));
    let image = service.create_image(&actor, NewImage { id: None, changes: vec![name] }).unwrap();
    let from = place("in", "a.raw");
    assert_eq!(word(service.import_into_image(&other, &image.id, &from)), "not_found");
    let job = service.import_into_image(&actor, &image.id, &from).unwrap();
    assert_eq!(word(service.import_into_image(&actor, &image.id, &from)), "not_fillable");
    let (_, image) = done(&service, &actor, &job).await;
    assert_eq!((image.status, image.properties["__data_origin"].as_str()), (Status::Active, "file,in:a.raw"));
    assert_eq!(word(service.import_into_image(&actor, &image.id, &from)), "not_fillable");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_import_goes_on_after_a_crash_where_its_checkpoint_stands() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    put(outer.path(), "a.raw", &data(1));
    let job = import(&service, &actor, "a.raw").unwrap();
    let id = job.images[0];
    // As a process leaves it that died after the first checkpoint.
    let claimed = service.claim_task().unwrap().unwrap();
    let service_of_job = service.clone();
    let mut claimed = tokio::task::spawn_blocking(move || {
        let mut claimed = claimed;
        let filling = import::fillings(&claimed).remove(0);
        drop(service_of_job.begin_import(&mut claimed, filling).unwrap());
        claimed
    })
    .await
    .unwrap();
    let upload = crate::catalog::uploads::get(&service.db.read().unwrap(), &id).unwrap().unwrap();
    let turn = service.turns.take(upload.token).await;
    let part = service.take_up_upload(&actor, upload, turn).unwrap();
    let half = bytes::Bytes::from(data(1)[..300_000].to_vec());
    let broken = crate::service::images::BodyBroken("power went".into());
    let cut = part.take_in(futures::stream::iter([Ok(half), Err(broken)])).await;
    assert!(cut.is_err());
    let step = crate::service::upkeep::Step { phase: "reading", done: 300_000, total: Some(700_000) };
    let _ = claimed.step(&step);
    std::mem::forget(claimed);
    assert_eq!(service.restart_jobs(), 0);
    assert_eq!((service.recover_uploads().unwrap(), service.expire_uploads().unwrap()), (0, 0));
    let kept = crate::catalog::uploads::get(&service.db.read().unwrap(), &id).unwrap().unwrap();
    assert_eq!(kept.received_bytes, 300_000);
    let (job, image) = done(&service, &actor, &job).await;
    assert_eq!((job.state, job.attempts, image.status), (JobState::Succeeded, 2, Status::Active));
    assert!(read(&service, &actor, &id) == data(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_writes_what_is_stored_and_overwrites_nothing() {
    let (outer, service) = boxed(testing::rules());
    let (actor, other) = (member("one"), member("two"));
    let image = imported(&service, &actor, outer.path(), 1).await;
    let export = |actor: &Actor, bucket: &str, key: &str, format: Option<&str>| {
        service.export_image(actor, &image.id, place(bucket, key), format.map(str::to_owned))
    };
    assert_eq!(word(export(&actor, "out", "a.zvhd", Some("zvhd"))), "other_format");
    assert_eq!(word(export(&actor, "in", "a.raw", None)), "no_bucket");
    assert_eq!(word(export(&actor, "out", "../in/a", None)), "bad_key");
    assert_eq!(word(export(&other, "out", "a.raw", None)), "not_found");
    let job = export(&actor, "out", "deep/a.raw", Some("raw")).unwrap();
    assert_eq!(word(export(&actor, "out", "b.raw", None)), "export_under_way");
    work_off(&service).await;
    let job = service.job(&actor, job.id).unwrap();
    assert_eq!((job.state, job.result["object_bytes"]), (JobState::Succeeded, 700_000), "{job:?}");
    assert!(std::fs::read(outer.path().join("out/deep/a.raw")).unwrap() == data(1));
    assert_eq!(word(export(&actor, "out", "deep/a.raw", None)), "object_exists");
    // One that comes meanwhile is not overwritten either.
    let late = export(&actor, "out", "late", None).unwrap();
    std::fs::write(outer.path().join("out/late"), "theirs").unwrap();
    work_off(&service).await;
    let late = service.job(&actor, late.id).unwrap();
    assert_eq!(late.error.unwrap().code, "object_exists");
    assert_eq!(std::fs::read(outer.path().join("out/late")).unwrap(), b"theirs");
    // A second try takes exactly its bytes for its own success, and nothing else.
    std::fs::write(outer.path().join("out/late"), data(1)).unwrap();
    service.retry_job(&actor, late.id).unwrap();
    let mut claimed = service.claim_task().unwrap().unwrap();
    let step = crate::service::upkeep::Step { phase: "writing", done: 0, total: None };
    assert!(claimed.step(&step).is_continue());
    std::mem::forget(claimed);
    service.restart_jobs();
    work_off(&service).await;
    assert_eq!(service.job(&actor, late.id).unwrap().state, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_leave_says_why() {
    let (outer, service) = boxed(testing::rules());
    let (actor, admin) = (member("one"), actor_admin(&service));
    let image = imported(&service, &actor, outer.path(), 1).await;
    let export = || word(service.export_image(&actor, &image.id, place("out", "x"), None));
    let set = |actor: &Actor, change| service.update_image(actor, &image.id, vec![change]).unwrap();
    set(&admin, Change::Set(Field::Visibility(Visibility::Public)));
    assert_eq!(export(), "public_image");
    set(&admin, Change::Set(Field::Visibility(Visibility::Private)));
    let whole = |value: &str| Change::SetProperty {
        name: WHOLE_PROPERTY.into(),
        value: value.into(),
        existing: crate::service::images::Existing::Any,
    };
    set(&actor, whole("true"));
    assert_eq!(export(), "whole_machine");
    assert_eq!(word(service.copy_image(&actor, &image.id, Vec::new(), None)), "whole_machine");
    set(&actor, whole("false"));
    service.deactivate_image(&actor, &image.id).unwrap();
    let refused = service.export_image(&actor, &image.id, place("out", "x"), None).unwrap_err();
    assert_eq!(refused.reason, Some(Reason::NotActive));
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_copy_shares_every_chunk_and_outlives_its_source() {
    let (outer, service) = boxed(testing::rules());
    let (one, two) = (member("one"), member("two"));
    let image = imported(&service, &one, outer.path(), 1).await;
    let stats = || service.usage(&actor_admin(&service)).unwrap();
    let before = stats();
    assert_eq!(word(service.copy_image(&two, &image.id, Vec::new(), None)), "not_found");
    service.update_image(&one, &image.id, vec![Change::Set(Field::Visibility(Visibility::Shared))]).unwrap();
    service.add_image_member(&one, &image.id, "two".into()).unwrap();
    assert_eq!(word(service.copy_image(&two, &image.id, Vec::new(), None)), "not_accepted");
    service.answer_image_share(&two, &image.id, &"two".into(), MemberStatus::Accepted).unwrap();
    let name = Change::Set(Field::Name(Some("mine".into())));
    let job = service.copy_image(&two, &image.id, vec![name], None).unwrap();
    let (job, copy) = done(&service, &two, &job).await;
    assert_eq!((job.state, copy.status), (JobState::Succeeded, Status::Active), "{job:?}");
    assert_eq!(copy.owner, Some("two".into()));
    assert_eq!((copy.name.as_deref(), copy.visibility), (Some("mine"), Visibility::Private));
    assert_eq!(copy.properties["__originalimagename"], image.id.to_string());
    assert_eq!((copy.digests.clone(), copy.min_disk_gib), (image.digests.clone(), image.min_disk_gib));
    assert_eq!((stats().chunks, stats().packs), (before.chunks, before.packs), "no byte was copied");
    service.delete_image(&one, &image.id).unwrap();
    service.reclaim(&actor_admin(&service), Default::default(), None, &mut |_| ()).unwrap();
    assert!(read(&service, &two, &copy.id) == data(1));
    let checked = service.check(&actor_admin(&service), &mut |_| ()).unwrap();
    assert!(checked.damaged.is_empty() && checked.damaged_objects.is_empty(), "{checked:?}");
    assert!(checked.differing_indexes.is_empty(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_copy_into_another_key_domain_shares_nothing() {
    let outer = tempfile::tempdir().unwrap();
    let rules = Rules { key_domains: KeyDomains::Project, ..testing::rules() };
    let (service, _) = testing::sealed_service(rules);
    let service = service.with_buckets(testing::buckets(outer.path()));
    let (one, two) = (member("one"), member("two"));
    let image = imported(&service, &one, outer.path(), 1).await;
    let chunks = || service.usage(&actor_admin(&service)).unwrap().chunks;
    let before = chunks();
    let job = service.copy_image(&one, &image.id, Vec::new(), None).unwrap();
    done(&service, &one, &job).await;
    assert_eq!(chunks(), before, "within one domain they share");
    service.update_image(&one, &image.id, vec![Change::Set(Field::Visibility(Visibility::Shared))]).unwrap();
    service.add_image_member(&one, &image.id, "two".into()).unwrap();
    service.answer_image_share(&two, &image.id, &"two".into(), MemberStatus::Accepted).unwrap();
    let job = service.copy_image(&two, &image.id, Vec::new(), None).unwrap();
    let (job, copy) = done(&service, &two, &job).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    assert_eq!(chunks(), 2 * before);
    assert!(read(&service, &two, &copy.id) == data(1));
    assert_eq!(copy.digests, image.digests);
}

fn whole(service: &Service, actor: &Actor, id: &str) -> Result<Job, Error> {
    let backup = service.machine_backup(actor, id)?;
    let data = backup.data.iter().map(|_| NewImage::default()).collect();
    service.import_machine(actor, &backup, NewMachine { system: NewImage::default(), data })
}

fn back_up(outer: &Path, id: &str, disks: &[(&str, &[u8])]) {
    let folder = outer.join("machines").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in disks {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let names: Vec<&str> = disks.iter().map(|(name, _)| *name).collect();
    let manifest = format!(r#"{{"system": {:?}, "data": {:?}}}"#, names[0], &names[1..]);
    std::fs::write(folder.join("machine.json"), manifest).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_disk_does_not_come_has_no_active_system_and_goes_on_where_it_was() {
    let (outer, service) = boxed(testing::rules());
    let actor = member("one");
    back_up(outer.path(), "web", &[("root.raw", &data(1)), ("a.raw", &data(2)), ("b.qcow2", b"none")]);
    let job = whole(&service, &actor, "web").unwrap();
    let [system, first, second] = job.images.clone().try_into().unwrap();
    let status = |id: &ImageId| service.show_image(&actor, id).unwrap().status;
    work_off(&service).await;
    let failed = service.job(&actor, job.id).unwrap();
    assert_eq!((failed.state, failed.error.unwrap().code.as_str()), (JobState::Failed, "bad_content"));
    assert_eq!([&system, &first, &second].map(status), [Status::Killed, Status::Active, Status::Killed]);
    assert_eq!(word(whole(&service, &actor, "web")), "backup_used", "it can be retried");
    assert_eq!(word(whole(&service, &member("other"), "none")), "no_backup");
    // With another file in its place the rest follows; what came before is not read again.
    std::fs::remove_file(outer.path().join("machines/web/a.raw")).unwrap();
    std::fs::write(outer.path().join("machines/web/b.qcow2"), empty_qcow2(4096)).unwrap();
    service.retry_job(&actor, job.id).unwrap();
    assert_eq!([&system, &first, &second].map(status), [Status::Saving, Status::Active, Status::Saving]);
    assert_eq!(service.restart_jobs(), 0);
    work_off(&service).await;
    let ended = service.job(&actor, job.id).unwrap();
    assert_eq!((ended.state, ended.result["image_bytes"]), (JobState::Succeeded, 2 * 700_000 + 70_000));
    assert_eq!([&system, &first, &second].map(status), [Status::Active; 3]);
    assert!(read(&service, &actor, &system) == data(1) && read(&service, &actor, &first) == data(2));
    // Another project has a set of its own, and deletes nobody else's.
    back_up(outer.path(), "db", &[("root.raw", &data(4))]);
    whole(&service, &actor, "db").unwrap();
    whole(&service, &member("other"), "db").unwrap();
    work_off(&service).await;
    assert_eq!(service.delete_machine(&member("other"), &first).unwrap_err().kind, ErrorKind::NotFound);
    service.delete_machine(&actor, &first).unwrap();
    for id in [system, first, second] {
        assert_eq!(service.show_image(&actor, &id).unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_machine_comes_back_whole_where_no_other_of_its_backup_is() {
    let (outer, service) = boxed(Rules { retain_deleted_s: 3600, ..testing::rules() });
    let actor = member("one");
    back_up(outer.path(), "web", &[("root.raw", &data(1)), ("a.raw", &data(2))]);
    let make = async || {
        let job = whole(&service, &actor, "web").unwrap();
        work_off(&service).await;
        service.job(&actor, job.id).unwrap().images
    };
    let first = make().await;
    service.delete_machine(&actor, &first[1]).unwrap();
    let second = make().await;
    assert_eq!(word(service.undelete_image(&actor, &first[0])), "backup_used");
    service.delete_machine(&actor, &second[0]).unwrap();
    let back = service.undelete_image(&actor, &first[1]).unwrap();
    assert_eq!(back.iter().map(|image| image.id).collect::<Vec<_>>(), [first[1], first[0]]);
    assert!(read(&service, &actor, &first[0]) == data(1) && read(&service, &actor, &first[1]) == data(2));
    let left: Vec<ImageId> =
        service.deleted_images(&actor, None, 10).unwrap().iter().map(|left| left.image.id).collect();
    assert!(left.len() == 2 && left.iter().all(|id| second.contains(id)), "the other set stays deleted");
    // One alone, whose set is there, comes back to it.
    service.delete_image(&actor, &first[0]).unwrap();
    assert_eq!(service.undelete_image(&actor, &first[0]).unwrap().len(), 1);
}

#[test]
fn a_project_is_told_of_the_places_that_it_may_use() {
    let (_outer, service) = boxed(testing::rules());
    let told = |actor: &Actor| {
        let places = service.places(actor).unwrap();
        let flags = |bucket: &BucketPlace| format!("{} {} {}", bucket.read, bucket.write, bucket.backups);
        let buckets = places.buckets.iter().map(|bucket| (bucket.name.clone(), flags(bucket)));
        (buckets.collect::<Vec<_>>(), places.regions)
    };
    let is = |name: &str, flags: &str| (name.to_owned(), flags.to_owned());
    let open =
        vec![is("in", "true false false"), is("out", "true true false"), is("machines", "true false true")];
    assert_eq!(told(&member("one")), (open.clone(), Vec::new()));
    let also = [open, vec![is("closed", "true true false")]].concat();
    assert_eq!(told(&member("else")).0, also);
    let nobody = Actor { roles: Default::default(), ..member("one") };
    assert_eq!(service.places(&nobody).unwrap_err().kind, ErrorKind::Forbidden);
}
