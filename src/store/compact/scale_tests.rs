//! The mark beside a catalog of any size: what it costs after one delete, and when everything is to be
//! counted.
//!
//! The store is simulated: streams with rows and lists of packs, and manifests that are made when they
//! are read. In every run a few hundred are judged; `benches/run reclaim` has the same code measure
//! 100,000 (`BENCH_MARK_IMAGES`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;
use crate::base::{OsEntropy, SystemClock};
use crate::db::{Db, codec};
use crate::model::{ContentId, Digests};
use crate::objects::{self, Memory, ObjectInfo, ObjectKey, ObjectWriter, Objects};
use crate::store::cutter::choose;
use crate::store::manifest::{Extent, Manifest};
use crate::store::object::{Section, Written};
use crate::store::rows::{self, CONTENTS, ContentRow, PACKS, PackRow, pack_key};
use crate::store::{Options, Reach, Stats, totals, unmarked};

/// Runs of an image, those of other images' packs included: a ninth of the study's 57,000.
const RUNS: u64 = 6_300;
/// Packs of an image's family, which its runs are scattered over.
const FAMILY_PACKS: u64 = 40;
/// Images of a family.
const FAMILY_IMAGES: u64 = 25;
/// Chunks and raw bytes of a pack.
const PACK_CHUNKS: u32 = 6_000;
const CHUNK_BYTES: u64 = 21_000;
/// Rows in one commit.
const ROWS_A_COMMIT: u64 = 4096;

/// A medium that makes manifests up when they are read; all other objects are real.
#[derive(Debug, Clone, Default)]
struct Shadows {
    real: Memory,
    read: Arc<AtomicU64>,
    made_nanos: Arc<AtomicU64>,
}

const SHADOW: [u8; 8] = *b"\xffmanifs\xff";

fn shadow_id(image: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&SHADOW);
    id[8..].copy_from_slice(&image.to_be_bytes());
    id
}

fn shadow_of(key: &ObjectKey) -> Option<u64> {
    let id = hex::decode(key.as_str().rsplit('/').next()?).ok()?;
    Some(u64::from_be_bytes(id.strip_prefix(&SHADOW)?.try_into().ok()?))
}

/// What one image is made of: some runs in one pack of its family, then some in another. How many
/// differs between images, from a tenth of the mean to nearly twice as many.
fn manifest(image: u64) -> Manifest {
    let mut state = image.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    let first_pack = 1 + image / FAMILY_IMAGES * FAMILY_PACKS;
    let runs = RUNS / 10 + draw(RUNS * 9 / 5);
    let mut pack = 0;
    let extents: Vec<Extent> = (0..runs)
        .map(|_| {
            if draw(8) == 0 {
                pack = draw(FAMILY_PACKS);
            }
            let (first, count) = (draw(u64::from(PACK_CHUNKS) - 8) as u32, draw(8) as u32 + 1);
            Extent::Run { bytes: u64::from(count) * CHUNK_BYTES, pack: first_pack + pack, first, count }
        })
        .collect();
    Manifest {
        content: content(image).0,
        size_bytes: extents.iter().map(Extent::bytes).sum(),
        digests: (&Digests { md5: None, secure: None, blake3: [0; 32] }).into(),
        cutter: choose(&[]),
        extents,
        record: b"record".to_vec(),
        recipe: None,
    }
}

fn content(image: u64) -> ContentId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(&image.to_le_bytes()).as_bytes()[..16]);
    ContentId(id)
}

impl Objects for Shadows {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.real.create(key)
    }
    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, objects::Error> {
        self.real.replace(key)
    }
    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), objects::Error> {
        let Some(image) = shadow_of(key) else { return self.real.read(key, offset, out) };
        assert_eq!(offset, 0);
        let start = Instant::now();
        let footer = codec::encode(&manifest(image));
        let sum = blake3::hash(&footer);
        out.copy_from_slice(&[&footer[..], sum.as_bytes()].concat());
        self.read.fetch_add(1, Ordering::Relaxed);
        self.made_nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }
    fn size(&self, key: &ObjectKey) -> Result<u64, objects::Error> {
        if shadow_of(key).is_some() { Ok(1) } else { self.real.size(key) }
    }
    fn delete(&self, key: &ObjectKey) -> Result<(), objects::Error> {
        if shadow_of(key).is_some() { Ok(()) } else { self.real.delete(key) }
    }
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), objects::Error> {
        self.real.list(prefix, visit)
    }
    fn sweep_unfinished(&self) -> Result<u64, objects::Error> {
        self.real.sweep_unfinished()
    }
}

