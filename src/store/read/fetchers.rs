//! Turns at fetching: how many threads may be at it at once, for all clients.
//!
//! Invariant: turns are given in the order they were asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns there are.
pub struct Fetchers {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// The right to fetch; goes back when it is dropped.
pub struct Turn {
    waiting: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Fetchers {
    /// Turns for `count` threads at once.
    pub fn new(count: usize) -> Fetchers {
        Fetchers { free: Arc::new(Semaphore::new(count)), waiting: Arc::default() }
    }

    /// Runs `work` on a thread that may block, as soon as there is a turn for it. Needs a tokio runtime;
    /// where that is about to end, `work` is dropped.
    pub fn start(&self, work: impl FnOnce(Turn) + Send + 'static) {
        let waiting = self.waiting.clone();
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            let turn = Turn { waiting, _permit: permit };
            tokio::task::spawn_blocking(move || work(turn));
            return;
        }
        let queued = Queued::new(waiting.clone());
        let free = self.free.clone();
        tokio::spawn(async move {
            let Ok(permit) = free.acquire_owned().await else { return };
            drop(queued);
            let turn = Turn { waiting, _permit: permit };
            tokio::task::spawn_blocking(move || work(turn));
        });
    }
}

impl Turn {
    /// Whether somebody waits for a turn.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// One that waits, counted.
struct Queued(Arc<AtomicUsize>);

impl Queued {
    fn new(waiting: Arc<AtomicUsize>) -> Queued {
        waiting.fetch_add(1, Ordering::Relaxed);
        Queued(waiting)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
