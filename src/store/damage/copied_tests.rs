//! Repair from copies: whatever rots is put right from one that has it as it was written, and from no other.

use std::sync::Arc;

use super::super::tests::{noise, open};
use super::super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::model::ByteRange;
use crate::objects::{CopySource, Flaky, Memory, ObjectKey, WithCopies};

const BYTES: usize = 400_000;

/// A store with one stream, and a copy of all its objects.
struct Copied {
    objects: Flaky,
    copy: Memory,
    db: Db,
    master: Option<MasterKey>,
    content: ContentId,
}

fn names(objects: &dyn Objects, prefix: &str) -> Vec<ObjectKey> {
    let mut names = Vec::new();
    objects.list(prefix, &mut |info| names.push(info.key)).unwrap();
    names
}

/// Makes one medium what another is.
fn mirror(from: &dyn Objects, to: &Memory) {
    names(to, "").iter().for_each(|key| to.delete(key).unwrap());
    names(from, "").iter().for_each(|key| to.put(key, &from.get(key).unwrap()).unwrap());
}

fn write(objects: &dyn Objects, key: &ObjectKey, bytes: &[u8]) {
    objects.delete(key).unwrap();
    objects.put(key, bytes).unwrap();
}

fn flip(objects: &dyn Objects, key: &ObjectKey, at: usize) {
    let mut bytes = objects.get(key).unwrap();
    bytes[at] ^= 4;
    write(objects, key, &bytes);
}

/// Hurts what says how a parity object is to be read.
fn flip_footer(objects: &dyn Objects, key: &ObjectKey) {
    flip(objects, key, objects.size(key).unwrap() as usize - format::TAIL_BYTES - 32 - 24 - 32 - 10);
}

impl Copied {
    async fn new(sealed: bool) -> Copied {
        let options = crate::db::Options { journal: FACTS.to_vec(), ..Default::default() };
        let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
        let master = sealed.then(|| MasterKey::generate(&OsEntropy));
        let content = ContentId([0; 16]);
        let mut copied = Copied { objects: Flaky::default(), copy: Memory::new(), db, master, content };
        copied.content = copied.add(&copied.open(Vec::new()), &noise(1, BYTES)).await;
        mirror(&copied.objects, &copied.copy);
        copied
    }

    async fn add(&self, store: &Store, data: &[u8]) -> ContentId {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        ingest.write(data.to_vec().into()).await.unwrap();
        let receipt = ingest.finish(b"record".to_vec()).await.unwrap();
        let (publishing, content) = (store.clone(), receipt.content());
        self.db.write(move |txn| publishing.publish(txn, &receipt)).unwrap();
        store.ship().unwrap();
        content
    }

    fn source(&self) -> CopySource {
        CopySource::medium("the copy".into(), Arc::new(self.copy.clone()))
    }

    fn open(&self, copies: Vec<CopySource>) -> Store {
        self.try_open(copies).unwrap()
    }

    /// One that makes parity, and knows of the copy.
    fn open_with_parity(&self) -> Store {
        self.open_as(vec![self.source()], Some(ParityRatio { data: 16, parity: 1 })).unwrap()
    }

    fn try_open(&self, copies: Vec<CopySource>) -> Result<Store, Error> {
        self.open_as(copies, None)
    }

    fn open_as(&self, copies: Vec<CopySource>, parity: Option<ParityRatio>) -> Result<Store, Error> {
        let medium = Arc::new(WithCopies::new(Arc::new(self.objects.clone()), copies));
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let options = Options { pack_bytes: 1 << 20, parity, ..Options::default() };
        Store::open(self.db.clone(), medium, self.master.as_ref(), options, clock, entropy)
    }

    /// The pack's and the manifest's names.
    fn keys(&self) -> [ObjectKey; 2] {
        ["pack/", "manifest/"].map(|prefix| names(&self.objects, prefix).remove(0))
    }

    fn read(&self, store: &Store) -> Result<Vec<u8>, Error> {
        let whole = ByteRange::whole(BYTES as u64);
        let mut out = vec![0; whole.len() as usize];
        store.reader(&self.content)?.read_at(whole.start, &mut out).map(|()| out)
    }

    fn expect_well(&self, store: &Store, what: &str) {
        assert!(self.read(store).unwrap() == noise(1, BYTES), "{what}");
        assert_eq!(store.damage_counts(), DamageCounts::default(), "{what}");
        assert!(store.verify().unwrap().is_empty(), "{what}");
    }
}

fn scrub(store: &Store) {
    assert_eq!(store.scrub_all(&mut |_| ()).unwrap(), Scrubbed::Round);
}

