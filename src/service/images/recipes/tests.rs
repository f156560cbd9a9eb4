//! Which images are kept by recipes, and that they stay what they were.

use std::io::Write;
use std::ops::ControlFlow;

use super::super::looking::tests::uploaded;
use super::*;
use crate::model::StorePlace;
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::service::testing::{ManualClock, member, service};
use crate::store::Progress;

const CLUSTER: usize = 65_536;
const CLUSTERS: usize = 80;

/// A disk that compresses to a third.
fn disk() -> Vec<u8> {
    let mut noise = vec![0; CLUSTERS * CLUSTER / 4];
    blake3::Hasher::new().update(b"disk").finalize_xof().fill(&mut noise);
    noise.iter().flat_map(|byte| [*byte, byte >> 4, b'x', byte & 7]).collect()
}

/// A qcow2 of it, all of whose clusters are compressed.
fn qcow2(disk: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 3 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0\x02");
    put(20, &16_u32.to_be_bytes());
    put(24, &(disk.len() as u64).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    put(CLUSTER, &(2 * CLUSTER as u64).to_be_bytes());
    for (number, cluster) in disk.chunks(CLUSTER).enumerate() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(cluster).unwrap();
        let (at, packed) = (image.len() as u64, encoder.finish().unwrap());
        let sectors = (at + packed.len() as u64 - 1) / 512 - at / 512;
        let entry = 1 << 62 | sectors << 54 | at;
        let place = 2 * CLUSTER + number * 8;
        image[place..place + 8].copy_from_slice(&entry.to_be_bytes());
        image.extend(packed);
    }
    image.resize(image.len().next_multiple_of(512), 0);
    image
}

fn under(service: Service, recipes: RecipePolicy) -> Service {
    let (place, kind) = (StorePlace::HOME, StoreKind::File);
    let (name, description, location) = ("main".to_owned(), String::new(), String::new());
    let (weight, read_only, is_default) = (0, false, true);
    service.with_stores(Stores::new(vec![StoreInfo {
        place,
        name,
        description,
        weight,
        read_only,
        is_default,
        kind,
        location,
        recipes,
    }]))
}

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn by_policy(service: &Service) -> Kept {
    service.keep_recipes(Which::ByPolicy { idle_s: 100 }, &mut on).unwrap()
}

fn read(service: &Service, image: &Image) -> Vec<u8> {
    let reader = service.download_image(&member("p"), &image.id).unwrap().reader.unwrap();
    let mut data = vec![0; reader.size_bytes() as usize];
    reader.read_at(0, &mut data).unwrap();
    data
}

