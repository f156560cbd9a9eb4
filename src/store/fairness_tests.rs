//! Streams beside each other: memory is given in the order it was asked for, so that nobody starves.

use bytes::Bytes;

use std::sync::atomic::AtomicBool;

use futures::poll;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::objects::Memory;

fn store(memory_bytes: usize) -> Store {
    let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let options = Options { memory_bytes, pack_bytes: 1 << 20, ..Options::default() };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    Store::open(db, Arc::new(Memory::new()), None, options, clock, entropy).unwrap()
}

fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out.into()
}

#[tokio::test]
async fn p5_memory_is_given_in_the_order_it_was_asked_for() {
    let store = store(4 << 20);
    let units = store.inner.budget_units as u32;
    let piece = noise(1, 1 << 20);
    assert_eq!(piece.len() / ingest::BUDGET_UNIT, units as usize, "a piece takes all there is");
    let [mut first, mut small, mut second] = [(); 3].map(|()| store.ingest(Scope::STORE).unwrap());
    // Whoever had all the memory gives it back a bit at a time.
    let mut all = store.inner.budget.clone().acquire_many_owned(units).await.unwrap();
    let mut large = Box::pin(first.write(piece.clone()));
    assert!(poll!(&mut large).is_pending());
    let mut little = Box::pin(small.write(noise(2, 100)));
    assert!(poll!(&mut little).is_pending());
    let mut later = Box::pin(second.write(piece));
    assert!(poll!(&mut later).is_pending());
    drop(all.split(1));
    assert!(poll!(&mut little).is_pending(), "there is room for it, but it is not its turn");
    assert!(poll!(&mut large).is_pending());
    drop(all);
    large.await.unwrap();
    // What the first gives back goes to the small one, before the other large one has all it needs.
    let mut later_done = std::pin::pin!(async {
        later.await.unwrap();
        store.inner.budget.available_permits()
    });
    tokio::select! {
        biased;
        _ = &mut later_done => panic!("a large piece went before a small one that had asked first"),
        done = little => done.unwrap(),
    }
    later_done.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_small_streams_end_while_large_ones_go_on() {
    let store = store(4 << 20);
    let stop = Arc::new(AtomicBool::new(false));
    let large: Vec<_> = (0..4)
        .map(|stream| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut ingest = store.ingest(Scope::STORE).unwrap();
                let mut pieces = 0;
                while !stop.load(Ordering::Relaxed) {
                    ingest.write(noise(stream << 32 | pieces, 256 << 10)).await.unwrap();
                    pieces += 1;
                }
                drop(ingest);
                pieces
            })
        })
        .collect();
    for small in 0..20 {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        ingest.write(noise(u64::MAX - small, 5000)).await.unwrap();
        assert_eq!(ingest.finish(Vec::new()).await.unwrap().size_bytes(), 5000);
    }
    assert!(large.iter().all(|stream| !stream.is_finished()));
    stop.store(true, Ordering::Relaxed);
    for stream in large {
        assert!(stream.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn p5_streams_beyond_the_places_wait_in_turn_and_hold_nothing() {
    let store = store(4 << 20);
    let places = store.inner.places.available_permits();
    let mut at_work = Vec::new();
    for stream in 0..places as u64 {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        ingest.write(noise(stream, 5000)).await.unwrap();
        at_work.push(ingest);
    }
    let [mut next, mut last] = [(); 2].map(|()| store.ingest(Scope::STORE).unwrap());
    {
        let mut waiting = Box::pin(next.write(noise(100, 5000)));
        let mut behind = Box::pin(last.write(noise(101, 5000)));
        assert!(poll!(&mut waiting).is_pending() && poll!(&mut behind).is_pending());
        // Those that are at work go on meanwhile.
        at_work[0].write(noise(102, 5000)).await.unwrap();
        assert!(poll!(&mut waiting).is_pending());
        at_work.remove(0).finish(Vec::new()).await.unwrap();
        assert!(poll!(&mut behind).is_pending(), "another asked first");
        waiting.await.unwrap();
        assert!(poll!(&mut behind).is_pending());
        // A stream that is given up leaves its place too.
        drop(at_work.pop());
        behind.await.unwrap();
    }
    assert_eq!(next.finish(Vec::new()).await.unwrap().size_bytes(), 5000);
    assert_eq!(last.finish(Vec::new()).await.unwrap().size_bytes(), 5000);
}
