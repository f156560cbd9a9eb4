//! Resident memory: of an idle server, under a few large uploads, and under more clients than any
//! ceiling has room for, on a directory and, where `BENCH_BUCKET` names one, on a bucket.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::measure::{Row, Wanted, median, memory_mib, note, setting};
use super::server::{self, Server};
use super::start::fill;
use super::{Outcome, dense};

/// Large uploads at once.
const UPLOADS: u64 = 16;
/// Uploads, and as many downloads, of a crowd.
const CROWD: u64 = 64;
/// Bytes of one upload that are made at once.
const PIECE: usize = 256 << 10;
/// Data the uploads are made of; each stamps its own copy of a piece.
const BASE_BYTES: usize = 128 << 20;
/// How long a server has to become idle.
const SETTLE: Duration = Duration::from_secs(2);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// The default ceiling and that of a small box, in MiB.
const CEILINGS_MIB: [u64; 2] = [256, 64];
/// How far above the ceiling a process may be.
const SLACK: f64 = 1.1;

/// Measures a server that was used and is idle, then servers that are filled.
pub fn run() -> Outcome {
    let base = dense::base(BASE_BYTES)?;
    large_uploads(&base)?;
    for ceiling_mib in CEILINGS_MIB {
        crowd(&base, "", ceiling_mib, "directory")?;
    }
    if let Ok(bucket) = std::env::var("BENCH_BUCKET") {
        for ceiling_mib in CEILINGS_MIB {
            crowd(&base, &format!("{bucket}/{ceiling_mib}"), ceiling_mib, "bucket")?;
        }
    }
    Ok(())
}

fn large_uploads(base: &[u8]) -> Outcome {
    let dir = server::new_dir()?;
    fill(dir.path())?;
    let server = Server::start(dir.path())?;
    let token = server.sign_in(dir.path())?;
    server.connect()?.get("/v2/images?limit=25", &token)?;
    std::thread::sleep(SETTLE);
    let ceiling = CEILINGS_MIB[0] as f64;
    row("resident, idle", memory_mib(server.pid(), "VmRSS")?, ceiling, Wanted::Below(40.0));

    let bytes = setting("BENCH_MEMORY_MIB", 1024)? << 20;
    let start = Instant::now();
    let samples = watched(&server, |_| {
        let upload = |stream| upload(&server, &token, base, stream, bytes).map(|_| ());
        together(UPLOADS, &upload)
    })?;
    let speed = (UPLOADS * bytes) as f64 / start.elapsed().as_secs_f64() / 1e6;
    note(format!("{UPLOADS} uploads: {speed:.0} MB/s together, median {:.0} MiB resident", median(samples)));
    let most = memory_mib(server.pid(), "VmHWM")?;
    row("resident at most, 16 uploads at once", most, ceiling, Wanted::RatioAtMost(SLACK));
    std::thread::sleep(SETTLE);
    note(format!("idle again: {:.0} MiB", memory_mib(server.pid(), "VmRSS")?));
    server.stop()
}

/// As many uploads as downloads, at once, until every upload is through.
fn crowd(base: &[u8], location: &str, ceiling_mib: u64, medium: &str) -> Outcome {
    let bytes = setting("BENCH_CROWD_MIB", 48)? << 20;
    let dir = server::new_dir()?;
    let environment = [
        ("TINTYPE_STORE_MEMORY_BYTES", (ceiling_mib << 20).to_string()),
        ("TINTYPE_STORE_LOCATION", location.to_owned()),
    ];
    let server = Server::start_with(dir.path(), &environment)?;
    let token = server.sign_in(dir.path())?;
    let (ended, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let samples = watched(&server, |server| {
        let first: Vec<String> = (0..4)
            .map(|stream| upload(server, &token, base, CROWD + stream, bytes))
            .collect::<Result<_, _>>()?;
        let take = |number: u64| -> Outcome {
            while !ended.load(Ordering::Relaxed) {
                let path = &first[number as usize % first.len()];
                server.connect()?.download(path, &token, bytes)?;
                taken.fetch_add(bytes, Ordering::Relaxed);
            }
            Ok(())
        };
        let put = |stream| upload(server, &token, base, stream, bytes).map(|_| ());
        std::thread::scope(|scope| {
            let downloads = scope.spawn(|| together(CROWD, &take).map_err(|e| e.to_string()));
            let uploads = together(CROWD, &put);
            ended.store(true, Ordering::Relaxed);
            downloads.join().map_err(|_| "the downloads died")??;
            uploads
        })
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let speed = |bytes: u64| bytes as f64 / seconds / 1e6;
    note(format!(
        "{CROWD} + {CROWD} on a {medium}: {:.0} MB/s in, {:.0} MB/s out, median {:.0} MiB resident",
        speed((CROWD + 4) * bytes),
        speed(taken.into_inner()),
        median(samples)
    ));
    let most = memory_mib(server.pid(), "VmHWM")?;
    let name = format!("resident at most, {CROWD} up and {CROWD} down, {medium}");
    row(&name, most, ceiling_mib as f64, Wanted::RatioAtMost(SLACK));
    server.stop()
}

fn row(name: &str, figure: f64, ceiling: f64, wanted: Wanted) {
    let yardstick = ("store.memory_bytes", ceiling);
    Row { name, figure, unit: "MiB", yardstick, ratio: figure / ceiling, wanted }.print();
}

/// Runs `work`; gives what was resident meanwhile, in MiB, sample by sample.
fn watched(
    server: &Server,
    work: impl FnOnce(&Server) -> Outcome + Send,
) -> Result<Vec<f64>, Box<dyn Error>> {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(server).map_err(|e| e.to_string()));
        let mut samples = Vec::new();
        while !working.is_finished() {
            samples.push(memory_mib(server.pid(), "VmRSS")?);
            std::thread::sleep(SAMPLE_INTERVAL);
        }
        working.join().map_err(|_| "the work died")??;
        Ok(samples)
    })
}

/// Runs `work` for every number below `count`, each on a thread of its own.
fn together(count: u64, work: &(dyn Fn(u64) -> Outcome + Sync)) -> Outcome {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..count).map(|number| scope.spawn(move || work(number).map_err(|e| e.to_string()))).collect();
        for thread in threads {
            thread.join().map_err(|_| "a client died")??;
        }
        Ok(())
    })
}

/// Uploads an image of new data; gives the path of its data.
fn upload(
    server: &Server,
    token: &str,
    base: &[u8],
    stream: u64,
    bytes: u64,
) -> Result<String, Box<dyn Error>> {
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
        204 => Ok(path),
        status => Err(format!("an upload ended with {status}").into()),
    }
}
