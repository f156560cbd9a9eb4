//! How slowly data may come.
//!
//! Silence alone is no bound: a server that hands out a byte now and then is never silent for long, and whoever waits for its
//! data would wait for ever. Time counts while something is waited for, and not while whoever reads has other things to do.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::Error;

/// What has to come, unless the data ends before: some 3.5 KB/s, which is less than any line gives that an image comes over.
const LEAST: Pace = Pace { bytes: 1 << 20, within: Duration::from_secs(5 * 60) };

/// What is fetched.
pub type Body = BoxStream<'static, Result<Bytes, Error>>;

/// So many bytes in so much time that was waited.
#[derive(Debug, Clone, Copy)]
struct Pace {
    bytes: u64,
    within: Duration,
}

/// A body that ends with [`Error::Unavailable`] once it comes too slowly. `origin` is what the error says of whose data it is.
pub fn steady(body: impl Stream<Item = Result<Bytes, Error>> + Send + 'static, origin: String) -> Body {
    at_pace(body, origin, LEAST)
}

fn at_pace(
    body: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    origin: String,
    pace: Pace,
) -> Body {
    let watched = Watched { body: body.boxed(), origin, pace, came: 0, left: pace.within };
    let pieces = stream::unfold(Some(watched), |watched| async move {
        let mut watched = watched?;
        let piece = watched.next().await?;
        let goes_on = piece.is_ok();
        Some((piece, goes_on.then_some(watched)))
    });
    pieces.boxed()
}

/// A body, and how it keeps up.
struct Watched {
    body: Body,
    origin: String,
    pace: Pace,
    /// Bytes since it had come far enough the last time.
    came: u64,
    /// How long may be waited until it has again.
    left: Duration,
}

impl Watched {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let asked = Instant::now();
        let Ok(next) = timeout(self.left, self.body.next()).await else {
            let (origin, Pace { bytes, within }) = (&self.origin, self.pace);
            let within = within.as_secs();
            let why = format!("{origin} is too slow: fewer than {bytes} bytes came within {within} s");
            return Some(Err(Error::Unavailable(why)));
        };
        let piece = next?;
        self.left = self.left.saturating_sub(asked.elapsed());
        if let Ok(bytes) = &piece {
            self.came += bytes.len() as u64;
            if self.came >= self.pace.bytes {
                (self.came, self.left) = (0, self.pace.within);
            }
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Pieces of so many bytes, each after so many milliseconds.
    fn pieces(bytes: usize, after_ms: u64) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        stream::unfold((), move |()| async move {
            sleep(Duration::from_millis(after_ms)).await;
            Some((Ok::<_, Error>(Bytes::from(vec![1; bytes])), ()))
        })
    }

    fn watched(body: impl Stream<Item = Result<Bytes, Error>> + Send + 'static, within_ms: u64) -> Body {
        let pace = Pace { bytes: 100, within: Duration::from_millis(within_ms) };
        at_pace(body, "http://mirror.example/x".into(), pace)
    }

    #[tokio::test]
    async fn data_that_drips_is_not_waited_for() {
        let mut body = watched(pieces(1, 20), 300);
        let mut came = 0;
        let error = loop {
            match body.next().await {
                Some(Ok(piece)) => came += piece.len(),
                Some(Err(error)) => break error,
                None => panic!("it ended after {came} bytes"),
            }
        };
        assert!(came < 100, "{came}");
        assert!(
            matches!(&error, Error::Unavailable(why) if why.contains("mirror.example/x is too slow")),
            "{error}"
        );
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn data_may_take_its_time_while_it_comes_fast_enough_and_at_its_end() {
        let enough: Vec<_> = watched(pieces(100, 400).take(4), 1000).collect().await;
        assert!(enough.len() == 4 && enough.iter().all(Result::is_ok), "more time than for the first alone");
        let short: Vec<_> = watched(pieces(1, 1).take(3), 1000).collect().await;
        assert!(short.len() == 3 && short.iter().all(Result::is_ok), "{short:?}");
    }

    #[tokio::test]
    async fn who_reads_slowly_is_not_the_servers_fault() {
        let ready = stream::iter(vec![Ok(Bytes::from_static(b"x")); 4]);
        let mut body = watched(ready, 100);
        for _ in 0..4 {
            sleep(Duration::from_millis(60)).await;
            assert!(matches!(body.next().await, Some(Ok(_))));
        }
        assert!(body.next().await.is_none());
    }
}
