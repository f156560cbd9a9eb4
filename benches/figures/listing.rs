//! How many pages of 25 images a second the server answers over kept connections.

use std::error::Error;
use std::time::{Duration, Instant};

use super::Outcome;
use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::server::{self, Server};
use super::start::{IMAGES, fill};

const CONNECTIONS: usize = 8;
const PAGE: &str = "/v2/images?limit=25";
/// Answers with next to nothing: what connections and routing cost.
const YARDSTICK: &str = "/healthz";

/// Measures pages and empty answers in turn.
pub fn run() -> Outcome {
    let dir = server::new_dir()?;
    fill(dir.path())?;
    let server = Server::start(dir.path())?;
    let token = server.sign_in(dir.path())?;
    expect_page(&server, &token)?;
    let seconds = Duration::from_secs(setting("BENCH_LISTING_S", 4)?);
    let (mut pages, mut empty, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let before = processor_seconds(server.pid())?;
        let page = rate(&server, PAGE, &token, seconds)?;
        let cost = (processor_seconds(server.pid())? - before) * 1e6 / (page * seconds.as_secs_f64());
        let bare = rate(&server, YARDSTICK, "", seconds / 4)?;
        note(format!(
            "round {round}: {page:.0} pages/s at {cost:.0} us of processor, {bare:.0} empty answers/s"
        ));
        pages.push(page);
        empty.push(bare);
        ratios.push(page / bare);
    }
    server.stop()?;
    Row {
        name: "pages of 25 from 10,000 images",
        figure: median(pages),
        unit: "1/s",
        yardstick: ("empty answers", median(empty)),
        ratio: median(ratios),
        wanted: Wanted::AtLeast(2000.0),
    }
    .print();
    Ok(())
}

fn expect_page(server: &Server, token: &str) -> Outcome {
    let mut connection = server.connect()?;
    let status = connection.get(PAGE, token)?.status;
    let page: serde_json::Value = serde_json::from_slice(connection.body())?;
    match page["images"].as_array().map(Vec::len) {
        Some(25) => {
            note(format!("a page of {IMAGES} images has {} bytes", connection.body().len()));
            Ok(())
        }
        found => Err(format!("a page answered {status} with {found:?} images").into()),
    }
}

/// Requests a second over all connections.
fn rate(server: &Server, path: &str, token: &str, time: Duration) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let answered = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| ask(server, path, token, start + time).map_err(|e| e.to_string())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client died".to_owned())?)
            .sum::<Result<u64, String>>()
    })?;
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

fn ask(server: &Server, path: &str, token: &str, end: Instant) -> Result<u64, Box<dyn Error>> {
    let mut connection = server.connect()?;
    let mut answered = 0;
    while Instant::now() < end {
        let status = connection.get(path, token)?.status;
        if status != 200 {
            return Err(format!("{path} answered {status}").into());
        }
        answered += 1;
    }
    Ok(answered)
}
