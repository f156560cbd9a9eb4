//! Giving space back: what is dead is deleted, and packs are written anew. For administrators, and
//! for the box itself. Each run that does something is a job.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::audit::Act;
use super::images::{Kept, RecipePlan, Which};
use super::jobs::JobAtWork;
use super::rights::{Action, Resource};
use super::upkeep::Step;
use super::{Actor, Error, ErrorKind, Service};
use crate::catalog::images;
use crate::model::job::{JobId, JobKind};
use crate::model::{ContentId, Operation};
use crate::store::{self, Plan, Progress, Reach, Reclaimed, Rewritten, Watch, Wish};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The job's number.
    pub job: JobId,
    /// What was dead.
    pub freed: Reclaimed,
    /// What was written anew.
    pub rewritten: Rewritten,
    /// What is kept by recipes now.
    pub recipes: Kept,
    /// Images whose manifest cannot be read and whose packs nobody knows, each with the reason and
    /// what to do: packs they may need were withheld.
    pub unreadable: Vec<String>,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// With packs.
    pub packs: Plan,
    /// With compressed images, where recipes are asked for.
    pub recipes: Option<RecipePlan>,
}

impl Collected {
    fn nothing(job: JobId) -> Collected {
        Collected {
            job,
            freed: Reclaimed::default(),
            rewritten: Rewritten::default(),
            recipes: Kept::default(),
            unreadable: Vec::new(),
        }
    }
}

