//! A door for tests alone: a whole connection by what its client says, on a disk in memory.
//!
//! `tests/fuzz` comes in here, and the tests below with the inputs that it keeps. Must not be in what is served.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::negotiation::{self, Outcome, Tls};
use super::pages::Pages;
use super::testing::{One, Plain};
use super::transmission;

const DISK_BYTES: usize = 64 << 10;
/// Memory for replies.
const PAGES_BYTES: usize = 1 << 20;
/// A connection whose client has said everything ends long before.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Serves a client that says all of `data` but its first byte, which chooses how the server is set up.
///
/// # Panics
/// When the connection does not end.
pub fn serve(data: &[u8]) {
    let Some((first, said)) = data.split_first() else { return };
    let mut bytes = vec![0; DISK_BYTES];
    bytes[DISK_BYTES / 4..DISK_BYTES / 2].fill(7);
    let exports = One(Arc::new(Plain::new(bytes, first & 1 == 1)));
    let tls = if first & 2 == 2 { Tls::Required } else { Tls::None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let ended = runtime.unwrap().block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (mut heard, mut say) = tokio::io::split(ours);
        let client = async {
            let mut answers = [0; 4096];
            let talk = async {
                let _ = say.write_all(said).await;
                let _ = say.shutdown().await;
            };
            let hear = async { while heard.read(&mut answers).await.is_ok_and(|count| count > 0) {} };
            tokio::join!(talk, hear);
        };
        let server = async {
            let mut stream = theirs;
            let Ok(Some(greeted)) = negotiation::greet(&mut stream).await else { return };
            let outcome = negotiation::negotiate(&mut stream, greeted, &exports, tls).await;
            if let Ok(Outcome::Agreed(agreed)) = outcome {
                let (reader, writer) = tokio::io::split(stream);
                let pages = Pages::new(PAGES_BYTES);
                transmission::run(reader, writer, agreed, &pages, Arc::default(), std::future::pending())
                    .await;
            }
        };
        let both = async { tokio::join!(client, server) };
        tokio::time::timeout(TIME_MAX, both).await
    });
    assert!(ended.is_ok(), "a connection ends when its client has said everything");
}

#[cfg(test)]
mod tests {
    #[test]
    fn s11_every_kept_input_is_a_connection_that_ends() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/nbd_server");
        let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(!inputs.is_empty());
        for input in inputs {
            super::serve(&std::fs::read(input.unwrap().path()).unwrap());
        }
    }
}
