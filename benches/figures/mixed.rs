//! Many clients at once that list, show, register, change and fill images: whether each is answered, and how soon.
//!
//! Each client keeps one connection. Once they pause between requests as programs do that have something else to do, and
//! once they ask again as soon as they have their answers: that is as much as the machine can carry, with the clients
//! on the same cores.

use std::error::Error;
use std::time::{Duration, Instant};

use super::http::Connection;
use super::measure::{Row, Wanted, memory_mib, note, percentile, setting};
use super::server::{self, Server};
use super::start::fill;
use super::{Outcome, dense};

const CLIENTS: u64 = 500;
const UPLOAD_BYTES: usize = 64 << 10;
const CEILING_MIB: f64 = 256.0;
const PATCH: &str = "application/openstack-images-v2.1-json-patch";
const RECORD: &str =
    r#"{"name": "mixed", "disk_format": "raw", "container_format": "bare", "tags": ["mixed"]}"#;
const CHANGE: &str = r#"[{"op": "replace", "path": "/name", "value": "mixed again"},
                        {"op": "add", "path": "/os_distro", "value": "debian"}]"#;

/// What is asked, in the order in which reports tell of it.
#[derive(Clone, Copy)]
enum Ask {
    List,
    Show,
    Register,
    Change,
    Upload,
}

const ASKS: [(&str, Ask); 5] = [
    ("list", Ask::List),
    ("show", Ask::Show),
    ("create", Ask::Register),
    ("patch", Ask::Change),
    ("upload", Ask::Upload),
];

/// Milliseconds that each request took, by what it asked.
type Times = [Vec<f64>; ASKS.len()];

/// How long a client waits between two requests, on average.
const PAUSE_MS: u64 = 500;

/// Measures the crowd with pauses and without, and one client alone.
pub fn run() -> Outcome {
    let dir = server::new_dir()?;
    fill(dir.path())?;
    let server = Server::start(dir.path())?;
    let member = server.new_member(&server.sign_in(dir.path())?, "mixed")?;
    let base = dense::base(UPLOAD_BYTES * 64)?;
    let time = Duration::from_secs(setting("BENCH_MIXED_S", 60)?);
    let clients = setting("BENCH_MIXED_CLIENTS", CLIENTS)?;
    let alone = crowd(&server, &member.token, &base, Load { clients: 1, pause_ms: 0, time: time / 12 })?;
    let alone = percentile(&mut alone.concat(), 0.99);
    let pause_ms = setting("BENCH_MIXED_PAUSE_MS", PAUSE_MS)?;
    for (name, pause_ms, wanted) in [
        ("99 % of requests of 500 clients at once within", pause_ms, Wanted::Below(250.0)),
        ("the same without a pause", 0, Wanted::Nothing),
    ] {
        let times = crowd(&server, &member.token, &base, Load { clients, pause_ms, time })?;
        tell(&times, pause_ms, time);
        let most = percentile(&mut times.concat(), 0.99);
        let yardstick = ("one client", alone);
        Row { name, figure: most, unit: "ms", yardstick, ratio: most / alone, wanted }.print();
    }
    let resident = memory_mib(server.pid(), "VmHWM")?;
    Row {
        name: "resident at most, 500 clients at once",
        figure: resident,
        unit: "MiB",
        yardstick: ("store.memory_bytes", CEILING_MIB),
        ratio: resident / CEILING_MIB,
        wanted: Wanted::RatioAtMost(1.1),
    }
    .print();
    server.stop()
}

fn tell(times: &Times, pause_ms: u64, time: Duration) {
    let asked: usize = times.iter().map(Vec::len).sum();
    let each_s = asked as f64 / time.as_secs_f64();
    note(format!("pauses of {pause_ms} ms: {asked} requests answered as wanted, {each_s:.0} a second"));
    for ((name, _), mut times) in ASKS.iter().zip(times.clone()) {
        let [half, most] = [0.5, 0.99].map(|part| percentile(&mut times, part));
        note(format!("{name}: {} times, half within {half:.1} ms, 99 % within {most:.1} ms", times.len()));
    }
}

