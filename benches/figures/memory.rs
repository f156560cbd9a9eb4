//! Resident memory: of an idle server, and under many large uploads at once.

use std::error::Error;
use std::time::{Duration, Instant};

use tintype::store::Options;

use super::measure::{Row, Wanted, median, memory_mib, note, setting};
use super::server::{self, Server};
use super::start::fill;
use super::{Outcome, dense};

const UPLOADS: u64 = 16;
/// Bytes of one upload that are made at once.
const PIECE: usize = 256 << 10;
/// Data the uploads are made of; each stamps its own copy of a piece.
const BASE_BYTES: usize = 128 << 20;
/// How long a server has to become idle.
const SETTLE: Duration = Duration::from_secs(2);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// Measures a server that was used and is idle, then one that is filled.
pub fn run() -> Outcome {
    let allowed = Options::default().memory_bytes as f64 / f64::from(1 << 20);
    let dir = server::new_dir()?;
    fill(dir.path())?;
    let server = Server::start(dir.path())?;
    let token = server.sign_in(dir.path())?;
    server.connect()?.get("/v2/images?limit=25", &token)?;
    std::thread::sleep(SETTLE);
    let row = |name, figure, most| {
        let yardstick = ("store.memory_bytes", allowed);
        Row { name, figure, unit: "MiB", yardstick, ratio: figure / allowed, wanted: Wanted::Below(most) }
            .print();
    };
    row("resident, idle", memory_mib(server.pid(), "VmRSS")?, 40.0);

    let bytes = setting("BENCH_MEMORY_MIB", 1024)? << 20;
    let base = dense::base(BASE_BYTES)?;
    let start = Instant::now();
    let samples = std::thread::scope(|scope| {
        let (server, token, base) = (&server, &token, &base);
        let uploads: Vec<_> = (0..UPLOADS)
            .map(|stream| {
                scope.spawn(move || upload(server, token, base, stream, bytes).map_err(|e| e.to_string()))
            })
            .collect();
        let mut samples = Vec::new();
        while !uploads.iter().all(|upload| upload.is_finished()) {
            samples.push(memory_mib(server.pid(), "VmRSS")?);
            std::thread::sleep(SAMPLE_INTERVAL);
        }
        for upload in uploads {
            upload.join().map_err(|_| "an upload died")??;
        }
        Ok::<_, Box<dyn Error>>(samples)
    })?;
    let speed = (UPLOADS * bytes) as f64 / start.elapsed().as_secs_f64() / 1e6;
    note(format!("{UPLOADS} uploads: {speed:.0} MB/s together, median {:.0} MiB resident", median(samples)));
    row("resident at most, 16 uploads at once", memory_mib(server.pid(), "VmHWM")?, 300.0);
    std::thread::sleep(SETTLE);
    note(format!("idle again: {:.0} MiB", memory_mib(server.pid(), "VmRSS")?));
    server.stop()
}

fn upload(server: &Server, token: &str, base: &[u8], stream: u64, bytes: u64) -> Outcome {
    let path = server.new_image(token)?;
    let mut connection = server.connect()?;
    connection.begin("PUT", &path, token, "application/octet-stream", bytes)?;
    let mut piece = vec![0; PIECE];
    for at in (0..bytes).step_by(PIECE) {
        let from = at as usize % BASE_BYTES;
        piece.copy_from_slice(&base[from..from + PIECE]);
        dense::stamp(&mut piece, stream, at);
        connection.send(&piece[..PIECE.min((bytes - at) as usize)])?;
    }
    match connection.answer()?.status {
        204 => Ok(()),
        status => Err(format!("an upload ended with {status}").into()),
    }
}
