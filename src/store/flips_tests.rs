//! A flipped bit in every kind of structure that is stored, one at a time: what says so, what heals it,
//! and that nothing else is lost. Packs and manifests have tests of their own in [`super::damage`].

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::model::ByteRange;
use crate::objects::{Memory, ObjectKey};

const BYTES: usize = 60_000;

/// A store with everything that a store can hold.
struct Stocked {
    objects: Memory,
    db: Db,
    master: Option<MasterKey>,
    contents: Vec<(ContentId, Vec<u8>)>,
}

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    super::tests::noise(seed, bytes)
}

/// The same objects on a medium of their own.
fn cloned(objects: &Memory) -> Memory {
    let clone = Memory::new();
    for key in names(objects, "") {
        clone.put(&key, &objects.get(&key).unwrap()).unwrap();
    }
    clone
}

fn names(objects: &Memory, prefix: &str) -> Vec<ObjectKey> {
    let mut names = Vec::new();
    objects.list(prefix, &mut |info| names.push(info.key)).unwrap();
    names
}

fn flip(objects: &Memory, key: &ObjectKey, at: usize) {
    let mut bytes = objects.get(key).unwrap();
    bytes[at] ^= 1 << (at % 8);
    objects.delete(key).unwrap();
    objects.put(key, &bytes).unwrap();
}

impl Stocked {
    async fn new(sealed: bool) -> Stocked {
        let options = crate::db::Options { journal: FACTS.to_vec(), ..Default::default() };
        let db = Db::open_on(redb::backends::InMemoryBackend::new(), options).unwrap();
        let master = sealed.then(|| MasterKey::generate(&OsEntropy));
        let mut stocked = Stocked { objects: Memory::new(), db, master, contents: Vec::new() };
        let store = stocked.open(&stocked.objects).unwrap();
        for seed in 1..=2 {
            let mut ingest = store.ingest(Scope::STORE).unwrap();
            ingest.write(noise(seed, BYTES).into()).await.unwrap();
            let receipt = match seed {
                1 => ingest.finish(b"record".to_vec()).await.unwrap(),
                // An upload that is not finished.
                _ => ingest.checkpoint().await.unwrap().receipt,
            };
            let (publishing, content) = (store.clone(), receipt.content());
            stocked.db.write(move |txn| publishing.publish(txn, &receipt)).unwrap();
            stocked.contents.push((content, noise(seed, BYTES)));
            // The first is told by the first snapshot, the second by a log object.
            store.ship().unwrap();
        }
        store.scrub_all(&mut |_| ()).unwrap();
        stocked
    }

    fn open(&self, objects: &Memory) -> Result<Store, Error> {
        let parity = Some(ParityRatio { data: 16, parity: 1 });
        let options = Options { pack_bytes: 1 << 20, parity, ..Options::default() };
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let medium = Arc::new(objects.clone());
        Store::open(self.db.clone(), medium, self.master.as_ref(), options, clock, entropy)
    }

    /// Fails unless everything reads back and nothing is found.
    fn expect_well(&self, store: &Store, what: &str) {
        for (content, data) in &self.contents {
            let mut read = vec![0; data.len()];
            store.reader(content).unwrap().read_at(0, &mut read).unwrap();
            assert!(read == *data, "{what}");
        }
        assert_eq!(store.tend().unwrap(), [], "{what}");
        assert!(store.verify().unwrap().is_empty(), "{what}");
        assert!(store.verify_description().unwrap().damage.is_empty(), "{what}");
        assert_eq!(store.damage_counts(), DamageCounts::default(), "{what}");
    }
}

