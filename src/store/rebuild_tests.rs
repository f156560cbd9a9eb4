//! What a rebuild promises of bytes: every stream that was told of reads back, nothing that was let
//! go of comes back, what is missing is named and refused, and no number is given out twice.

use bytes::Bytes;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, Table};
use crate::objects::{Memory, ObjectKey};
use crate::store::unlisted::UNLISTED;
use crate::store::unmarked::{UNMARKED, UPKEEP};

struct Bench {
    objects: Memory,
    store: Store,
    db: Db,
}

fn memory() -> Db {
    let options =
        db::Options { journal: FACTS.to_vec(), derived: derived_tables(), ..db::Options::default() };
    Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap()
}

fn options() -> Options {
    Options { pack_bytes: 256 << 10, ..Options::default() }
}

fn open(objects: &Memory, db: Db, master: Option<&MasterKey>) -> Bench {
    let (medium, clock) = (Arc::new(objects.clone()), Arc::new(SystemClock));
    let store = Store::open(db.clone(), medium, master, options(), clock, Arc::new(OsEntropy)).unwrap();
    Bench { objects: objects.clone(), store, db }
}

fn fresh(master: Option<&MasterKey>) -> Bench {
    open(&Memory::new(), memory(), master)
}

fn lost(objects: &Memory, db: &Db, master: Option<&MasterKey>) -> Result<Store, Error> {
    let (medium, clock) = (Arc::new(objects.clone()), Arc::new(SystemClock));
    Store::open_lost(db.clone(), medium, master, options(), clock, Arc::new(OsEntropy))
}

/// A box made from the medium alone, opened again, and what the rebuild found.
fn rebuilt(objects: &Memory, master: Option<&MasterKey>) -> (Bench, Rebuilt) {
    let db = memory();
    let found = lost(objects, &db, master).unwrap().rebuild(&mut |_, _| ()).unwrap();
    (open(objects, db, master), found)
}

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

async fn put(b: &Bench, scope: Scope, data: &[u8]) -> ContentId {
    let mut ingest = b.store.ingest(scope).unwrap();
    ingest.write(Bytes::copy_from_slice(data)).await.unwrap();
    let receipt = ingest.finish(b"record".to_vec()).await.unwrap();
    let (store, content) = (b.store.clone(), receipt.content());
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
    content
}

fn get(b: &Bench, content: &ContentId) -> Result<Vec<u8>, Error> {
    let reader = b.store.reader(content)?;
    let mut out = vec![0; reader.size_bytes() as usize];
    reader.read_at(0, &mut out).map(|()| out)
}

fn rows(db: &Db, table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    db.read().unwrap().rows(table, all).unwrap().map(Result::unwrap).collect()
}

