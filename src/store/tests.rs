//! The store's promises on media in memory: exact bytes, each block once, space given back.

use bytes::Bytes;

use futures::StreamExt;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::model::ByteRange;
use crate::objects::Memory;

pub(super) struct Bench {
    pub(super) objects: Memory,
    pub(super) store: Store,
    pub(super) db: Db,
}

pub(super) fn open(objects: Memory, db: Db, master: Option<&MasterKey>) -> Result<Store, Error> {
    open_as(objects, db, master, Options { pack_bytes: 1 << 20, ..Options::default() })
}

pub(super) fn open_as(
    objects: Memory,
    db: Db,
    master: Option<&MasterKey>,
    options: Options,
) -> Result<Store, Error> {
    Store::open(db, Arc::new(objects), master, options, Arc::new(SystemClock), Arc::new(OsEntropy))
}

pub(super) fn fresh(master: Option<&MasterKey>) -> Bench {
    fresh_as(master, Options { pack_bytes: 1 << 20, ..Options::default() })
}

pub(super) fn fresh_as(master: Option<&MasterKey>, options: Options) -> Bench {
    let objects = Memory::new();
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    Bench { store: open_as(objects.clone(), db.clone(), master, options).unwrap(), objects, db }
}

fn delete_headers(objects: &Memory) {
    for name in ["tintype-store", "tintype-store-copy"] {
        objects.delete(&format::key(name.into())).unwrap();
    }
}

#[test]
fn a_set_up_that_was_cut_off_before_the_header_is_done_again() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    delete_headers(&b.objects);
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let other = MasterKey::generate(&OsEntropy);
    assert!(open(b.objects.clone(), db.clone(), Some(&other)).unwrap().is_sealed());
    assert!(open(b.objects, db, Some(&other)).unwrap().is_sealed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_catalog_does_not_take_a_store_that_holds_data() {
    let b = fresh(None);
    put(&b, &noise(1, 5000)).await;
    for header in [true, false] {
        if !header {
            delete_headers(&b.objects);
        }
        let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
        let error = open(b.objects.clone(), db, None).err().unwrap().to_string();
        assert!(error.contains("2 objects"), "{error}");
    }
}

pub(super) fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

pub(super) async fn put(b: &Bench, data: &[u8]) -> ContentId {
    put_in(b, Scope::STORE, data).await
}

pub(super) async fn put_in(b: &Bench, scope: Scope, data: &[u8]) -> ContentId {
    let mut ingest = b.store.ingest(scope).unwrap();
    for piece in data.chunks(300_000) {
        ingest.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let receipt = ingest.finish(b"record".to_vec()).await.unwrap();
    assert_eq!(receipt.digests().blake3, *blake3::hash(data).as_bytes());
    assert_eq!(receipt.size_bytes(), data.len() as u64);
    let (store, content) = (b.store.clone(), receipt.content());
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
    content
}

pub(super) fn get(b: &Bench, content: &ContentId, range: ByteRange) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; range.len() as usize];
    b.store.reader(content)?.read_at(range.start, &mut out).map(|()| out)
}

