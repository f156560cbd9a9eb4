//! The mark of a reclaim: extents counted a second, and the memory of a full one. And uploads while packs
//! are compacted beside them.

use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tintype::store::{Extent, Marking, Reach, Wish};

use super::measure::{Row, Wanted, median, memory_mib, note, processor_seconds, setting};
use super::{Outcome, dense, ingest, server};

/// Runs of an image, those of other images' packs included: the study's nine disks have some 57,000.
const RUNS: u64 = 6_300;
/// Packs of an image's family, which its runs are scattered over.
const FAMILY_PACKS: u64 = 40;
/// Images of a family.
const FAMILY_IMAGES: u64 = 25;
/// Chunks and raw bytes of a pack: 64 MiB stored at the study's mean.
const PACK_CHUNKS: u32 = 6_000;
const CHUNK_BYTES: u64 = 21_000;
/// Calls that are timed together.
const CALLS: u32 = 20;
/// Packs that the store counts in one pass.
const PASS_PACKS: u64 = 16_384;

/// Bytes of a stretch of the half-dead store: it lives, and the next one is dead.
const STRETCH: usize = 1 << 20;

/// Streams of a round: two that are timed, and those of which half is dead.
const STREAMS: u64 = 4;

/// Runs both halves.
pub fn run() -> Outcome {
    mark()?;
    beside_compaction()
}

/// Counts the extents of many simulated images, as the store does: a bounded number of packs a pass.
fn mark() -> Outcome {
    let images = setting("BENCH_MARK_IMAGES", 100_000)?;
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let (mut speeds, mut yardsticks, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let sample: Vec<Vec<Extent>> = (0..200).map(|number| image(number / FAMILY_IMAGES, number)).collect();
        let extents = sample.iter().map(Vec::len).sum::<usize>() as f64;
        let streamed = seconds_of(|| sample.iter().flatten().map(Extent::bytes).fold(0, u64::wrapping_add))?;
        let marked = seconds_of(|| {
            // None is ever live enough: every extent counts.
            let mut marking = Marking::new((0..FAMILY_PACKS * 8).map(|pack| (pack, u64::MAX)));
            sample.iter().for_each(|extents| marking.add(extents));
            marking.into_packs().len() as u64
        })?;
        speeds.push(extents / marked / 1e6);
        yardsticks.push(extents / streamed / 1e6);
        ratios.push(streamed / marked);
    }
    Row {
        name: "mark, extents a second and core",
        figure: median(speeds),
        unit: "M/s",
        yardstick: ("reading them once", median(yardsticks)),
        ratio: median(ratios),
        wanted: Wanted::AtLeast(15.0),
    }
    .print();
    let pid = std::process::id();
    let before = processor_seconds(pid)?;
    let (mut most, mut counted) = (0.0f64, 0);
    let packs = images / FAMILY_IMAGES * FAMILY_PACKS;
    for pass in 0..packs.div_ceil(PASS_PACKS) {
        let numbers = pass * PASS_PACKS..((pass + 1) * PASS_PACKS).min(packs);
        let mut marking = Marking::new(numbers.clone().map(|pack| (pack, u64::MAX)));
        for family in numbers.start / FAMILY_PACKS..numbers.end.div_ceil(FAMILY_PACKS) {
            for number in 0..FAMILY_IMAGES {
                let extents = image(family, family * FAMILY_IMAGES + number);
                counted += extents.len();
                marking.add(&extents);
            }
        }
        most = most.max(memory_mib(pid, "VmRSS")?);
        black_box(marking.into_packs());
    }
    let seconds = processor_seconds(pid)? - before;
    note(format!(
        "{images} images in {packs} packs: {counted} extents, {seconds:.0} s of processor, making them included"
    ));
    Row {
        name: "resident at most, full mark",
        figure: most,
        unit: "MiB",
        yardstick: ("wanted", 192.0),
        ratio: most / 192.0,
        wanted: Wanted::Below(192.0),
    }
    .print();
    Ok(())
}

