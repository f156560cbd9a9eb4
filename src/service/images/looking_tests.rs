//! Containers on their way in: those in order tell the size of their disk, the others leave nothing behind.

use bytes::Bytes;
use futures::stream;

use crate::model::{Image, Status};
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
    let fields = [Field::DiskFormat(Some(format.into())), Field::ContainerFormat(Some("bare".into()))];
    let new = NewImage { id: None, changes: fields.into_iter().map(Change::Set).collect() };
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
