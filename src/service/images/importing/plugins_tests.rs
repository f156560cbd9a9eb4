//! What the operator has imports do beside fetching: wrapped data is unwrapped, and properties are put on.

use std::io::Write;

use super::tests::{chunks, data, order, read, registered, shown, stage, with_server};
use super::*;
use crate::model::job::{Job, JobState};
use crate::service::images::{Change, Existing, Field};
use crate::service::testing::{self, member, rules, work_off};
use crate::service::{Actor, ErrorKind, Rules, Service};

const MIB: usize = 1 << 20;

fn boxed(imports: ImportRules) -> Service {
    testing::service_with(Rules { image_bytes_max: 4 * MIB as u64, imports, ..rules() }).0
}

fn unwrapping() -> Service {
    boxed(ImportRules { decompress: true, ..ImportRules::default() })
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

async fn imported(service: &Service, id: &ImageId, staged: &[u8]) -> Job {
    let owner = member("one");
    stage(service, &owner, id, staged).await.unwrap();
    let job = order(service, &owner, id, DataOrigin::Staged).unwrap();
    work_off(service).await;
    service.job(&owner, job.id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_data_is_unwrapped_and_stored_as_what_it_is() {
    let (service, owner) = (unwrapping(), member("one"));
    let plain = data(1, 3 * MIB);
    let wrapped = [gz(&plain), xz(&plain), zstd::encode_all(&plain[..], 1).unwrap()];
    for staged in wrapped.into_iter().chain([[gz(&plain[..MIB]), gz(&plain[MIB..])].concat(), plain.clone()])
    {
        let id = registered(&service, &owner, Some("raw"));
        let job = imported(&service, &id, &staged).await;
        assert_eq!((job.state, job.error.clone()), (JobState::Succeeded, None));
        assert_eq!(job.result["image_bytes"], 3 * MIB as u64);
        let image = shown(&service, &owner, &id);
        assert_eq!((image.status, image.size_bytes), (Status::Active, Some(3 * MIB as u64)));
        assert_eq!(image.digests.unwrap().blake3, *blake3::hash(&plain).as_bytes());
        assert!(read(&service, &owner, &id) == plain);
        assert_eq!(service.import_tasks_of(&owner, &id).unwrap().len(), 1);
    }
    // Nothing is left of the wrappers: all images are the same bytes.
    assert_eq!(service.store.stats().unwrap().contents, 5);
    let (chunks, once) = (chunks(&service), unwrapping());
    let id = registered(&once, &owner, Some("raw"));
    imported(&once, &id, &plain).await;
    assert_eq!(chunks, super::tests::chunks(&once));
}

#[tokio::test(flavor = "multi_thread")]
async fn s31_wrapped_data_that_is_too_large_or_broken_leaves_nothing_behind() {
    let (service, owner) = (unwrapping(), member("one"));
    let whole = gz(&data(2, 300_000));
    for (staged, code) in [
        (gz(&vec![0; 64 * MIB]), "too_large"),
        (zstd::encode_all(&vec![0; 64 * MIB][..], 1).unwrap(), "too_large"),
        (whole[..whole.len() - 5].to_vec(), "bad_content"),
        ([&whole[..], b"and more"].concat(), "bad_content"),
    ] {
        let id = registered(&service, &owner, Some("raw"));
        let job = imported(&service, &id, &staged).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, code));
        let image = shown(&service, &owner, &id);
        assert_eq!((image.status, image.size_bytes), (Status::Queued, None));
    }
    // What comes out is looked at like anything else.
    let id = registered(&service, &owner, Some("qcow2"));
    let job = imported(&service, &id, &whole).await;
    assert!(job.error.unwrap().message.contains("qcow2"));
    assert_eq!(chunks(&service), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_stay_wrapped_does() {
    let owner = member("one");
    let staged = gz(&data(3, 100_000));
    let (unwrapping, plain) = (unwrapping(), boxed(ImportRules::default()));
    for (service, container) in [(&unwrapping, "compressed"), (&plain, "bare")] {
        let id = registered(service, &owner, Some("raw"));
        let container = Change::Set(Field::ContainerFormat(Some(container.into())));
        service.update_image(&owner, &id, vec![container]).unwrap();
        assert_eq!(imported(service, &id, &staged).await.state, JobState::Succeeded);
        assert!(read(service, &owner, &id) == staged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_box_fetches_is_unwrapped_on_its_way() {
    let (service, base, _) = with_server(unwrapping()).await;
    let owner = member("one");
    let fetch = async |path: &str| {
        let id = registered(&service, &owner, Some("raw"));
        let job = order(&service, &owner, &id, DataOrigin::Web { url: format!("{base}{path}") }).unwrap();
        work_off(&service).await;
        (id, service.job(&owner, job.id).unwrap())
    };
    for (path, content) in [("/wrapped", data(6, 250_000)), ("/plain", data(7, 150_000))] {
        let (id, job) = fetch(path).await;
        assert_eq!((job.state, job.error), (JobState::Succeeded, None), "{path}");
        assert!(read(&service, &owner, &id) == content, "{path}");
    }
    let stored = chunks(&service);
    let (id, job) = fetch("/cut").await;
    assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "bad_content"));
    assert_eq!((shown(&service, &owner, &id).status, chunks(&service)), (Status::Queued, stored));
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_images_have_the_operators_properties_but_for_some_callers() {
    let service = boxed(ImportRules {
        inject: [
            ("checked_by".to_owned(), "nobody".to_owned()),
            ("hw_disk_bus".to_owned(), "scsi".to_owned()),
        ]
        .into(),
        inject_roles_except: ["admin", "curator"].map(str::to_owned).into(),
        ..ImportRules::default()
    });
    let with_role =
        |role: &str| Actor { roles: ["member", "reader", role].map(str::to_owned).into(), ..member("one") };
    let own =
        |name: &str| Change::SetProperty { name: name.into(), value: "own".into(), existing: Existing::Any };
    for (actor, expected) in
        [(with_role("other"), Some("nobody")), (with_role("curator"), None), (with_role("admin"), None)]
    {
        let id = registered(&service, &actor, Some("raw"));
        service.update_image(&actor, &id, vec![own("hw_disk_bus")]).unwrap();
        stage(&service, &actor, &id, b"data").await.unwrap();
        order(&service, &actor, &id, DataOrigin::Staged).unwrap();
        work_off(&service).await;
        let image = shown(&service, &actor, &id);
        assert_eq!(image.properties.get("checked_by").map(String::as_str), expected);
        let bus = if expected.is_some() { "scsi" } else { "own" };
        assert_eq!(image.properties["hw_disk_bus"], bus);
        // What another region says of its image does not take their place.
        let target = registered(&service, &actor, None);
        service.update_image(&with_role("admin"), &id, vec![own("hw_disk_bus")]).unwrap();
        order(&service, &actor, &target, DataOrigin::Region { region: "RegionOne".into(), image: id })
            .unwrap();
        work_off(&service).await;
        assert_eq!(shown(&service, &actor, &target).properties["hw_disk_bus"], bus);
    }
    // An upload is no import.
    let id = registered(&service, &with_role("other"), Some("raw"));
    assert_eq!(shown(&service, &with_role("other"), &id).properties.len(), 0);
    // An image that would have too many is refused.
    let many = (0..crate::base::limits::IMAGE_PROPERTIES_MAX).map(|at| own(&format!("p{at}"))).collect();
    service.update_image(&member("one"), &id, many).unwrap();
    stage(&service, &member("one"), &id, b"data").await.unwrap();
    let refused = order(&service, &member("one"), &id, DataOrigin::Staged).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge);
}
