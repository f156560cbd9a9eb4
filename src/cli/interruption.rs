//! Ctrl-C while data is on its way: the first ends the transfer in good order, the second the process.
//!
//! Invariant: whoever listens ends soon after an interruption, and says what is kept.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::process;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::failure::{Failure, Remedy, Status};

/// Time that the box gets to keep what has arrived.
const GRACE: Duration = Duration::from_secs(20);

/// Whether the person wants the command to end.
#[derive(Clone)]
pub struct Interruption(watch::Receiver<bool>);

impl Interruption {
    /// Listens from now on, until the command ends.
    pub fn listen() -> Interruption {
        let (told, heard) = watch::channel(false);
        // Whoever was started to ignore it, as a shell's background work is, does. Where signals cannot be listened for, one ends
        // the process as it always did.
        if !is_ignored()
            && let Ok(mut signals) = signal(SignalKind::interrupt())
        {
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if told.send_replace(true) {
                        process::exit(Status::Interrupted as i32);
                    }
                    eprintln!("interrupted: ending in good order (Ctrl-C again ends at once)");
                }
            });
        }
        Interruption(heard)
    }

    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it comes.
    pub async fn come(&self) {
        let mut heard = self.0.clone();
        if heard.wait_for(|has_come| *has_come).await.is_err() {
            // Nobody listens for signals.
            std::future::pending::<()>().await;
        }
    }

    /// Work, until it is done or interrupted.
    ///
    /// # Errors
    /// Its own, or that it was interrupted.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.come() => Err(interrupted()),
        }
    }

    /// Work that ends by itself soon after an interruption, as what it sends does ([`Interruption::cut`]).
    ///
    /// # Errors
    /// Its own, or that it was interrupted.
    pub async fn and_end<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.and_end_within(GRACE, work).await
    }

    async fn and_end_within<T>(
        &self,
        grace: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let ended = tokio::select! {
            done = &mut work => Ok(done),
            () = self.come() => timeout(grace, work).await,
        };
        match ended {
            Ok(Err(_)) | Err(_) if self.has_come() => Err(interrupted()),
            Ok(done) => done,
            Err(_) => Err(interrupted()),
        }
    }

    /// The same bytes, which break off at an interruption: so whoever takes them hears that this was not their end.
    pub fn cut(
        &self,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (this, stopped) = (self.clone(), self.clone());
        let broken = stream::once(async move {
            match stopped.has_come() {
                true => Some(Err(io::Error::from(io::ErrorKind::Interrupted))),
                false => None,
            }
        });
        let until = async move { this.come().await };
        pieces.take_until(until).chain(broken.filter_map(std::future::ready))
    }
}

/// Whether the process was started to ignore it.
fn is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_interrupts(&status))
}

fn ignores_interrupts(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = 1 << (SignalKind::interrupt().as_raw_value() - 1);
    mask.is_some_and(|mask| mask & bit != 0)
}

fn interrupted() -> Failure {
    Failure { status: Status::Interrupted, remedy: Remedy::Patience, message: "interrupted".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (watch::Sender<bool>, Interruption) {
        let (tell, heard) = watch::channel(false);
        (tell, Interruption(heard))
    }

    fn piece() -> io::Result<Bytes> {
        Ok(Bytes::from_static(b"x"))
    }

    #[tokio::test]
    async fn bytes_break_off_when_it_comes_and_end_when_it_does_not() {
        let (tell, interruption) = made();
        let whole: Vec<_> = interruption.cut(stream::iter([piece(), piece()])).collect().await;
        assert!(whole.len() == 2 && whole.iter().all(Result::is_ok));
        let endless = stream::iter([piece()]).chain(stream::pending());
        let mut cut = Box::pin(interruption.cut(endless));
        assert!(cut.next().await.unwrap().is_ok());
        tell.send_replace(true);
        assert_eq!(cut.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(cut.next().await.is_none());
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        for (mask, ignores) in
            [("0000000000000002", true), ("0000000000001003", true), ("0000000000001001", false)]
        {
            assert_eq!(ignores_interrupts(&format!("SigBlk:\tff\nSigIgn:\t{mask}\n")), ignores, "{mask}");
        }
        assert!(!ignores_interrupts(""));
    }

    #[tokio::test]
    async fn work_ends_with_it_or_soon_after() {
        let (tell, interruption) = made();
        assert_eq!(interruption.or(async { Ok(1) }).await.ok(), Some(1));
        assert_eq!(interruption.and_end(async { Ok(1) }).await.ok(), Some(1));
        tell.send_replace(true);
        let never = || std::future::pending::<Result<(), Failure>>();
        assert_eq!(interruption.or(never()).await.unwrap_err().status, Status::Interrupted);
        let late = interruption.and_end_within(Duration::from_millis(1), never()).await;
        assert_eq!(late.unwrap_err().status, Status::Interrupted);
        // What was done all the same is done.
        let soon = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(2)
        };
        assert_eq!(interruption.and_end(soon).await.ok(), Some(2));
        let broken = async { Err::<(), _>(Failure::failed("the body broke off")) };
        assert_eq!(interruption.and_end(broken).await.unwrap_err().status, Status::Interrupted);
    }
}
