//! Upload of new data over HTTP, the client on the same cores.

use std::error::Error;
use std::time::Instant;

use super::measure::{Row, Wanted, median, note, processor_seconds, setting};
use super::server::{self, Server};
use super::{Outcome, ceiling, dense};

/// Measures ceiling and upload in turn.
pub fn run() -> Outcome {
    let bytes = (setting("BENCH_UPLOAD_MIB", 512)? << 20) as usize;
    let base = dense::base(bytes)?;
    let (mut speeds, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting("BENCH_ROUNDS", 5)? {
        let mut data = base.clone();
        dense::stamp(&mut data, round, 0);
        let most = ceiling::measure(&data)?;
        let dir = server::new_dir()?;
        let server = Server::start(dir.path())?;
        let token = server.sign_in(dir.path())?;
        let processor = |pid| processor_seconds(pid);
        let before = (processor(server.pid())?, processor(std::process::id())?);
        let seconds = upload(&server, &token, &data)?.seconds;
        let (served, sent) = (processor(server.pid())? - before.0, processor(std::process::id())? - before.1);
        server.stop()?;
        let speed = |seconds: f64| bytes as f64 / seconds / 1e6;
        note(format!(
            "round {round}: {:.0} MB/s, {served:.2} s of processor and {sent:.2} s for the client; ceiling {:.0} MB/s",
            speed(seconds),
            speed(most.seconds),
        ));
        speeds.push(speed(seconds));
        ceilings.push(speed(most.seconds));
        ratios.push(most.seconds / seconds);
    }
    Row {
        name: "upload of new data, HTTP",
        figure: median(speeds),
        unit: "MB/s",
        yardstick: ("primitives, all cores", median(ceilings)),
        ratio: median(ratios),
        wanted: Wanted::RatioAtLeast(0.6),
    }
    .print();
    Ok(())
}

/// An image that was sent.
pub struct Sent {
    /// Where its data is.
    pub path: String,
    /// From the first byte sent to the answer that it is durable.
    pub seconds: f64,
}

/// Sends a new image.
pub fn upload(server: &Server, token: &str, data: &[u8]) -> Result<Sent, Box<dyn Error>> {
    let path = server.new_image(token)?;
    let mut connection = server.connect()?;
    let start = Instant::now();
    connection.begin("PUT", &path, token, "application/octet-stream", data.len() as u64)?;
    connection.send(data)?;
    match connection.answer()?.status {
        204 => Ok(Sent { path, seconds: start.elapsed().as_secs_f64() }),
        status => Err(format!("an upload ended with {status}").into()),
    }
}
