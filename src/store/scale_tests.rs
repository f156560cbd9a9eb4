//! The index beside a store of any size: what a look-up costs, and how many duplicates it misses.
//!
//! The store is simulated: packs with rows, hooks and footers, as many as wanted, and not one byte
//! of payload; a footer is made anew, from its pack's number, whenever it is read. In every run
//! a little store and made-up disks are judged; `benches/run index` has the same code measure ten
//! terabytes and real disks (`BENCH_SCALE_PACKS`, `BENCH_CORPUS`), and other file systems
//! (`BENCH_HELD_OUT`).

use bytes::Bytes;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::cutter::{Cutter, CutterParams, Piece, choose};
use super::object::{Section, Written};
use super::pack::{FrameEntry, PackFooter};
use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{self, codec};
use crate::objects::{self, Memory, ObjectInfo, ObjectKey, ObjectWriter};

/// What real disks fill a pack of 64 MiB with: 8,800 chunks of 20.7 kB, a third after compression.
const CHUNKS: u32 = 8800;
const CHUNK_BYTES: u32 = 20_700;
const CHUNKS_A_FRAME: u32 = 6;
/// The share of duplicates an exact index would have found that may be missed.
const LOSS_MAX: f64 = 0.02;
/// Bytes read of a disk at once.
const PIECE: usize = 1 << 20;
/// Simulated packs in one commit.
const PACKS_A_COMMIT: u64 = 64;

/// A medium whose simulated packs are computed when read; all other objects are real.
#[derive(Debug, Clone, Default)]
struct Shadows(Memory);

const SHADOW: [u8; 8] = *b"\xffshadow\xff";

fn shadow_id(number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&SHADOW);
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn shadow_of(key: &ObjectKey) -> Option<u64> {
    let id = hex::decode(key.as_str().rsplit('/').next()?).ok()?;
    Some(u64::from_be_bytes(id.strip_prefix(&SHADOW)?.try_into().ok()?))
}

fn footer(number: u64) -> PackFooter {
    let mut names = vec![[0; 32]; CHUNKS as usize];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(names.as_flattened_mut());
    let mut footer = PackFooter::empty(number, 0, [0; 16]);
    for (ordinal, name) in names.into_iter().enumerate() {
        footer.push(ordinal as u32, name, CHUNK_BYTES);
    }
    let mut sorted: Vec<u32> = (0..CHUNKS).collect();
    sorted.sort_unstable_by_key(|position| footer.names[*position as usize]);
    footer.sorted = sorted;
    for first in (0..CHUNKS).step_by(CHUNKS_A_FRAME as usize) {
        let count = CHUNKS_A_FRAME.min(CHUNKS - first);
        let offset = u64::from(first) * 7500;
        let raw_bytes = count * CHUNK_BYTES;
        footer.frames.push(FrameEntry { count, offset, stored_bytes: 45_000, raw_bytes, codec: 1 });
    }
    footer
}

impl Objects for Shadows {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.0.create(key)
    }
    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.0.replace(key)
    }
    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), objects::Error> {
        let Some(number) = shadow_of(key) else { return self.0.read(key, offset, out) };
        assert_eq!(offset, 0);
        let footer = codec::encode(&footer(number));
        let sum = blake3::hash(&footer);
        out.copy_from_slice(&[&footer[..], sum.as_bytes()].concat());
        Ok(())
    }
    fn size(&self, key: &ObjectKey) -> Result<u64, objects::Error> {
        self.0.size(key)
    }
    fn delete(&self, key: &ObjectKey) -> Result<(), objects::Error> {
        self.0.delete(key)
    }
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), objects::Error> {
        self.0.list(prefix, visit)
    }
    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        self.0.sweep_unfinished()
    }
}

fn open(objects: &Shadows, db: &Db, pack_bytes: u64) -> Store {
    let options = Options { pack_bytes, ..Options::default() };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    Store::open(db.clone(), Arc::new(objects.clone()), None, options, clock, entropy).unwrap()
}

/// Gives the store so many packs it never wrote.
fn fill(store: &Store, packs: u64) {
    let footer_bytes = codec::encode(&footer(1)).len() as u32;
    for first in (1..=packs).step_by(PACKS_A_COMMIT as usize) {
        let store = store.clone();
        let commit = store.inner.db.clone();
        commit
            .write(move |txn| {
                for number in first..(first + PACKS_A_COMMIT).min(packs + 1) {
                    let footer = footer(number);
                    let stored = Written {
                        // What comes after the footer: its sum, a locator, and a trailer of one block.
                        object_bytes: u64::from(footer_bytes) + 32 + 24 + 32 + 64,
                        footer: Section { offset: 0, bytes: footer_bytes, counter: 0 },
                        sum: [0; 32],
                    };
                    let row = PackRow {
                        object: shadow_id(number),
                        generation: 0,
                        domain: 0,
                        scope: footer.scope,
                        stored,
                        chunks: CHUNKS,
                        raw_bytes: u64::from(CHUNKS) * u64::from(CHUNK_BYTES),
                        created_at: 0,
                        level: 1,
                        key_version: 0,
                    };
                    rows::raise_next_pack(txn, number)?;
                    txn.put_record(&PACKS, &pack_key(number), &row)?;
                    totals::add_pack(txn, &row)?;
                    let keys = store.hook_keys(row.realm(), &hooks(footer.names.iter()))?;
                    for key in &keys {
                        txn.put(&HOOKS, key, &pack_key(number))?;
                    }
                }
                Ok::<_, Error>(())
            })
            .unwrap();
    }
}

