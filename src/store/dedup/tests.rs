//! The promises of sharing: every stream reads exactly, space comes back, nothing is shared across a
//! border, nothing that is damaged is relied on.
//!
//! Misses are forced: the hooks are taken away and the store is opened anew, so that an upload finds
//! nothing of what was there before.

use std::ops::ControlFlow;

use super::super::compact::Wish;
use super::super::compact::tests::{blocks, expect_sound, expect_whole, on, options, reclaim, release};
use super::super::tests::{Bench, fresh_as, open_as, put, put_in};
use super::super::{MasterKey, Options, RewritePolicy, Scope, Stats, rows};
use super::*;
use crate::base::OsEntropy;
use crate::model::ContentId;
use crate::objects::Objects;

pub const DEDUP: Wish = Wish { dedup: Some(Compare::All), compact: false, recompress: false };
const NEW: Wish = Wish { dedup: Some(Compare::New), compact: false, recompress: false };
const COMPACT: Wish = Wish { dedup: None, compact: true, recompress: false };

/// Whatever is dead gives its space back.
pub fn thorough() -> Options {
    Options { rewrite: RewritePolicy { live_percent: 100, ..RewritePolicy::default() }, ..options() }
}

/// The store opened anew without its hooks.
pub fn forgetful(b: Bench, master: Option<&MasterKey>, options: Options) -> Bench {
    b.db.write(|txn| {
        let mut hooks = Vec::new();
        txn.scan_prefix(&rows::HOOKS, &[], &mut |key, _| {
            hooks.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        hooks.iter().try_for_each(|key| txn.remove(&rows::HOOKS, key).map(drop))?;
        Ok::<_, Error>(())
    })
    .unwrap();
    Bench { store: open_as(b.objects.clone(), b.db.clone(), master, options).unwrap(), ..b }
}

/// A pass with other limits, ended after so many steps.
fn share(b: &Bench, wish: Compare, limits: Limits, mut steps: usize) -> (bool, Shared) {
    let mut cursor = b.store.dedup_cursor().unwrap();
    if wish == Compare::All {
        cursor = Cursor::default();
    }
    let mut shared = Shared::default();
    let mut watch = |_: Progress| {
        steps = steps.saturating_sub(1);
        if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut steps = Steps::new(&b.store, &mut watch);
    let mut pass = Pass { store: &b.store, limits, steps: &mut steps, shared: &mut shared, changes: true };
    let ended = match pass.run(cursor) {
        Ok(()) => false,
        Err(Stop::Ended) => true,
        Err(Stop::Failed(error)) => panic!("{error}"),
    };
    (ended, shared)
}

/// Two streams that have blocks in common, each stored on its own.
async fn twice(master: Option<&MasterKey>, options: Options) -> (Bench, [(ContentId, Vec<u8>); 2]) {
    let b = fresh_as(master, options);
    let (one, other) = (blocks(0..60), blocks((90..100).chain(20..80)));
    let first = put(&b, &one).await;
    let b = forgetful(b, master, options);
    let second = put(&b, &other).await;
    (b, [(first, one), (second, other)])
}

/// What the same two streams take where nothing is missed.
async fn once() -> Stats {
    let b = fresh_as(None, thorough());
    put(&b, &blocks(0..60)).await;
    put(&b, &blocks((90..100).chain(20..80))).await;
    b.store.stats().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_what_was_missed_is_found_and_its_space_comes_back_plain_and_sealed() {
    let exact = once().await;
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (b, streams) = twice(master.as_ref(), thorough()).await;
        let before = b.store.stats().unwrap();
        assert!(before.chunks >= exact.chunks + 40, "nothing was missed");
        let plan = b.store.plan(DEDUP).unwrap().duplicates.unwrap();
        assert_eq!(b.store.stats().unwrap(), before);
        let done = b.store.rewrite(DEDUP, &mut on).unwrap().shared;
        assert_eq!((plan.chunks, plan.bytes), (done.chunks, done.bytes));
        assert_eq!((done.bytes, done.streams), (before.chunk_bytes - exact.chunk_bytes, 1));
        assert_eq!((done.packs, done.left_alone, done.damaged), (before.packs, 0, 0));
        streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        reclaim(&b);
        b.store.rewrite(COMPACT, &mut on).unwrap();
        reclaim(&b);
        let after = b.store.stats().unwrap();
        assert_eq!((after.chunks, after.chunk_bytes), (exact.chunks, exact.chunk_bytes));
        assert!(after.stored_bytes < before.stored_bytes);
        streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        expect_sound(&b);
        let activity = b.store.activity();
        assert_eq!((activity.duplicate_bytes, activity.shared_streams), (done.bytes, 1));
        assert_eq!(activity.damaged_reads, 0);
        // Nothing is left, for this life and a later one.
        let b = Bench {
            store: open_as(b.objects.clone(), b.db.clone(), master.as_ref(), thorough()).unwrap(),
            ..b
        };
        assert_eq!(b.store.rewrite(DEDUP, &mut on).unwrap().shared.chunks, 0);
        streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        // The one stream goes, and what both had stays for the other.
        release(&b, streams[0].0);
        reclaim(&b);
        b.store.rewrite(COMPACT, &mut on).unwrap();
        expect_whole(&b, &streams[1].0, &streams[1].1);
        expect_sound(&b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_pass_that_is_ended_anywhere_goes_on_and_finds_the_same() {
    let exact = once().await;
    let limits = Limits { names: 20, stretches: 2, packs: 1 };
    let (mut runs, mut steps) = (0, 1);
    let (b, streams) = twice(None, thorough()).await;
    loop {
        let (ended, _) = share(&b, Compare::New, limits, steps);
        streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
        runs += 1;
        if !ended {
            break;
        }
        // Some ends come before anything is noted: the next one is let go on for longer.
        steps += 1;
    }
    assert!(runs > 10, "{runs}");
    reclaim(&b);
    b.store.rewrite(COMPACT, &mut on).unwrap();
    assert_eq!(b.store.stats().unwrap().chunk_bytes, exact.chunk_bytes);
    streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_packs_that_came_in_are_compared_again() {
    let (b, _) = twice(None, thorough()).await;
    assert!(b.store.has_uncompared_packs(3600).unwrap());
    let packs = b.store.stats().unwrap().packs;
    assert_eq!(b.store.rewrite(NEW, &mut on).unwrap().shared.packs, packs);
    assert!(!b.store.has_uncompared_packs(0).unwrap());
    assert_eq!(b.store.rewrite(NEW, &mut on).unwrap().shared, Shared::default());
    // A third copy is found beside the first one.
    let b = forgetful(b, None, thorough());
    let data = blocks(10..70);
    let third = put(&b, &data).await;
    assert!(b.store.has_uncompared_packs(0).unwrap() && !b.store.has_uncompared_packs(3600).unwrap());
    let done = b.store.rewrite(NEW, &mut on).unwrap().shared;
    assert_eq!((done.packs, done.streams), (b.store.stats().unwrap().packs - packs, 1));
    reclaim(&b);
    b.store.rewrite(COMPACT, &mut on).unwrap();
    assert_eq!(b.store.stats().unwrap().chunk_bytes, once().await.chunk_bytes);
    expect_whole(&b, &third, &data);
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_nothing_is_shared_between_scopes_or_key_domains() {
    let master = MasterKey::generate(&OsEntropy);
    for sealed in [false, true] {
        let b = fresh_as(sealed.then_some(&master), thorough());
        let owners = [Scope::of("owner", "one"), Scope::of("owner", "two"), Scope::STORE];
        let mut streams = Vec::new();
        for owner in owners {
            let scope = if sealed { b.store.sealed_for(owner, b"", Scope::STORE).unwrap() } else { owner };
            let data = blocks(0..20);
            streams.push((put_in(&b, scope, &data).await, data));
        }
        let before = b.store.stats().unwrap();
        let done = b.store.rewrite(DEDUP, &mut on).unwrap().shared;
        assert_eq!((done.packs, done.chunks, done.streams), (before.packs, 0, 0));
        assert_eq!(b.store.stats().unwrap(), before);
        streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_damaged_copy_is_never_the_one_that_stays() {
    for known in [false, true] {
        let (b, [_, (content, data)]) = twice(None, thorough()).await;
        // Every pack of the first stream rots, in its first block.
        let first = b.store.content_row(&content).unwrap().unwrap();
        let second = b.store.manifest(&first).unwrap().packs();
        for (number, row) in rows::packs_after(&b.db.read().unwrap(), 0, 100).unwrap() {
            if !second.contains(number) {
                let key = row.header(number).key();
                let mut bytes = b.objects.get(&key).unwrap();
                bytes[1000..row.stored.footer.offset as usize].fill(0x55);
                b.objects.delete(&key).unwrap();
                b.objects.put(&key, &bytes).unwrap();
            }
        }
        if known {
            b.store.scrub_all(&mut |_| ()).unwrap();
        }
        let done = b.store.rewrite(DEDUP, &mut on).unwrap().shared;
        assert_eq!((done.chunks, done.streams), (0, 0));
        assert!(done.damaged > 0);
        reclaim(&b);
        b.store.rewrite(COMPACT, &mut on).unwrap();
        expect_whole(&b, &content, &data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_stream_that_named_a_damaged_copy_is_whole_with_the_other() {
    let (b, streams) = twice(None, thorough()).await;
    // Of the second stream, what it has in common with the first rots: but for its first blocks.
    let row = b.store.content_row(&streams[1].0).unwrap().unwrap();
    for number in b.store.manifest(&row).unwrap().packs().iter().skip(1).take(1) {
        let row = b.store.pack_row(number).unwrap().unwrap();
        let key = row.header(number).key();
        let mut bytes = b.objects.get(&key).unwrap();
        bytes[1000] ^= 1;
        b.objects.delete(&key).unwrap();
        b.objects.put(&key, &bytes).unwrap();
    }
    assert_eq!(b.store.verify().unwrap().len(), 1);
    let b = Bench { store: open_as(b.objects.clone(), b.db.clone(), None, thorough()).unwrap(), ..b };
    assert_eq!(b.store.rewrite(DEDUP, &mut on).unwrap().shared.streams, 1);
    reclaim(&b);
    streams.iter().for_each(|(content, data)| expect_whole(&b, content, data));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_upload_keeps_its_manifest() {
    let (b, _) = twice(None, thorough()).await;
    let b = forgetful(b, None, thorough());
    let data = blocks(30..50);
    let mut ingest = b.store.ingest(Scope::STORE).unwrap();
    ingest.write(data.clone().into()).await.unwrap();
    let checkpoint = ingest.checkpoint().await.unwrap();
    let (store, content) = (b.store.clone(), checkpoint.receipt.content());
    b.db.write(move |txn| store.publish(txn, &checkpoint.receipt)).unwrap();
    drop(ingest);
    let before = b.store.content_row(&content).unwrap();
    assert!(b.store.rewrite(DEDUP, &mut on).unwrap().shared.bytes > 20 * 40_000);
    assert_eq!(b.store.content_row(&content).unwrap(), before);
    let (store, progress) = (b.store.clone(), checkpoint.progress);
    let resumed = tokio::task::spawn_blocking(move || store.resume(Scope::STORE, &content, &progress));
    let receipt = resumed.await.unwrap().unwrap().finish(b"record".to_vec()).await.unwrap();
    assert_eq!(receipt.digests().blake3, *blake3::hash(&data).as_bytes());
    let (store, finished) = (b.store.clone(), receipt.content());
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
    expect_whole(&b, &finished, &data);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_pack_that_is_still_being_filled_is_compared_later() {
    let b = fresh_as(None, thorough());
    put(&b, &blocks(0..10)).await;
    // Its number is given out before that of the next stream's pack.
    let mut held = b.store.inner.pins.hold();
    let realm = Realm::new(0, Scope::STORE);
    let mut open = b.store.start_pack(realm, &mut held).unwrap();
    let number = open.number();
    let b = forgetful(b, None, thorough());
    let mut other = b.store.inner.pins.hold();
    assert!(other.pack(number));
    b.store.inner.next_pack.fetch_max(number + 1, std::sync::atomic::Ordering::Relaxed);
    put(&b, &blocks(0..10)).await;
    assert_eq!(b.store.rewrite(NEW, &mut on).unwrap().shared.packs, number - 1);
    let block = blocks([3]);
    open.push(*blake3::hash(&block).as_bytes(), &block).unwrap();
    b.store.commit_pack(open.finish().unwrap()).unwrap();
    drop(other);
    assert_eq!(b.store.rewrite(NEW, &mut on).unwrap().shared.packs, 2);
}

#[test]
fn p5_a_pass_holds_no_more_than_a_part_of_the_stores_memory() {
    for memory in [4usize << 20, 108 << 20, 1 << 40] {
        let Limits { names, stretches, .. } = Limits::within(memory);
        assert!(names * 8 <= memory / 2 && stretches * 100 <= memory / 8);
        assert!(names * 8 <= 64 << 20 && stretches > 0);
    }
}