/// The newest event of damage and healing.
fn last_event(store: &Store) -> Event {
    let scrub = [EventKind::ScrubBegan, EventKind::ScrubEnded];
    store.events().unwrap().into_iter().find(|event| !scrub.contains(&event.kind)).unwrap()
}

/// Ways to damage an object.
const DAMAGE: [fn(&dyn Objects, &ObjectKey); 5] = [
    |objects, key| flip(objects, key, 10),
    |objects, key| flip(objects, key, objects.size(key).unwrap() as usize / 2),
    |objects, key| flip(objects, key, objects.size(key).unwrap() as usize - 1),
    |objects, key| write(objects, key, &objects.get(key).unwrap()[..100]),
    |objects, key| objects.delete(key).unwrap(),
];

#[tokio::test(flavor = "multi_thread")]
async fn p3_what_rots_is_put_right_from_a_copy_by_scrubs_and_by_reads() {
    for sealed in [false, true] {
        let c = Copied::new(sealed).await;
        for key in c.keys() {
            let good = c.objects.get(&key).unwrap();
            for (number, damage) in DAMAGE.iter().enumerate() {
                for by_read in [false, true] {
                    let what = format!("{key}, damage {number}, by read {by_read}");
                    damage(&c.objects, &key);
                    let before = names(&c.copy, "").len();
                    let store = c.open(vec![c.source()]);
                    if by_read {
                        assert!(c.read(&store).unwrap() == noise(1, BYTES), "{what}");
                    }
                    // A read does not meet what is hurt of a trailer.
                    scrub(&store);
                    assert!(c.objects.get(&key).unwrap() == good, "{what}");
                    assert_eq!(store.activity().copied_objects, 1, "{what}");
                    let event = last_event(&store);
                    assert_eq!(event.kind, EventKind::Healed, "{what}");
                    assert!(event.detail.contains("the copy"), "{what}: {}", event.detail);
                    assert_eq!(names(&c.copy, "").len(), before);
                    c.expect_well(&store, &what);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_copy_that_is_damaged_itself_is_passed_over_for_the_next() {
    let c = Copied::new(false).await;
    let [pack, _] = c.keys();
    let good = c.objects.get(&pack).unwrap();
    for (number, damage) in DAMAGE.iter().enumerate() {
        let rotten = Memory::new();
        mirror(&c.copy, &rotten);
        damage(&rotten, &pack);
        flip(&c.objects, &pack, 5000);
        let first = CopySource::medium("rotten".into(), Arc::new(rotten.clone()));
        // Alone it heals nothing.
        let store = c.open(vec![first.clone()]);
        scrub(&store);
        assert_eq!((store.damage_counts().packs, store.activity().copied_objects), (1, 0), "{number}");
        assert!(c.objects.get(&pack).unwrap() != good);
        let store = c.open(vec![first, c.source()]);
        scrub(&store);
        assert!(c.objects.get(&pack).unwrap() == good, "{number}");
        c.expect_well(&store, "the second copy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_copy_that_is_whole_and_not_what_was_written_is_refused() {
    let c = Copied::new(false).await;
    let [pack, _] = c.keys();
    // Another store's pack of as many bytes, under this one's header: whole by its own word.
    let other = Copied::new(false).await;
    let (good, mut forged) = (c.objects.get(&pack).unwrap(), other.objects.get(&other.keys()[0]).unwrap());
    assert_eq!(good.len(), forged.len());
    forged[..format::HEADER_BYTES].copy_from_slice(&good[..format::HEADER_BYTES]);
    forged[5000] ^= 1;
    let body = forged.len() - format::TAIL_BYTES - 32;
    let hash = *blake3::hash(&forged[..body]).as_bytes();
    let tail = format::Tail { body_bytes: body as u64, blocks: 1 }.encode(&hash);
    forged.splice(body.., [&hash[..], &tail[..]].concat());
    write(&c.copy, &pack, &forged);
    for lost in [false, true] {
        if lost {
            c.objects.delete(&pack).unwrap()
        } else {
            flip(&c.objects, &pack, 5000)
        };
        let store = c.open(vec![c.source()]);
        scrub(&store);
        assert_eq!((store.damage_counts().packs, store.activity().copied_objects), (1, 0));
        assert_eq!(last_event(&store).kind, EventKind::Lost);
        assert!(c.objects.get(&pack).ok() != Some(forged.clone()));
        write(&c.objects, &pack, &good);
        scrub(&store);
        c.expect_well(&store, "once it is back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_are_away_or_of_another_store_stop_nothing_and_serve_once_they_are_back() {
    let c = Copied::new(false).await;
    let [pack, _] = c.keys();
    let mount = tempfile::tempdir().unwrap();
    let place = mount.path().join("store");
    let other = Copied::new(false).await;
    let foreign = CopySource::medium("foreign".into(), Arc::new(other.copy.clone()));
    let copies = vec![foreign, CopySource::folder(place.clone())];
    flip(&c.objects, &pack, 5000);
    let store = c.open(copies);
    scrub(&store);
    assert_eq!((store.damage_counts().packs, store.activity().copied_objects), (1, 0));
    assert_eq!(store.mend().unwrap(), Mended::default());
    // The disk is mounted, still empty; then the copy is there.
    std::fs::create_dir(&place).unwrap();
    assert_eq!(store.mend().unwrap(), Mended::default());
    let native = crate::objects::Native::open(&place).unwrap();
    names(&c.copy, "").iter().for_each(|key| native.put(key, &c.copy.get(key).unwrap()).unwrap());
    store.mend().unwrap();
    assert_eq!(store.activity().copied_objects, 1);
    c.expect_well(&store, "the copy is back");
}

/// Takes what rows know of objects' sums away, as if an earlier release had written them.
fn forget_sums(c: &Copied) {
    c.db.write(|txn| {
        let mut packs: Vec<(Vec<u8>, PackRow)> = Vec::new();
        rows::each(txn, &PACKS, |key, row| {
            packs.push((key.to_vec(), row));
            Ok(())
        })?;
        for (key, mut row) in packs {
            row.stored.sum = [0; 32];
            txn.put_record(&PACKS, &key, &row)?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_release_wrote_is_proven_by_its_own_trailer_and_noted_by_the_scrub() {
    let c = Copied::new(false).await;
    let [pack, _] = c.keys();
    let sum = || c.open(Vec::new()).stored_object(Stored::Pack(1)).unwrap().unwrap().sum;
    let noted = sum().unwrap();
    forget_sums(&c);
    assert_eq!(sum(), None);
    // The trailer says what the rest was.
    flip(&c.objects, &pack, 5000);
    let store = c.open(vec![c.source()]);
    scrub(&store);
    assert_eq!(store.activity().copied_objects, 1);
    // Whole again, it is noted.
    assert_eq!(sum(), Some(noted));
    // Where nothing says it, no copy is believed.
    forget_sums(&c);
    c.objects.delete(&pack).unwrap();
    let store = c.open(vec![c.source()]);
    scrub(&store);
    assert_eq!((store.damage_counts().packs, store.activity().copied_objects), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_parity_does_not_keep_a_copy_from_serving() {
    let c = Copied::new(false).await;
    let [pack, _] = c.keys();
    scrub(&c.open_with_parity());
    names(&c.objects, "parity/").iter().for_each(|key| flip_footer(&c.objects, key));
    flip(&c.objects, &pack, 5000);
    let store = c.open_with_parity();
    scrub(&store);
    let done = store.activity();
    assert_eq!((done.copied_objects, done.repaired_objects), (1, 0));
    c.expect_well(&store, "parity was made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_parity_that_is_damaged_here_is_put_right_from_a_copy_and_repairs_its_object() {
    let ways: [fn(&dyn Objects, &ObjectKey); 3] = [flip_footer, DAMAGE[3], DAMAGE[4]];
    for (sealed, way) in [false, true].into_iter().flat_map(|sealed| ways.map(|way| (sealed, way))) {
        let c = Copied::new(sealed).await;
        scrub(&c.open_with_parity());
        mirror(&c.objects, &c.copy);
        for key in c.keys() {
            let parity =
                ObjectKey::new(format!("parity/{}", key.as_str().split_once('/').unwrap().1)).unwrap();
            let good = [&key, &parity].map(|key| c.objects.get(key).unwrap());
            way(&c.objects, &parity);
            flip(&c.objects, &key, 100);
            // The copy of the object itself does not serve.
            flip(&c.copy, &key, 90);
            let store = c.open_with_parity();
            scrub(&store);
            assert!([&key, &parity].map(|key| c.objects.get(key).unwrap()) == good, "{key}");
            let done = store.activity();
            assert_eq!((done.copied_objects, done.repaired_objects), (1, 1), "{key}");
            c.expect_well(&store, "with the copy's parity");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_failure_at_any_step_of_a_repair_leaves_the_damage_or_the_whole_object() {
    for target in 0..2 {
        for takes_effect in [false, true] {
            for step in 0.. {
                let c = Copied::new(false).await;
                let key = c.keys()[target].clone();
                let good = c.objects.get(&key).unwrap();
                flip(&c.objects, &key, 70);
                let hurt = c.objects.get(&key).unwrap();
                let store = c.open(vec![c.source()]);
                c.objects.fail_after(Some(step), takes_effect);
                let outcome = store.scrub_all(&mut |_| ());
                let made = c.objects.made();
                c.objects.fail_after(None, false);
                let left = c.objects.get(&key).unwrap();
                assert!(left == good || left == hurt, "{key}, step {step}");
                if made <= step {
                    assert!(outcome.is_ok() && left == good && step > 0, "{key}: {outcome:?}");
                    break;
                }
                // Whatever came of it, the next start goes on from there.
                let store = c.open(vec![c.source()]);
                scrub(&store);
                c.expect_well(&store, &format!("{key}, step {step}, {takes_effect}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_failure_at_any_step_of_writing_a_manifest_anew_loses_nothing() {
    for (by_twin, takes_effect) in [(false, false), (false, true), (true, false), (true, true)] {
        for step in 0.. {
            let c = Copied::new(false).await;
            let twin = c.add(&c.open(Vec::new()), &noise(1, BYTES)).await;
            let row: ContentRow = c.db.read().unwrap().record(&CONTENTS, &c.content.0).unwrap().unwrap();
            let key = row.header().key();
            if by_twin {
                c.objects.delete(&key).unwrap();
            } else {
                // Nothing of what it says.
                flip(&c.objects, &key, row.stored.object_bytes as usize - 1);
            }
            let store = c.open(Vec::new());
            scrub(&store);
            assert_eq!(store.damage_counts().manifests, 1);
            c.objects.fail_after(Some(step), takes_effect);
            let heal = |store: &Store| {
                store.mend()?;
                if by_twin && store.damage_counts().manifests > 0 {
                    store.mend_from_twin(&c.content, &twin, b"record".to_vec())?;
                }
                store.reclaim(Reach::Everything).map(drop)
            };
            let outcome = heal(&store);
            let made = c.objects.made();
            c.objects.fail_after(None, false);
            let store = c.open(Vec::new());
            scrub(&store);
            heal(&store).unwrap();
            c.expect_well(&store, &format!("by twin {by_twin}, step {step}, {takes_effect}"));
            // What was begun and given up, and what was replaced, is gone.
            assert_eq!(names(&c.objects, "manifest/").len(), 2, "step {step}");
            if made <= step {
                assert!(outcome.is_ok() && step > 1, "{outcome:?}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_failure_at_any_step_of_a_repair_with_parity_leaves_the_damage_or_the_whole_object() {
    for takes_effect in [false, true] {
        for step in 0.. {
            let c = Copied::new(false).await;
            let [pack, _] = c.keys();
            let with_parity = || {
                let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
                let parity = Some(ParityRatio { data: 16, parity: 1 });
                let options = Options { pack_bytes: 1 << 20, parity, ..Options::default() };
                Store::open(c.db.clone(), Arc::new(c.objects.clone()), None, options, clock, entropy).unwrap()
            };
            scrub(&with_parity());
            let good = c.objects.get(&pack).unwrap();
            flip(&c.objects, &pack, 5000);
            let hurt = c.objects.get(&pack).unwrap();
            let store = with_parity();
            c.objects.fail_after(Some(step), takes_effect);
            let outcome = store.scrub_all(&mut |_| ());
            let made = c.objects.made();
            c.objects.fail_after(None, false);
            let left = c.objects.get(&pack).unwrap();
            assert!(left == good || left == hurt, "step {step}");
            let store = with_parity();
            scrub(&store);
            c.expect_well(&store, &format!("step {step}"));
            if made <= step {
                assert!(outcome.is_ok() && left == good && step > 0);
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_key_ring_with_no_whole_copy_left_is_taken_from_a_copy_of_the_store() {
    let c = Copied::new(true).await;
    let ring = names(&c.objects, "keyring/");
    let good = c.objects.get(&ring[0]).unwrap();
    ring.iter().for_each(|key| flip(&c.objects, key, 100));
    let error = c.try_open(Vec::new()).err().unwrap();
    assert!(matches!(error, Error::Key(KeyError::Damaged(_))), "{error}");
    // Another store's ring of the same version opens nothing here.
    let other = Copied::new(true).await;
    let foreign = CopySource::medium("foreign".into(), Arc::new(other.copy.clone()));
    assert!(c.try_open(vec![foreign.clone()]).is_err());
    let store = c.open(vec![foreign, c.source()]);
    assert!(ring.iter().all(|key| c.objects.get(key).unwrap() == good));
    assert_eq!(
        store.events().unwrap().iter().filter(|event| event.object.starts_with("keyring/")).count(),
        3
    );
    c.expect_well(&store, "the ring is back");
    // An older version is not what the rotten names say.
    let store = c.open(Vec::new());
    store.rotate_master(MasterKey::generate(&OsEntropy)).unwrap();
    names(&c.objects, "keyring/").iter().for_each(|key| flip(&c.objects, key, 100));
    assert!(matches!(c.try_open(vec![c.source()]).err().unwrap(), Error::Key(KeyError::Damaged(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_rebuild_reads_what_of_the_log_is_damaged_from_a_copy() {
    for sealed in [false, true] {
        let c = Copied::new(sealed).await;
        let content = c.add(&c.open(Vec::new()), &noise(2, 5000)).await;
        mirror(&c.objects, &c.copy);
        for prefix in ["log/", "snapshot/"] {
            names(&c.objects, prefix).iter().for_each(|key| flip(&c.objects, key, 80));
        }
        let before = c.objects.names();
        let rebuilt = |copies: Vec<CopySource>| {
            let options = crate::db::Options { journal: FACTS.to_vec(), ..Default::default() };
            let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
            let medium = Arc::new(WithCopies::new(Arc::new(c.objects.clone()), copies));
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
            let master = c.master.as_ref();
            let store =
                Store::open_lost(db.clone(), medium, master, Options::default(), clock, entropy).unwrap();
            store.rebuild(&mut |_, _| ()).map(|rebuilt| (db, rebuilt))
        };
        assert!(matches!(rebuilt(Vec::new()), Err(Error::Damaged { .. })));
        let (db, told) = rebuilt(vec![c.source()]).unwrap();
        assert!(told.replayed.damage.is_empty() && !told.replayed.has_gap, "{told:?}");
        assert_eq!(c.objects.names(), before);
        let row: Option<ContentRow> = db.read().unwrap().record(&CONTENTS, &content.0).unwrap();
        assert!(row.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_rebuild_reads_what_of_the_log_is_lost_from_a_copy_and_begins_a_new_history() {
    let c = Copied::new(false).await;
    let content = c.add(&c.open(Vec::new()), &noise(2, 5000)).await;
    mirror(&c.objects, &c.copy);
    let log = names(&c.objects, "log/").pop().unwrap();
    c.objects.delete(&log).unwrap();
    let rebuilt = |copies: Vec<CopySource>| {
        let options = crate::db::Options { journal: FACTS.to_vec(), ..Default::default() };
        let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
        let medium = Arc::new(WithCopies::new(Arc::new(c.objects.clone()), copies));
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let store = Store::open_lost(db.clone(), medium, None, Options::default(), clock, entropy).unwrap();
        let told = store.rebuild(&mut |_, _| ()).unwrap().replayed;
        let row: Option<ContentRow> = db.read().unwrap().record(&CONTENTS, &content.0).unwrap();
        (told, row.is_some(), db.read().unwrap().journal_next().unwrap())
    };
    let (_, is_there, _) = rebuilt(Vec::new());
    assert!(!is_there);
    let other = Copied::new(false).await;
    let foreign = CopySource::medium("foreign".into(), Arc::new(other.copy.clone()));
    let (told, is_there, next) = rebuilt(vec![foreign, c.source()]);
    assert!(is_there && !told.has_gap, "{told:?}");
    assert!(
        matches!(&told.damage[..], [one] if one.contains(log.as_str()) && one.contains("the copy")),
        "{told:?}"
    );
    // The lost catalog may know commits that no copy has.
    assert!(next >= 1 << 32, "{next}");
    // What the snapshot made unnecessary since the copy was made is no loss.
    c.objects.put(&log, &c.copy.get(&log).unwrap()).unwrap();
    let older = ObjectKey::new(format!("log/{:016x}-{}", 1, "ab".repeat(16))).unwrap();
    c.copy.put(&older, b"of long ago").unwrap();
    let (told, _, next) = rebuilt(vec![c.source()]);
    assert!(told.damage.is_empty() && next < 1 << 32, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_copies_is_as_it_was() {
    let b = super::super::tests::fresh(None);
    assert!(
        !open(b.objects.clone(), b.db.clone(), None)
            .unwrap()
            .repair_from_copy(Stored::Pack(1), [0; 16], "")
            .unwrap()
    );
}