/// Every piece of a file.
fn pieces(path: &Path, mut visit: impl FnMut(&[u8])) {
    let mut file = File::open(path).unwrap();
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece).unwrap();
        if length == 0 {
            return;
        }
        visit(&piece[..length]);
    }
}

/// Bytes of all chunks of these files, and of each chunk once, as `choose` has them cut.
fn exactly(paths: &[PathBuf], choose: fn(&[u8]) -> CutterParams) -> (u64, u64) {
    let (mut seen, mut all, mut once) = (HashSet::new(), 0, 0);
    for path in paths {
        let mut count = |piece: Piece<'_>| {
            if let Piece::Chunk(chunk) = piece {
                all += chunk.len() as u64;
                once += if seen.insert(*blake3::hash(chunk).as_bytes()) { chunk.len() as u64 } else { 0 };
            }
        };
        // The head decides how a stream is cut, as it does on its way in.
        let (mut head, mut cutter) = (Vec::new(), None);
        pieces(path, |piece| match &mut cutter {
            Some(cutter) => Cutter::push(cutter, piece, &mut count),
            None => {
                head.extend_from_slice(piece);
                if head.len() >= 4 << 20 {
                    let begun = cutter.insert(Cutter::new(choose(&head)));
                    begun.push(&std::mem::take(&mut head), &mut count);
                }
            }
        });
        let mut cutter = cutter.unwrap_or_else(|| {
            let mut cutter = Cutter::new(choose(&head));
            cutter.push(&head, &mut count);
            cutter
        });
        cutter.finish(&mut count);
    }
    (all, once)
}

/// Stores the files; what of their chunks was stored, in bytes before compression.
async fn sparsely(store: &Store, paths: &[PathBuf]) -> u64 {
    let before = store.stats().unwrap().chunk_bytes;
    for path in paths {
        let mut ingest = store.ingest(Scope::STORE).unwrap();
        let mut file = File::open(path).unwrap();
        loop {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece).unwrap();
            if length == 0 {
                break;
            }
            piece.truncate(length);
            ingest.write(Bytes::from(piece)).await.unwrap();
        }
        let (receipt, publisher) = (ingest.finish(Vec::new()).await.unwrap(), store.clone());
        store.inner.db.write(move |txn| publisher.publish(txn, &receipt)).unwrap();
    }
    store.stats().unwrap().chunk_bytes - before
}

/// Disks of one family: each the one before it with some files changed, and some moved.
fn made_up_disks(folder: &Path) -> Vec<PathBuf> {
    const FILES: usize = 400;
    let mut files: Vec<u64> = (0..FILES as u64).collect();
    let mut dice = blake3::Hasher::new().update(b"disks").finalize_xof();
    let mut below = |end: usize| {
        let mut drawn = [0; 8];
        dice.fill(&mut drawn);
        (u64::from_le_bytes(drawn) % end as u64) as usize
    };
    let disk = |files: &[u64], number: usize| {
        let mut data = Vec::new();
        for file in files {
            let mut bytes = vec![0; 1 + (file.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 46) as usize];
            blake3::Hasher::new().update(&file.to_le_bytes()).finalize_xof().fill(&mut bytes);
            data.extend_from_slice(&bytes);
            data.resize(data.len().next_multiple_of(4096), 0);
        }
        let path = folder.join(format!("{number}.raw"));
        std::fs::write(&path, data).unwrap();
        path
    };
    let mut paths = vec![disk(&files, 0)];
    for number in 1..4 {
        for change in 0..40 {
            let (at, other) = (below(FILES), below(FILES));
            files[at] = (number * 1000 + change) as u64;
            files.swap(at, other);
        }
        paths.push(disk(&files, number));
    }
    paths
}

/// The middle of some measurements, in seconds.
fn median_seconds(mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..101).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What looking a batch of new chunks up costs, and hashing the same bytes.
fn look_up_cost(store: &Store) -> (f64, f64) {
    const BATCH: usize = 4 << 20;
    let mut serial = u64::MAX;
    let look_up = median_seconds(|| {
        serial -= 1;
        let mut names = vec![[0; 32]; BATCH / CHUNK_BYTES as usize];
        blake3::Hasher::new().update(&serial.to_le_bytes()).finalize_xof().fill(names.as_flattened_mut());
        let start = Instant::now();
        let realm = Realm::new(0, Scope::STORE);
        store.load_hooked(realm, &hooks(names.iter())).unwrap();
        assert!(names.iter().all(|name| store.inner.index.find(realm, name).is_none()));
        start.elapsed().as_secs_f64()
    });
    let bytes = vec![7; BATCH];
    let hash = median_seconds(|| {
        let start = Instant::now();
        for chunk in bytes.chunks(CHUNK_BYTES as usize) {
            std::hint::black_box(blake3::hash(chunk));
        }
        start.elapsed().as_secs_f64()
    });
    (look_up, hash)
}

