//! Sealing a key domain anew, as a job: for administrators, and for the box itself, which finishes
//! what an earlier process began.
//!
//! Invariant: the job ends well only when the older keys are gone, or nothing but a restart of the box
//! is missing for that.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::audit::Act;
use super::jobs::JobAtWork;
use super::rights::{Action, Resource};
use super::upkeep::Step;
use super::{Actor, Error, Service};
use crate::model::Operation;
use crate::model::job::{JobId, JobKind};
use crate::store::{Resealed, Unfinished};

/// Between two looks at whether what is under way still needs an older key.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Objects that are named in an error.
const NAMED_MAX: usize = 3;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedAnew {
    /// The job's number.
    pub job: JobId,
    /// What was written.
    pub done: Resealed,
}

impl Service {
    /// Gives a key domain another key, and seals all its data with it; goes on with what is unfinished.
    /// Safe beside uploads and downloads.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`]; [`super::ErrorKind::Conflict`] in a plain box, or when objects
    /// do not read back; [`super::ErrorKind::NotFound`] or [`super::ErrorKind::Gone`] when there is no
    /// such domain, or none any more. What was done by then stays.
    pub fn rotate_domain(
        &self,
        actor: &Actor,
        domain: u32,
        tell: &mut dyn FnMut(Step),
    ) -> Result<SealedAnew, Error> {
        actor.expect(Action::KeysManage, Resource::None)?;
        self.change_domain_key(actor, domain, tell)
    }

    /// The same for a caller who was authorised already.
    pub(super) fn change_domain_key(
        &self,
        actor: &Actor,
        domain: u32,
        tell: &mut dyn FnMut(Step),
    ) -> Result<SealedAnew, Error> {
        let act = Act::on(Operation::RotateKeyDomain, domain);
        let version = self.attended(actor, act, || Ok(self.store.rotate_domain(domain)?))?;
        tracing::info!(domain, version, user = %actor.user, "a key domain is sealed anew");
        self.seal_anew(domain, &mut |step| {
            tell(step.clone());
            true
        })
    }

    /// Finishes what an earlier process, or a job that was ended, left of sealing domains anew, until
    /// `goes_on` says no; says how many domains were looked at.
    ///
    /// # Errors
    /// As [`Service::rotate_domain`], of the first domain that could not be finished, when the others
    /// had their turn too.
    pub fn finish_sealing_anew(&self, goes_on: &mut dyn FnMut() -> bool) -> Result<usize, Error> {
        let (mut looked_at, mut failed) = (0, None);
        for domain in self.store.unfinished_domains() {
            if !goes_on() {
                break;
            }
            looked_at += 1;
            if let Err(error) = self.seal_anew(domain, &mut |_| goes_on()) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(looked_at), Err)
    }

    fn seal_anew(&self, domain: u32, goes_on: &mut dyn FnMut(&Step) -> bool) -> Result<SealedAnew, Error> {
        let mut job = self.begin_job(JobKind::Reseal)?;
        let id = job.id();
        let outcome = self.reseal(domain, &mut job, goes_on);
        job.finish(outcome.as_ref().map(figures))?;
        Ok(SealedAnew { job: id, done: outcome? })
    }

    fn reseal(
        &self,
        domain: u32,
        job: &mut JobAtWork,
        goes_on: &mut dyn FnMut(&Step) -> bool,
    ) -> Result<Resealed, Error> {
        let mut all = Resealed::default();
        let mut step = |step: &Step| match goes_on(step) {
            true => job.step(step),
            false => ControlFlow::Break(()),
        };
        loop {
            let done = self.store.reseal(domain, &mut |progress| step(&progress.into()))?;
            all.packs += done.packs;
            all.manifests += done.manifests;
            all.written_bytes += done.written_bytes;
            all.unfinished = done.unfinished;
            match &all.unfinished {
                Some(Unfinished::InUse) => {}
                Some(Unfinished::Damaged(objects)) => return Err(damaged(domain, objects)),
                _ => return Ok(all),
            }
            let waiting = Step { phase: "waiting for what is under way", done: 0, total: None };
            if step(&waiting).is_break() {
                all.unfinished = Some(Unfinished::Ended);
                return Ok(all);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// What came of a run, by name: what its job keeps and its caller is told.
pub fn figures(done: &Resealed) -> BTreeMap<String, u64> {
    let is = |unfinished: Unfinished| u64::from(done.unfinished == Some(unfinished));
    let figures = [
        ("packs", done.packs),
        ("manifests", done.manifests),
        ("written_bytes", done.written_bytes),
        ("older_keys_dropped", u64::from(done.unfinished.is_none())),
        ("waits_for_restart", is(Unfinished::Catalog)),
        ("ended_early", is(Unfinished::Ended)),
    ];
    figures.map(|(name, figure)| (name.to_owned(), figure)).into()
}

fn damaged(domain: u32, objects: &[String]) -> Error {
    let named = objects.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    Error::conflict(format!(
        "domain {domain} keeps its older key, as {} objects that it sealed do not read back: {named}. \"tintype \
         scrub\" repairs what can be; delete the images that \"tintype damage\" names, or put the objects back, then \
         seal the domain anew again",
        objects.len()
    ))
}