fn image() -> Vec<u8> {
    [noise(1, 3_000_001), vec![0; 2_000_000], noise(2, 700_000), vec![7; 500_000]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_any_range_reads_back_exactly_plain_and_sealed() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let data = image();
        let content = put(&b, &data).await;
        assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
        for start in [0usize, 1, 4095, 2_999_999, 3_000_001, 4_999_999, 5_000_001, data.len() - 1] {
            let end = (start + 70_000).min(data.len());
            let range = ByteRange { start: start as u64, end: end as u64 };
            assert_eq!(get(&b, &content, range).unwrap(), data[start..end], "{start}");
        }
        assert!(b.store.verify().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_clients_that_take_nothing_hold_one_budget_and_keep_nobody_waiting() {
    let b = fresh(None);
    let data = noise(3, 6_000_000);
    let content = put(&b, &data).await;
    let whole = ByteRange::whole(data.len() as u64);
    let budget = b.store.inner.read_budget.available_permits();
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut stream = b.store.reader(&content).unwrap().stream(whole);
        // Long enough to be taken for one that stays.
        for _ in 0..10 {
            assert!(stream.next().await.unwrap().is_ok());
        }
        stalled.push(stream);
    }
    assert!(b.store.inner.read_budget.available_permits() < 256, "nothing was fetched ahead");
    let mut served = Vec::new();
    let mut stream = b.store.reader(&content).unwrap().stream(whole);
    while let Some(piece) = stream.next().await {
        served.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(served, data);
    drop((stalled, stream));
    for _ in 0..200 {
        if b.store.inner.read_budget.available_permits() == budget {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("readers that left kept their share of the budget");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_changed_byte_ends_the_stream_before_it() {
    let b = fresh(None);
    let data = noise(4, 3_000_000);
    let content = put(&b, &data).await;
    let mut packs = Vec::new();
    b.objects.list("pack/", &mut |info| packs.push(info.key)).unwrap();
    let mut bytes = b.objects.get(&packs[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    b.objects.delete(&packs[1]).unwrap();
    b.objects.put(&packs[1], &bytes).unwrap();
    let again = Bench { store: open(b.objects.clone(), b.db.clone(), None).unwrap(), ..b };
    let mut stream = again.store.reader(&content).unwrap().stream(ByteRange::whole(data.len() as u64));
    let mut served = Vec::new();
    let mut outcome = Ok(());
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => served.extend_from_slice(&piece),
            Err(error) => outcome = Err(error),
        }
    }
    assert!(matches!(outcome, Err(Error::Damaged { .. })), "{outcome:?}");
    assert!(served.len() < data.len() && data.starts_with(&served));
    assert_eq!(again.store.activity().damaged_reads, 1);
    let damage = again.store.verify().unwrap();
    assert_eq!(damage.len(), 1);
    assert_eq!(damage[0].contents, [content]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_stream_knows_what_it_stored_in_packs_that_are_not_durable_yet() {
    let (once, twice) = (fresh(None), fresh(None));
    // A pack ends within the first half: its chunks come again while it becomes durable.
    let half = [vec![0; 1 << 16], noise(1, 300 * 4096)].concat();
    put(&once, &half).await;
    let content = put(&twice, &half.repeat(2)).await;
    assert_eq!(twice.store.stats().unwrap().packs, 2);
    assert!(twice.store.stats().unwrap().chunks <= once.store.stats().unwrap().chunks + 2);
    let range = ByteRange::whole(2 * half.len() as u64);
    assert_eq!(get(&twice, &content, range).unwrap(), half.repeat(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_same_data_again_costs_only_its_manifest() {
    let b = fresh(None);
    let data = image();
    put(&b, &data).await;
    let before = b.store.stats().unwrap();
    // A restart forgets what was in memory: hooks must lead back.
    let again = Bench { store: open(b.objects.clone(), b.db.clone(), None).unwrap(), ..b };
    put(&again, &data).await;
    let after = again.store.stats().unwrap();
    assert_eq!(after.chunks, before.chunks);
    assert!(after.stored_bytes - before.stored_bytes < 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_released_space_comes_back_and_shared_data_stays() {
    let b = fresh(None);
    let (one, two) = (image(), [noise(1, 3_000_000), noise(9, 2_000_000)].concat());
    let (first, second) = (put(&b, &one).await, put(&b, &two).await);
    let mut abandoned = b.store.ingest(Scope::STORE).unwrap();
    abandoned.write(Bytes::from(noise(5, 3_000_000))).await.unwrap();
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &first)).unwrap();
    drop(abandoned);
    assert!(matches!(b.store.reader(&first), Err(Error::Missing(_))));
    assert!(b.store.reclaim(Reach::Everything).unwrap().bytes > 0);
    assert_eq!(get(&b, &second, ByteRange::whole(two.len() as u64)).unwrap(), two);
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &second)).unwrap();
    for _ in 0..50 {
        b.store.reclaim(Reach::Everything).unwrap();
        if b.store.stats().unwrap() == Stats::default() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(b.store.stats().unwrap(), Stats::default());
    let activity = b.store.activity();
    assert!(activity.received_bytes >= 11_000_000 && activity.written_bytes > 0);
    assert!(activity.reclaims > 0 && activity.reclaimed_bytes > 0);
    assert_eq!((activity.reclaims_failed, activity.damaged_reads), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_its_packs() {
    let b = fresh(None);
    let data = image();
    let content = put(&b, &data).await;
    let reader = b.store.reader(&content).unwrap();
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
    assert_eq!(b.store.reclaim(Reach::Everything).unwrap().packs, 0);
    let mut out = vec![0; data.len()];
    reader.read_at(0, &mut out).unwrap();
    assert_eq!(out, data);
    drop(reader);
    assert!(b.store.reclaim(Reach::Everything).unwrap().packs > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_sealed_store_needs_its_key_and_shows_no_content() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    let marker = b"very recognisable text".repeat(1000);
    put(&b, &marker).await;
    b.objects
        .list("", &mut |info| {
            let bytes = b.objects.get(&info.key).unwrap();
            assert!(!bytes.windows(22).any(|w| w == &marker[..22]), "{}", info.key);
        })
        .unwrap();
    let missing = open(b.objects.clone(), b.db.clone(), None).err();
    assert!(matches!(missing, Some(Error::Key(KeyError::Absent))));
    let other = MasterKey::generate(&OsEntropy);
    let wrong = open(b.objects.clone(), b.db.clone(), Some(&other)).err();
    assert!(matches!(wrong, Some(Error::Key(KeyError::Wrong { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_mark_reads_no_manifest_and_a_lost_summary_only_costs_one() {
    let b = fresh(None);
    let (kept, gone) = (put(&b, &noise(1, 2_000_000)).await, put(&b, &noise(2, 2_000_000)).await);
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &gone)).unwrap();
    let packs = |b: &Bench| b.store.stats().unwrap().packs;
    let before = packs(&b);
    let mut manifests = Vec::new();
    b.objects.list("manifest/", &mut |info| manifests.push(info.key)).unwrap();
    let bytes: Vec<_> = manifests.iter().map(|key| b.objects.get(key).unwrap()).collect();
    manifests.iter().for_each(|key| b.objects.delete(key).unwrap());
    assert!(b.store.reclaim(Reach::Everything).unwrap().packs > 0);
    assert!(packs(&b) < before && packs(&b) > 0);
    // Without its summary a stream's manifest decides, and without both nothing is taken away.
    b.db.write(move |txn| Ok::<_, Error>(txn.remove(&CONTENT_PACKS, &kept.0)?)).unwrap();
    let left = packs(&b);
    assert_eq!(b.store.reclaim(Reach::Everything).unwrap().withheld, b.store.stats().unwrap().packs);
    assert_eq!(packs(&b), left);
    manifests.iter().zip(bytes).for_each(|(key, bytes)| b.objects.put(key, &bytes).unwrap());
    b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(packs(&b), left);
    assert_eq!(get(&b, &kept, ByteRange::whole(2_000_000)).unwrap(), noise(1, 2_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_a_row_is_swept_and_one_that_waits_for_its_end_is_not_an_orphan() {
    let b = fresh(None);
    put(&b, &noise(1, 100_000)).await;
    let header = rows::manifest_header([9; 16]);
    b.objects.put(&header.key(), b"left by a crash").unwrap();
    let freed = b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!((freed.orphans, freed.bytes), (1, 15));
    assert!(b.objects.get(&header.key()).is_err());
    b.objects.put(&header.key(), b"buried").unwrap();
    b.db.write(move |txn| Ok::<_, Error>(txn.put(&GRAVES, &grave_key(Kind::Manifest, &[9; 16]), &[])?))
        .unwrap();
    let mut freed = Reclaimed::default();
    b.store.sweep_orphans(&mut freed).unwrap();
    assert_eq!(freed, Reclaimed::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_data_leaves_the_reserve_and_known_data_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let open = |reserve_bytes| {
        let options = Options { reserve_bytes, ..Options::default() };
        let objects = Arc::new(crate::objects::Native::open(folder.path()).unwrap());
        Store::open(db.clone(), objects, None, options, Arc::new(SystemClock), Arc::new(OsEntropy)).unwrap()
    };
    let send = async |store: &Store, data: Vec<u8>| {
        let mut ingest = store.ingest(Scope::STORE)?;
        ingest.write(data.into()).await?;
        let receipt = ingest.finish(Vec::new()).await?;
        let store = store.clone();
        db.write(move |txn| store.publish(txn, &receipt))
    };
    let known = noise(1, 500_000);
    send(&open(0), known.clone()).await.unwrap();
    let full = open(u64::MAX);
    assert!(matches!(send(&full, noise(2, 500_000)).await, Err(Error::Full(_))));
    send(&full, known).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_scopes_share_within_and_never_across() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let data = noise(1, 2_000_000);
        let chunks = |b: &Bench| b.store.stats().unwrap().chunks;
        let (one, other) = (Scope::of("project", "one"), Scope::of("project", "other"));
        put_in(&b, one, &data).await;
        let alone = chunks(&b);
        let content = put_in(&b, other, &data).await;
        assert_eq!(chunks(&b), 2 * alone);
        put(&b, &data).await;
        assert_eq!(chunks(&b), 3 * alone);
        // Whether memory or hooks answer.
        let b = Bench { store: open(b.objects.clone(), b.db.clone(), master.as_ref()).unwrap(), ..b };
        put_in(&b, one, &data).await;
        put_in(&b, other, &data).await;
        assert_eq!(chunks(&b), 3 * alone);
        put_in(&b, Scope::of("domain", "one"), &data).await;
        assert_eq!(chunks(&b), 4 * alone);
        assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_damaged_hit_is_a_miss_where_hits_are_read_back() {
    let data = noise(6, 700_000);
    for (verify_hits, stores_again) in
        [(VerifyHits::Off, false), (VerifyHits::Sample, true), (VerifyHits::Always, true)]
    {
        let b = fresh(None);
        put(&b, &data).await;
        let mut packs = Vec::new();
        b.objects.list("pack/", &mut |info| packs.push(info.key)).unwrap();
        let mut bytes = b.objects.get(&packs[0]).unwrap();
        bytes[100] ^= 1;
        b.objects.delete(&packs[0]).unwrap();
        b.objects.put(&packs[0], &bytes).unwrap();
        let options = Options { pack_bytes: 1 << 20, verify_hits, ..Options::default() };
        let medium = Arc::new(b.objects.clone());
        let store =
            Store::open(b.db.clone(), medium, None, options, Arc::new(SystemClock), Arc::new(OsEntropy));
        let b = Bench { store: store.unwrap(), ..b };
        let content = put(&b, &data).await;
        let read = get(&b, &content, ByteRange::whole(data.len() as u64));
        assert_eq!(read.is_ok_and(|read| read == data), stores_again, "{verify_hits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_stream_of_endless_pieces_is_refused_and_one_woven_from_others_stops_sharing() {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let options = Options { extents_max: 400, ..Options::default() };
    let medium = Arc::new(Memory::new());
    let store =
        Store::open(db.clone(), medium.clone(), None, options, Arc::new(SystemClock), Arc::new(OsEntropy));
    let b = Bench { objects: (*medium).clone(), store: store.unwrap(), db };
    // Every second block is a hole.
    let blocks: Vec<Vec<u8>> = (0..250u8).map(|seed| noise(seed, 16384)).collect();
    let before_a_hole = |block: &Vec<u8>| [&block[..], &[0; 16384]].concat();
    let holed: Vec<u8> = blocks.iter().flat_map(before_a_hole).collect();
    let mut ingest = b.store.ingest(Scope::STORE).unwrap();
    ingest.write(holed.into()).await.unwrap();
    assert!(matches!(ingest.finish(Vec::new()).await, Err(Error::TooFragmented(400))));
    // Known blocks in another order, until there are a hundred.
    let known: Vec<u8> = blocks[..150].iter().flat_map(before_a_hole).collect();
    put(&b, &known).await;
    let before = b.store.stats().unwrap().chunks;
    let woven: Vec<u8> = blocks[..150].iter().rev().flat_map(before_a_hole).collect();
    let content = put(&b, &woven).await;
    assert!(b.store.stats().unwrap().chunks > before);
    assert_eq!(get(&b, &content, ByteRange::whole(woven.len() as u64)).unwrap(), woven);
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_went_astray_are_found_and_missing_ones_counted() {
    let b = fresh(None);
    put(&b, &noise(1, 2_000_000)).await;
    let counted = b.store.stats().unwrap();
    assert!(counted.packs > 0 && counted.contents == 1 && counted.content_bytes == 2_000_000);
    b.db.write(|txn| totals::add(txn, Stats { packs: 1, ..Stats::default() })).unwrap();
    let damage = b.store.verify().unwrap();
    assert!(damage.len() == 1 && damage[0].error.to_string().contains("totals"), "{damage:?}");
    b.db.write(|txn| Ok::<_, Error>(txn.remove(&totals::TOTALS, totals::ROW)?)).unwrap();
    let again = Bench { store: open(b.objects.clone(), b.db.clone(), None).unwrap(), ..b };
    assert_eq!(again.store.stats().unwrap(), counted);
    assert!(again.store.verify().unwrap().is_empty());
}
