//! What the audit chain costs a change of an image: commits with a record beside commits without, in turns on one
//! file, alone and 64 in a transaction, with the journal that the store is told from.

use std::error::Error;
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

use tintype::base::Time;
use tintype::catalog::{self, audit, images};
use tintype::db::{Db, Options, Table};
use tintype::model::Image;
use tintype::model::trace::{Interface, Rating, TraceContent};

/// Changes of each kind; the median counts.
const ROUNDS: usize = 301;
/// Changes of a busy transaction.
const GROUP: usize = 64;

/// Prints the figures.
pub fn measure(path: &Path) -> Result<(), Box<dyn Error>> {
    let options = Options {
        cache_bytes: 64 << 20,
        journal: tintype::service::fact_tables(),
        derived: tintype::service::derived_tables(),
    };
    let db = Db::open(path, options)?;
    super::fill(&db, 1000)?;
    for (what, changes) in [("a change alone", 1), ("64 changes in a commit", GROUP)] {
        let (mut plain, mut recorded) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS / changes.isqrt() {
            plain.push(change(&db, round as u64, changes, false)?);
            recorded.push(change(&db, round as u64, changes, true)?);
        }
        let (plain, recorded) = (median(plain), median(recorded));
        let ratio = plain.as_secs_f64() / recorded.as_secs_f64();
        println!(
            "{what:<24} {:>9.1} us without a record, {:>9.1} us with one: {ratio:.2} x as many a second",
            plain.as_secs_f64() * 1e6,
            recorded.as_secs_f64() * 1e6,
        );
    }
    let read = db.read()?;
    let mut bytes = 0;
    for row in read.rows(&Table::facts("audit-1"), (Bound::Unbounded, Bound::Unbounded))? {
        let (key, value) = row?;
        bytes += key.len() + value.len();
    }
    println!("a record: {:.0} bytes", bytes as f64 / audit::count(&read)? as f64);
    Ok(())
}

fn change(db: &Db, round: u64, changes: usize, is_recorded: bool) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    db.write(move |txn| {
        for number in 0..changes as u64 {
            let mut image = super::image((round * 7 + number) % 1000);
            image.name = Some(format!("name of round {round}"));
            images::update(txn, &image)?;
            if is_recorded {
                audit::append(txn, content(&image))?;
            }
        }
        Ok::<_, catalog::Error>(())
    })?;
    Ok(start.elapsed())
}

/// A record as a rename through the Image API leaves it.
fn content(image: &Image) -> TraceContent {
    TraceContent {
        time: Time(1),
        recorded_at: Time(1),
        user: "5d3f1c2b6a7e4f8d9c0b1a2e3d4f5a6b".into(),
        user_name: "builder".into(),
        domain: "default".into(),
        domain_name: "Default".into(),
        project: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".into(),
        owner: String::new(),
        operation: "updateImage".into(),
        resource_type: "image".into(),
        resource_id: image.id.to_string(),
        resource_name: image.name.clone().unwrap_or_default(),
        rating: Rating::Normal,
        interface: Interface::Image,
        source: "192.0.2.7".into(),
        request_id: "req-6f0d2f0e-5f5c-4b0e-9a53-6d6f3a0c1b2d".into(),
        call: format!("PATCH /v2/images/{}", image.id),
        request: r#"[{"op":"replace","path":"/name","value":"name of round 1"}]"#.into(),
        code: String::new(),
        message: "change".into(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
