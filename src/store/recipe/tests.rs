//! Streams kept by recipes: nobody notices but for the space, and what does not work out changes nothing.

use std::io::Write;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::super::Store;
use super::super::compact::tests::{expect_sound, expect_whole, on, reclaim, release};
use super::super::manifest::Manifest;
use super::super::steps::Progress;
use super::super::tests::{Bench, fresh, fresh_as, get, noise, put};
use super::*;
use crate::base::OsEntropy;
use crate::model::{ByteRange, ContentId};
use crate::store::{MasterKey, Options, Reach, Scope, Wish};

const CLUSTER: usize = 65_536;

/// A disk's clusters, such as compress to a third.
fn disk(seed: u8, clusters: usize) -> Vec<u8> {
    let noise = noise(seed, clusters * CLUSTER / 4);
    let mut disk: Vec<u8> = noise.iter().flat_map(|byte| [*byte, byte >> 4, b'x', byte & 7]).collect();
    // Ends of files, by which a disk is told from what is compressed.
    disk.chunks_mut(4096).step_by(3).for_each(|block| block[4080..].fill(0));
    disk
}

fn packed(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A container of a disk: a head, every cluster compressed but for each seventh, a byte between, and a tail.
fn container(disk: &[u8]) -> (Vec<u8>, Vec<Piece>) {
    container_of(disk, CLUSTER)
}

/// The same with clusters of so many bytes.
fn container_of(disk: &[u8], cluster_bytes: usize) -> (Vec<u8>, Vec<Piece>) {
    let (mut stream, mut pieces) = (noise(200, 5000), Vec::new());
    for (number, cluster) in disk.chunks(cluster_bytes).enumerate() {
        let at = stream.len() as u64;
        if number % 7 == 3 {
            stream.extend_from_slice(cluster);
            pieces.push(Piece { at, bytes: cluster.len() as u64, unpacked_bytes: None });
        } else {
            stream.extend(packed(cluster));
            // As readers tell it: up to the end of its last sector.
            let bytes = (stream.len() as u64 - at).next_multiple_of(512);
            pieces.push(Piece { at, bytes, unpacked_bytes: Some(cluster.len() as u64) });
            stream.push(number as u8);
        }
    }
    stream.extend(noise(201, 3000));
    (stream, pieces)
}

fn keep(store: &Store, content: &ContentId, pieces: &[Piece]) -> Recast {
    store.keep_by_recipe(content, &mut pieces.iter().copied(), &mut on).unwrap()
}

async fn kept(master: Option<&MasterKey>) -> (Bench, ContentId, Vec<u8>, Vec<u8>) {
    let b = fresh(master);
    let disk = disk(1, 40);
    let (stream, pieces) = container(&disk);
    let content = put(&b, &stream).await;
    let Recast::Done { units, packed_bytes, plain_bytes, .. } = keep(&b.store, &content, &pieces) else {
        panic!("it stays as it is")
    };
    assert_eq!((units, plain_bytes), (34, 34 * CLUSTER as u64));
    assert!(packed_bytes > 34 * 8192, "{packed_bytes}");
    (b, content, stream, disk)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_a_container_kept_by_a_recipe_reads_exactly_and_shares_the_disk() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (b, content, stream, disk) = kept(master.as_ref()).await;
        expect_whole(&b, &content, &stream);
        for (start, bytes) in [(0, 1), (4999, 2), (5000, 40_000), (123_456, 1), (300_000, 400_001)] {
            let range = ByteRange { start: start as u64, end: (start + bytes) as u64 };
            assert_eq!(get(&b, &content, range).unwrap(), stream[start..start + bytes], "{start}");
        }
        reclaim(&b);
        expect_sound(&b);
        expect_whole(&b, &content, &stream);
        // The disk itself has next to nothing new.
        let before = b.store.stats().unwrap().stored_bytes;
        let raw = put(&b, &disk).await;
        let more = b.store.stats().unwrap().stored_bytes - before;
        assert!(more * 8 < disk.len() as u64 / 3, "{more}");
        release(&b, content);
        reclaim(&b);
        expect_whole(&b, &raw, &disk);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_unit_holds_is_read_without_making_the_unit() {
    let (b, content, _, disk) = kept(None).await;
    let reader = b.store.reader(&content).unwrap();
    assert_eq!(reader.unpacked_at(5000).unwrap().unwrap(), disk[..CLUSTER]);
    assert_eq!(reader.unpacked_at(5001).unwrap(), None);
    assert_eq!(reader.unpacked_at(0).unwrap(), None);
    assert_eq!(reader.stretch_at(0), (5000, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_it_is_made_alike_and_lives_on_alone() {
    let (b, content, stream, _) = kept(None).await;
    let receipt = b.store.copy(&content, Scope::STORE, b"record".to_vec()).unwrap().unwrap();
    let (store, copy) = (b.store.clone(), receipt.content());
    assert_eq!(receipt.size_bytes(), stream.len() as u64);
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
    release(&b, content);
    reclaim(&b);
    expect_whole(&b, &copy, &stream);
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_outlives_the_process_and_is_not_made_twice() {
    let (b, content, stream, disk) = kept(None).await;
    assert_eq!(keep(&b.store, &content, &container(&disk).1), Recast::Kept);
    let store = super::super::tests::open(b.objects.clone(), b.db.clone(), None).unwrap();
    let b = Bench { store, ..b };
    expect_whole(&b, &content, &stream);
    assert_eq!(keep(&b.store, &ContentId([9; 16]), &[]), Recast::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_while_it_changes_reads_on() {
    let b = fresh(None);
    let (stream, pieces) = container(&disk(2, 20));
    let content = put(&b, &stream).await;
    let reader = b.store.reader(&content).unwrap();
    assert!(matches!(keep(&b.store, &content, &pieces), Recast::Done { .. }));
    b.store.reclaim(Reach::Everything).unwrap();
    let mut read = vec![0; stream.len()];
    reader.read_at(0, &mut read).unwrap();
    assert!(read == stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_again_stays_as_it_is() {
    let b = fresh(None);
    let (stream, mut pieces) = container(&disk(3, 80));
    let content = put(&b, &stream).await;
    let before = b.store.reader(&content).unwrap().extents().to_vec();
    assert_eq!(keep(&b.store, &content, &[]), Recast::Pointless);
    // None of these is what its piece says.
    pieces.iter_mut().for_each(|piece| piece.at += 1);
    assert_eq!(keep(&b.store, &content, &pieces), Recast::Pointless);
    assert_eq!(b.store.reader(&content).unwrap().extents(), before);
    reclaim(&b);
    expect_whole(&b, &content, &stream);
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_other_upkeep_says_so_and_can_be_ended() {
    let b = fresh(None);
    let (stream, pieces) = container(&disk(7, 12));
    let content = put(&b, &stream).await;
    let _other = b.store.inner.rewriting.lock().unwrap();
    let mut phases = Vec::new();
    let mut watch = |progress: Progress| {
        phases.push(progress.phase);
        if phases.len() % 2 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(b.store.rewrite(Wish { compact: true, ..Wish::default() }, &mut watch).unwrap().ended_early);
    let kept = b.store.keep_by_recipe(&content, &mut pieces.iter().copied(), &mut watch).unwrap();
    assert_eq!((kept, phases), (Recast::Ended, vec![Progress::WAITING; 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_are_large_stay_as_they_stand() {
    let b = fresh(None);
    for (cluster_bytes, is_kept) in [(256 << 10, true), (512 << 10, false)] {
        let (stream, pieces) = container_of(&disk(5, 48), cluster_bytes);
        let content = put(&b, &stream).await;
        let outcome = keep(&b.store, &content, &pieces);
        assert_eq!(matches!(outcome, Recast::Done { .. }), is_kept, "{cluster_bytes}: {outcome:?}");
        expect_whole(&b, &content, &stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_recipe_takes_no_more_memory_than_several_may_beside_each_other() {
    let options = Options { memory_bytes: 2 << 20, ..Options::default() };
    let b = fresh_as(None, options);
    let share = b.store.inner.layouts.share();
    let nothing = put(&b, b"nothing").await;
    let reader = b.store.reader(&nothing).unwrap();
    // A step takes so much and no less, or what is reckoned with would be too little.
    let steps = |count: u32| {
        let step = Step::Packed { packed_bytes: 1, plain_bytes: 1, correction_bytes: count, sum: [7; 4] };
        let groups =
            vec![Group { steps: (0..count).flat_map(|_| [step, Step::Rest { bytes: 1 }]).collect() }];
        let before = reader.manifest().clone();
        Manifest { recipe: Some(Recipe { codec: PREFLATE_0_7, groups }), ..before }.to_bytes().len() as u64
    };
    assert_eq!(steps(11) - steps(1), 10 * (20 + 8));
    let units = share / 2 / 28;
    for (units, is_kept) in [(units / 2, true), (units * 2, false)] {
        let (stream, pieces) = container_of(&disk(6, (units as usize * 1024).div_ceil(CLUSTER)), 1024);
        let content = put(&b, &stream).await;
        let outcome = keep(&b.store, &content, &pieces);
        assert_eq!(outcome == Recast::TooLong, !is_kept, "{units} units: {outcome:?}");
        expect_whole(&b, &content, &stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_at_any_step_it_leaves_the_stream_as_it_was() {
    let (stream, pieces) = container(&disk(4, 12));
    for steps in [1, 5, 12, 15, 17] {
        let b = fresh(None);
        let content = put(&b, &stream).await;
        let mut left = steps;
        let mut watch = |_: Progress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = b.store.keep_by_recipe(&content, &mut pieces.iter().copied(), &mut watch).unwrap();
        assert_eq!(outcome, Recast::Ended, "{steps}");
        assert!(!b.store.reader(&content).unwrap().is_made(), "{steps}");
        reclaim(&b);
        expect_whole(&b, &content, &stream);
        expect_sound(&b);
    }
}

#[test]
fn units_of_a_later_release_are_not_made_by_guess() {
    let of = |codec| Composition::new(Recipe { codec, groups: Vec::new() }).expect_known();
    assert!(of(PREFLATE_0_7).is_ok());
    assert!(matches!(of(2), Err(Error::NewerFormat { found: 2, supported: 1 })));
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..5000_u32).prop_map(|bytes| Step::Rest { bytes }),
        (1..4_u32).prop_map(|blocks| Step::Plain { bytes: blocks * 4096 }),
        (1..3000_u32, 1..4_u32, 0..100_u32).prop_map(|(packed_bytes, blocks, correction_bytes)| {
            Step::Packed { packed_bytes, plain_bytes: blocks * 4096, correction_bytes, sum: [0; 4] }
        }),
    ];
    prop::collection::vec(step, 0..12)
}

proptest! {
    #[test]
    fn every_byte_of_a_stream_and_of_its_material_has_one_place(
        groups in prop::collection::vec(steps().prop_map(|steps| Group { steps }), 0..5),
    ) {
        let recipe = Recipe { codec: PREFLATE_0_7, groups };
        let size = recipe.size_bytes();
        let composition = Composition::new(recipe);
        let (mut at, mut taken) = (0, 0);
        while at < size {
            let segment = composition.segment_at(at).unwrap();
            prop_assert!(segment.bytes() > 0);
            let ranges = match segment {
                Segment::Stored(range) => vec![range],
                Segment::Packed { plain, corrections, skip, .. } => {
                    prop_assert_eq!(skip, 0);
                    vec![plain, corrections]
                }
            };
            for range in ranges {
                prop_assert!(range.end <= composition.material_bytes());
                taken += range.len();
                if !range.is_empty() {
                    let made = composition.made_of(ByteRange { end: range.start + 1, ..range });
                    prop_assert!(made.iter().any(|made| made.start <= at && at < made.end));
                }
            }
            // The middle of it is told by the same step.
            let middle = at + segment.bytes() / 2;
            prop_assert_eq!(composition.segment_at(middle).unwrap().bytes(), at + segment.bytes() - middle);
            at += segment.bytes();
        }
        prop_assert_eq!(at, size);
        prop_assert!(composition.segment_at(size).is_none());
        prop_assert!(taken <= composition.material_bytes());
        prop_assert!(composition.material_bytes() < taken + 4096);
    }
}
