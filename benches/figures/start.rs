//! Time from the start of the process to the first 200 on `/readyz`.

use std::path::Path;

use tintype::db::{Db, Options};

use super::measure::{Row, Wanted, median, note, setting};
use super::server::{self, Server};
use super::{Outcome, images};

/// Images of the full store.
pub const IMAGES: u64 = 10_000;

/// Measures a first start, starts on an empty store, and starts on a full one.
pub fn run() -> Outcome {
    let rounds = setting("BENCH_STARTS", 9)?;
    let (mut first, mut empty, mut full, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let filled = server::new_dir()?;
    fill(filled.path())?;
    for _ in 0..rounds {
        let fresh = server::new_dir()?;
        first.push(start(fresh.path())?);
        empty.push(start(fresh.path())?);
        full.push(start(filled.path())?);
        bare.push(server::bare_start()?.as_secs_f64() * 1e3);
    }
    note(format!("first starts {first:.0?}, empty {empty:.0?}, full {full:.0?}, version {bare:.1?} ms"));
    let bare = median(bare);
    for (name, times) in [
        ("start to ready, new directory", first),
        ("start to ready, empty store", empty),
        ("start to ready, 10,000 images", full),
    ] {
        let figure = median(times);
        let yardstick = ("start that prints its version", bare);
        Row { name, figure, unit: "ms", yardstick, ratio: figure / bare, wanted: Wanted::Below(100.0) }
            .print();
    }
    Ok(())
}

/// Starts a server, stops it, and says how long it took to be ready, in milliseconds.
pub fn start(dir: &Path) -> Result<f64, Box<dyn std::error::Error>> {
    let server = Server::start(dir)?;
    let ready_after = server.ready_after;
    server.stop()?;
    Ok(ready_after.as_secs_f64() * 1e3)
}

/// Makes a data directory with many images in its catalog.
pub fn fill(dir: &Path) -> Outcome {
    Server::start(dir)?.stop()?;
    let db = Db::open(&dir.join("catalog.redb"), Options::default())?;
    images::fill(&db, IMAGES)?;
    Ok(db.close()?)
}
