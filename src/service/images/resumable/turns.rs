//! Who works on an upload in parts now: one request at a time, and the newest one wins.
//!
//! A client whose connection broke asks again before the server has noticed; so a new request ends
//! the one before it, which makes durable what it has, and then goes on from there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedMutexGuard, watch};

/// The turns of all uploads. Cheap to share.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    lines: Arc<Mutex<HashMap<[u8; 16], Weak<Line>>>>,
}

/// Requests to one upload.
struct Line {
    /// Held by the one whose turn it is.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The number of the newest request.
    newest: watch::Sender<u64>,
}

/// One request's turn. It lasts until this is dropped.
pub(crate) struct Turn {
    line: Arc<Line>,
    number: u64,
    _turn: OwnedMutexGuard<()>,
}

impl Turns {
    /// Asks whoever has the upload now to let go, and waits for it.
    pub(in crate::service::images) async fn take(&self, upload: [u8; 16]) -> Turn {
        let line = self.line(upload);
        let mut number = 0;
        line.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let turn = line.turn.clone().lock_owned().await;
        Turn { line, number, _turn: turn }
    }

    /// Whether anybody has this upload now.
    pub(super) fn is_taken(&self, upload: &[u8; 16]) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(upload).is_some_and(|line| line.strong_count() > 0)
    }

    fn line(&self, upload: [u8; 16]) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&upload).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line { turn: Arc::default(), newest: watch::Sender::new(0) });
        lines.insert(upload, Arc::downgrade(&line));
        line
    }
}

impl Turn {
    /// Waits until a newer request waits.
    pub(super) async fn over(&self) {
        let mut newest = self.line.newest.subscribe();
        // The sender lives as long as this turn.
        let _ = newest.wait_for(|newest| *newest != self.number).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_newest_request_ends_the_one_before_it() {
        let turns = Turns::default();
        let first = turns.take([1; 16]).await;
        assert!(turns.is_taken(&[1; 16]) && !turns.is_taken(&[2; 16]));
        assert!(first.over().now_or_never().is_none() && turns.take([2; 16]).now_or_never().is_some());
        let second = turns.take([1; 16]);
        let third = turns.take([1; 16]);
        let (mut second, mut third) = (Box::pin(second), Box::pin(third));
        assert!(second.as_mut().now_or_never().is_none());
        first.over().await;
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(second.over().now_or_never().is_some());
        drop(second);
        assert!(third.await.over().now_or_never().is_none());
    }

    #[tokio::test]
    async fn turns_that_are_over_leave_nothing_behind() {
        let turns = Turns::default();
        for upload in 0..100 {
            drop(turns.take([upload; 16]).await);
        }
        assert_eq!(turns.lines.lock().unwrap().len(), 1);
    }
}
