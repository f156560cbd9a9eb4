//! The promises of packs written anew: every stream reads exactly, space comes back, nothing that is
//! under way loses what it uses.

use super::*;
use crate::base::OsEntropy;
use crate::db::{Db, Rows};
use crate::model::{ByteRange, ContentId};
use crate::objects::Objects;
use crate::store::rows;
use crate::store::tests::{Bench, fresh_as, get, noise, open_as, put};
use crate::store::{MasterKey, Options, Reach, Scope, Stats};

const ALL: Wish = Wish { dedup: None, compact: true, recompress: true };
const COMPACT: Wish = Wish { dedup: None, compact: true, recompress: false };
const RECOMPRESS: Wish = Wish { dedup: None, compact: false, recompress: true };

pub fn options() -> Options {
    let rewrite = RewritePolicy { recompress_after_s: 0, ..RewritePolicy::default() };
    Options { pack_bytes: 1 << 20, rewrite, ..Options::default() }
}

pub fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub fn release(b: &Bench, content: ContentId) {
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
}

/// Deletes what is dead, and waits for what the threads of a finished upload still hold.
pub fn reclaim(b: &Bench) {
    while b.store.reclaim(Reach::Everything).unwrap().in_use > 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

pub fn expect_whole(b: &Bench, content: &ContentId, data: &[u8]) {
    assert!(get(b, content, ByteRange::whole(data.len() as u64)).unwrap() == data);
}

/// What the medium holds is what rows say, and all of it is sound.
pub fn expect_sound(b: &Bench) {
    let damage = b.store.verify().unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    let stats = b.store.stats().unwrap();
    let mut found = (0, 0);
    for kind in ["pack/", "manifest/"] {
        b.objects.list(kind, &mut |info| found = (found.0 + 1, found.1 + info.size_bytes)).unwrap();
    }
    assert_eq!(found, (stats.packs + stats.contents, stats.stored_bytes));
}

/// Data that is cut at the ends of its blocks, each of which has bytes of its own.
pub fn blocks(labels: impl IntoIterator<Item = u8>) -> Vec<u8> {
    labels
        .into_iter()
        .flat_map(|label| [noise(label, 40_000), vec![0; 4096 * 10 - 40_000]].concat())
        .collect()
}

/// Two streams: the first fills some packs, the second names every fifth block of it. The first goes.
async fn sparse(b: &Bench) -> (ContentId, Vec<u8>) {
    sparse_of(b, 100).await
}

/// The same with as many blocks.
pub async fn sparse_of(b: &Bench, count: u8) -> (ContentId, Vec<u8>) {
    let first = put(b, &blocks(0..count)).await;
    let chunks = b.store.stats().unwrap().chunks;
    let data = blocks((0..count).step_by(5));
    let second = put(b, &data).await;
    assert!(b.store.stats().unwrap().chunks < chunks + u64::from(count) / 4);
    release(b, first);
    reclaim(b);
    (second, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_sparse_packs_give_back_what_is_dead_plain_and_sealed() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh_as(master.as_ref(), options());
        let (content, data) = sparse(&b).await;
        let before = b.store.stats().unwrap();
        let plan = b.store.plan(COMPACT).unwrap();
        assert_eq!((plan.delete.len(), plan.recompress.len()), (0, 0));
        assert_eq!(plan.compact.len() as u64, before.packs);
        let done = b.store.rewrite(COMPACT, &mut on).unwrap();
        let after = b.store.stats().unwrap();
        assert_eq!((done.compacted, done.in_use, done.damaged), (before.packs, 0, 0));
        assert_eq!(done.replaced_bytes - done.written_bytes, before.stored_bytes - after.stored_bytes);
        assert!(after.stored_bytes * 3 < before.stored_bytes, "{before:?} {after:?}");
        assert!(after.packs == before.packs && after.chunks * 4 < before.chunks);
        expect_whole(&b, &content, &data);
        expect_sound(&b);
        let activity = b.store.activity();
        assert_eq!(
            (activity.compacted_packs, activity.rewritten_bytes),
            (done.compacted, done.written_bytes)
        );
        assert_eq!(activity.damaged_reads, 0);
        // Nothing is left to be done, and a later life knows the packs as well.
        assert_eq!(b.store.rewrite(COMPACT, &mut on).unwrap(), Rewritten::default());
        let b = Bench {
            store: open_as(b.objects.clone(), b.db.clone(), master.as_ref(), options()).unwrap(),
            ..b
        };
        expect_whole(&b, &content, &data);
        let again = put(&b, &data).await;
        assert_eq!(b.store.stats().unwrap().chunks, after.chunks);
        expect_whole(&b, &again, &data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_what_compaction_took_away_is_new_data() {
    let b = fresh_as(None, options());
    let (kept, kept_data) = sparse(&b).await;
    b.store.rewrite(COMPACT, &mut on).unwrap();
    for restart in [false, true] {
        let store = if restart {
            open_as(b.objects.clone(), b.db.clone(), None, options()).unwrap()
        } else {
            b.store.clone()
        };
        let b = Bench { store, objects: b.objects.clone(), db: b.db.clone() };
        let data = blocks(0..100);
        let content = put(&b, &data).await;
        expect_whole(&b, &content, &data);
        expect_whole(&b, &kept, &kept_data);
        release(&b, content);
        reclaim(&b);
        b.store.rewrite(COMPACT, &mut on).unwrap();
        expect_sound(&b);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_are_live_enough_are_left_alone_and_not_looked_at_again() {
    let b = fresh_as(None, options());
    let (first, data) = (put(&b, &blocks(0..100)).await, blocks((0..100).filter(|n| n % 10 > 0)));
    let content = put(&b, &data).await;
    release(&b, first);
    reclaim(&b);
    let before = b.store.stats().unwrap();
    assert_eq!(b.store.rewrite(COMPACT, &mut on).unwrap(), Rewritten::default());
    assert_eq!(b.store.stats().unwrap(), before);
    expect_whole(&b, &content, &data);
    // The manifest is needed no more, since nothing was let go of.
    let mut manifests = Vec::new();
    b.objects.list("manifest/", &mut |info| manifests.push(info.key)).unwrap();
    manifests.iter().for_each(|key| b.objects.delete(key).unwrap());
    assert_eq!(b.store.rewrite(COMPACT, &mut on).unwrap(), Rewritten::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_packs_in_use_wait_and_readers_of_the_old_generation_go_on() {
    let b = fresh_as(None, options());
    let (content, data) = sparse(&b).await;
    let reader = b.store.reader(&content).unwrap();
    let done = b.store.rewrite(COMPACT, &mut on).unwrap();
    assert_eq!((done.compacted, done.in_use), (0, b.store.stats().unwrap().packs));
    drop(reader);
    // What reads an old generation's frames keeps its object until it is done.
    let old = b.store.pack(1).unwrap();
    let done = b.store.rewrite(COMPACT, &mut on).unwrap();
    assert_eq!((done.compacted, done.in_use), (b.store.stats().unwrap().packs, 1));
    assert!(old.frames(0..old.footer.frames.len()).is_ok());
    assert_eq!(b.store.reclaim(Reach::Everything).unwrap().in_use, 1);
    drop(old);
    assert_eq!(b.store.reclaim(Reach::Everything).unwrap().in_use, 0);
    expect_whole(&b, &content, &data);
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_are_compressed_better_once_where_that_pays() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh_as(master.as_ref(), options());
        let text: Vec<u8> =
            (0..300_000u64).flat_map(|n| format!("line {} of {}\n", n, n * n % 7919).into_bytes()).collect();
        let data = [text, noise(3, 3_000_000)].concat();
        let content = put(&b, &data).await;
        let before = b.store.stats().unwrap();
        assert_eq!(b.store.plan(ALL).unwrap().recompress.len() as u64, before.packs);
        let done = b.store.rewrite(RECOMPRESS, &mut on).unwrap();
        let after = b.store.stats().unwrap();
        assert!(done.recompressed > 0 && done.recompressed < before.packs, "{done:?}");
        assert!(after.stored_bytes < before.stored_bytes);
        assert_eq!(Stats { stored_bytes: 0, ..after }, Stats { stored_bytes: 0, ..before });
        expect_whole(&b, &content, &data);
        expect_sound(&b);
        assert_eq!(b.store.rewrite(ALL, &mut on).unwrap(), Rewritten::default());
        put(&b, &data).await;
        assert_eq!(b.store.stats().unwrap().chunks, after.chunks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_run_that_is_ended_loses_nothing_and_the_next_one_goes_on() {
    let b = fresh_as(None, options());
    let (content, data) = sparse(&b).await;
    let mut runs = 0;
    loop {
        let mut steps = 0;
        let done = b
            .store
            .rewrite(ALL, &mut |_| {
                steps += 1;
                if steps > 2 * runs { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap();
        expect_whole(&b, &content, &data);
        expect_sound(&b);
        runs += 1;
        if !done.ended_early {
            break;
        }
    }
    assert!(runs > 1);
    assert_eq!(b.store.plan(ALL).unwrap(), Plan::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_damaged_pack_is_left_as_it_is() {
    let b = fresh_as(None, options());
    let (content, _) = sparse(&b).await;
    let key = b.store.pack_row(1).unwrap().unwrap().header(1).key();
    let mut bytes = b.objects.get(&key).unwrap();
    bytes[100_000] ^= 1;
    b.objects.delete(&key).unwrap();
    b.objects.put(&key, &bytes).unwrap();
    let done = b.store.rewrite(ALL, &mut on).unwrap();
    assert_eq!((done.compacted, done.damaged), (b.store.stats().unwrap().packs - 1, 2));
    assert_eq!(b.objects.get(&key).unwrap(), bytes);
    assert_eq!(b.store.verify().unwrap()[0].contents, [content]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_manifest_that_cannot_be_read_spares_its_packs_and_no_others() {
    let b = fresh_as(None, options());
    let (hurt, hurt_data) = sparse(&b).await;
    let row: rows::ContentRow = b.db.read().unwrap().record(&rows::CONTENTS, &hurt.0).unwrap().unwrap();
    let spared = b.store.stats().unwrap().packs;
    let gone = put(&b, &blocks(100..200)).await;
    let data = blocks((100..200).step_by(5));
    let whole = put(&b, &data).await;
    release(&b, gone);
    reclaim(&b);
    let others = b.store.stats().unwrap().packs - spared;
    let name = row.header().key();
    let bytes = b.objects.get(&name).unwrap();
    b.objects.delete(&name).unwrap();
    let done = b.store.rewrite(COMPACT, &mut on).unwrap();
    assert_eq!((done.compacted, done.damaged), (others, 0));
    expect_whole(&b, &whole, &data);
    b.objects.put(&name, &bytes).unwrap();
    expect_whole(&b, &hurt, &hurt_data);
    // Readable again, they are compacted as any.
    assert_eq!(b.store.rewrite(COMPACT, &mut on).unwrap().compacted, spared);
    expect_whole(&b, &hurt, &hurt_data);
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_unmarked_packs_that_is_not_whole_is_made_anew() {
    let b = fresh_as(None, options());
    let (content, data) = sparse(&b).await;
    let packs = b.store.stats().unwrap().packs;
    b.db.write(|txn| {
        crate::store::unmarked::page(txn, None, 100)?
            .iter()
            .try_for_each(|(pack, _)| crate::store::unmarked::forget(txn, *pack))?;
        crate::store::unmarked::lose(txn)
    })
    .unwrap();
    assert_eq!(b.store.rewrite(COMPACT, &mut on).unwrap().compacted, packs);
    expect_whole(&b, &content, &data);
    // A stream of which nobody knows what it names costs a look at all packs.
    let gone = put(&b, &noise(200, 100_000)).await;
    b.db.write(move |txn| Ok::<_, Error>(txn.remove(&rows::CONTENT_PACKS, &gone.0)?)).unwrap();
    release(&b, gone);
    reclaim(&b);
    b.store.rewrite(COMPACT, &mut on).unwrap();
    expect_sound(&b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_without_room_beside_it_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let open = |reserve_bytes| {
        let objects = std::sync::Arc::new(crate::objects::Native::open(folder.path()).unwrap());
        let clock = std::sync::Arc::new(crate::base::SystemClock);
        let options = Options { reserve_bytes, ..options() };
        Store::open(db.clone(), objects, None, options, clock, std::sync::Arc::new(OsEntropy)).unwrap()
    };
    let store = open(0);
    let send = async |data: Vec<u8>| {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        ingest.write(data.into()).await.unwrap();
        let receipt = ingest.finish(Vec::new()).await.unwrap();
        let (publisher, content) = (store.clone(), receipt.content());
        db.write(move |txn| publisher.publish(txn, &receipt)).unwrap();
        content
    };
    let gone = send(blocks(0..100)).await;
    send(blocks((0..100).step_by(5))).await;
    let releaser = store.clone();
    db.write(move |txn| releaser.release(txn, &gone)).unwrap();
    drop(store);
    let full = open(u64::MAX);
    let before = full.stats().unwrap();
    let error = full.rewrite(ALL, &mut on).unwrap_err();
    assert!(matches!(&error, Error::Full(text) if text.contains("takes")), "{error}");
    assert_eq!(full.stats().unwrap(), before);
    drop(full);
    assert!(open(0).rewrite(ALL, &mut on).unwrap().compacted > 0);
}
