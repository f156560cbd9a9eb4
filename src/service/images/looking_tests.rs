//! Containers on their way in: those in order tell the size of their disk, the others leave nothing behind.

use bytes::Bytes;
use futures::stream;

use crate::model::{Image, Status};
use crate::service::images::guests::tests::chosen;
use crate::service::images::{Change, Field, NewImage};
use crate::service::testing::{member, rules, service, service_with};
use crate::service::{Error, ErrorKind, Service};
use crate::store::Reach;

const CLUSTER: usize = 4096;
const DISK_BYTES: u64 = 4 * CLUSTER as u64;

/// A qcow2 of four clusters whose first is data.
pub(in super::super) fn qcow2() -> Vec<u8> {
    let mut image = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0\x02");
    put(20, &12_u32.to_be_bytes());
    put(24, &DISK_BYTES.to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    put(CLUSTER, &(2 * CLUSTER as u64).to_be_bytes());
    put(2 * CLUSTER, &(3 * CLUSTER as u64).to_be_bytes());
    image
}

pub(in super::super) async fn uploaded(
    service: &Service,
    format: &str,
    data: Vec<u8>,
) -> (Image, Result<Image, Error>) {
    uploaded_in(service, "bare", format, data).await
}

pub(in super::super) async fn uploaded_in(
    service: &Service,
    container: &str,
    format: &str,
    data: Vec<u8>,
) -> (Image, Result<Image, Error>) {
    let fields = [Field::DiskFormat(Some(format.into())), Field::ContainerFormat(Some(container.into()))];
    uploaded_as(service, fields.map(Change::Set).into(), data).await
}

async fn uploaded_as(
    service: &Service,
    changes: Vec<Change>,
    data: Vec<u8>,
) -> (Image, Result<Image, Error>) {
    let new = NewImage { id: None, changes };
    let image = service.create_image(&member("p"), new).unwrap();
    let upload = service.begin_upload(&member("p"), &image.id, None).unwrap();
    let outcome = upload.receive(stream::iter([Ok(Bytes::from(data))])).await;
    (service.show_image(&member("p"), &image.id).unwrap(), outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_tells_the_size_of_its_disk() {
    let (service, _) = service();
    let (image, outcome) = uploaded(&service, "qcow2", qcow2()).await;
    outcome.unwrap();
    assert_eq!((image.status, image.virtual_size_bytes), (Status::Active, Some(DISK_BYTES)));
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_container_whose_tables_are_not_in_order_becomes_no_images_data() {
    let (service, _) = service();
    let mut broken = qcow2();
    broken[2 * CLUSTER..2 * CLUSTER + 8].copy_from_slice(&(1_u64 << 40).to_be_bytes());
    let (image, outcome) = uploaded(&service, "qcow2", broken).await;
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.kind, image.status), (ErrorKind::UnsupportedContent, Status::Queued));
    assert!(refusal.message.contains("qcow2 l2 entry"), "{}", refusal.message);
    assert!(refusal.message.contains("(bad-table)"), "{}", refusal.message);
    assert_eq!((image.size_bytes, image.virtual_size_bytes), (None, None));
    // The same image takes what is in order.
    let again = service.begin_upload(&member("p"), &image.id, None).unwrap();
    again.receive(stream::iter([Ok(Bytes::from(qcow2()))])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_larger_than_the_budget_is_refused_by_the_settings_name() {
    let mut rules = rules();
    rules.disks.virtual_bytes_max = DISK_BYTES - 1;
    let (service, _) = service_with(rules);
    let (_, outcome) = uploaded(&service, "qcow2", qcow2()).await;
    let refusal = outcome.unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::UnsupportedContent);
    assert!(refusal.message.contains("disks.virtual_bytes_max"), "{}", refusal.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_in_the_store() {
    let (service, _) = service();
    let before = service.store.stats().unwrap();
    let mut broken = qcow2();
    broken[CLUSTER..CLUSTER + 8].copy_from_slice(&1_u64.to_be_bytes());
    let (_, outcome) = uploaded(&service, "qcow2", broken).await;
    assert!(outcome.is_err());
    service.store.reclaim(Reach::Everything).unwrap();
    let after = service.store.stats().unwrap();
    assert_eq!((after.contents, after.packs), (before.contents, before.packs));
}

fn words(image: &Image) -> Vec<String> {
    let findings = image.verdict.as_ref().map(|verdict| verdict.findings.clone()).unwrap_or_default();
    findings.iter().map(crate::model::Finding::in_short).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_verdict_is_kept_with_the_data_and_copied_with_it() {
    let (service, _) = service();
    let mut noted = qcow2();
    // One snapshot, whose record lies in the last cluster.
    noted[60..64].copy_from_slice(&1_u32.to_be_bytes());
    noted[64..72].copy_from_slice(&(3 * CLUSTER as u64).to_be_bytes());
    let (image, outcome) = uploaded(&service, "qcow2", noted).await;
    outcome.unwrap();
    let verdict = image.verdict.clone().unwrap();
    assert_eq!((verdict.format.as_str(), words(&image)), ("qcow2", vec!["internal-snapshots=1".to_owned()]));
    assert_eq!(verdict.findings[0].field, "nb_snapshots");
    let (raw, outcome) = uploaded(&service, "raw", vec![0; 1 << 20]).await;
    outcome.unwrap();
    assert_eq!(raw.verdict.as_ref().unwrap().format, "raw");
    assert_eq!(words(&raw), ["no-partition-table"]);
    let (container, outcome) = uploaded(&service, "raw", qcow2()).await;
    outcome.unwrap();
    assert_eq!(container.verdict.as_ref().unwrap().format, "qcow2");
    assert_eq!(words(&container), ["looks-like-container=qcow2", "no-partition-table"]);
    assert_eq!(container.verdict.as_ref().unwrap().findings[0].field, "content", "the record says raw");
    // Nobody sets what shows it, and an image without data has none.
    let set = |name: &str| {
        let change = Change::SetProperty {
            name: name.into(),
            value: "x".into(),
            existing: crate::service::images::Existing::Any,
        };
        service.update_image(&member("p"), &raw.id, vec![change]).unwrap_err().kind
    };
    assert_eq!([set("tintype_format"), set("tintype_findings")], [ErrorKind::Forbidden; 2]);
    let (empty, _) = uploaded(&service, "qcow2", vec![1; 100]).await;
    assert_eq!(empty.verdict, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_refuses_is_refused_by_the_settings_name() {
    let with = |change: fn(&mut crate::service::images::DiskPolicy)| {
        let mut rules = rules();
        change(&mut rules.disk_policy);
        service_with(rules).0
    };
    let mut snapshot = qcow2();
    snapshot[60..64].copy_from_slice(&1_u32.to_be_bytes());
    snapshot[64..72].copy_from_slice(&(3 * CLUSTER as u64).to_be_bytes());
    for (service, format, data, setting) in [
        (with(|policy| policy.refuse_snapshots = true), "qcow2", snapshot, "disks.refuse_snapshots"),
        (
            with(|policy| policy.require_partition_table = true),
            "raw",
            vec![0; 1 << 20],
            "disks.require_partition_table",
        ),
        (
            with(|policy| policy.require_partition_table = true),
            "raw",
            qcow2(),
            "disks.require_partition_table",
        ),
        (with(|policy| policy.refuse_raw_containers = true), "raw", qcow2(), "disks.refuse_raw_containers"),
    ] {
        let (image, outcome) = uploaded(&service, format, data).await;
        let refusal = outcome.unwrap_err();
        assert_eq!((refusal.kind, image.status), (ErrorKind::UnsupportedContent, Status::Queued));
        assert!(refusal.message.contains(setting), "{}", refusal.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_an_archive_is_looked_into_before_its_image_is_active() {
    use crate::disk::ova;
    let (service, _) = service();
    let (image, outcome) = uploaded_in(&service, "ova", "qcow2", ova::fixture(&qcow2())).await;
    outcome.unwrap();
    assert_eq!((image.status, image.virtual_size_bytes), (Status::Active, Some(DISK_BYTES)));
    assert_eq!(image.verdict.as_ref().unwrap().format, "ova");
    assert_eq!(words(&image), ["inner-format=qcow2", "manifest-verified"]);
    // Of several, each is looked into.
    let two = |first: &[u8], second: &[u8]| ova::machine_fixture(&[("a.img", first), ("b.img", second)]);
    let (image, outcome) = uploaded_in(&service, "ova", "qcow2", two(&qcow2(), &qcow2())).await;
    outcome.unwrap();
    assert_eq!((image.status, image.virtual_size_bytes), (Status::Active, Some(2 * DISK_BYTES)));
    assert_eq!(words(&image), ["inner-format=qcow2", "several-disks=2", "manifest-verified"]);
    // The disk inside must be what is said, in order, and what the manifest says.
    let mut broken = qcow2();
    broken[2 * CLUSTER..2 * CLUSTER + 8].copy_from_slice(&(1_u64 << 40).to_be_bytes());
    let mut changed = ova::fixture(&qcow2());
    let at = changed.len() - 1024 - 10;
    changed[at] ^= 1;
    for (format, data, why) in [
        ("vmdk", ova::fixture(&qcow2()), "which disk_format denies"),
        ("qcow2", ova::fixture(&broken), "bad-table"),
        ("qcow2", two(&qcow2(), &broken), "bad-table"),
        ("qcow2", two(&qcow2(), &[1; 600]), "the disk b.img in the archive is raw"),
        ("qcow2", changed, "manifest"),
        ("qcow2", qcow2(), "container_format is ova"),
        ("qcow2", ova::fixture(&[1; 600]), "the disk disk.img in the archive is raw"),
    ] {
        let (image, outcome) = uploaded_in(&service, "ova", format, data).await;
        let refusal = outcome.unwrap_err();
        assert_eq!((refusal.kind, image.status), (ErrorKind::UnsupportedContent, Status::Queued));
        assert!(refusal.message.contains(why), "{why}: {}", refusal.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_the_disk_that_is_chosen_is_refused() {
    use crate::disk::ova;
    let (service, _) = service();
    let machine = ova::machine_fixture(&[("a.img", &qcow2()), ("b.img", &qcow2())]);
    for (choice, why) in
        [("2", None), ("3", Some("the machine has 2 disks (")), ("b.img", Some("not the number of a disk"))]
    {
        let changes = vec![
            Change::Set(Field::DiskFormat(Some("qcow2".into()))),
            Change::Set(Field::ContainerFormat(Some("ova".into()))),
            chosen(choice),
        ];
        let (image, outcome) = uploaded_as(&service, changes, machine.clone()).await;
        let Some(why) = why else {
            assert_eq!((outcome.unwrap().status, image.status), (Status::Active, Status::Active));
            continue;
        };
        let refusal = outcome.unwrap_err();
        assert_eq!((refusal.kind, image.status), (ErrorKind::Invalid, Status::Queued));
        assert!(refusal.message.contains(why), "{}", refusal.message);
    }
}
