//! What reads cost the medium: one request for equal ones, little for the first byte, and all of it once for
//! whoever goes on; and that clients keep neither each other nor a thread for themselves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::Db;
use crate::objects::{self, Memory, ObjectInfo, ObjectKey, ObjectWriter, Objects};
use crate::store::{Options, Scope};

/// A medium that counts the bytes read from packs, and takes a while over each request.
#[derive(Debug, Default)]
struct Counting {
    memory: Memory,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// Whether threads that read die of it.
    deadly: AtomicBool,
}

impl Objects for Counting {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.memory.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.memory.replace(key)
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), objects::Error> {
        if key.as_str().starts_with("pack/") {
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(out.len() as u64, Ordering::Relaxed);
            assert!(!self.deadly.load(Ordering::Relaxed), "a defect, for a test");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.memory.read(key, offset, out)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, objects::Error> {
        self.memory.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), objects::Error> {
        self.memory.delete(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), objects::Error> {
        self.memory.list(prefix, visit)
    }

    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        self.memory.sweep_unfinished()
    }
}

/// A stream of noise on a medium that counts.
async fn stored(bytes: usize) -> (Arc<Counting>, Reader, Vec<u8>) {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let medium = Arc::new(Counting::default());
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), medium.clone(), None, Options::default(), clock, entropy).unwrap();
    let mut data = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut data);
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    ingest.write(data.clone().into()).await.unwrap();
    let receipt = ingest.finish(Vec::new()).await.unwrap();
    let (publisher, content) = (store.clone(), receipt.content());
    db.write(move |txn| publisher.publish(txn, &receipt)).unwrap();
    let reader = store.reader(&content).unwrap();
    medium.requests.store(0, Ordering::Relaxed);
    medium.bytes.store(0, Ordering::Relaxed);
    (medium, reader, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_reads_at_the_same_time_cost_the_medium_one() {
    let (medium, reader, data) = stored(3 << 20).await;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut out = [0; 4096];
                reader.read_at(1 << 20, &mut out).unwrap();
                assert_eq!(out, data[1 << 20..][..4096]);
            });
        }
    });
    assert_eq!(medium.requests.load(Ordering::Relaxed), 1);
    // Ranges that overlap, from both ends: nobody waits for ever, and no frame is read twice.
    std::thread::scope(|scope| {
        for start in [0, 100_000, 700_000, 1_000_000, 1_300_000] {
            let (reader, data) = (&reader, &data);
            scope.spawn(move || {
                let mut out = vec![0; 1_200_000];
                reader.read_at(start, &mut out).unwrap();
                assert!(out == data[start as usize..][..out.len()]);
            });
        }
    });
    assert!(medium.bytes.load(Ordering::Relaxed) <= 2_500_000 + 2 * 256 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_from_memory_costs_the_medium_nothing() {
    let (medium, reader, data) = stored(3 << 20).await;
    let mut out = vec![0; 300_000];
    assert!(!reader.read_near(1 << 20, &mut out));
    assert_eq!(medium.requests.load(Ordering::Relaxed), 0);
    reader.read_at(1 << 20, &mut vec![0; 300_000]).unwrap();
    let before = medium.requests.load(Ordering::Relaxed);
    assert!(reader.read_near(1 << 20, &mut out));
    assert!(out == data[1 << 20..][..300_000]);
    assert!(!reader.read_near(data.len() as u64 - 1, &mut out), "it goes past the end");
    assert_eq!(medium.requests.load(Ordering::Relaxed), before);
    let range = ByteRange { start: 12_345, end: 2_000_000 };
    assert!(reader.pieces_at(range).unwrap().concat() == data[12_345..2_000_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_costs_a_frame_and_the_whole_is_read_once() {
    let (medium, reader, data) = stored(6 << 20).await;
    let mut pieces = reader.stream(ByteRange::whole(data.len() as u64));
    let mut read = pieces.next().await.unwrap().unwrap().to_vec();
    let first = medium.bytes.load(Ordering::Relaxed);
    assert!(first <= 2 * 256 * 1024, "{first} bytes for the first piece");
    while let Some(piece) = pieces.next().await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert!(read == data);
    let whole = medium.bytes.load(Ordering::Relaxed);
    assert!(whole <= data.len() as u64 + 256 * 1024, "{whole} bytes for {}", data.len());
    let requests = medium.requests.load(Ordering::Relaxed);
    assert!(requests <= 16, "{requests} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_share_no_frame() {
    let (medium, reader, data) = stored(6 << 20).await;
    // Its footer is in memory from here on.
    reader.read_at(0, &mut [0]).unwrap();
    medium.bytes.store(0, Ordering::Relaxed);
    let (mut rest, mut frames) = (ByteRange::whole(data.len() as u64), 0);
    while !rest.is_empty() {
        let batch = reader.plan(rest, 100_000).unwrap();
        let pieces = reader.store.fetch(&batch.parts).unwrap();
        assert_eq!(pieces.concat(), data[rest.start as usize..batch.end as usize]);
        frames += pieces.len();
        rest.start = batch.end;
    }
    // A batch of less than a frame is a whole one, so none is handed out in two pieces.
    let packs = reader.extents().iter().filter_map(|extent| match extent {
        Extent::Run { pack, .. } => Some(reader.store.pack(*pack).unwrap().footer.frames.len()),
        Extent::Zeros { .. } => None,
    });
    assert_eq!(frames, packs.sum::<usize>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_later_gets_its_turn_while_others_are_fed() {
    let (_, reader, data) = stored(24 << 20).await;
    let whole = ByteRange::whole(data.len() as u64);
    let fetches = fetches_at_once(false, 0);
    // More clients than turns: each ends, none of them waits for another to end.
    let clients = (0..fetches * 3).map(|_| {
        let reader = reader.clone();
        tokio::spawn(async move {
            let mut pieces = reader.stream(whole);
            let first = pieces.next().await.unwrap().unwrap();
            (first, pieces)
        })
    });
    let mut fed = futures::future::join_all(clients).await;
    for (first, pieces) in fed.iter_mut().map(|client| client.as_mut().unwrap()) {
        let mut read = first.to_vec();
        while let Some(piece) = pieces.next().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_that_left_would_have_wanted_is_not_fetched() {
    let (medium, reader, data) = stored(24 << 20).await;
    let mut pieces = reader.stream(ByteRange::whole(data.len() as u64));
    pieces.next().await.unwrap().unwrap();
    drop(pieces);
    let free = reader.store.inner.read_budget.available_permits();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = medium.bytes.load(Ordering::Relaxed);
    assert!(after < data.len() as u64 / 4, "{after} bytes for a client that took one piece");
    assert!(reader.store.inner.read_budget.available_permits() >= free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_dies_ends_the_stream_with_an_error() {
    let (medium, reader, data) = stored(3 << 20).await;
    let mut pieces = reader.stream(ByteRange::whole(data.len() as u64));
    assert!(pieces.next().await.unwrap().is_ok());
    medium.deadly.store(true, Ordering::Relaxed);
    let mut last = None;
    while let Some(piece) = pieces.next().await {
        last = Some(piece);
    }
    assert!(matches!(last, Some(Err(Error::Broken))));
}