async fn stored() -> (Service, std::sync::Arc<ManualClock>, Image, Vec<u8>) {
    let (service, clock) = service();
    let data = qcow2(&disk());
    let (image, outcome) = uploaded(&service, "qcow2", data.clone()).await;
    outcome.unwrap();
    (service, clock, image, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_an_image_is_the_same_before_and_after() {
    let (service, _, image, data) = stored().await;
    let kept = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!((kept.streams, kept.units, kept.left_alone()), (1, CLUSTERS as u64, 0));
    assert_eq!(kept.plain_bytes, (CLUSTERS * CLUSTER) as u64);
    assert!(kept.correction_bytes * 5 < kept.packed_bytes, "{kept:?}");
    assert!(read(&service, &image) == data);
    assert_eq!(service.show_image(&member("p"), &image.id).unwrap(), image);
    // The disk that a guest sees comes from what is stored, not from units made anew.
    let open = service.open_disk(&member("p"), &image.id).unwrap();
    let mut seen = vec![0; CLUSTERS * CLUSTER];
    open.disk.read_at(0, &mut seen).unwrap();
    assert!(seen == disk());
    let again = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!(again, Kept { looked_at: 1, kept_before: 1, ..Kept::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_what_was_looked_at_and_why_images_stay_as_they_are() {
    let (service, ..) = stored().await;
    for (format, data) in [("raw", disk()), ("qcow2", plain_qcow2())] {
        uploaded(&service, format, data).await.1.unwrap();
    }
    let before = service.store.stats().unwrap().stored_bytes;
    let plan = service.plan_recipes().unwrap();
    assert_eq!((plan.streams, plan.packed_bytes), (1, (CLUSTERS * CLUSTER) as u64), "{plan:?}");
    assert_eq!(plan.settled, Kept { not_packed: 1, unfit: 1, ..Kept::default() });
    assert_eq!(service.plan_recipes().unwrap(), plan, "a plan leaves nothing behind");
    assert_eq!(service.store.stats().unwrap().stored_bytes, before);
    let kept = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!((kept.looked_at, kept.streams, kept.kept_before), (2, 1, 0), "{kept:?}");
    assert_eq!((kept.unfit, kept.not_packed, kept.left_alone()), (1, 1, 1), "{kept:?}");
    // Manifests and rows aside, it is what the store has more.
    let more = service.store.stats().unwrap().stored_bytes - before;
    assert!(kept.written_bytes > 0 && kept.written_bytes <= more, "{kept:?}, {more}");
    assert_eq!(kept.saved_bytes(), kept.packed_bytes.saturating_sub(kept.written_bytes));
    let again = service.keep_recipes(Which::All, &mut on).unwrap();
    let known = Kept { looked_at: 2, kept_before: 1, not_packed: 1, unfit: 1, ..Kept::default() };
    assert_eq!(again, known);
    assert_eq!(service.plan_recipes().unwrap(), RecipePlan { settled: known, ..RecipePlan::default() });
}

/// Another disk's container.
fn another_qcow2(seed: u8) -> Vec<u8> {
    let mut disk = disk();
    disk.iter_mut().for_each(|byte| *byte = byte.wrapping_add(seed));
    qcow2(&disk)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_cut_off_comes_after_all_others() {
    let (service, ..) = stored().await;
    uploaded(&service, "qcow2", another_qcow2(1)).await.1.unwrap();
    let mut steps = 0;
    let mut cut = |_: Progress| {
        steps += 1;
        if steps == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(service.keep_recipes(Which::All, &mut cut).unwrap().ended_early);
    // Ended where the next one begins, a run has kept one: the one that had no turn yet.
    let mut begun = 0;
    let mut one = |progress: Progress| {
        begun += u32::from(progress.phase == Progress::TAKING_APART && progress.done_bytes == 0);
        if begun == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let kept = service.keep_recipes(Which::All, &mut one).unwrap();
    assert_eq!((kept.streams, kept.ended_early), (1, true), "{kept:?}");
    // What was not begun is not taken for one that takes too long.
    uploaded(&service, "qcow2", another_qcow2(2)).await.1.unwrap();
    let mut never = |_: Progress| ControlFlow::Break(());
    assert!(service.keep_recipes(Which::All, &mut never).unwrap().ended_early);
    let mut begun = 0;
    let mut one = |progress: Progress| {
        begun += u32::from(progress.phase == Progress::TAKING_APART && progress.done_bytes == 0);
        if begun == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let kept = service.keep_recipes(Which::All, &mut one).unwrap();
    assert_eq!((kept.streams, kept.kept_before), (1, 1), "the new one is first: {kept:?}");
    let kept = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!((kept.streams, kept.kept_before, kept.ended_early), (1, 2, false), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_keeps_none_of_the_others_from_its_turn() {
    let objects = crate::objects::Memory::new();
    let (service, _) = crate::service::testing::service_on(objects.clone(), crate::service::testing::rules());
    uploaded(&service, "qcow2", another_qcow2(1)).await.1.unwrap();
    spoil_packs(&objects);
    uploaded(&service, "qcow2", another_qcow2(2)).await.1.unwrap();
    let kept = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!((kept.looked_at, kept.streams, kept.unreadable), (2, 1, 1), "{kept:?}");
    let again = service.keep_recipes(Which::All, &mut on).unwrap();
    assert_eq!((again.kept_before, again.unreadable, again.ended_early), (1, 1, false), "{again:?}");
}

/// Changes the end of the data of each pack, where no table of a container is.
fn spoil_packs(objects: &crate::objects::Memory) {
    use crate::objects::Objects;
    let mut packs = Vec::new();
    objects.list("pack/", &mut |info| packs.push((info.key, info.size_bytes))).unwrap();
    for (key, size) in packs {
        let mut bytes = objects.get(&key).unwrap();
        let middle = size as usize / 2;
        bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
        objects.delete(&key).unwrap();
        objects.put(&key, &bytes).unwrap();
    }
}

/// A qcow2 none of whose clusters is compressed.
fn plain_qcow2() -> Vec<u8> {
    let mut image = vec![0; 3 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0\x02");
    put(20, &16_u32.to_be_bytes());
    put(24, &(16 * CLUSTER as u64).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    put(CLUSTER, &((1 << 63) | (2 * CLUSTER as u64)).to_be_bytes());
    for number in 0..16 {
        let at = (3 + number) * CLUSTER as u64;
        put(2 * CLUSTER + number as usize * 8, &((1 << 63) | at).to_be_bytes());
    }
    image.extend(vec![5; 16 * CLUSTER]);
    image
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_disk_itself_adds_little_to_its_compressed_image() {
    let (service, _, _, _) = stored().await;
    service.keep_recipes(Which::All, &mut on).unwrap();
    let before = service.store.stats().unwrap().stored_bytes;
    // A partition table makes it a disk to the cutter, as noise is none.
    let mut raw = disk();
    raw[510..512].copy_from_slice(b"\x55\xaa");
    let (_, outcome) = uploaded(&service, "raw", raw.clone()).await;
    outcome.unwrap();
    let more = service.store.stats().unwrap().stored_bytes - before;
    assert!(more * 10 < raw.len() as u64, "{more}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_wants_none_keeps_images_as_they_came() {
    let (service, clock, ..) = stored().await;
    let service = under(service, RecipePolicy::Off);
    clock.step_seconds(1_000_000);
    assert!(!service.wants_recipes());
    assert_eq!(by_policy(&service), Kept::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_read_is_left_alone_until_nobody_reads_it_for_a_while() {
    let (service, clock, image, _) = stored().await;
    let service = under(service, RecipePolicy::Idle);
    assert_eq!(by_policy(&service).streams, 0);
    clock.step_seconds(90);
    read(&service, &image);
    clock.step_seconds(90);
    assert_eq!(by_policy(&service).streams, 0);
    clock.step_seconds(20);
    assert_eq!(by_policy(&service).streams, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_wants_all_takes_them_at_once() {
    let (service, ..) = stored().await;
    let service = under(service, RecipePolicy::Always);
    assert!(service.wants_recipes());
    assert_eq!(by_policy(&service).streams, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ended_early_goes_on_the_next_time() {
    let (service, _, image, data) = stored().await;
    let mut steps = 0;
    let mut watch = |_: Progress| {
        steps += 1;
        if steps == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(service.keep_recipes(Which::All, &mut watch).unwrap().ended_early);
    assert!(read(&service, &image) == data);
    assert_eq!(service.keep_recipes(Which::All, &mut on).unwrap().streams, 1);
    assert!(read(&service, &image) == data);
}
