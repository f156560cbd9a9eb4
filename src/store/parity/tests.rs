//! Parity on media in memory: made by the scrub, used by it and by reads, gone with its object.

use std::sync::Arc;

use super::super::tests::{Bench, fresh, get, noise, put};
use super::super::*;
use super::code::Ratio;
use super::{parity_header, records};
use crate::base::{OsEntropy, SystemClock};
use crate::model::ByteRange;
use crate::objects::{Memory, ObjectKey, Objects};

const BYTES: usize = 3_000_000;

/// A store on the same media that was just started and makes parity.
fn with_parity(b: &Bench, master: Option<&MasterKey>) -> Bench {
    let options =
        Options { pack_bytes: 16 << 20, parity: Some(Ratio { data: 16, parity: 1 }), ..Options::default() };
    let (medium, clock) = (Arc::new(b.objects.clone()), Arc::new(SystemClock));
    let store = Store::open(b.db.clone(), medium, master, options, clock, Arc::new(OsEntropy)).unwrap();
    Bench { store, objects: b.objects.clone(), db: b.db.clone() }
}

/// One stream in one pack, scrubbed; the stream, and the keys of its pack and manifest.
async fn protected(master: Option<&MasterKey>) -> (Bench, ContentId, [ObjectKey; 2]) {
    let b = with_parity(&fresh(master), master);
    let content = put(&b, &noise(1, BYTES)).await;
    scrub(&b);
    let [pack] = &names(&b.objects, "pack/")[..] else { panic!("not one pack") };
    let [manifest] = &names(&b.objects, "manifest/")[..] else { panic!("not one manifest") };
    let keys = [pack.clone(), manifest.clone()];
    (b, content, keys)
}

fn names(objects: &Memory, prefix: &str) -> Vec<ObjectKey> {
    let mut names = Vec::new();
    objects.list(prefix, &mut |info| names.push(info.key)).unwrap();
    names
}

