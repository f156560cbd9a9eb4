//! Dense data back out, whole, through the library and over HTTP. Packs lie in the page cache, as they
//! do after an upload.

use std::error::Error;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use tintype::model::ByteRange;
use tintype::store::Reader;
use tokio::runtime::Runtime;

use super::measure::{Paired, Wanted, note, processor_seconds, setting};
use super::server::{self, Server};
use super::{Outcome, ceiling, dense, ingest, upload};

/// Measures ceilings and downloads in turn.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_DOWNLOAD_MIB", 512)? << 20) as usize;
    let rounds = setting("BENCH_ROUNDS", 5)?;
    let mut data = dense::base(bytes)?;
    dense::stamp(&mut data, 0, 0);
    library(&data, rounds)?;
    http(&data, rounds)
}

fn library(data: &[u8], rounds: u64) -> Outcome {
    let dir = server::new_dir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (db, store) = ingest::open(dir.path())?;
    let content = runtime.block_on(ingest::upload(db, store.clone(), Bytes::copy_from_slice(data)))?;
    let reader = store.reader(&content)?;
    let speed = |seconds: f64| data.len() as f64 / seconds / 1e6;
    let mut whole = Paired::default();
    let mut cost = Paired::default();
    for round in 0..rounds {
        let most = ceiling::measure_reads(data)?;
        let before = processor_seconds(std::process::id())?;
        let seconds = stream(&runtime, &reader)?;
        let processor = processor_seconds(std::process::id())? - before;
        note(format!(
            "round {round}: {:.0} MB/s of {:.0}, {processor:.2} s of processor of {:.2}",
            speed(seconds),
            speed(most.seconds),
            most.processor_seconds
        ));
        whole.add(speed(seconds), speed(most.seconds));
        let each = |seconds: f64| seconds * 1e9 / data.len() as f64;
        cost.add(each(processor), each(most.processor_seconds));
    }
    whole.print("download, library", "MB/s", "zstd and BLAKE3, all cores", Wanted::RatioAtLeast(0.8));
    cost.print("  its processor time a byte", "ns", "primitives", Wanted::Nothing);
    Ok(())
}

fn http(data: &[u8], rounds: u64) -> Outcome {
    let dir = server::new_dir()?;
    let server = Server::start(dir.path())?;
    let token = server.sign_in(dir.path())?;
    let path = upload::upload(&server, &token, data)?.path;
    let speed = |seconds: f64| data.len() as f64 / seconds / 1e6;
    let (mut whole, mut first) = (Paired::default(), Paired::default());
    for round in 0..rounds {
        let most = ceiling::measure_reads(data)?;
        let before = processor_seconds(server.pid())?;
        let mut connection = server.connect()?;
        let (waited, seconds) = connection.download(&path, &token, data.len() as u64)?;
        let processor = processor_seconds(server.pid())? - before;
        note(format!(
            "round {round}: {:.0} MB/s over HTTP of {:.0}, first byte after {:.2} ms, {processor:.2} s of processor",
            speed(seconds),
            speed(most.seconds),
            waited * 1e3
        ));
        whole.add(speed(seconds), speed(most.seconds));
        let start = Instant::now();
        connection.get("/healthz", "")?;
        first.add(waited * 1e3, start.elapsed().as_secs_f64() * 1e3);
    }
    server.stop()?;
    whole.print("download, HTTP", "MB/s", "zstd and BLAKE3, all cores", Wanted::Nothing);
    first.print("first byte of a download", "ms", "an empty answer", Wanted::Below(5.0));
    Ok(())
}

/// Seconds to take a whole stream.
fn stream(runtime: &Runtime, reader: &Reader) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let taken = runtime.block_on(async {
        let mut pieces = reader.stream(ByteRange::whole(reader.size_bytes()));
        let mut taken = 0;
        while let Some(piece) = pieces.next().await {
            taken += piece?.len() as u64;
        }
        Ok::<_, tintype::store::Error>(taken)
    })?;
    match taken == reader.size_bytes() {
        true => Ok(start.elapsed().as_secs_f64()),
        false => Err(format!("{taken} bytes came").into()),
    }
}