/// A row of the table that `benches/run` prints.
fn row(name: &str, figure: String, yardstick: String, ratio: f64, wanted: &str, holds: Option<bool>) {
    let verdict = holds.map_or("-", |holds| if holds { "holds" } else { "FALLS SHORT" });
    println!("row:{name}\t{figure}\t{yardstick}\t{ratio:.3}\t{wanted}\t{verdict}");
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_sparse_index_misses_few_duplicates_beside_a_store_of_any_size() {
    let measured: Option<u64> = std::env::var("BENCH_SCALE_PACKS").ok().map(|packs| packs.parse().unwrap());
    let folder =
        tempfile::Builder::new().tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| "/tmp".into()));
    let folder = folder.unwrap();
    let disks = match (measured, std::env::var("BENCH_CORPUS")) {
        (Some(_), Ok(corpus)) => ["minimal", "cloud", "web", "dev", "trixie", "web-updated"]
            .map(|disk| PathBuf::from(&corpus).join(format!("{disk}.raw")))
            .to_vec(),
        _ => made_up_disks(folder.path()),
    };
    let packs = measured.unwrap_or(100);
    let catalog = folder.path().join("catalog.redb");
    let objects = Shadows::default();
    // Packs as small as the made-up disks want them; the real size where real disks are measured.
    let pack_bytes = if measured.is_some() { Options::default().pack_bytes } else { 4 << 20 };
    let db = Db::open(&catalog, db::Options::default()).unwrap();
    let store = open(&objects, &db, pack_bytes);
    fill(&store, packs);
    drop(store);
    db.close().unwrap();

    let start = Instant::now();
    let db = Db::open(&catalog, db::Options::default()).unwrap();
    let store = open(&objects, &db, pack_bytes);
    let opened = start.elapsed().as_secs_f64();
    let (look_up, hash) = look_up_cost(&store);
    let resident = resident_mib();
    let (all, once) = exactly(&disks, choose);
    let stored = sparsely(&store, &disks).await;
    let loss = stored.saturating_sub(once) as f64 / (all - once) as f64;
    if measured.is_some() {
        let terabytes = (packs * u64::from(CHUNKS) * u64::from(CHUNK_BYTES)) as f64 / 1e12;
        let of = |what: &str| format!("{what}, {terabytes:.1} TB of unique data simulated");
        let (ms, us) = (opened * 1e3, look_up * 1e6);
        row(&of("opening the store"), format!("{ms:.1} ms"), "-".into(), 1.0, "<= 200 ms", Some(ms <= 200.0));
        let against = format!("BLAKE3 of them: {:.0} us", hash * 1e6);
        row(&of("look-up of 4 MiB of new chunks"), format!("{us:.0} us"), against, look_up / hash, "-", None);
        let file = std::fs::metadata(&catalog).unwrap().len() as f64;
        let rows_mb = format!("{:.0} MB", file / 1e6);
        row(
            &of("catalog file"),
            rows_mb,
            format!("unique data: {terabytes:.1} TB"),
            file / terabytes / 1e12,
            "-",
            None,
        );
        row(&of("resident memory"), format!("{resident:.0} MiB"), "-".into(), 1.0, "-", None);
        let missed = format!("{:.1} MB", stored.saturating_sub(once) as f64 / 1e6);
        let found = format!("an exact index finds {:.0} MB", (all - once) as f64 / 1e6);
        row(&of("duplicates missed"), missed, found, loss, "ratio <= 0.02", Some(loss <= LOSS_MAX));
    } else {
        assert!(all > once && loss <= LOSS_MAX, "{:.2} % of the duplicates were missed", loss * 100.0);
    }
}

#[test]
fn p4_the_grid_is_no_worse_than_content_on_disks_it_was_not_chosen_on() {
    let folder = tempfile::tempdir().unwrap();
    let sets = match std::env::var("BENCH_HELD_OUT") {
        Ok(held_out) => ["xfs", "ntfs"]
            .map(|kind| {
                let disk = |version| PathBuf::from(&held_out).join(format!("{kind}-{version}.raw"));
                (format!("two {kind} disks"), vec![disk(1), disk(2)])
            })
            .to_vec(),
        Err(_) => vec![("made-up disks".to_owned(), made_up_disks(folder.path()))],
    };
    for (name, disks) in sets {
        let (_, grid) = exactly(&disks, choose);
        let (_, content) = exactly(&disks, |_| CutterParams::content());
        let ratio = grid as f64 / content as f64;
        let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let against = format!("content-defined 64 KiB: {}", mb(content));
        let name = format!("unique bytes of {name}, before compression");
        row(&name, mb(grid), against, ratio, "ratio <= 1.0", Some(ratio <= 1.0));
        assert!(ratio <= 1.0 || std::env::var("BENCH_HELD_OUT").is_ok(), "{name}: {ratio}");
    }
}