/// Fails unless the newest event says that this object was healed.
fn expect_healed_event(store: &Store, key: &ObjectKey, what: &str) {
    let event = store.events().unwrap().into_iter().next().unwrap();
    assert_eq!((event.kind, event.object), (EventKind::Healed, key.to_string()), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_the_header_or_the_key_ring_is_found_and_made_good() {
    for sealed in [false, true] {
        let s = Stocked::new(sealed).await;
        let mut keys: Vec<ObjectKey> =
            ["tintype-store", "tintype-store-copy"].map(|name| format::key(name.into())).into();
        keys.extend(names(&s.objects, "keyring/"));
        assert_eq!(keys.len(), if sealed { 5 } else { 2 });
        for key in keys {
            let good = s.objects.get(&key).unwrap();
            let running = s.open(&s.objects).unwrap();
            for at in 0..good.len() {
                let what = format!("{key}, byte {at}");
                // A server that runs finds it out with its scrub.
                flip(&s.objects, &key, at);
                let found = running.tend().unwrap();
                assert!(
                    matches!(&found[..], [one] if one.object == key.as_str() && one.outcome.is_ok()),
                    "{what}"
                );
                assert!(s.objects.get(&key).unwrap() == good, "{what}");
                expect_healed_event(&running, &key, &what);
                // One that starts with it, at once.
                flip(&s.objects, &key, at);
                let started = s.open(&s.objects).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(s.objects.get(&key).unwrap() == good, "{what}");
                expect_healed_event(&started, &key, &what);
            }
            // Nor is its loss.
            s.objects.delete(&key).unwrap();
            let started = s.open(&s.objects).unwrap();
            assert!(s.objects.get(&key).unwrap() == good, "{key}");
            s.expect_well(&started, key.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_header_and_its_copy_that_are_both_damaged_are_refused_in_words() {
    let s = Stocked::new(false).await;
    let [header, copy] = ["tintype-store", "tintype-store-copy"].map(|name| format::key(name.into()));
    flip(&s.objects, &copy, 20);
    flip(&s.objects, &header, 0);
    let error = s.open(&s.objects).err().unwrap().to_string();
    assert!(error.contains("the store's header"), "{error}");
    s.objects.delete(&header).unwrap();
    let error = s.open(&s.objects).err().unwrap().to_string();
    assert!(error.contains("its copy is damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_an_earlier_release_is_given_a_copy_of_its_header() {
    let s = Stocked::new(false).await;
    let copy = format::key("tintype-store-copy".into());
    let good = s.objects.get(&copy).unwrap();
    s.objects.delete(&copy).unwrap();
    let events = s.open(&s.objects).unwrap().events().unwrap();
    assert!(s.objects.get(&copy).unwrap() == good);
    assert!(events.iter().all(|event| event.object != copy.as_str()), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_the_log_or_a_snapshot_is_found_and_told_again() {
    for sealed in [false, true] {
        let s = Stocked::new(sealed).await;
        let mut keys = names(&s.objects, "log/");
        keys.extend(names(&s.objects, "snapshot/"));
        assert!(keys.len() >= 2);
        for key in keys {
            let length = s.objects.get(&key).unwrap().len();
            // Every byte of what is in the clear at both ends, and some of what lies between.
            let clear = |at: usize| at < format::HEADER_BYTES || at >= length - format::TAIL_BYTES - 32;
            let step = if sealed { 97 } else { 5 };
            for at in (0..length).filter(|at| clear(*at) || at % step == 0) {
                let what = format!("{key}, byte {at}");
                let objects = cloned(&s.objects);
                flip(&objects, &key, at);
                // It is in nobody's way.
                let store = s.open(&objects).unwrap_or_else(|error| panic!("{what}: {error}"));
                let told = store.verify_description().unwrap().damage;
                assert!(
                    told.iter().any(|error| error.to_string().contains(key.as_str())),
                    "{what}: {told:?}"
                );
                let found = store.tend().unwrap();
                assert!(
                    matches!(&found[..], [one] if one.object == key.as_str() && one.outcome.is_ok()),
                    "{what}"
                );
                expect_healed_event(&store, &key, &what);
                assert!(objects.size(&key).is_err(), "{what}");
                if at % 10 == 0 {
                    s.expect_well(&store, &what);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_parity_is_found_and_made_good() {
    let s = Stocked::new(false).await;
    for key in names(&s.objects, "parity/") {
        let good = s.objects.get(&key).unwrap();
        let clear = |at: usize| at < format::HEADER_BYTES || at >= good.len() - format::TAIL_BYTES - 32;
        for at in (0..good.len()).filter(|at| clear(*at) || at % 211 == 0) {
            let what = format!("{key}, byte {at}");
            flip(&s.objects, &key, at);
            let store = s.open(&s.objects).unwrap();
            let told = store.verify().unwrap();
            assert!(matches!(&told[..], [one] if one.error.to_string().contains(key.as_str())), "{what}");
            store.scrub_all(&mut |_| ()).unwrap();
            assert!(s.objects.get(&key).unwrap() == good, "{what}");
            let healed = store.events().unwrap();
            assert!(healed.iter().any(|e| e.kind == EventKind::Healed && e.object == key.as_str()), "{what}");
        }
        s.expect_well(&s.open(&s.objects).unwrap(), key.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_that_rots_where_settings_want_none_any_more_is_deleted() {
    let s = Stocked::new(false).await;
    let keys = names(&s.objects, "parity/");
    flip(&s.objects, &keys[0], 100);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let medium = Arc::new(s.objects.clone());
    let store = Store::open(s.db.clone(), medium, None, Options::default(), clock, entropy).unwrap();
    store.scrub_all(&mut |_| ()).unwrap();
    assert_eq!(names(&s.objects, "parity/"), keys[1..]);
    s.expect_well(&store, "without it");
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_flipped_bit_in_what_an_unfinished_upload_keeps_is_found_and_repaired() {
    let s = Stocked::new(true).await;
    let (content, data) = &s.contents[1];
    let row: ContentRow = s.db.read().unwrap().record(&CONTENTS, &content.0).unwrap().unwrap();
    let (key, length) = (row.header().key(), row.stored.object_bytes as usize);
    let good = s.objects.get(&key).unwrap();
    for at in (0..length).step_by(53) {
        flip(&s.objects, &key, at);
        let store = s.open(&s.objects).unwrap();
        store.scrub_all(&mut |_| ()).unwrap();
        assert!(s.objects.get(&key).unwrap() == good, "byte {at}");
        let event =
            store.events().unwrap().into_iter().find(|event| event.kind == EventKind::Healed).unwrap();
        assert_eq!(event.object, Stored::Manifest(*content).to_string());
    }
    let store = s.open(&s.objects).unwrap();
    assert_eq!(get(&store, content, data.len()), *data);
}

fn get(store: &Store, content: &ContentId, bytes: usize) -> Vec<u8> {
    let whole = ByteRange::whole(bytes as u64);
    let mut read = vec![0; whole.len() as usize];
    store.reader(content).unwrap().read_at(whole.start, &mut read).unwrap();
    read
}
