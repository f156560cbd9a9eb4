//! Extents and changes of images, in whatever container they came.

use super::super::looking::tests::{qcow2, uploaded};
use super::*;
use crate::model::Image;
use crate::service::testing::{member, service};

const CLUSTER: u64 = 4096;

/// A disk of so many clusters of noise, with a hole in the middle.
fn disk(clusters: usize) -> Vec<u8> {
    let mut disk = vec![0; clusters * CLUSTER as usize];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut disk);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    let middle = clusters / 2 * CLUSTER as usize;
    disk[middle..middle + 40 * CLUSTER as usize].fill(0);
    disk
}

async fn raw(service: &Service, data: Vec<u8>) -> Image {
    let (image, outcome) = uploaded(service, "raw", data).await;
    outcome.unwrap();
    image
}

fn changes(service: &Service, image: &Image, since: &Image, exact: bool) -> Vec<ByteRange> {
    let page = service.changes(&member("p"), &image.id, &since.id, 0, exact).unwrap();
    assert_eq!(page.next, None);
    page.found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_tells_where_it_has_data() {
    let (service, _) = service();
    let image = raw(&service, disk(400)).await;
    let page = service.extents(&member("p"), &image.id, 0).unwrap();
    let told: Vec<_> = page.found.iter().map(|s| (s.at, s.extent.bytes, s.extent.is_zero)).collect();
    let (hole, behind) = (200 * CLUSTER, 240 * CLUSTER);
    let all = [(0, hole, false), (hole, 40 * CLUSTER, true), (behind, 160 * CLUSTER, false)];
    assert_eq!((told, page.size_bytes, page.next), (all.to_vec(), 400 * CLUSTER, None));
    let rest = service.extents(&member("p"), &image.id, behind).unwrap();
    assert_eq!(rest.found.len(), 1);
    assert!(service.extents(&member("q"), &image.id, 0).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_written_is_told_and_little_more() {
    let (service, _) = service();
    let (old, mut new) = (disk(400), disk(400));
    let written = [(70 * CLUSTER, 3 * CLUSTER), (210 * CLUSTER, CLUSTER), (399 * CLUSTER, CLUSTER)];
    for (at, bytes) in written {
        new[at as usize..(at + bytes) as usize].fill(9);
    }
    let (old, new) = (raw(&service, old).await, raw(&service, new).await);
    let told = changes(&service, &new, &old, false);
    for (at, bytes) in written {
        assert!(told.iter().any(|range| range.start <= at && at + bytes <= range.end), "{at}: {told:?}");
    }
    let all: u64 = told.iter().map(ByteRange::len).sum();
    assert!(all < 400 * CLUSTER / 2, "{told:?}");
    let exact: Vec<_> = changes(&service, &new, &old, true).iter().map(|r| (r.start, r.len())).collect();
    assert_eq!(exact, written);
    assert_eq!(changes(&service, &new, &new, false), []);
    // The other way round it is the same.
    assert_eq!(changes(&service, &old, &new, true), changes(&service, &new, &old, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_compares_so_much_and_the_next_goes_on() {
    let (service, _) = service();
    let noise = |name: &[u8]| {
        let mut noise = vec![0; 3 << 20];
        blake3::Hasher::new().update(name).finalize_xof().fill(&mut noise);
        noise
    };
    let (old, new) = (raw(&service, noise(b"old")).await, raw(&service, noise(b"new")).await);
    let disk = |image: &Image| service.open_disk(&member("p"), &image.id).unwrap().disk;
    let (old, new) = (disk(&old), disk(&new));
    let (mut from, mut answers, mut changed) = (0, 0, 0);
    loop {
        let page = differences(&new, &old, from, Some(1)).unwrap();
        changed += page.found.iter().map(ByteRange::len).sum::<u64>();
        answers += 1;
        match page.next {
            Some(next) => assert!(next > from && next - from <= LOOK_BYTES, "{from} {next}"),
            None => break,
        }
        from = page.next.unwrap();
    }
    assert!(answers >= 3 && changed == 3 << 20, "{answers} {changed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_compared_as_the_disk_that_it_is() {
    let (service, _) = service();
    let mut data = qcow2();
    data[3 * 4096..].fill(7);
    let disk = [vec![7; 4096], vec![0; 3 * 4096]].concat();
    let (wrapped, outcome) = uploaded(&service, "qcow2", data).await;
    outcome.unwrap();
    let (same, mut other) = (raw(&service, disk.clone()).await, disk);
    other[2 * 4096] = 1;
    let other = raw(&service, other).await;
    assert_eq!(changes(&service, &wrapped, &same, true), []);
    assert_eq!(changes(&service, &wrapped, &other, true), [ByteRange { start: 8192, end: 12_288 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_grew_by_is_a_change() {
    let (service, _) = service();
    let (small, large) = (disk(100), [disk(100), vec![1; 8192]].concat());
    let end = small.len() as u64;
    let (small, large) = (raw(&service, small).await, raw(&service, large).await);
    assert_eq!(changes(&service, &large, &small, true), [ByteRange { start: end, end: end + 8192 }]);
    assert_eq!(changes(&service, &small, &large, true), []);
}
