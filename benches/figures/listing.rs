//! How many pages of 25 images a second the server answers over kept connections.

use std::time::Duration;

use super::Outcome;
use super::load::{rate, token_header};
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
    let header = token_header(&token);
    let seconds = Duration::from_secs(setting("BENCH_LISTING_S", 4)?);
    let (mut pages, mut empty, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let before = processor_seconds(server.pid())?;
        let page = rate(&server, CONNECTIONS, seconds, || (PAGE.to_owned(), header.clone()))?;
        let cost = (processor_seconds(server.pid())? - before) * 1e6 / (page * seconds.as_secs_f64());
        let bare = rate(&server, CONNECTIONS, seconds / 4, || (YARDSTICK.to_owned(), String::new()))?;
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
