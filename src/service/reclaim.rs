//! Giving space back: what is dead is deleted, and packs are written anew. For administrators, and
//! for the box itself.

use std::ops::ControlFlow;

use super::upkeep::Step;
use super::{Actor, Error, ErrorKind, Service};
use crate::store::{self, Plan, Progress, Reach, Reclaimed, Rewritten, Wish};

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// What was dead.
    pub freed: Reclaimed,
    /// What was written anew.
    pub rewritten: Rewritten,
}

impl Service {
    /// Gives back the space of what was deleted, at once. Safe beside uploads and downloads.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], [`ErrorKind::TooLarge`] when there is no room to write packs anew, or
    /// when the catalog or the medium fails. What was done by then stays.
    pub fn reclaim(&self, actor: &Actor, wish: Wish, tell: &mut dyn FnMut(Step)) -> Result<Collected, Error> {
        self.authorise_upkeep(actor)?;
        let freed = self.store.reclaim(Reach::Everything)?;
        let mut watch = |progress: Progress| {
            tell(progress.into());
            ControlFlow::Continue(())
        };
        Ok(Collected { freed, rewritten: self.rewrite_packs(wish, &mut watch)? })
    }

    /// Writes packs anew, as the box does by itself.
    ///
    /// # Errors
    /// As [`Service::reclaim`].
    pub fn rewrite_packs(&self, wish: Wish, watch: &mut store::Watch<'_>) -> Result<Rewritten, Error> {
        if wish == Wish::default() {
            return Ok(Rewritten::default());
        }
        self.store.rewrite(wish, watch).map_err(|error| match error {
            store::Error::Full(text) => {
                Error::new(ErrorKind::TooLarge, format!("{text}: free some space first"))
            }
            other => other.into(),
        })
    }

    /// What [`Service::reclaim`] would do.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], or when the catalog or the medium fails.
    pub fn plan_reclaim(&self, actor: &Actor, wish: Wish) -> Result<Plan, Error> {
        self.authorise_upkeep(actor)?;
        Ok(self.store.plan(wish)?)
    }
}

impl From<Progress> for Step {
    fn from(progress: Progress) -> Step {
        Step { phase: progress.phase, done: progress.done_bytes, total: Some(progress.total_bytes) }
    }
}