/// Uploads new data to a store of which half is dead, alone and while that half is compacted away.
fn beside_compaction() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let base = dense::base(bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let stream = |number: u64| {
            let mut data = base.clone();
            dense::stamp(&mut data, round * STREAMS + number, 0);
            data
        };
        let dir = server::new_dir()?;
        let (db, store) = ingest::open(dir.path())?;
        let upload = |data: Vec<u8>| runtime.block_on(ingest::upload(db.clone(), store.clone(), data.into()));
        // Twice as much as is sent, so that compacting goes on for as long as the upload does.
        for number in 2..STREAMS {
            let whole = stream(number);
            let half: Vec<u8> = whole.chunks(STRETCH).step_by(2).flatten().copied().collect();
            let gone = upload(whole)?;
            upload(half)?;
            let releaser = store.clone();
            db.write(move |txn| releaser.release(txn, &gone))?;
        }
        store.reclaim(Reach::Released)?;
        let timed = |data: Vec<u8>| -> Result<f64, Box<dyn Error>> {
            let start = Instant::now();
            upload(data)?;
            Ok(bytes as f64 / start.elapsed().as_secs_f64() / 1e6)
        };
        // In turn first and second: the machine may get slower or faster.
        let compacted = |data: Vec<u8>| -> Result<f64, Box<dyn Error>> {
            let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
            let (compactor, ends, told) = (store.clone(), over.clone(), done.clone());
            let work = std::thread::spawn(move || {
                let wish = Wish { compact: true, ..Wish::default() };
                compactor.rewrite(wish, &mut |progress| {
                    told.fetch_max(progress.done_bytes, Ordering::Relaxed);
                    if ends.load(Ordering::Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
            });
            let speed = timed(data)?;
            let finished = work.is_finished();
            over.store(true, Ordering::Relaxed);
            work.join().map_err(|_| "compacting panicked")??;
            let mib = done.load(Ordering::Relaxed) >> 20;
            if mib == 0 {
                return Err("nothing was compacted beside the upload".into());
            }
            note(format!(
                "round {round}: {mib} MiB compacted beside it{}",
                if finished { ", all there was" } else { "" }
            ));
            Ok(speed)
        };
        let (idle, busy) = if round % 2 == 0 {
            let idle = timed(stream(0))?;
            (idle, compacted(stream(1))?)
        } else {
            let busy = compacted(stream(1))?;
            (timed(stream(0))?, busy)
        };
        note(format!("round {round}: {busy:.0} MB/s beside compaction, {idle:.0} MB/s alone"));
        alone.push(idle);
        beside.push(busy);
        ratios.push(busy / idle);
    }
    Row {
        name: "upload beside compaction, library",
        figure: median(beside),
        unit: "MB/s",
        yardstick: ("alone", median(alone)),
        ratio: median(ratios),
        wanted: Wanted::RatioAtLeast(0.8),
    }
    .print();
    Ok(())
}

/// An image that is woven from the packs of its family.
fn image(family: u64, seed: u64) -> Vec<Extent> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % end
    };
    let mut pack = 0;
    let run = |_| {
        // A few runs in one pack, then some in another, as files of one origin follow each other.
        if draw(8) == 0 {
            pack = draw(FAMILY_PACKS);
        }
        let (first, count) = (draw(u64::from(PACK_CHUNKS) - 8) as u32, draw(8) as u32 + 1);
        Extent::Run {
            bytes: u64::from(count) * CHUNK_BYTES,
            pack: family * FAMILY_PACKS + pack,
            first,
            count,
        }
    };
    (0..RUNS).map(run).collect()
}

/// Processor seconds of one call, from enough of them for the kernel's coarse count.
fn seconds_of(work: impl Fn() -> u64) -> Result<f64, Box<dyn Error>> {
    let pid = std::process::id();
    let before = processor_seconds(pid)?;
    for _ in 0..CALLS {
        black_box(work());
    }
    Ok((processor_seconds(pid)? - before).max(0.01) / f64::from(CALLS))
}