fn names(objects: &Memory, prefix: &str) -> Vec<ObjectKey> {
    let mut names = Vec::new();
    objects.list(prefix, &mut |info| names.push(info.key)).unwrap();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_streams_and_what_is_derived_of_them_come_back_exactly() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let b = fresh(master.as_ref());
        let first = noise(1, 900_000);
        let second = [&first[..], &noise(2, 400_000), &[0; 100_000]].concat();
        let gone = put(&b, Scope::STORE, &noise(3, 300_000)).await;
        let ids = [
            put(&b, Scope::STORE, &first).await,
            put(&b, Scope::STORE, &second).await,
            put(&b, Scope::of("project", "p"), &first).await,
        ];
        let store = b.store.clone();
        b.db.write(move |txn| store.release(txn, &gone)).unwrap();
        b.store.reclaim(Reach::Everything).unwrap();
        b.store.ship().unwrap();

        let (r, found) = rebuilt(&b.objects, master.as_ref());
        assert_eq!((found.damaged_packs, found.damaged_contents), (Vec::new(), Vec::new()));
        assert_eq!(found.packs, b.store.stats().unwrap().packs);
        // The list of packs to be counted is made of all of them before it is used.
        let exact = |table: &Table| ![UNMARKED, UPKEEP].contains(table);
        for table in derived_tables().into_iter().filter(exact) {
            // A hook may outlive its pack; a rebuilt one does not.
            let old: Vec<_> = rows(&b.db, &table);
            let kept =
                |(_, pack): &&(Vec<u8>, Vec<u8>)| b.db.read().unwrap().get(&PACKS, pack).unwrap().is_some();
            let old = if table == HOOKS { old.iter().filter(kept).cloned().collect() } else { old };
            assert_eq!(rows(&r.db, &table), old, "{}", table.name);
        }
        for (id, data) in ids.iter().zip([&first, &second, &first]) {
            assert_eq!(&get(&r, id).unwrap(), data);
        }
        assert!(matches!(get(&r, &gone), Err(Error::Missing(_))));
        assert!(r.store.verify().unwrap().is_empty());
        // Known data is known again.
        let packs = r.store.stats().unwrap().packs;
        put(&r, Scope::STORE, &second).await;
        assert_eq!(r.store.stats().unwrap().packs, packs);
        assert_eq!(r.store.verify_description().unwrap().damage.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_is_swept_and_no_pack_number_is_given_out_twice() {
    let b = fresh(None);
    let told = put(&b, Scope::STORE, &noise(1, 500_000)).await;
    b.store.ship().unwrap();
    let objects = names(&b.objects, "");
    let untold = put(&b, Scope::STORE, &noise(2, 800_000)).await;
    let more = (names(&b.objects, "").len() - objects.len()) as u64;
    let given_out = b.store.inner.next_pack.load(Ordering::Relaxed);

    let (r, found) = rebuilt(&b.objects, None);
    assert!(found.damaged_contents.is_empty());
    assert_eq!(get(&r, &told).unwrap(), noise(1, 500_000));
    assert!(matches!(get(&r, &untold), Err(Error::Missing(_))));
    let mut seen = Vec::new();
    r.store.each_unpublished(&mut |record| seen.push(record.to_vec())).unwrap();
    assert_eq!(seen, [b"record"]);
    assert_eq!(r.store.inner.next_pack.load(Ordering::Relaxed), given_out);
    assert_eq!(r.store.reclaim(Reach::Everything).unwrap().orphans, more);
    // One log object more tells that the numbers are taken.
    assert_eq!(names(&r.objects, "").len(), objects.len() + 1);
    assert_eq!(r.store.verify_description().unwrap().damage.len(), 0);
    assert!(r.store.verify().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_was_told_stays_one_while_its_objects_are_still_there() {
    let b = fresh(None);
    let kept = put(&b, Scope::STORE, &noise(1, 300_000)).await;
    let dead = put(&b, Scope::STORE, &noise(2, 300_000)).await;
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &dead)).unwrap();
    b.store.ship().unwrap();
    let (r, _) = rebuilt(&b.objects, None);
    assert!(matches!(get(&r, &dead), Err(Error::Missing(_))));
    r.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(get(&r, &kept).unwrap(), noise(1, 300_000));
    assert_eq!(names(&r.objects, "manifest/").len(), 1);
    assert_eq!(r.store.stats().unwrap().packs, names(&r.objects, "pack/").len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_stream_with_a_missing_object_is_kept_named_and_refused_until_it_is_back() {
    for kind in ["pack/", "manifest/"] {
        let b = fresh(None);
        let whole = put(&b, Scope::STORE, &noise(1, 200_000)).await;
        let others = names(&b.objects, kind);
        let hurt = put(&b, Scope::STORE, &noise(2, 200_000)).await;
        b.store.ship().unwrap();
        let missing = names(&b.objects, kind).into_iter().find(|key| !others.contains(key)).unwrap();
        let bytes = b.objects.get(&missing).unwrap();
        b.objects.delete(&missing).unwrap();

        let (r, found) = rebuilt(&b.objects, None);
        assert_eq!(found.damaged_contents.len(), 1);
        assert_eq!(found.damaged_contents[0].0, hurt);
        assert_eq!(found.damaged_packs.len(), usize::from(kind == "pack/"));
        let named = format!("{found:?}");
        assert!(named.contains(missing.as_str()), "{named}");
        assert!(matches!(get(&r, &hurt), Err(Error::Damaged { .. })));
        assert_eq!(get(&r, &whole).unwrap(), noise(1, 200_000));
        // Nothing that the stream may need goes before somebody has decided.
        let packs = names(&r.objects, "pack/");
        let withheld = r.store.reclaim(Reach::Everything).unwrap().withheld;
        assert_eq!(withheld, u64::from(kind == "manifest/"));
        assert_eq!(names(&r.objects, "pack/"), packs);
        r.objects.put(&missing, &bytes).unwrap();
        let (r, found) = rebuilt(&r.objects, None);
        assert!(found.damaged_contents.is_empty());
        assert_eq!(get(&r, &hurt).unwrap(), noise(2, 200_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_given_up_ends_the_wait_for_its_manifest() {
    let b = fresh(None);
    let hurt = put(&b, Scope::STORE, &noise(1, 200_000)).await;
    b.store.ship().unwrap();
    b.objects.delete(&names(&b.objects, "manifest/")[0]).unwrap();
    let (r, _) = rebuilt(&b.objects, None);
    let freed = r.store.reclaim(Reach::Released).unwrap();
    assert_eq!((freed.packs, freed.withheld), (0, 1));
    let store = r.store.clone();
    r.db.write(move |txn| store.release(txn, &hurt)).unwrap();
    assert_eq!(r.store.reclaim(Reach::Everything).unwrap().packs, 1);
    assert_eq!(r.store.stats().unwrap(), Stats::default());
}

fn release(b: &Bench, content: ContentId) {
    let store = b.store.clone();
    b.db.write(move |txn| store.release(txn, &content)).unwrap();
}

/// Reclaims until nothing waits for the threads of a finished upload.
fn reclaim(b: &Bench) -> Reclaimed {
    let mut all = Reclaimed::default();
    loop {
        let freed = b.store.reclaim(Reach::Everything).unwrap();
        all = Reclaimed { packs: all.packs + freed.packs, orphans: all.orphans + freed.orphans, ..freed };
        if freed.in_use == 0 {
            return all;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_unreadable_manifest_withholds_what_it_may_name_and_nothing_else() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    let owned = |b: &Bench| b.store.sealed_for(Scope::of("owner", "one"), &[], Scope::STORE).unwrap();
    let others = put(&b, Scope::STORE, &noise(1, 200_000)).await;
    let dead_elsewhere = put(&b, Scope::STORE, &noise(2, 200_000)).await;
    let before = names(&b.objects, "manifest/");
    let hurt = put(&b, owned(&b), &noise(3, 200_000)).await;
    let missing = names(&b.objects, "manifest/").into_iter().find(|key| !before.contains(key)).unwrap();
    let dead_beside = put(&b, owned(&b), &noise(4, 200_000)).await;
    release(&b, dead_elsewhere);
    release(&b, dead_beside);
    b.store.ship().unwrap();
    let bytes = b.objects.get(&missing).unwrap();
    b.objects.delete(&missing).unwrap();

    let (r, found) = rebuilt(&b.objects, Some(&master));
    assert_eq!(found.damaged_contents.len(), 1);
    // The other domain gives back; of this one two packs may be what the stream needs.
    let freed = reclaim(&r);
    assert_eq!((freed.packs, freed.withheld), (1, 2), "{freed:?}");
    let unlisted = r.store.unlisted().unwrap();
    assert!(unlisted.len() == 1 && unlisted[0].0 == hurt);
    assert!(unlisted[0].1.to_string().contains(missing.as_str()), "{}", unlisted[0].1);
    // What came later cannot be named by it, and compaction goes on elsewhere.
    let later = put(&r, owned(&r), &noise(5, 200_000)).await;
    release(&r, later);
    let freed = reclaim(&r);
    assert_eq!((freed.packs, freed.withheld), (1, 2), "{freed:?}");
    let wish = Wish { compact: true, recompress: true, ..Wish::default() };
    let rewritten = r.store.rewrite(wish, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((rewritten.compacted, rewritten.damaged), (0, 0));
    assert_eq!(get(&r, &others).unwrap(), noise(1, 200_000));

    r.objects.put(&missing, &bytes).unwrap();
    assert_eq!(get(&r, &hurt).unwrap(), noise(3, 200_000));
    let freed = reclaim(&r);
    assert_eq!((freed.packs, freed.withheld), (1, 0), "{freed:?}");
    assert_eq!(get(&r, &hurt).unwrap(), noise(3, 200_000));
    release(&r, hurt);
    release(&r, others);
    reclaim(&r);
    assert_eq!((r.store.stats().unwrap(), rows(&r.db, &UNLISTED)), (Stats::default(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_p9_what_an_erased_domain_left_is_given_back_after_a_rebuild_too() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    let owned = b.store.sealed_for(Scope::of("owner", "one"), &[], Scope::STORE).unwrap();
    let kept = put(&b, Scope::STORE, &noise(1, 200_000)).await;
    let erased = put(&b, owned, &noise(2, 200_000)).await;
    b.store.erase_domain(2).unwrap();
    b.store.ship().unwrap();
    let (r, found) = rebuilt(&b.objects, Some(&master));
    assert_eq!((found.revoked_contents, found.packs), (1, 2));
    assert_eq!((found.damaged_packs, found.damaged_contents), (Vec::new(), Vec::new()));
    let revoked = |b: &Bench| matches!(get(b, &erased), Err(Error::Key(KeyError::Revoked(2))));
    assert!(revoked(&r));
    let freed = reclaim(&r);
    assert_eq!((freed.packs, freed.withheld), (1, 0), "{freed:?}");
    let wish = Wish { compact: true, recompress: true, ..Wish::default() };
    r.store.rewrite(wish, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert!(revoked(&r) && r.store.verify().unwrap().is_empty());
    assert_eq!(get(&r, &kept).unwrap(), noise(1, 200_000));
    release(&r, erased);
    reclaim(&r);
    assert!(!r.store.has_unmarked_packs().unwrap());
    assert_eq!(r.store.stats().unwrap().contents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_lacks_a_key_is_told_apart_from_a_revoked_one() {
    let master = MasterKey::generate(&OsEntropy);
    let b = fresh(Some(&master));
    b.store.ship().unwrap();
    let backup = b.store.ring_backup().unwrap();
    let owned = b.store.sealed_for(Scope::of("owner", "one"), &[], Scope::STORE).unwrap();
    let content = put(&b, owned, &noise(1, 200_000)).await;
    let second = b.store.ring_backup().unwrap();
    b.store.rotate_domain(2).unwrap();
    while b.store.reseal(2, &mut |_| std::ops::ControlFlow::Continue(())).unwrap().unfinished.is_some() {}
    b.store.ship().unwrap();
    // Older rings put back: one from before the domain, one from before its newest key.
    for ring in [backup, second] {
        names(&b.objects, "keyring/").iter().for_each(|key| b.objects.delete(key).unwrap());
        Vault::restore_ring(&b.objects, &ring, Some(&master)).unwrap();
        let (r, found) = rebuilt(&b.objects, Some(&master));
        assert_eq!((found.damaged_contents.len(), found.revoked_contents), (1, 0));
        let read = get(&r, &content);
        assert!(
            matches!(read, Err(Error::Key(KeyError::UnknownVersion { domain: 2, .. }))),
            "{:?}",
            read.err()
        );
        // It may still be read one day, with the right ring.
        assert_eq!(reclaim(&r).withheld, 1);
        assert!(r.store.unlisted().unwrap()[0].1.to_string().contains("older backup"));
    }
}

#[test]
fn a_key_that_is_missing_or_wrong_is_told_apart() {
    let (master, other) = (MasterKey::generate(&OsEntropy), MasterKey::generate(&OsEntropy));
    let b = fresh(Some(&master));
    b.store.ship().unwrap();
    assert!(matches!(lost(&b.objects, &memory(), None).err(), Some(Error::Key(KeyError::Absent))));
    let wrong = lost(&b.objects, &memory(), Some(&other)).err();
    assert!(matches!(wrong, Some(Error::Key(KeyError::Wrong { .. }))));
    assert!(matches!(lost(&Memory::new(), &memory(), None).err(), Some(Error::Absent)));
}
