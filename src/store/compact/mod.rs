//! Packs written anew: without the chunks nothing needs any more, compressed better, or sealed with
//! another key of their domain ([`reseal`], which sees to all else of the domain too).
//!
//! Owns which packs are worth it, in which order, and how a pack gets its next generation.
//! Invariants: a generation is durable before the commit that puts it in the place of the one
//! before; that one waits in a grave until its end is told and nobody reads it; a chunk that is
//! left out was named by no stream when it was counted, and none could come to name it since. A
//! pack keeps its number and its chunks their ordinals, so that no manifest has to say anything else.

mod plan;
mod policy;
#[cfg(test)]
mod random_tests;
mod reseal;
#[cfg(test)]
mod reseal_tests;
mod rewrite;
mod run;
#[cfg(test)]
mod scale_tests;
mod swap;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
pub(super) mod turns_tests;
mod weigh;

#[cfg(test)]
use std::ops::ControlFlow;
use std::sync::{MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

pub use plan::{Plan, PlannedPack};
pub use policy::RewritePolicy;
pub use reseal::{Resealed, Unfinished};

use super::Store;
use super::dedup::{Compare, Shared};
use super::error::Error;
use super::reclaim::Reclaimed;
use super::steps::{Progress, Stop, Watch};
use run::Run;

/// How often it is looked whether others are done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is to be done with packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Have streams share what is stored twice, of these packs.
    pub dedup: Option<Compare>,
    /// Leave out what is dead, where it is much.
    pub compact: bool,
    /// Compress better, once.
    pub recompress: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// What was found stored twice.
    pub shared: Shared,
    /// Packs that lost dead chunks.
    pub compacted: u64,
    /// Packs that were compressed better.
    pub recompressed: u64,
    /// Bytes of the objects they lie in now.
    pub written_bytes: u64,
    /// Bytes of the objects they lay in.
    pub replaced_bytes: u64,
    /// Packs that were left alone because something under way uses them: a later run decides.
    pub in_use: u64,
    /// Packs that were left alone because they are damaged.
    pub damaged: u64,
    /// Whether it was ended before all was done.
    pub ended_early: bool,
}

impl Store {
    /// Waits until nobody else writes packs anew or makes a recipe, which may take long; `None` where whoever watches does not.
    pub(super) fn wait_for_rewriting(&self, watch: &mut Watch<'_>) -> Option<MutexGuard<'_, ()>> {
        loop {
            match self.inner.rewriting.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    if watch(Progress { phase: Progress::WAITING, done_bytes: 0, total_bytes: 0 }).is_break()
                    {
                        return None;
                    }
                    thread::sleep(LOOK_AGAIN);
                }
            }
        }
    }

    /// Writes packs anew as wished and as the policy says, one after the other, and deletes the
    /// objects they lay in. Safe beside uploads and reads; what is done by the time it ends stays.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room for a pack beside the one it replaces; the medium's or
    /// the database's failure.
    pub fn rewrite(&self, wish: Wish, watch: &mut Watch<'_>) -> Result<Rewritten, Error> {
        // One at a time: two would write the same packs.
        let Some(_one) = self.wait_for_rewriting(watch) else {
            return Ok(Rewritten { ended_early: true, ..Rewritten::default() });
        };
        let mut run = Run::new(self, self.granted(wish), watch);
        let done = run.all();
        let mut outcome = run.outcome;
        outcome.ended_early = matches!(done, Err(Stop::Ended));
        self.inner.activity.rewritten(&outcome);
        // What was replaced gives its space back even where the rest failed: for want of space, even.
        let emptied = self.drain_graves();
        match (done, emptied) {
            (Err(Stop::Failed(error)), _) | (_, Err(error)) => Err(error),
            (_, Ok(Reclaimed { in_use, .. })) => {
                outcome.in_use += in_use;
                Ok(outcome)
            }
        }
    }

    /// Whether a stream or a reader is under way: whoever only works while nobody waits asks this.
    pub fn is_busy(&self) -> bool {
        self.inner.pins.is_busy()
    }

    /// The part of a wish that the policy lets be done.
    fn granted(&self, wish: Wish) -> Wish {
        let policy = &self.inner.options.rewrite;
        Wish {
            dedup: wish.dedup,
            compact: wish.compact && policy.live_percent > 0,
            recompress: wish.recompress && policy.level > 0,
        }
    }
}