impl Service {
    /// Gives back the space of what was deleted, at once. Safe beside uploads and downloads.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`], [`ErrorKind::TooLarge`] when there is no room to write packs anew, or
    /// when the catalog or the medium fails. What was done by then stays.
    pub fn reclaim(
        &self,
        actor: &Actor,
        wish: Wish,
        recipes: Option<Which>,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Collected, Error> {
        actor.expect(Action::StoreReclaim, Resource::None)?;
        self.record(actor, Act::new(Operation::Reclaim).saying(format!("{wish:?}, recipes: {recipes:?}")))?;
        let mut job = self.begin_job(JobKind::Reclaim)?;
        let collected = self.collect(wish, recipes, &mut job, tell);
        job.finish(collected.as_ref().map(figures))?;
        collected
    }

    fn collect(
        &self,
        wish: Wish,
        recipes: Option<Which>,
        job: &mut JobAtWork,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Collected, Error> {
        let nothing = Collected::nothing(job.id());
        if job.step(&Step { phase: "deleting", done: 0, total: None }).is_break() {
            return Ok(nothing);
        }
        let freed = self.give_back(Reach::Everything)?;
        let unreadable = if freed.withheld > 0 { self.unlisted_images()? } else { Vec::new() };
        let mut watch = |progress: Progress| {
            let step = Step::from(progress);
            tell(step.clone());
            job.step(&step)
        };
        // Before packs are written anew: what recipes let go of gives its space back in the same run.
        let recipes = recipes.map(|which| self.keep_recipes(which, &mut watch)).transpose();
        // Where there was no room for a recipe, this makes some.
        let rewritten = self.rewrite(wish, &mut watch)?;
        let recipes = recipes?.unwrap_or_default();
        Ok(Collected { freed, rewritten, recipes, unreadable, ..nothing })
    }

    /// Writes packs anew, as the box does by itself, until `goes_on` says no. A job begins where there
    /// is something to do.
    ///
    /// # Errors
    /// As [`Service::reclaim`].
    pub fn rewrite_packs(
        &self,
        wish: Wish,
        goes_on: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Rewritten, Error> {
        let mut job = self.take_up_waiting_job();
        let mut refusal = None;
        let rewritten = self.rewrite(wish, &mut |progress| {
            if job.is_none() && progress.total_bytes > 0 {
                match self.begin_job(JobKind::Reclaim) {
                    Ok(begun) => job = Some(begun),
                    Err(error) => {
                        refusal = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            match &mut job {
                _ if !goes_on(&progress) => ControlFlow::Break(()),
                Some(job) => job.step(&progress.into()),
                None => ControlFlow::Continue(()),
            }
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if let Some(job) = job {
            let nothing = Collected::nothing(job.id());
            let figures =
                rewritten.as_ref().map(|rewritten| figures(&Collected { rewritten: *rewritten, ..nothing }));
            job.finish(figures)?;
        }
        rewritten
    }

    /// Keeps compressed containers by recipes, as the box does by itself, until `goes_on` says no. A job begins where there is
    /// something to do.
    ///
    /// # Errors
    /// As [`Service::reclaim`].
    pub fn keep_idle_recipes(
        &self,
        idle_s: i64,
        goes_on: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Kept, Error> {
        let mut job = self.take_up_waiting_job();
        let mut refusal = None;
        let kept = self.keep_recipes(Which::ByPolicy { idle_s }, &mut |progress| {
            if job.is_none() {
                match self.begin_job(JobKind::Reclaim) {
                    Ok(begun) => job = Some(begun),
                    Err(error) => refusal = Some(error),
                }
            }
            match &mut job {
                Some(job) if goes_on(&progress) => job.step(&progress.into()),
                _ => ControlFlow::Break(()),
            }
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if let Some(job) = job {
            let nothing = Collected::nothing(job.id());
            job.finish(kept.as_ref().map(|kept| figures(&Collected { recipes: *kept, ..nothing })))?;
        }
        kept
    }

    /// The job that somebody had wait before the last restart, once it is resumed.
    fn take_up_waiting_job(&self) -> Option<JobAtWork> {
        let mut job = self.take_up_job(JobKind::Reclaim)?;
        let _ = job.step(&Step { phase: "waiting", done: 0, total: None });
        Some(job)
    }

    /// The images for which packs are withheld, in words.
    fn unlisted_images(&self) -> Result<Vec<String>, Error> {
        let unlisted: HashMap<ContentId, String> =
            self.store.unlisted()?.into_iter().map(|(content, error)| (content, error.to_string())).collect();
        let mut told = Vec::new();
        images::for_each_stored(&self.db.read()?, &mut |image| {
            let reason = image.contents().find_map(|content| unlisted.get(&content));
            if let Some(reason) = reason {
                let name = image.name.unwrap_or_default();
                told.push(format!(
                    "image {} ({name}): {reason}; put the object back, or delete the image",
                    image.id
                ));
            }
        })?;
        Ok(told)
    }

    fn rewrite(&self, wish: Wish, watch: &mut Watch<'_>) -> Result<Rewritten, Error> {
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
    pub fn plan_reclaim(&self, actor: &Actor, wish: Wish, recipes: bool) -> Result<Foreseen, Error> {
        actor.expect(Action::StoreReclaim, Resource::None)?;
        let recipes = recipes.then(|| self.plan_recipes()).transpose()?;
        Ok(Foreseen { packs: self.store.plan(wish)?, recipes })
    }
}

/// What came of a run, by name: what its job keeps and its caller is told.
pub fn figures(collected: &Collected) -> BTreeMap<String, u64> {
    let Collected { freed, rewritten, recipes, .. } = collected;
    let shared = &rewritten.shared;
    let figures = [
        ("packs", freed.packs),
        ("orphans", freed.orphans),
        ("bytes", freed.bytes),
        ("in_use", freed.in_use + rewritten.in_use),
        ("compared", shared.packs),
        ("duplicate_chunks", shared.chunks),
        ("duplicate_bytes", shared.bytes),
        ("shared_streams", shared.streams),
        ("left_alone", shared.left_alone),
        ("withheld", freed.withheld),
        ("compacted", rewritten.compacted),
        ("recompressed", rewritten.recompressed),
        ("replaced_bytes", rewritten.replaced_bytes),
        ("written_bytes", rewritten.written_bytes),
        ("damaged", rewritten.damaged + shared.damaged),
        ("recipes", recipes.streams),
        ("recipe_units", recipes.units),
        ("recipe_packed_bytes", recipes.packed_bytes),
        ("recipe_correction_bytes", recipes.correction_bytes),
        ("recipe_written_bytes", recipes.written_bytes),
        ("recipe_saved_bytes", recipes.saved_bytes()),
        ("recipes_looked_at", recipes.looked_at),
        ("recipes_left_alone", recipes.left_alone()),
        ("ended_early", (rewritten.ended_early || recipes.ended_early).into()),
    ];
    let figures = figures.into_iter().chain(settled_figures(recipes));
    figures.map(|(name, figure)| (name.to_owned(), figure)).collect()
}

/// What is known of images that nothing changes for, by name: of a run, and of one that is foreseen.
pub fn settled_figures(kept: &Kept) -> [(&'static str, u64); 7] {
    [
        ("recipes_kept_before", kept.kept_before),
        ("recipes_not_packed", kept.not_packed),
        ("recipes_not_made_again", kept.not_made_again),
        ("recipes_too_long", kept.too_long),
        ("recipes_unreadable", kept.unreadable),
        ("recipes_put_off", kept.put_off),
        ("recipes_unfit", kept.unfit),
    ]
}

impl From<Progress> for Step {
    fn from(progress: Progress) -> Step {
        let total = (progress.total_bytes > 0).then_some(progress.total_bytes);
        Step { phase: progress.phase, done: progress.done_bytes, total }
    }
}
