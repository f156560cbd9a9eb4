//! Jobs as people see them: listed, shown, ended, begun again, held up.
//!
//! A job is its project's and the administrators'; the box's own upkeep is the administrators' alone. What
//! the caller could not show is not found.

use std::sync::Arc;
use std::time::Duration;

use super::running::{Active, Control};
use super::settle::settle_parent;
use super::{exclusive, work};
use crate::catalog::jobs;
use crate::model::job::{Job, JobId, JobKind, JobState};
use crate::model::{ImageId, Operation};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// How often a job is looked for that is on its way from the queue to a worker.
const LOOKS_MAX: usize = 1000;

impl Service {
    /// The newest `count` jobs that the caller may see, newest first; those before `before`, where one is
    /// named.
    ///
    /// # Errors
    /// `Forbidden` without a project; `NotFound` when `before` is none the caller may see; or when the catalog
    /// fails.
    pub fn jobs(&self, actor: &Actor, before: Option<JobId>, count: usize) -> Result<Vec<Job>, Error> {
        let before = before.map(|id| self.visible_job(actor, &id)).transpose()?.map(|job| job.number);
        let read = self.db.read()?;
        let listed = match actor.project() {
            _ if sees_all(actor) => jobs::newest(&read, before, count)?,
            Some(project) => {
                actor.expect(Action::JobsGet, Resource::None)?;
                jobs::newest_of(&read, project, before, count)?
            }
            None => return Err(Error::forbidden("jobs belong to projects; sign in to one")),
        };
        listed.into_iter().map(|job| self.seen(job)).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`, or when the catalog fails.
    pub fn job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
        self.seen(self.visible_job(actor, &id)?)
    }

    /// The jobs that are parts of one, oldest first.
    ///
    /// # Errors
    /// As [`Service::job`].
    pub fn job_parts(&self, actor: &Actor, id: JobId) -> Result<Vec<Job>, Error> {
        self.visible_job(actor, &id)?;
        let parts = jobs::parts(&self.db.read()?, &id)?;
        parts.into_iter().map(|job| self.seen(job)).collect()
    }

    /// The name of an image that a job is about, while there is such an image.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn job_image_name(&self, id: &ImageId) -> Result<Option<String>, Error> {
        Ok(crate::catalog::images::get(&self.db.read()?, id)?.and_then(|image| image.name))
    }

    /// Asks a job to end, with its parts. What it did by then stays; an image that it was to fill is killed.
    ///
    /// # Errors
    /// As [`Service::job`]; `Forbidden`; `Conflict` when it has ended.
    pub fn cancel_job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
        let job = self.writable_job(actor, &id, "end")?;
        self.end_open_job(actor, job)
    }

    /// As [`Service::cancel_job`], for whoever the use case lets end it.
    pub(in crate::service) fn end_open_job(&self, actor: &Actor, job: Job) -> Result<Job, Error> {
        let id = job.id;
        if job.kind == JobKind::Group && !job.state.is_final() {
            for part in jobs::parts(&self.db.read()?, &id)?.iter().filter(|part| !part.state.is_final()) {
                match self.end_open_job(actor, part.clone()) {
                    // It ended meanwhile.
                    Err(error) if error.kind == crate::service::ErrorKind::Conflict => {}
                    cancelled => drop(cancelled?),
                }
            }
            let group = jobs::get(&self.db.read()?, &id)?.ok_or_else(|| not_found(&id))?;
            return self.seen(group);
        }
        for _ in 0..LOOKS_MAX {
            if let Some(place) = self.running.withdraw(&id) {
                return match self.cancel_idle(actor, job.clone()) {
                    Ok(ended) => {
                        drop(place);
                        Ok(ended)
                    }
                    Err(error) => {
                        // Nothing was committed: it goes on waiting.
                        self.running.queue(&job, place);
                        Err(error)
                    }
                };
            }
            if let Some(active) = self.running.active(&id) {
                self.record(actor, Act::on(Operation::CancelJob, id))?;
                return self.cancel_active(&active);
            }
            let now = jobs::get(&self.db.read()?, &id)?.ok_or_else(|| not_found(&id))?;
            if now.state.is_final() {
                return Err(ended(&now));
            }
            // Another request takes it out of the queue, or a worker is about to.
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::conflict(format!("job {id} is changing hands; try again")))
    }

    fn cancel_active(&self, active: &Arc<Active>) -> Result<Job, Error> {
        let mut control = active.lock();
        control.cancelled = true;
        let nobody_ends_it = !std::mem::replace(&mut control.at_work, true);
        drop(control);
        active.changed.notify_all();
        if nobody_ends_it {
            let job = self.work_on(active.clone(), None).cancelled();
            job.finish(Ok(Default::default()))?;
        }
        Ok(active.recorded())
    }

    /// Has a task begin again that did not succeed.
    ///
    /// # Errors
    /// As [`Service::cancel_job`]; `Conflict` when it has not ended, succeeded, or is none that can begin
    /// again; `TooLarge` when the project has too many open ones.
    pub fn retry_job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
        let job = self.writable_job(actor, &id, "begin")?;
        if job.kind == JobKind::Group {
            let parts = jobs::parts(&self.db.read()?, &id)?;
            let mut failed = parts.iter().filter(|part| is_retried(part)).peekable();
            if failed.peek().is_none() {
                return Err(Error::conflict(format!("no part of job {id} has failed")));
            }
            failed.try_for_each(|part| self.retry_job(actor, part.id).map(drop))?;
            return self.job(actor, id);
        }
        let Some(task) = job.task.clone() else {
            return Err(Error::conflict(format!(
                "job {id} is upkeep of the box: run the command again that began it"
            )));
        };
        let place = self.running.open(&self.rules.jobs, job.project.as_ref(), exclusive(&task))?;
        let now = self.clock.now();
        let service = self.clone();
        let again = self.recorded(actor, Act::on(Operation::RetryJob, id), move |txn, _| {
            let job = jobs::get(txn, &id)?.ok_or_else(|| not_found(&id))?;
            if !is_retried(&job) {
                let state = job.state.as_str();
                return Err(Error::conflict(format!(
                    "job {id} is {state}: only what failed can begin again"
                )));
            }
            work::remake(txn, &service, &job, now)?;
            let (state, done_bytes) = (JobState::Queued, 0);
            let phase = String::new();
            let again = Job { state, phase, done_bytes, finished_at: None, error: None, attempts: 0, ..job };
            jobs::put(txn, &again)?;
            settle_parent(txn, &again, now)?;
            Ok::<_, Error>(again)
        })?;
        self.running.queue(&again, place);
        Ok(again)
    }

    /// Has a job wait that is at work, or go on. That it waits outlives the process.
    ///
    /// # Errors
    /// As [`Service::cancel_job`].
    pub fn pause_job(&self, actor: &Actor, id: JobId, paused: bool) -> Result<Job, Error> {
        let job = self.writable_job(actor, &id, "hold up")?;
        let Some(active) = self.running.active(&id) else {
            return Err(match job.state.is_final() {
                true => ended(&job),
                false => Error::conflict(format!("job {id} is not at work: it waits for its turn")),
            });
        };
        let operation = if paused { Operation::PauseJob } else { Operation::ResumeJob };
        self.record(actor, Act::on(operation, id))?;
        change(&active, |control| control.job.paused = paused);
        self.keep_job(&active)?;
        Ok(active.job())
    }

    /// A job as it is now, where memory knows better than the record that was read.
    pub(in crate::service) fn seen(&self, job: Job) -> Result<Job, Error> {
        match self.running.active(&job.id) {
            Some(active) => Ok(active.job()),
            None if job.kind == JobKind::Group => self.told_by_parts(job),
            None if job.state == JobState::Running => {
                // It may have ended since, which is on record before memory forgets it.
                let now = jobs::get(&self.db.read()?, &job.id)?;
                Ok(now.unwrap_or(job))
            }
            None => Ok(job),
        }
    }

    /// A group is as far as its parts are together.
    fn told_by_parts(&self, job: Job) -> Result<Job, Error> {
        let parts = jobs::parts(&self.db.read()?, &job.id)?.into_iter();
        let parts = parts.map(|part| self.seen(part)).collect::<Result<Vec<_>, Error>>()?;
        let done_bytes = parts.iter().map(|part| part.done_bytes).sum();
        let total_bytes = parts.iter().map(|part| part.total_bytes).sum();
        Ok(Job { done_bytes, total_bytes, ..job })
    }

    fn visible_job(&self, actor: &Actor, id: &JobId) -> Result<Job, Error> {
        let job = jobs::get(&self.db.read()?, id)?;
        job.filter(|job| may_see(actor, job)).ok_or_else(|| not_found(id))
    }

    fn writable_job(&self, actor: &Actor, id: &JobId, action: &str) -> Result<Job, Error> {
        let job = self.visible_job(actor, id)?;
        if sees_all(actor) || actor.allows(Action::JobsManage, Resource::Id(&id.to_string())) {
            return Ok(job);
        }
        Err(Error::forbidden(format!(
            "you may see job {id} but not {action} it: that takes the role member, or a policy that allows {}",
            Action::JobsManage.name()
        )))
    }
}

fn may_see(actor: &Actor, job: &Job) -> bool {
    let is_own = job.project.is_some() && job.project.as_ref() == actor.project();
    sees_all(actor) || is_own && actor.allows(Action::JobsGet, Resource::None)
}

/// Whether every project's jobs, and the box's own, are the caller's.
fn sees_all(actor: &Actor) -> bool {
    actor.allows(Action::JobsAccessAll, Resource::None)
}

fn is_retried(job: &Job) -> bool {
    job.state.is_final() && job.state != JobState::Succeeded
}

fn change(active: &Arc<Active>, change: impl FnOnce(&mut Control)) {
    change(&mut active.lock());
    active.changed.notify_all();
}

fn not_found(id: &JobId) -> Error {
    Error::not_found(format!("there is no job {id}"))
}

fn ended(job: &Job) -> Error {
    Error::conflict(format!("job {} has ended: it {}", job.id, job.state.as_str()))
}
