//! Requests one after the other over several kept connections: how many are answered in a second.

use std::error::Error;
use std::time::{Duration, Instant};

use super::server::Server;

/// Requests a second over `connections` connections, each of which waits for its answer before it asks again.
/// `request` gives a path and the headers, each with its line end. Anything but a 200 is an error.
pub fn rate(
    server: &Server,
    connections: usize,
    time: Duration,
    request: impl Fn() -> (String, String) + Sync,
) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let ask = || -> Result<u64, Box<dyn Error>> {
        let mut connection = server.connect()?;
        let mut answered = 0;
        while start.elapsed() < time {
            let (path, headers) = request();
            let status = connection.get_with(&path, &headers)?.status;
            if status != 200 {
                let body = String::from_utf8_lossy(connection.body()).into_owned();
                return Err(format!("{path} answered {status}: {body}").into());
            }
            answered += 1;
        }
        Ok(answered)
    };
    let answered = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| ask().map_err(|e| e.to_string()))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client died".to_owned())?)
            .sum::<Result<u64, String>>()
    })?;
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

/// The header that says who asks.
pub fn token_header(token: &str) -> String {
    format!("X-Auth-Token: {token}\r\n")
}
