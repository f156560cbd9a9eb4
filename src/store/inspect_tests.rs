//! Streams read before they are visible: exact, counted once when they are published, and gone when they are not.

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::objects::Memory;

fn store() -> (Db, Store) {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let options = Options { pack_bytes: 1 << 20, ..Options::default() };
    let (objects, clock, entropy) = (Arc::new(Memory::new()), Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), objects, None, options, clock, entropy).unwrap();
    (db, store)
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(b"inspect").finalize_xof().fill(&mut out);
    out
}

async fn stored(store: &Store, data: &[u8]) -> Receipt {
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    ingest.write(bytes::Bytes::copy_from_slice(data)).await.unwrap();
    ingest.finish(Vec::new()).await.unwrap()
}

fn published(db: &Db, store: &Store, receipt: Receipt) {
    let store = store.clone();
    db.write(move |txn| store.publish(txn, &receipt)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_before_it_is_visible_is_counted_once() {
    // Several packs, the last one without a row; and one that has none but that.
    for bytes in [2_500_000, 70_000] {
        let data = noise(bytes);
        let [plain, inspected] = [false, true].map(|inspects| (store(), inspects));
        let mut counts = Vec::new();
        for ((db, store), inspects) in [plain, inspected] {
            let receipt = stored(&store, &data).await;
            if inspects {
                // Twice, as a retry would.
                for _ in 0..2 {
                    let reader = store.inspect(&receipt).unwrap();
                    let mut found = vec![0; bytes];
                    reader.read_at(0, &mut found).unwrap();
                    assert!(found == data);
                    assert!(store.reader(&receipt.content()).is_err(), "it is not visible by that");
                }
            }
            published(&db, &store, receipt);
            let stats = store.stats().unwrap();
            counts.push((stats.packs, stats.chunks, stats.chunk_bytes, stats.contents, stats.content_bytes));
        }
        assert_eq!(counts[0], counts[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_and_not_published_is_reclaimed() {
    let (_, store) = store();
    let receipt = stored(&store, &noise(2_500_000)).await;
    drop(store.inspect(&receipt).unwrap());
    assert!(store.stats().unwrap().packs > 0);
    store.reclaim(Reach::Everything).unwrap();
    assert!(store.stats().unwrap().packs > 0, "the receipt is held");
    drop(receipt);
    store.reclaim(Reach::Everything).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.packs, stats.contents), (0, 0));
}
