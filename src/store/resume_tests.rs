//! Streams put down and taken up again: exact, cut as in one go, kept while unfinished, and nothing of
//! them left once they are let go of.

use bytes::Bytes;
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::model::{DigestChoice, Digests, HashAlgorithm, SecureHash};
use crate::objects::Memory;

struct Bench {
    objects: Memory,
    db: Db,
    master: Option<MasterKey>,
}

impl Bench {
    fn new(master: Option<MasterKey>) -> Bench {
        let db = Db::open_on(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
        Bench { objects: Memory::new(), db, master }
    }

    /// As a start after a crash would open it.
    fn store(&self) -> Store {
        self.store_choosing(DigestChoice::default())
    }

    /// The same, with another setting of digests.
    fn store_choosing(&self, digests: DigestChoice) -> Store {
        let options = Options { pack_bytes: 1 << 20, digests, ..Options::default() };
        let (objects, clock, entropy) =
            (Arc::new(self.objects.clone()), Arc::new(SystemClock), Arc::new(OsEntropy));
        Store::open(self.db.clone(), objects, self.master.as_ref(), options, clock, entropy).unwrap()
    }

    fn publish(&self, store: &Store, receipt: Receipt, instead_of: Option<ContentId>) -> ContentId {
        let (store, content) = (store.clone(), receipt.content());
        let published = self.db.write(move |txn| {
            store.publish(txn, &receipt)?;
            instead_of.iter().try_for_each(|before| store.release(txn, before))
        });
        published.unwrap();
        content
    }
}

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

/// Files with and without an end on the grid, holes, and a tail.
fn disk() -> Vec<u8> {
    let mut data = vec![0; 1 << 20];
    data[510..512].copy_from_slice(b"\x55\xaa");
    for file in 0..40 {
        data.extend(noise(file, 100_000 + usize::from(file) * 1000));
        data.resize(data.len().next_multiple_of(4096) + usize::from(file % 3) * 20_000, 0);
    }
    data.extend(noise(99, 1_234_567));
    data
}

fn read(store: &Store, content: &ContentId) -> Vec<u8> {
    let reader = store.reader(content).unwrap();
    let mut out = vec![0; reader.size_bytes() as usize];
    reader.read_at(0, &mut out).unwrap();
    out
}

/// Sends `data`, with a new process and a reclaim at each of these places.
async fn send_in_parts(bench: &Bench, data: &[u8], places: &[usize]) -> ContentId {
    let mut ingest = bench.store().ingest(Scope::STORE).unwrap();
    let (mut at, mut before) = (0, None);
    for place in places {
        ingest.write(Bytes::copy_from_slice(&data[at..*place])).await.unwrap();
        let Checkpoint { receipt, progress } = ingest.checkpoint().await.unwrap();
        assert_eq!(receipt.digests().blake3, *blake3::hash(&data[..*place]).as_bytes());
        let store = bench.store();
        let checkpoint = bench.publish(&store, receipt, before);
        drop(ingest);
        store.reclaim(Reach::Everything).unwrap();
        assert!(read(&store, &checkpoint) == data[..*place], "the first {place} bytes");
        let resumed = store.clone();
        let scope = Scope::STORE;
        ingest = tokio::task::spawn_blocking(move || resumed.resume(scope, &checkpoint, &progress))
            .await
            .unwrap()
            .unwrap();
        (at, before) = (*place, Some(checkpoint));
    }
    ingest.write(Bytes::copy_from_slice(&data[at..])).await.unwrap();
    let receipt = ingest.finish(Vec::new()).await.unwrap();
    assert_eq!(receipt.digests().blake3, *blake3::hash(data).as_bytes());
    bench.publish(&bench.store(), receipt, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_stream_taken_up_again_at_any_place_is_exact_and_cut_as_in_one_go() {
    let data = disk();
    let end = data.len();
    let places: [&[usize]; 5] = [
        &[0, 1, 2],
        &[100, 5000, 70_000, 1_000_000],
        &[1_048_576, 4_194_304, 4_194_305, 5_000_001],
        &[end / 3, end / 2, end - 1, end],
        &[4_300_000, 4_300_010, 4_300_010, 4_304_096],
    ];
    for master in [None, Some(MasterKey::generate(&OsEntropy))] {
        let bench = Bench::new(master);
        for places in places {
            let content = send_in_parts(&bench, &data, places).await;
            let store = bench.store();
            assert!(read(&store, &content) == data, "{places:?}");
            // Cut in the same places, all of it is known.
            let chunks = store.stats().unwrap().chunks;
            let mut whole = store.ingest(Scope::STORE).unwrap();
            whole.write(data.clone().into()).await.unwrap();
            let receipt = whole.finish(Vec::new()).await.unwrap();
            assert_eq!(store.stats().unwrap().chunks, chunks, "{places:?}");
            let again = bench.publish(&store, receipt, Some(content));
            let release = store.clone();
            bench.db.write(move |txn| release.release(txn, &again)).unwrap();
            while store.reclaim(Reach::Everything).unwrap().in_use > 0 {}
            assert_eq!(store.stats().unwrap(), Stats::default());
            assert!(store.verify().unwrap().is_empty());
        }
    }
}

const CHOICES: [DigestChoice; 4] = [
    DigestChoice { md5: true, secure: Some(HashAlgorithm::Sha512) },
    DigestChoice { md5: true, secure: Some(HashAlgorithm::Sha256) },
    DigestChoice { md5: false, secure: Some(HashAlgorithm::Sha256) },
    DigestChoice::NONE,
];

/// Digests computed apart from the product.
fn digests(choice: DigestChoice, data: &[u8]) -> Digests {
    Digests {
        md5: choice.md5.then(|| Md5::digest(data).into()),
        secure: choice.secure.map(|algorithm| match algorithm {
            HashAlgorithm::Sha512 => SecureHash::Sha512(Sha512::digest(data).into()),
            HashAlgorithm::Sha256 => SecureHash::Sha256(Sha256::digest(data).into()),
        }),
        blake3: *blake3::hash(data).as_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_stream_has_the_digests_that_are_set_and_no_others() {
    let bench = Bench::new(None);
    for choice in CHOICES {
        for bytes in [0, 1, 127, 128, 300_001] {
            let data = noise(7, bytes);
            let mut ingest = bench.store_choosing(choice).ingest(Scope::STORE).unwrap();
            for piece in data.chunks(99_999) {
                ingest.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let receipt = ingest.finish(Vec::new()).await.unwrap();
            assert_eq!(*receipt.digests(), digests(choice, &data), "{choice:?}, {bytes} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_stream_keeps_the_digests_it_began_with_whatever_is_set_later() {
    let (bench, data) = (Bench::new(None), noise(8, 1_000_003));
    for began in CHOICES {
        for later in CHOICES {
            let mut ingest = bench.store_choosing(began).ingest(Scope::STORE).unwrap();
            for (from, to) in [(0, 333), (333, 700_001)] {
                ingest.write(Bytes::copy_from_slice(&data[from..to])).await.unwrap();
                let Checkpoint { receipt, progress } = ingest.checkpoint().await.unwrap();
                assert_eq!(*receipt.digests(), digests(began, &data[..to]));
                let store = bench.store_choosing(later);
                let kept = bench.publish(&store, receipt, None);
                let resume = move || store.resume(Scope::STORE, &kept, &progress);
                ingest = tokio::task::spawn_blocking(resume).await.unwrap().unwrap();
            }
            ingest.write(Bytes::copy_from_slice(&data[700_001..])).await.unwrap();
            let receipt = ingest.finish(Vec::new()).await.unwrap();
            assert_eq!(*receipt.digests(), digests(began, &data), "{began:?}, then {later:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_a_checkpoint_nobody_wanted() {
    let (bench, data) = (Bench::new(None), disk());
    let store = bench.store();
    let mut ingest = store.ingest(Scope::STORE).unwrap();
    for piece in data.chunks(700_000) {
        ingest.write(Bytes::copy_from_slice(piece)).await.unwrap();
        ingest.checkpoint().await.unwrap();
    }
    let content = bench.publish(&store, ingest.finish(Vec::new()).await.unwrap(), None);
    assert!(read(&store, &content) == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_another_stream_is_refused() {
    let bench = Bench::new(None);
    let store = bench.store();
    let mut checkpoints = Vec::new();
    for bytes in [10_000, 20_000] {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        ingest.write(noise(1, bytes).into()).await.unwrap();
        let Checkpoint { receipt, progress } = ingest.checkpoint().await.unwrap();
        checkpoints.push((bench.publish(&store, receipt, None), progress));
    }
    let refused = |checkpoint: &ContentId, progress: &[u8]| {
        matches!(store.resume(Scope::STORE, checkpoint, progress), Err(Error::Damaged { .. }))
    };
    assert!(refused(&checkpoints[0].0, &checkpoints[1].1));
    assert!(refused(&checkpoints[0].0, &checkpoints[0].1[1..]));
    let unknown = ContentId([9; 16]);
    assert!(matches!(store.resume(Scope::STORE, &unknown, &checkpoints[0].1), Err(Error::Missing(_))));
}