fn scrub(b: &Bench) {
    assert_eq!(b.store.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
}

fn write(b: &Bench, key: &ObjectKey, bytes: &[u8]) {
    b.objects.delete(key).unwrap();
    b.objects.put(key, bytes).unwrap();
}

fn spoil(b: &Bench, key: &ObjectKey, places: &[usize]) {
    let mut bytes = b.objects.get(key).unwrap();
    places.iter().for_each(|at| bytes[*at] ^= 0x10);
    write(b, key, &bytes);
}

fn read(b: &Bench, content: &ContentId) -> Result<Vec<u8>, Error> {
    get(b, content, ByteRange::whole(BYTES as u64))
}

fn expect_well(b: &Bench, content: &ContentId) {
    assert_eq!(b.store.damage_counts(), DamageCounts::default());
    assert!(b.store.verify().unwrap().is_empty());
    assert!(read(b, content).unwrap() == noise(1, BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_gives_parity_to_what_has_none_and_it_costs_its_share() {
    let (b, _, _) = protected(None).await;
    let (parity, stats) = (b.store.parity().unwrap(), b.store.stats().unwrap());
    assert_eq!(parity.objects, stats.packs + stats.contents);
    let stored: u64 = names(&b.objects, "parity/").iter().map(|key| b.objects.size(key).unwrap()).sum();
    assert_eq!(parity.bytes, stored);
    assert!(parity.bytes < stats.stored_bytes / 8, "{} for {}", parity.bytes, stats.stored_bytes);
    let before: Vec<_> = names(&b.objects, "parity/").iter().map(|key| b.objects.get(key).unwrap()).collect();
    scrub(&b);
    let after: Vec<_> = names(&b.objects, "parity/").iter().map(|key| b.objects.get(key).unwrap()).collect();
    assert!(before == after);
    assert_eq!(b.store.parity().unwrap(), parity);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_rotten_places_come_back_bit_by_bit_without_a_key() {
    let master = MasterKey::generate(&OsEntropy);
    for master in [None, Some(&master)] {
        let (b, content, [pack, manifest]) = protected(master).await;
        let good = [&pack, &manifest].map(|key| b.objects.get(key).unwrap());
        let last = good[0].len() - 1;
        // The header, chunks, and the trailer: three of 46 shards, where three are given back.
        spoil(&b, &pack, &[10, 1_500_000, last]);
        spoil(&b, &manifest, &[0, 100, good[1].len() - 1]);
        let b = with_parity(&b, master);
        scrub(&b);
        assert_eq!([&pack, &manifest].map(|key| b.objects.get(key).unwrap()), good);
        assert_eq!(b.store.activity().repaired_objects, 2);
        expect_well(&b, &content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_read_that_meets_damage_repairs_it_and_goes_on() {
    let (b, content, [pack, manifest]) = protected(None).await;
    spoil(&b, &pack, &[1_000_000]);
    b.objects.delete(&manifest).unwrap();
    let b = with_parity(&b, None);
    assert!(read(&b, &content).unwrap() == noise(1, BYTES));
    assert_eq!(b.store.activity().repaired_objects, 2);
    assert_eq!(b.store.activity().damaged_reads, 2);
    expect_well(&b, &content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_longer_than_a_group_can_give_back_is_reported_and_left_alone() {
    let (b, content, [pack, _]) = protected(None).await;
    let places: Vec<usize> = (0..4).map(|at| 500_000 + at * 70_000).collect();
    spoil(&b, &pack, &places);
    let hurt = b.objects.get(&pack).unwrap();
    let b = with_parity(&b, None);
    scrub(&b);
    assert_eq!(b.store.damage_counts().packs, 1);
    assert_eq!((b.store.activity().repaired_objects, b.objects.get(&pack).unwrap() == hurt), (0, true));
    assert!(read(&b, &content).is_err());
    // A lost pack is beyond it too.
    b.objects.delete(&pack).unwrap();
    scrub(&b);
    assert_eq!((b.store.damage_counts().packs, b.store.activity().repaired_objects), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_any_part_of_parity_is_found_and_made_good() {
    let (b, content, [pack, _]) = protected(None).await;
    let key = names(&b.objects, "parity/")
        .into_iter()
        .find(|key| key.as_str().ends_with(pack.as_str().rsplit('/').next().unwrap()))
        .unwrap();
    let (good, length) = (b.objects.get(&key).unwrap(), b.objects.size(&key).unwrap() as usize);
    let stored = b.objects.get(&pack).unwrap();
    for at in [3, 70, 100_000, length - 1000, length - 150, length - 60, length - 1] {
        spoil(&b, &key, &[at]);
        assert_eq!(b.store.verify().unwrap().len(), 1, "{at}");
        // The pack is damaged as well: what is left of the parity may do, and never does wrong.
        spoil(&b, &pack, &[1_000_000]);
        let b = with_parity(&b, None);
        assert!(
            read(&b, &content).is_ok_and(|read| read == noise(1, BYTES))
                || b.store.damage_counts().packs == 1
        );
        write(&b, &pack, &stored);
        scrub(&b);
        assert!(b.objects.get(&key).unwrap() == good, "{at}");
        expect_well(&b, &content);
    }
    b.objects.delete(&key).unwrap();
    scrub(&b);
    assert!(b.objects.get(&key).unwrap() == good);
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_goes_with_its_object_and_without_one_it_is_an_orphan() {
    let (b, content, _) = protected(None).await;
    let orphan = parity_header(&[9; 16]).key();
    b.objects.put(&orphan, b"of a pack that is gone").unwrap();
    b.store.reclaim(Reach::Everything).unwrap();
    assert!(b.objects.size(&orphan).is_err());
    assert_eq!(b.store.parity().unwrap().objects, 2);
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
    let freed = b.store.reclaim(Reach::Released).unwrap();
    assert!(freed.bytes > BYTES as u64);
    assert!(names(&b.objects, "parity/").is_empty());
    assert_eq!(b.store.parity().unwrap(), ParityTotals::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_without_a_row_is_used_and_then_made_anew() {
    let (b, content, [pack, _]) = protected(None).await;
    b.db.write(|txn| {
        for key in [records::PARITY, records::PARITY_TOTALS] {
            let mut rows = Vec::new();
            txn.scan_prefix(&key, &[], &mut |key, _| {
                rows.push(key.to_vec());
                std::ops::ControlFlow::Continue(())
            })?;
            rows.iter().try_for_each(|row| txn.remove(&key, row).map(drop))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    spoil(&b, &pack, &[1_000_000]);
    let b = with_parity(&b, None);
    scrub(&b);
    assert_eq!(b.store.activity().repaired_objects, 1);
    assert_eq!(b.store.parity().unwrap().objects, 2);
    expect_well(&b, &content);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_parity_made_of_what_was_read_wrongly_puts_nothing_in_an_objects_place() {
    let (b, _, [pack, _]) = protected(None).await;
    let good = b.objects.get(&pack).unwrap();
    let object = b.store.stored_object(Stored::Pack(1)).unwrap().unwrap();
    let id = object.header.id;
    // As if a read after the look at the object had given other bytes.
    spoil(&b, &pack, &[700_000]);
    b.objects.delete(&parity_header(&id).key()).unwrap();
    let row = b.store.write_parity(&object, Ratio { data: 16, parity: 1 }).unwrap();
    b.db.write(move |txn| records::put(txn, &id, &row)).unwrap();
    write(&b, &pack, &good);
    assert!(!b.store.repair(Stored::Pack(1), id, "rot").unwrap());
    assert!(b.objects.get(&pack).unwrap() == good);
}