/// Who asks, how often, and for how long.
#[derive(Clone, Copy)]
struct Load {
    clients: u64,
    pause_ms: u64,
    time: Duration,
}

impl Load {
    /// From nothing to twice the mean, so that clients do not ask in step.
    fn pause(&self, client: u64, asked: u64) -> Duration {
        Duration::from_millis((client * 37 + asked * 53) % (2 * self.pause_ms).max(1))
    }
}

/// So many clients for so long; an error where any is answered otherwise than it should be.
fn crowd(server: &Server, token: &str, base: &[u8], load: Load) -> Result<Times, Box<dyn Error>> {
    let end = Instant::now() + load.time;
    std::thread::scope(|scope| {
        let client =
            |number| move || client(server, token, base, (number, load), end).map_err(|e| e.to_string());
        let threads: Vec<_> = (0..load.clients).map(|number| scope.spawn(client(number))).collect();
        let mut all = Times::default();
        for thread in threads {
            let times = thread.join().map_err(|_| "a client died")??;
            for (all, times) in all.iter_mut().zip(times) {
                all.extend(times);
            }
        }
        Ok(all)
    })
}

/// One client: an image of its own, looked at, listed, changed; then the next.
fn client(
    server: &Server,
    token: &str,
    base: &[u8],
    (number, load): (u64, Load),
    end: Instant,
) -> Result<Times, Box<dyn Error>> {
    let mut connection = server.connect()?;
    let mut times = Times::default();
    let mut asked = 0;
    for turn in 0.. {
        let mut image = String::new();
        let asks =
            [Ask::Register, Ask::Upload, Ask::Show, Ask::List, Ask::Show, Ask::Change, Ask::Show, Ask::List];
        for ask in asks {
            std::thread::sleep(load.pause(number, asked));
            asked += 1;
            if Instant::now() >= end {
                return Ok(times);
            }
            let data = matches!(ask, Ask::Upload).then(|| new_data(base, number, turn));
            let start = Instant::now();
            self::ask(&mut connection, token, ask, &mut image, data.as_deref().unwrap_or_default())?;
            times[ask as usize].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

fn ask(connection: &mut Connection, token: &str, ask: Ask, image: &mut String, data: &[u8]) -> Outcome {
    let shown = format!("/v2/images/{image}");
    let (method, path, media, body, wanted) = match ask {
        Ask::List => ("GET", "/v2/images?limit=25".to_owned(), "", &b""[..], 200),
        Ask::Show => ("GET", shown, "", &b""[..], 200),
        Ask::Register => ("POST", "/v2/images".to_owned(), "application/json", RECORD.as_bytes(), 201),
        Ask::Change => ("PATCH", shown, PATCH, CHANGE.as_bytes(), 200),
        Ask::Upload => ("PUT", format!("{shown}/file"), "application/octet-stream", data, 204),
    };
    connection.begin(method, &path, token, media, body.len() as u64)?;
    connection.send(body)?;
    let status = connection.answer()?.status;
    if status != wanted {
        let body = String::from_utf8_lossy(connection.body()).into_owned();
        return Err(format!("{method} {path} answered {status}: {body}").into());
    }
    if let Ask::Register = ask {
        let record: serde_json::Value = serde_json::from_slice(connection.body())?;
        record["id"].as_str().ok_or("an image without an id")?.clone_into(image);
    }
    Ok(())
}

/// Data that no other client and turn has.
fn new_data(base: &[u8], number: u64, turn: u64) -> Vec<u8> {
    let at = (number as usize % 64) * UPLOAD_BYTES;
    let mut data = base[at..at + UPLOAD_BYTES].to_vec();
    dense::stamp(&mut data, number, turn * UPLOAD_BYTES as u64);
    data
}
