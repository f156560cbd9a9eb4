//! Upload of new data through the library into a sealed store, beside the same into a plain one.

use std::time::Instant;

use bytes::Bytes;
use tintype::base::OsEntropy;
use tintype::store::{MasterKey, Options};
use tokio::runtime::Runtime;

use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::{Outcome, dense, ingest, server};

/// What an upload took.
struct Took {
    seconds: f64,
    processor_seconds: f64,
}

/// Measures both in turn.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let base = dense::base(bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let master = MasterKey::generate(&OsEntropy);
    let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
    let per_byte = |seconds: f64| seconds * 1e9 / bytes as f64;
    let (mut speeds, mut plain_speeds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost, mut plain_cost) = (Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let mut data = base.clone();
        dense::stamp(&mut data, round, 0);
        let data = Bytes::from(data);
        let plain = upload(&runtime, None, &data)?;
        let sealed = upload(&runtime, Some(&master), &data)?;
        note(format!(
            "round {round}: sealed {:.0} MB/s, {:.2} s of processor; plain {:.0} MB/s, {:.2} s",
            speed(sealed.seconds),
            sealed.processor_seconds,
            speed(plain.seconds),
            plain.processor_seconds
        ));
        speeds.push(speed(sealed.seconds));
        plain_speeds.push(speed(plain.seconds));
        ratios.push(plain.seconds / sealed.seconds);
        cost.push(per_byte(sealed.processor_seconds));
        plain_cost.push(per_byte(plain.processor_seconds));
    }
    Row {
        name: "upload of new data, sealed",
        figure: median(speeds),
        unit: "MB/s",
        yardstick: ("plain", median(plain_speeds)),
        ratio: median(ratios),
        wanted: Wanted::RatioAtLeast(0.9),
    }
    .print();
    let (cost, plain_cost) = (median(cost), median(plain_cost));
    Row {
        name: "  its processor time a byte",
        figure: cost,
        unit: "ns",
        yardstick: ("plain", plain_cost),
        ratio: cost / plain_cost,
        wanted: Wanted::Nothing,
    }
    .print();
    Ok(())
}

fn upload(
    runtime: &Runtime,
    master: Option<&MasterKey>,
    data: &Bytes,
) -> Result<Took, Box<dyn std::error::Error>> {
    let dir = server::new_dir()?;
    let (db, store) = ingest::open_with(dir.path(), Options::default(), master)?;
    let before = processor_seconds(std::process::id())?;
    let start = Instant::now();
    runtime.block_on(ingest::upload(db, store, data.clone()))?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Took { seconds, processor_seconds: processor_seconds(std::process::id())? - before })
}
