//! The figures Tintype promises, each measured beside a yardstick in the same run.
//!
//! `cargo bench --profile measured --bench figures [-- PART...]` prints a row per figure on standard
//! output and what it is made of on standard error. `benches/run` runs it with all that belongs
//! beside it. A figure that falls short is a row that says so, never a failure: how fast a machine
//! is today is no property of the code.

mod ceiling;
mod dense;
mod download;
mod exports;
mod http;
mod identity;
#[path = "../catalog/images.rs"]
mod images;
mod ims;
mod ingest;
mod jobs;
mod known;
mod listing;
mod load;
mod many;
mod measure;
mod memory;
mod mixed;
mod nbd;
mod quick;
mod random;
mod reclaim;
mod rights;
mod screening;
mod sealed;
mod server;
mod start;
mod upload;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

type Part = (&'static str, fn() -> Outcome);

/// Name of each part and what runs it.
const PARTS: [Part; 19] = [
    ("ingest", ingest::run),
    ("known", known::run),
    ("sealed", sealed::run),
    ("upload", upload::run),
    ("screening", screening::run),
    ("quick", quick::run),
    ("download", download::run),
    ("exports", exports::run),
    ("random", random::run),
    ("start", start::run),
    ("jobs", jobs::run),
    ("listing", listing::run),
    ("many", many::run),
    ("mixed", mixed::run),
    ("identity", identity::run),
    ("ims", ims::run),
    ("rights", rights::run),
    ("memory", memory::run),
    ("reclaim", reclaim::run),
];

fn main() -> Outcome {
    // Cargo adds `--bench` of its own.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = asked.iter().find(|asked| PARTS.iter().all(|(name, _)| name != asked)) {
        return Err(format!("there is no part {unknown}").into());
    }
    for (name, run) in PARTS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            run().map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}
