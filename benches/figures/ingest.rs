//! Upload of new data through the library: a store on a real directory with every sync it makes.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tintype::base::{OsEntropy, SystemClock};
use tintype::db::{self, Db};
use tintype::model::ContentId;
use tintype::objects::Native;
use tintype::store::{self, MasterKey, Receipt, Scope, Store};

use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::{Outcome, ceiling, dense, server};

/// Pieces as a connection delivers them at best.
const PIECE: usize = 256 << 10;

/// Measures ceiling and upload in turn.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let base = dense::base(bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut speeds, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost, mut least_cost) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut data = base.clone();
        dense::stamp(&mut data, round, 0);
        let most = ceiling::measure(&data)?;
        let dir = server::new_dir()?;
        let (db, store) = open(dir.path())?;
        let before = processor_seconds(std::process::id())?;
        let start = Instant::now();
        runtime.block_on(upload(db, store, Bytes::from(data)))?;
        let seconds = start.elapsed().as_secs_f64();
        let processor = processor_seconds(std::process::id())? - before;
        let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
        note(format!(
            "round {round}: {:.0} MB/s, {processor:.2} s of processor; ceiling {:.0} MB/s, {:.2} s",
            speed(seconds),
            speed(most.seconds),
            most.processor_seconds
        ));
        speeds.push(speed(seconds));
        ceilings.push(speed(most.seconds));
        ratios.push(most.seconds / seconds);
        cost.push(processor * 1e9 / bytes as f64);
        least_cost.push(most.processor_seconds * 1e9 / bytes as f64);
    }
    Row {
        name: "upload of new data, library",
        figure: median(speeds),
        unit: "MB/s",
        yardstick: ("primitives, all cores", median(ceilings)),
        ratio: median(ratios),
        wanted: Wanted::RatioAtLeast(0.8),
    }
    .print();
    let (cost, least_cost) = (median(cost), median(least_cost));
    Row {
        name: "  its processor time a byte",
        figure: cost,
        unit: "ns",
        yardstick: ("primitives", least_cost),
        ratio: cost / least_cost,
        wanted: Wanted::Nothing,
    }
    .print();
    Ok(())
}

/// A new store on a directory, with default settings.
pub fn open(dir: &Path) -> Result<(Db, Store), Box<dyn Error>> {
    open_with(dir, store::Options::default(), None)
}

/// As [`open`], under other settings; `master` seals it.
pub fn open_with(
    dir: &Path,
    options: store::Options,
    master: Option<&MasterKey>,
) -> Result<(Db, Store), Box<dyn Error>> {
    let db = Db::open(&dir.join("catalog.redb"), db::Options::default())?;
    let objects = Arc::new(Native::open(dir.join("store"))?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), objects, master, options, clock, entropy)?;
    Ok((db, store))
}

/// Brings a stream in and publishes it; gives its name.
pub async fn upload(db: Db, store: Store, data: Bytes) -> Result<ContentId, Box<dyn Error>> {
    let mut ingest = store.ingest(Scope::STORE)?;
    for start in (0..data.len()).step_by(PIECE) {
        ingest.write(data.slice(start..data.len().min(start + PIECE))).await?;
    }
    publish(db, store, ingest.finish(Vec::new()).await?).await
}

/// Makes a stream visible; gives its name.
pub async fn publish(db: Db, store: Store, receipt: Receipt) -> Result<ContentId, Box<dyn Error>> {
    let content = receipt.content();
    tokio::task::spawn_blocking(move || db.write(move |txn| store.publish(txn, &receipt))).await??;
    Ok(content)
}
