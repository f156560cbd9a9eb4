//! Who asks: what looking a token up costs, how long signing in with a password takes, and whether others wait for it.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tintype::base::{OsEntropy, SystemClock};
use tintype::db::{self, Db};
use tintype::objects::Native;
use tintype::service::{Rules, Service};
use tintype::store::{self, Store};

use super::Outcome;
use super::measure::{Paired, Row, Wanted, median, note, percentile, setting};
use super::server::{self, MEMBER_PASSWORD, Server};
use super::start::IMAGES;

/// Users with a token each; tokens of many that are looked up in turn.
const TOKENS: usize = 100;
const LOOK_UPS: usize = 20_000;
const LOGINS: usize = 15;
/// Who sign in again and again while others ask for something else.
const SIGNING_IN: usize = 8;

/// Measures the three.
pub fn run() -> Outcome {
    let dir = server::new_dir()?;
    super::start::fill(dir.path())?;
    let server = Server::start(dir.path())?;
    let admin = server.sign_in(dir.path())?;
    let member = server.new_member(&admin, "member")?;
    logins(&server)?;
    beside_logins(&server, &member.token)?;
    let sign_in = |_| server.sign_in_as("member", MEMBER_PASSWORD, "member");
    let tokens: Vec<String> = (0..TOKENS).map(sign_in).collect::<Result<_, _>>()?;
    server.stop()?;
    look_ups(dir.path(), &tokens)
}

/// One sign-in after the other.
fn logins(server: &Server) -> Outcome {
    let (mut logins, mut shows) = (Vec::new(), Vec::new());
    for _ in 0..LOGINS {
        let start = Instant::now();
        server.sign_in_as("member", MEMBER_PASSWORD, "member")?;
        logins.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        server.connect()?.get("/healthz", "")?;
        shows.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let (figure, bare) = (median(logins), median(shows));
    Row {
        name: "signing in with a password",
        figure,
        unit: "ms",
        yardstick: ("an empty answer", bare),
        ratio: figure / bare,
        wanted: Wanted::Between(20.0, 60.0),
    }
    .print();
    Ok(())
}

/// Requests of one client while nobody signs in, and while several do all the time.
fn beside_logins(server: &Server, token: &str) -> Outcome {
    let time = Duration::from_secs(setting("BENCH_LISTING_S", 4)?);
    let quiet = shows_ms(server, token, time)?;
    let ended = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        let sign_in = || -> Result<u64, String> {
            let mut count = 0;
            while !ended.load(Ordering::Relaxed) {
                server.sign_in_as("member", MEMBER_PASSWORD, "member").map_err(|e| e.to_string())?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..SIGNING_IN).map(|_| scope.spawn(sign_in)).collect();
        let busy = shows_ms(server, token, time).map_err(|e| e.to_string());
        ended.store(true, Ordering::Relaxed);
        let mut count = 0;
        for thread in threads {
            count += thread.join().map_err(|_| "a client died".to_owned())??;
        }
        note(format!("{:.0} sign-ins a second beside it", count as f64 / time.as_secs_f64()));
        busy
    })?;
    for (name, part) in [("half of the requests beside 8 that sign in", 0.5), ("99 % of them", 0.99)] {
        let [quiet, busy] = [quiet.clone(), busy.clone()].map(|mut times| percentile(&mut times, part));
        let yardstick = ("while nobody does", quiet);
        Row { name, figure: busy, unit: "ms", yardstick, ratio: busy / quiet, wanted: Wanted::Nothing }
            .print();
    }
    Ok(())
}

/// Milliseconds of each request of one client.
fn shows_ms(server: &Server, token: &str, time: Duration) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut connection = server.connect()?;
    let (end, mut times) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        let start = Instant::now();
        let status = connection.get("/v2/images?limit=1", token)?.status;
        if status != 200 {
            return Err(format!("a page answered {status}").into());
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// Tokens looked up as every request does it, on one core, beside a snapshot that nothing is read from.
fn look_ups(dir: &Path, tokens: &[String]) -> Outcome {
    let db = Db::open(&dir.join("catalog.redb"), db::Options::default())?;
    let objects = Arc::new(Native::open(dir.join("store"))?);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    let options = store::Options::default();
    let store = Store::open(db.clone(), objects, None, options, clock.clone(), entropy.clone())?;
    let service = Service::new(db.clone(), store, clock, entropy, Rules::default());
    let mut paired = Paired::default();
    for _ in 0..setting("BENCH_ROUNDS", 5)? {
        let start = Instant::now();
        for token in tokens.iter().cycle().take(LOOK_UPS) {
            black_box(service.authenticate_token(black_box(token))?);
        }
        let look_up = start.elapsed().as_secs_f64() * 1e6 / LOOK_UPS as f64;
        let start = Instant::now();
        for _ in 0..LOOK_UPS {
            black_box(db.read()?);
        }
        paired.add(look_up, start.elapsed().as_secs_f64() * 1e6 / LOOK_UPS as f64);
    }
    let name = format!("looking a token up, beside {IMAGES} images");
    paired.print(&name, "us", "a snapshot", Wanted::Below(20.0));
    Ok(())
}
