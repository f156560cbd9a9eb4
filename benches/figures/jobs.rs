//! Time from the start of the process to the first 200 on `/readyz` where many jobs wait in the queue.

use tintype::base::Time;
use tintype::catalog::{self, images, jobs};
use tintype::db::{Db, Options};
use tintype::model::Status;
use tintype::model::job::{ImportRoute, Job, JobId, JobKind, Place, Task};

use super::images::image;
use super::measure::{Row, Wanted, median, note, setting};
use super::server::{self, Server};
use super::{Outcome, start};

/// Jobs that wait, each with the image that it is to fill.
const JOBS: u64 = 10_000;
/// Jobs added by one commit.
const BATCH: u64 = 1000;

/// Measures starts on a queue of imports, and on a box without one.
pub fn run() -> Outcome {
    let rounds = setting("BENCH_STARTS", 9)?;
    let (mut full, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Anew each time: a server works on them from the moment it is ready.
        let dir = server::new_dir()?;
        Server::start(dir.path())?.stop()?;
        empty.push(start::start(dir.path())?);
        let db = Db::open(&dir.path().join("catalog.redb"), Options::default())?;
        fill(&db)?;
        db.close()?;
        full.push(start::start(dir.path())?);
    }
    note(format!("starts with 10,000 queued jobs {full:.0?}, without {empty:.0?} ms"));
    let (figure, bare) = (median(full), median(empty));
    Row {
        name: "start to ready, 10,000 queued jobs",
        figure,
        unit: "ms",
        yardstick: ("start to ready, empty store", bare),
        ratio: figure / bare,
        wanted: Wanted::Below(1000.0),
    }
    .print();
    Ok(())
}

fn fill(db: &Db) -> Outcome {
    for batch in (0..JOBS).step_by(BATCH as usize) {
        db.write(move |txn| (batch..batch + BATCH).try_for_each(|n| add(txn, n)))?;
    }
    Ok(())
}

/// Adds an import that waits, as a request for it does.
fn add(txn: &tintype::db::WriteTxn, n: u64) -> Result<(), catalog::Error> {
    let (number, id) = (jobs::next_number(txn)?, JobId((u128::from(n) << 64 | 1).to_be_bytes()));
    let mut filled = image(n);
    filled.status = Status::Saving;
    filled.upload = Some(id.0);
    images::insert(txn, &filled)?;
    let from = Place { bucket: "nowhere".to_owned(), key: format!("{n}.raw") };
    let task = Task::Import { image: filled.id, from, route: ImportRoute::System, stamp: None };
    let job = Job {
        project: filled.owner.clone(),
        user: Some("bench".into()),
        images: vec![filled.id],
        task: Some(task),
        ..Job::new(number, id, JobKind::Import, Time(n as i64))
    };
    jobs::put(txn, &job)
}
