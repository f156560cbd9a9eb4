//! A quick import of a raw file in a local bucket, beside the same bytes brought in through the library.

use std::error::Error;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tintype::base::{OsEntropy, SystemClock};
use tintype::db::{self, Db};
use tintype::model::Visibility;
use tintype::model::job::{ImportRoute, JobState, Place};
use tintype::objects::Native;
use tintype::objects::exchange::Folder;
use tintype::service::identity::Password;
use tintype::service::images::{Buckets, Change, Field, NewImage, NewImport, SharedBucket};
use tintype::service::{self, Rules, Service};
use tintype::store::{self, Scope, Store};

use super::measure::{Paired, Wanted, note, processor_seconds, setting};
use super::{Outcome, dense, ingest, server};

/// What the library is given at once.
const PIECE: usize = 256 << 10;

/// Measures both in turn, the file in the page cache.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let base = dense::base(bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut speeds, mut costs) = (Paired::default(), Paired::default());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let mut data = base.clone();
        dense::stamp(&mut data, round, 0);
        let shelf = server::new_dir()?;
        std::fs::write(shelf.path().join("disk.raw"), &data)?;
        drop(data);
        let (library, library_cost) = timed(|| runtime.block_on(through_library(shelf.path())))?;
        let (import, import_cost) = timed(|| runtime.block_on(by_import(shelf.path())))?;
        let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
        note(format!("round {round}: import {:.0} MB/s, library {:.0} MB/s", speed(import), speed(library)));
        speeds.add(speed(import), speed(library));
        costs.add(import_cost * 1e9 / bytes as f64, library_cost * 1e9 / bytes as f64);
    }
    speeds.print("quick import of a local raw file", "MB/s", "library, same file", Wanted::RatioAtLeast(0.9));
    costs.print("  its processor time a byte", "ns", "library", Wanted::Nothing);
    Ok(())
}

/// Seconds that pass, and seconds of processor.
fn timed(work: impl FnOnce() -> Result<f64, Box<dyn Error>>) -> Result<(f64, f64), Box<dyn Error>> {
    let before = processor_seconds(std::process::id())?;
    let seconds = work()?;
    Ok((seconds, processor_seconds(std::process::id())? - before))
}

fn open(dir: &Path) -> Result<(Db, Store), Box<dyn Error>> {
    let options = db::Options {
        journal: service::fact_tables(),
        derived: service::derived_tables(),
        ..db::Options::default()
    };
    let db = Db::open(&dir.join("catalog.redb"), options)?;
    let objects = Arc::new(Native::open(dir.join("store"))?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let store = Store::open(db.clone(), objects, None, store::Options::default(), clock, entropy)?;
    Ok((db, store))
}

async fn through_library(shelf: &Path) -> Result<f64, Box<dyn Error>> {
    let dir = server::new_dir()?;
    let (db, store) = open(dir.path())?;
    let start = Instant::now();
    let mut file = std::fs::File::open(shelf.join("disk.raw"))?;
    let mut stream = store.ingest(Scope::STORE)?;
    loop {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        piece.truncate(read);
        stream.write(Bytes::from(piece)).await?;
    }
    ingest::publish(db, store, stream.finish(Vec::new()).await?).await?;
    Ok(start.elapsed().as_secs_f64())
}

async fn by_import(shelf: &Path) -> Result<f64, Box<dyn Error>> {
    let dir = server::new_dir()?;
    let (db, store) = open(dir.path())?;
    let bucket = SharedBucket {
        name: "shelf".to_owned(),
        readers: vec!["*".to_owned()],
        writers: Vec::new(),
        backups: false,
        medium: Arc::new(Folder::new(shelf.to_owned())),
    };
    let service = Service::new(db, store, Arc::new(SystemClock), Arc::new(OsEntropy), Rules::default())
        .with_buckets(Buckets::new(vec![bucket]));
    service.bootstrap(&Password::new("bench-password".to_owned())?)?;
    let admin = service.local_admin()?;
    let start = Instant::now();
    let fields = [Field::Name(Some("disk".into())), Field::Visibility(Visibility::Private)];
    let import = NewImport {
        image: NewImage { id: None, changes: fields.map(Change::Set).into() },
        from: Place { bucket: "shelf".to_owned(), key: "disk.raw".to_owned() },
        route: ImportRoute::Quick,
        key: None,
    };
    let job = service.import_image(&admin, import)?;
    let task = service.claim_task()?.ok_or("no task waits")?;
    service.perform(task).await;
    let seconds = start.elapsed().as_secs_f64();
    match service.job(&admin, job.id)?.state {
        JobState::Succeeded => Ok(seconds),
        state => Err(format!("the import {}", state.as_str()).into()),
    }
}
