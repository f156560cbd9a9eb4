//! Imported disks that are stored in one format, whatever they come in.

use super::super::guests::tests::chosen;
use super::super::looking::tests::qcow2;
use super::tests::{at, chunks, data, order, read, registered, shown, stage, with_server};
use super::*;
use crate::disk::{fixtures, probe};
use crate::model::SecureHash;
use crate::model::job::{IntakeKind, Job, JobState};
use crate::model::quota::{Limit, Resource};
use crate::service::images::{Change, DISK_PROPERTY, Field};
use crate::service::testing::{self, member, rules, work_off};
use crate::service::{ErrorKind, OVER_LIMIT, Rules, Service};

fn converting(form: Form) -> Service {
    let imports = ImportRules { convert: Some(form), decompress: true, ..ImportRules::default() };
    testing::service_with(Rules { imports, ..rules() }).0
}

async fn imported(service: &Service, id: &ImageId, staged: &[u8]) -> Job {
    let owner = member("one");
    stage(service, &owner, id, staged).await.unwrap();
    let job = order(service, &owner, id, DataOrigin::Staged).unwrap();
    work_off(service).await;
    service.job(&owner, job.id).unwrap()
}

/// A qcow2 with a cluster of data, and its disk.
fn container() -> (Vec<u8>, Vec<u8>) {
    let mut file = qcow2();
    file[3 * 4096..].fill(7);
    (file, [vec![7; 4096], vec![0; 3 * 4096]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_stored_as_the_disk_that_is_in_it() {
    let (service, owner) = (converting(Form::Raw), member("one"));
    let (file, disk) = container();
    let id = registered(&service, &owner, Some("qcow2"));
    let job = imported(&service, &id, &file).await;
    assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
    let image = shown(&service, &owner, &id);
    let size = Some(disk.len() as u64);
    assert_eq!((image.status, image.disk_format.as_deref()), (Status::Active, Some("raw")));
    assert_eq!((image.size_bytes, image.virtual_size_bytes), (size, size));
    assert_eq!(image.digests.unwrap().blake3, *blake3::hash(&disk).as_bytes());
    assert!(read(&service, &owner, &id) == disk);
    // Nothing is kept of what was staged.
    assert_eq!(service.store.stats().unwrap().contents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_stored_as_the_container_that_is_wanted() {
    let (service, owner) = (converting(Form::Qcow2), member("one"));
    let disk = [data(1, 300_000), vec![0; 1 << 20], data(2, 700 * 512)].concat();
    let disk = [&disk[..], &vec![0; disk.len().next_multiple_of(512) - disk.len()]].concat();
    let id = registered(&service, &owner, Some("raw"));
    let job = imported(&service, &id, &disk).await;
    assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
    let image = shown(&service, &owner, &id);
    assert_eq!(image.disk_format.as_deref(), Some("qcow2"));
    assert_eq!(image.virtual_size_bytes, Some(disk.len() as u64));
    let file = read(&service, &owner, &id);
    assert_eq!(image.size_bytes, Some(file.len() as u64));
    assert!(fixtures::read(probe::Format::Qcow2, file).unwrap() == disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_box_fetches_is_converted_too() {
    let (service, base, _) = with_server(converting(Form::Qcow2)).await;
    let owner = member("one");
    let id = registered(&service, &owner, Some("raw"));
    let job = order(&service, &owner, &id, DataOrigin::Web { url: format!("{base}/plain") }).unwrap();
    work_off(&service).await;
    let job = service.job(&owner, job.id).unwrap();
    assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
    let image = shown(&service, &owner, &id);
    assert_eq!(image.disk_format.as_deref(), Some("qcow2"));
    let disk = fixtures::read(probe::Format::Qcow2, read(&service, &owner, &id)).unwrap();
    assert_eq!(Some(disk.len() as u64), image.virtual_size_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_disk_or_has_the_format_stays_as_it_came() {
    let (service, owner) = (converting(Form::Qcow2), member("one"));
    let (file, _) = container();
    let id = registered(&service, &owner, Some("qcow2"));
    assert_eq!(imported(&service, &id, &file).await.state, JobState::Succeeded);
    assert!(read(&service, &owner, &id) == file);
    let opaque = data(3, 5000);
    let id = registered(&service, &owner, Some("ploop"));
    assert_eq!(imported(&service, &id, &opaque).await.state, JobState::Succeeded);
    assert!(read(&service, &owner, &id) == opaque);
    assert_eq!(shown(&service, &owner, &id).disk_format.as_deref(), Some("ploop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s31_a_container_that_is_not_in_order_is_not_converted() {
    let (service, owner) = (converting(Form::Raw), member("one"));
    let (mut file, _) = container();
    // The first-level table leads out of the file.
    file[4096..4104].copy_from_slice(&(1_u64 << 40).to_be_bytes());
    for staged in [file, data(4, 100_000)] {
        let id = registered(&service, &owner, Some("qcow2"));
        let job = imported(&service, &id, &staged).await;
        assert_eq!(job.state, JobState::Failed);
        assert!(job.error.unwrap().message.contains("qcow2"));
        let image = shown(&service, &owner, &id);
        assert_eq!((image.status, image.disk_format.as_deref()), (Status::Queued, Some("qcow2")));
    }
    assert_eq!(chunks(&service), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_disk_in_a_wrapper_is_unwrapped_and_then_converted() {
    let (service, owner) = (converting(Form::Raw), member("one"));
    let (file, disk) = container();
    let id = registered(&service, &owner, Some("qcow2"));
    let job = imported(&service, &id, &zstd::encode_all(&file[..], 1).unwrap()).await;
    assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
    let image = shown(&service, &owner, &id);
    assert_eq!((image.status, image.disk_format.as_deref()), (Status::Active, Some("raw")));
    assert!(read(&service, &owner, &id) == disk);
    assert_eq!(image.verdict.unwrap().format, "raw");
    // Neither the wrapper nor what was in it is kept.
    assert_eq!(service.store.stats().unwrap().contents, 1);
    let broken = [&b"\x28\xb5\x2f\xfd"[..], &[0xff; 100]].concat();
    let id = registered(&service, &owner, Some("qcow2"));
    assert_eq!(imported(&service, &id, &broken).await.state, JobState::Failed);
    assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
    assert_eq!(service.store.stats().unwrap().contents, 1);
}

fn asking(service: &Service, id: &ImageId, form: Form) -> Result<Job, crate::service::Error> {
    let (kind, to) = (IntakeKind::ImageImport, Destination::default());
    let new = NewIntake { kind, origin: DataOrigin::Staged, input: "{}".into(), to, convert: Some(form) };
    service.import_image_data(&member("one"), id, new)
}

fn of_container(service: &Service, id: &ImageId, container: &str) {
    let change = Change::Set(Field::ContainerFormat(Some(container.into())));
    service.update_image(&member("one"), id, vec![change]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_imports_a_disk_may_ask_for_the_form_it_is_stored_in() {
    let (service, owner) = (testing::service().0, member("one"));
    let (file, disk) = container();
    for (container, data) in [("bare", file.clone()), ("ova", crate::disk::ova::fixture(&file))] {
        let id = registered(&service, &owner, Some("qcow2"));
        of_container(&service, &id, container);
        stage(&service, &owner, &id, &data).await.unwrap();
        let job = asking(&service, &id, Form::Raw).unwrap();
        work_off(&service).await;
        let job = service.job(&owner, job.id).unwrap();
        assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None), "{container}");
        let image = shown(&service, &owner, &id);
        let formats = (image.container_format.as_deref(), image.disk_format.as_deref());
        assert_eq!(formats, (Some("bare"), Some("raw")), "a machine is taken apart into its disk");
        assert!(read(&service, &owner, &id) == disk, "{container}");
    }
    assert_eq!(service.store.stats().unwrap().contents, 2);
    // Of several disks it is the one that is chosen, and there is nothing to choose any more.
    let machine = crate::disk::ova::machine_fixture(&[("a.img", &file), ("b.img", &container().0)]);
    for (number, state) in [(None, JobState::Failed), (Some("2"), JobState::Succeeded)] {
        let id = registered(&service, &owner, Some("qcow2"));
        of_container(&service, &id, "ova");
        if let Some(number) = number {
            let choice = chosen(number);
            service.update_image(&owner, &id, vec![choice]).unwrap();
        }
        stage(&service, &owner, &id, &machine).await.unwrap();
        let job = asking(&service, &id, Form::Raw).unwrap();
        work_off(&service).await;
        let job = service.job(&owner, job.id).unwrap();
        assert_eq!(job.state, state, "{number:?}");
        let image = shown(&service, &owner, &id);
        if state == JobState::Failed {
            let error = job.error.unwrap().message;
            assert!(error.contains("2 disks (1 a.img, 2 b.img)"), "{error}");
            service.delete_image(&owner, &id).unwrap();
        } else {
            let choice = image.properties.get(DISK_PROPERTY);
            assert_eq!((image.container_format.as_deref(), choice), (Some("bare"), None));
            assert!(read(&service, &owner, &id) == disk);
        }
    }
    // What is no disk is refused before anything is done.
    for (container, format) in [("bare", "iso"), ("bare", "luks"), ("docker", "qcow2")] {
        let id = registered(&service, &owner, Some(format));
        of_container(&service, &id, container);
        stage(&service, &owner, &id, &file).await.unwrap();
        assert_eq!(asking(&service, &id, Form::Raw).unwrap_err().kind, ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_stays_whole_where_the_operator_alone_wants_one_form() {
    let (service, owner) = (converting(Form::Raw), member("one"));
    let archive = crate::disk::ova::fixture(&container().0);
    let id = registered(&service, &owner, Some("qcow2"));
    of_container(&service, &id, "ova");
    assert_eq!(imported(&service, &id, &archive).await.state, JobState::Succeeded);
    assert!(read(&service, &owner, &id) == archive);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hash_was_declared_of_stays_as_it_came() {
    let (web_store, convert) = (Some("web".into()), Some(Form::Qcow2));
    let imports = ImportRules { web_store, convert, decompress: true, ..ImportRules::default() };
    let (service, base, _) = with_server(testing::service_with(Rules { imports, ..rules() }).0).await;
    let owner = member("one");
    let locate = async |path: &str, expected| {
        let id = registered(&service, &owner, Some("raw"));
        let located = at(format!("{base}{path}"), expected);
        let job = service.add_image_location(&owner, &id, located, "{}".into()).unwrap();
        work_off(&service).await;
        (shown(&service, &owner, &id), service.job(&owner, job.id).unwrap())
    };
    let wrapped = zstd::encode_all(&data(6, 250_000)[..], 1).unwrap();
    for (path, content) in [("/plain", data(7, 150_000)), ("/wrapped", wrapped)] {
        let digest: [u8; 64] = <sha2::Sha512 as sha2::Digest>::digest(&content).into();
        let (image, job) = locate(path, Some(SecureHash::Sha512(digest))).await;
        assert_eq!((job.state, job.error), (JobState::Succeeded, None), "{path}");
        assert_eq!((image.status, image.disk_format.as_deref()), (Status::Active, Some("raw")), "{path}");
        assert_eq!(image.digests.unwrap().secure, Some(SecureHash::Sha512(digest)), "{path}");
        assert!(read(&service, &owner, &image.id) == content, "{path}");
        // It is the data as fetched that is not what was expected.
        let (image, job) = locate(path, Some(SecureHash::Sha512([7; 64]))).await;
        let error = job.error.unwrap().message;
        assert_eq!((job.state, image.status), (JobState::Failed, Status::Queued), "{path}");
        assert!(error.contains(&hex::encode(digest)), "{path}: {error}");
        // Without one it becomes what the operator wants.
        let (image, job) = locate(path, None).await;
        assert_eq!((job.state, job.error), (JobState::Succeeded, None), "{path}");
        assert_eq!(image.disk_format.as_deref(), Some("qcow2"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_too_large_is_refused_before_any_of_it_is_made() {
    let (owner, disk_bytes) = (member("one"), 64_u64 << 30);
    let file = fixtures::empty_qcow2(disk_bytes);
    let imports = ImportRules { convert: Some(Form::Raw), ..ImportRules::default() };
    let capped = testing::service_with(Rules { image_bytes_max: 64 << 20, imports, ..rules() }).0;
    let limited = converting(Form::Raw);
    let limit = vec![(Resource::ImageSizeTotal, Limit::of_number(8))];
    limited.set_default_quotas(&limited.local_admin().unwrap(), limit).unwrap();
    // What is told is how long it would be, and not how much of it was there when it had to end.
    for (service, code, bytes) in [
        (capped, "too_large", disk_bytes),
        // What is staged has its room already.
        (limited, OVER_LIMIT, disk_bytes - file.len() as u64),
    ] {
        let id = registered(&service, &owner, Some("qcow2"));
        let job = imported(&service, &id, &file).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Failed, code), "{}", error.message);
        assert!(error.message.contains(&format!(" {bytes} ")), "{}", error.message);
        assert_eq!(shown(&service, &owner, &id).status, Status::Queued);
        assert_eq!(chunks(&service), 0);
        // One that fits is as before.
        let id = registered(&service, &owner, Some("qcow2"));
        let (file, disk) = container();
        let job = imported(&service, &id, &file).await;
        assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
        assert!(read(&service, &owner, &id) == disk);
    }
}
