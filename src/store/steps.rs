//! Long work over packs, one step after the other: who watches it hears of each, and may end it.
//!
//! Invariant: between two steps others have their turn, and ending the work there loses nothing.
//! Must not know what the work is.

use std::ops::ControlFlow;

use super::pace::Pace;
use super::{Error, Store};
use crate::db;

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// Bytes done, before compression.
    pub done_bytes: u64,
    /// Of how many.
    pub total_bytes: u64,
}

/// Hears how far the work is; may keep it waiting, and may end it. Nothing is lost by that.
pub type Watch<'w> = dyn FnMut(Progress) -> ControlFlow<()> + 'w;

impl Progress {
    /// The phase in which other work over packs is waited for.
    pub const WAITING: &'static str = "waiting for other upkeep";
    /// The phase in which packs are compressed better.
    pub const RECOMPRESSING: &'static str = "recompressing";
    /// The phase in which packs are compared with each other.
    pub const COMPARING: &'static str = "comparing packs";
    /// The phase in which streams are given one copy of what is stored twice.
    pub const SHARING: &'static str = "sharing duplicates";

    /// The phase in which compressed containers are taken apart.
    pub const TAKING_APART: &'static str = "taking images apart";
    /// The phase in which what was taken apart is put together, and compared.
    pub const COMPARING_RECIPE: &'static str = "comparing what is put together";

    /// Whether this may wait until nobody is served.
    pub fn can_wait(&self) -> bool {
        [
            Progress::RECOMPRESSING,
            Progress::COMPARING,
            Progress::SHARING,
            Progress::TAKING_APART,
            Progress::COMPARING_RECIPE,
        ]
        .contains(&self.phase)
    }
}

/// Why work did not go on.
pub enum Stop {
    /// Whoever watches ended it.
    Ended,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<db::Error> for Stop {
    fn from(error: db::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

/// The steps of one run.
pub struct Steps<'s, 'w> {
    store: &'s Store,
    watch: &'s mut Watch<'w>,
    pace: Pace,
    progress: Progress,
}

impl<'s, 'w> Steps<'s, 'w> {
    /// Nothing is done yet.
    pub fn new(store: &'s Store, watch: &'s mut Watch<'w>) -> Steps<'s, 'w> {
        let pace = Pace::new(store.inner.options.rewrite.busy_percent);
        Steps { store, watch, pace, progress: Progress { phase: "", done_bytes: 0, total_bytes: 0 } }
    }

    /// Something else begins.
    pub fn begin(&mut self, phase: &'static str, total_bytes: u64) -> Result<(), Stop> {
        self.progress = Progress { phase, done_bytes: 0, total_bytes };
        self.step(0)
    }

    /// Some more is done: tells so, and lets others have their turn.
    pub fn step(&mut self, bytes: u64) -> Result<(), Stop> {
        self.progress.done_bytes += bytes;
        self.pace.rest(self.store.is_busy());
        match (self.watch)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Ended),
        }
    }
}
