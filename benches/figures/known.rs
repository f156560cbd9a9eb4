//! Upload of data that is all known already, through the library: nothing is compressed or written but a
//! manifest, so digests are what it costs. Under each setting of digests.

use std::time::Instant;

use bytes::Bytes;
use tintype::model::{DigestChoice, HashAlgorithm};
use tintype::store::Options;

use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::{Outcome, ceiling, dense, ingest, server};

const SHA256: DigestChoice = DigestChoice { md5: false, secure: Some(HashAlgorithm::Sha256) };

/// Measures each setting.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let mut data = dense::base(bytes)?;
    dense::stamp(&mut data, 0, 0);
    let data = Bytes::from(data);
    for (name, choice, wanted) in [
        ("upload of known data, library", DigestChoice::default(), Wanted::RatioAtLeast(0.85)),
        ("  with SHA-256 and no MD5", SHA256, Wanted::RatioAtLeast(0.80)),
        ("  with BLAKE3 alone", DigestChoice::NONE, Wanted::Nothing),
    ] {
        measure(name, &data, choice, rounds, wanted)?;
    }
    Ok(())
}

/// Measures ceiling and upload in turn.
fn measure(name: &str, data: &Bytes, digests: DigestChoice, rounds: u64, wanted: Wanted) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = server::new_dir()?;
    let (db, store) = ingest::open_with(dir.path(), Options { digests, ..Options::default() }, None)?;
    runtime.block_on(ingest::upload(db.clone(), store.clone(), data.clone()))?;
    let (mut speeds, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost, mut least_cost) = (Vec::new(), Vec::new());
    let per_byte = |seconds: f64| seconds * 1e9 / data.len() as f64;
    let speed = |seconds: f64| data.len() as f64 / seconds / 1e6;
    for round in 0..rounds {
        let most = ceiling::measure_digests(data, digests)?;
        let before = processor_seconds(std::process::id())?;
        let start = Instant::now();
        runtime.block_on(ingest::upload(db.clone(), store.clone(), data.clone()))?;
        let seconds = start.elapsed().as_secs_f64();
        let processor = processor_seconds(std::process::id())? - before;
        note(format!(
            "{}, round {round}: {:.0} MB/s, {processor:.2} s of processor; ceiling {:.0} MB/s, {:.2} s",
            name.trim(),
            speed(seconds),
            speed(most.seconds),
            most.processor_seconds
        ));
        speeds.push(speed(seconds));
        ceilings.push(speed(most.seconds));
        ratios.push(most.seconds / seconds);
        cost.push(per_byte(processor));
        least_cost.push(per_byte(most.processor_seconds));
    }
    Row {
        name,
        figure: median(speeds),
        unit: "MB/s",
        yardstick: ("digests, all cores", median(ceilings)),
        ratio: median(ratios),
        wanted,
    }
    .print();
    let (cost, least_cost) = (median(cost), median(least_cost));
    Row {
        name: "  its processor time a byte",
        figure: cost,
        unit: "ns",
        yardstick: ("digests", least_cost),
        ratio: cost / least_cost,
        wanted: Wanted::Nothing,
    }
    .print();
    Ok(())
}