/// Gives the store so many streams and their packs, none of which it ever wrote.
fn fill(store: &Store, images: u64) {
    let packs = images.div_ceil(FAMILY_IMAGES) * FAMILY_PACKS;
    for first in (0..images.max(packs)).step_by(ROWS_A_COMMIT as usize) {
        let end = first + ROWS_A_COMMIT;
        let work = move |txn: &crate::db::WriteTxn| {
            for image in first..end.min(images) {
                let bytes = codec::encode(&manifest(image)).len() as u32;
                // What comes after the footer: its sum, a locator, and a trailer of one block.
                let object_bytes = u64::from(bytes) + 32 + 24 + 32 + 64;
                let footer = Section { offset: 0, bytes, counter: 0 };
                let stored = Written { object_bytes, footer, sum: [0; 32] };
                let row =
                    ContentRow { object: shadow_id(image), domain: 0, stored, size_bytes: 1, key_version: 0 };
                txn.put_record(&CONTENTS, &content(image).0, &row)?;
                let family = 1 + image / FAMILY_IMAGES * FAMILY_PACKS;
                rows::put_packs(txn, &content(image).0, &(family..family + FAMILY_PACKS).collect())?;
                totals::add(txn, Stats::of_content(&row))?;
            }
            for pack in first + 1..=end.min(packs) {
                let footer = Section { offset: 0, bytes: 0, counter: 0 };
                let row = PackRow {
                    object: shadow_id(u64::MAX - pack),
                    generation: 0,
                    domain: 0,
                    scope: [0; 16],
                    stored: Written { object_bytes: 1, footer, sum: [0; 32] },
                    chunks: PACK_CHUNKS,
                    raw_bytes: u64::from(PACK_CHUNKS) * CHUNK_BYTES,
                    created_at: 0,
                    level: 9,
                    key_version: 0,
                };
                rows::raise_next_pack(txn, pack)?;
                txn.put_record(&PACKS, &pack_key(pack), &row)?;
                totals::add_pack(txn, &row)?;
                unmarked::add(txn, pack, b"new")?;
            }
            Ok::<_, Error>(())
        };
        store.inner.db.write(work).unwrap();
        store.ship().unwrap();
    }
}

/// A row of the table that `benches/run` prints.
fn row(name: &str, figure: String, yardstick: String, ratio: f64, wanted: &str, holds: bool) {
    let verdict = if holds { "holds" } else { "FALLS SHORT" };
    println!("row:{name}\t{figure}\t{yardstick}\t{ratio:.2}\t{wanted}\t{verdict}");
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

#[test]
fn p5_the_mark_after_one_delete_looks_at_the_images_that_share_its_packs() {
    let measured: Option<u64> = std::env::var("BENCH_MARK_IMAGES").ok().map(|images| images.parse().unwrap());
    let images = measured.unwrap_or(FAMILY_IMAGES * 4);
    let folder = tempfile::Builder::new()
        .tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| "/tmp".into()))
        .unwrap();
    let db = Db::open(&folder.path().join("catalog.redb"), Default::default()).unwrap();
    let objects = Shadows::default();
    let rewrite = RewritePolicy { level: 0, ..RewritePolicy::default() };
    let options = Options { rewrite, ..Options::default() };
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), Arc::new(objects.clone()), None, options, clock, entropy).unwrap();
    fill(&store, images);
    store.complete_unmarked().unwrap();
    let read_since = |before: u64| objects.read.load(Ordering::Relaxed) - before;

    // Everything is to be counted, in passes, each of which settles its packs.
    let begin = Instant::now();
    let (mut after, mut passes, mut longest, mut resident) = (None, 0, 0.0f64, 0.0f64);
    loop {
        let (start, made) = (Instant::now(), objects.made_nanos.load(Ordering::Relaxed));
        let Some(pass) = store.weigh(after, &mut || Ok(())).ok().flatten() else { break };
        resident = resident.max(resident_mib());
        after = Some(pass.last);
        // What is sparse would be compacted, and leave the list with that.
        let all = pass.settled.into_iter().chain(pass.candidates.into_iter().map(|c| c.unmarked));
        store.settle(all.collect()).unwrap();
        let made = (objects.made_nanos.load(Ordering::Relaxed) - made) as f64 / 1e9;
        longest = longest.max(start.elapsed().as_secs_f64() - made);
        passes += 1;
    }
    let whole = begin.elapsed().as_secs_f64() - objects.made_nanos.load(Ordering::Relaxed) as f64 / 1e9;
    assert!(!store.has_unmarked_packs().unwrap());
    // Fewer than there are images: a pack that is live enough is not counted further.
    let read_whole = read_since(0);
    assert!(read_whole >= images / FAMILY_IMAGES, "{read_whole} manifests were read");

    // One image is deleted: what it named is looked for in the images of its family, and no others.
    let gone = content(3);
    let releaser = store.clone();
    db.write(move |txn| releaser.release(txn, &gone)).unwrap();
    store.ship().unwrap();
    let before = objects.read.load(Ordering::Relaxed);
    let made = objects.made_nanos.load(Ordering::Relaxed);
    let start = Instant::now();
    assert_eq!(store.reclaim(Reach::Released).unwrap().packs, 0);
    let reclaimed = start.elapsed().as_secs_f64();
    let pass = store.weigh(None, &mut || Ok(())).ok().flatten().unwrap();
    assert_eq!(pass.candidates.len() + pass.settled.len(), FAMILY_PACKS as usize);
    let made = (objects.made_nanos.load(Ordering::Relaxed) - made) as f64 / 1e9;
    let after_one = start.elapsed().as_secs_f64() - made;
    assert!(read_since(before) < FAMILY_IMAGES, "{} manifests were read", read_since(before));
    if measured.is_some() {
        let of = |what: &str| format!("{what}, {images} images simulated");
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        let counting = format!("packs that are dead: {reclaimed:.2} s");
        row(
            &of("mark after one delete"),
            seconds(after_one),
            counting,
            after_one / 2.0,
            "<= 2 s",
            after_one <= 2.0,
        );
        let longest = format!("{read_whole} manifests, its longest pass of {passes}: {longest:.1} s");
        row(
            &of("full mark, manifests decoded"),
            seconds(whole),
            longest,
            whole / 90.0,
            "<= 90 s",
            whole <= 90.0,
        );
        let mib = format!("{resident:.0} MiB");
        let holds = resident < 192.0;
        row(
            &of("  resident at most"),
            mib,
            "catalog and log included".into(),
            resident / 192.0,
            "< 192 MiB",
            holds,
        );
    }
}
