//! Bytes that are changed on the medium, or on their way from it: found, and where that helps read again.

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::objects::{Flaky, Memory, ObjectKey};

const IMAGE_BYTES: usize = 300_000;

fn open(medium: Arc<dyn Objects>, db: &Db, master: Option<&MasterKey>) -> Store {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    Store::open(db.clone(), medium, master, Options::default(), clock, entropy).unwrap()
}

fn database() -> Db {
    Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap()
}

fn image() -> Vec<u8> {
    let mut out = vec![0; IMAGE_BYTES];
    blake3::Hasher::new().update(b"image").finalize_xof().fill(&mut out);
    out
}

async fn put(store: &Store, db: &Db) -> ContentId {
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    ingest.write(image().into()).await.unwrap();
    let receipt = ingest.finish(b"record".to_vec()).await.unwrap();
    let (publishing, content) = (store.clone(), receipt.content());
    db.write(move |txn| publishing.publish(txn, &receipt)).unwrap();
    content
}

fn get(store: &Store, content: &ContentId) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; IMAGE_BYTES];
    store.reader(content)?.read_at(0, &mut out).map(|()| out)
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_bytes_changed_on_their_way_are_read_again_before_they_are_damage() {
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let (medium, db) = (Flaky::default(), database());
        let content = put(&open(Arc::new(medium.clone()), &db, master.as_ref()), &db).await;
        let reading = open(Arc::new(medium.clone()), &db, master.as_ref());
        let checking = open(Arc::new(medium.clone()), &db, master.as_ref());
        medium.lie();
        assert!(get(&reading, &content).unwrap() == image());
        assert_eq!(reading.activity().damaged_reads, 0);
        assert!(checking.verify().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_does_not_take_for_damage_what_was_changed_on_its_way() {
    let (medium, db) = (Flaky::default(), database());
    let store = open(Arc::new(medium.clone()), &db, None);
    put(&store, &db).await;
    medium.lie();
    store.scrub_all(&mut |_| ()).unwrap();
    assert_eq!(store.damage_counts(), DamageCounts::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_no_changed_byte_of_a_plain_store_makes_an_image_wrong() {
    let (medium, db) = (Memory::new(), database());
    let content = put(&open(Arc::new(medium.clone()), &db, None), &db).await;
    let mut keys: Vec<ObjectKey> = Vec::new();
    for prefix in ["pack/", "manifest/"] {
        medium.list(prefix, &mut |info| keys.push(info.key)).unwrap();
    }
    assert_eq!(keys.len(), 2);
    for key in keys {
        let whole = medium.get(&key).unwrap();
        // All that is not image data, and some of that.
        let behind = whole.len().saturating_sub(2000);
        for at in (0..behind).step_by(10_007).chain((behind..whole.len()).step_by(3)) {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            medium.delete(&key).unwrap();
            medium.put(&key, &changed).unwrap();
            match get(&open(Arc::new(medium.clone()), &db, None), &content) {
                Ok(read) => assert!(read == image(), "byte {at} of {key} makes the image wrong"),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "byte {at} of {key}: {error}"),
            }
        }
        medium.delete(&key).unwrap();
        medium.put(&key, &whole).unwrap();
    }
    assert!(get(&open(Arc::new(medium), &db, None), &content).unwrap() == image());
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_frame_in_memory_is_compared_where_it_is_read_and_read_again_where_it_is_wrong() {
    for heals in [true, false] {
        let (medium, db) = (Memory::new(), database());
        let content = put(&open(Arc::new(medium.clone()), &db, None), &db).await;
        let store = open(Arc::new(medium.clone()), &db, None);
        let (number, row) = rows::page::<PackRow>(&db.read().unwrap(), &PACKS, None, 1).unwrap().remove(0);
        let number = u64::from_be_bytes(number.try_into().unwrap());
        let pack = store.pack(number).unwrap();
        let (frame, end) = (&pack.footer.frames[0], pack.frame_span(0).end);
        assert!(frame.codec == 0 && frame.count > 1, "noise is stored as it is, and in several chunks");
        let key = row.header(number).key();
        let whole = medium.get(&key).unwrap();
        let mut changed = whole.clone();
        changed[(frame.offset + end) as usize - 1] ^= 1;
        let put_object = |bytes: &[u8]| {
            medium.delete(&key).unwrap();
            medium.put(&key, bytes).unwrap();
        };
        put_object(&changed);
        let reader = store.reader(&content).unwrap();
        let mut block = [0; 100];
        // The frame comes into memory, its last chunk not compared.
        reader.read_at(0, &mut block).unwrap();
        assert_eq!(block[..], image()[..100]);
        if heals {
            put_object(&whole);
        }
        let read = reader.read_at(end - 100, &mut block);
        assert_eq!(read.is_ok(), heals, "{read:?}");
        match read {
            Ok(()) => assert_eq!(block[..], image()[end as usize - 100..end as usize]),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
        }
    }
}
