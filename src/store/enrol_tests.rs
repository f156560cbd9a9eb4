//! The last pack of a stream: nothing before its stream is published, and swept when that never happens.

use bytes::Bytes;

use super::tests::{Bench, fresh, get, noise};
use super::*;
use crate::model::ByteRange;

/// How many packs there are: rows, and objects.
fn packs(b: &Bench) -> (u64, usize) {
    let mut objects = 0;
    b.objects.list("pack/", &mut |_| objects += 1).unwrap();
    (b.store.stats().unwrap().packs, objects)
}

async fn finished(b: &Bench, data: &[u8]) -> Receipt {
    let mut ingest = b.store.ingest(Scope::STORE).unwrap();
    ingest.write(Bytes::copy_from_slice(data)).await.unwrap();
    ingest.finish(Vec::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_the_last_pack_gets_its_row_with_the_stream_and_is_kept_until_then() {
    let b = fresh(None);
    let data = noise(1, 1_500_000);
    let receipt = finished(&b, &data).await;
    // The first of the two was full before the end.
    assert_eq!(packs(&b), (1, 2));
    // Nobody else can rely on what no row names, and a sweep leaves it alone.
    let twin = finished(&b, &data).await;
    assert_eq!(packs(&b), (1, 3));
    b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(packs(&b), (1, 3));
    let (store, content) = (b.store.clone(), receipt.content());
    b.db.write(move |txn| store.publish(txn, &receipt)).unwrap();
    assert_eq!(packs(&b), (2, 3));
    assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
    // The other is given up: its pack goes, and what was published stays.
    drop(twin);
    b.store.reclaim(Reach::Everything).unwrap();
    assert_eq!(packs(&b), (2, 2));
    assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
    assert!(b.store.verify().unwrap().is_empty());
    // Known to all from then on.
    drop(finished(&b, &data).await);
    assert_eq!(packs(&b), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_publication_that_is_refused_leaves_nothing_of_the_last_pack_known() {
    let b = fresh(None);
    let data = noise(1, 100_000);
    let receipt = finished(&b, &data).await;
    let (store, refused) = (b.store.clone(), receipt.clone());
    let outcome = b.db.write(move |txn| {
        store.publish(txn, &refused)?;
        Err::<(), _>(Error::Broken)
    });
    assert!(outcome.is_err());
    drop(receipt);
    assert_eq!(packs(&b), (0, 1));
    // The same data is new data.
    let again = finished(&b, &data).await;
    assert_eq!(packs(&b), (0, 2));
    b.store.reclaim(Reach::Everything).unwrap();
    let (store, content) = (b.store.clone(), again.content());
    b.db.write(move |txn| store.publish(txn, &again)).unwrap();
    assert_eq!(packs(&b), (1, 1));
    assert_eq!(get(&b, &content, ByteRange::whole(data.len() as u64)).unwrap(), data);
}
