//! A job in the hands of whoever does its work: its steps, and its end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use super::running::{Active, Control, Turn};
use super::settle::End;
use crate::base::Time;
use crate::model::job::{Failure, Job, JobId, JobKind, JobState, Task};
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Service};

/// Longest time that progress is in memory only, in seconds.
pub(super) const PERSISTED_EVERY_S: i64 = 30;

/// A job in the hands of whoever does its work. Dropping it before its end fails it, unless the process is ending.
pub struct JobAtWork {
    service: Service,
    active: Arc<Active>,
    persisted_at: Time,
    was_cancelled: bool,
    was_put_down: bool,
    finished: bool,
    turn: Option<Turn>,
}

impl Service {
    pub(super) fn work_on(&self, active: Arc<Active>, turn: Option<Turn>) -> JobAtWork {
        JobAtWork {
            service: self.clone(),
            active,
            persisted_at: self.clock.now(),
            was_cancelled: false,
            was_put_down: false,
            finished: false,
            turn,
        }
    }

    /// Takes up a job of this kind whose process ended while it was paused. Its next step waits until
    /// it is resumed.
    pub fn take_up_job(&self, kind: JobKind) -> Option<JobAtWork> {
        let waiting = self.waiting_job(kind)?;
        let taken = std::mem::replace(&mut waiting.lock().at_work, true);
        (!taken).then(|| self.work_on(waiting, None))
    }

    /// Whether there is one to be taken up.
    pub fn has_waiting_job(&self, kind: JobKind) -> bool {
        self.waiting_job(kind).is_some()
    }

    fn waiting_job(&self, kind: JobKind) -> Option<Arc<Active>> {
        self.running.find(|control| control.job.kind == kind && !control.at_work)
    }

    /// Records a job as it is when the commit is made, so that no commit brings an older state back.
    pub(super) fn keep_job(&self, active: &Arc<Active>) -> Result<(), Error> {
        let active = active.clone();
        self.db.write(move |txn| Ok(crate::catalog::jobs::put(txn, &active.recorded())?))
    }
}

impl JobAtWork {
    /// What it is known by.
    pub fn id(&self) -> JobId {
        self.active.lock().job.id
    }

    /// The job as it is now.
    pub(in crate::service) fn job(&self) -> Job {
        self.active.job()
    }

    /// What is to be done, of a task.
    pub(super) fn task(&self) -> Option<Task> {
        self.active.lock().job.task.clone()
    }

    /// Changes what is to be done, so that another try knows of it. It is recorded with the next step.
    pub(in crate::service) fn amend(&mut self, task: Task) -> Result<(), Error> {
        self.active.lock().job.task = Some(task);
        self.service.keep_job(&self.active)
    }

    /// Says why it does not get on, while it tries again.
    pub(in crate::service) fn note(&mut self, why: Failure) -> Result<(), Error> {
        self.active.lock().job.error = Some(why);
        self.service.keep_job(&self.active)
    }

    /// Tells how far it is; waits while it is paused. The work ends where this breaks.
    pub fn step(&mut self, step: &Step) -> ControlFlow<()> {
        let now = self.service.clock.now();
        let mut control = self.active.lock();
        let turned = control.job.state == JobState::Queued || control.job.phase != step.phase;
        let job = &mut control.job;
        job.state = JobState::Running;
        job.started_at.get_or_insert(now);
        step.phase.clone_into(&mut job.phase);
        (job.done_bytes, job.total_bytes) = (step.done, step.total);
        let due = self.persisted_at.plus_seconds(PERSISTED_EVERY_S) <= now;
        let waits = |control: &mut Control| control.job.paused && !control.cancelled && !control.put_down;
        let control = self.active.changed.wait_while(control, waits).unwrap_or_else(PoisonError::into_inner);
        (self.was_cancelled, self.was_put_down) = (control.cancelled, control.put_down);
        drop(control);
        if turned || due {
            self.persisted_at = now;
            if let Err(error) = self.service.keep_job(&self.active) {
                tracing::warn!(%error, "a job's progress was not recorded");
            }
        }
        match self.was_cancelled || self.was_put_down {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Whether somebody ended it, or the process is ending: then what its work says is no failure.
    pub(in crate::service) fn was_stopped(&self) -> bool {
        self.was_cancelled || self.was_put_down
    }

    /// Whether somebody ended it.
    pub(in crate::service) fn was_cancelled(&self) -> bool {
        self.was_cancelled
    }

    /// Says that somebody ended it before it came to work.
    pub(super) fn cancelled(mut self) -> JobAtWork {
        self.was_cancelled = true;
        self
    }

    /// Ends it with what came of it.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn finish(mut self, outcome: Result<BTreeMap<String, u64>, &Error>) -> Result<(), Error> {
        self.end(outcome)
    }

    fn end(&mut self, outcome: Result<BTreeMap<String, u64>, &Error>) -> Result<(), Error> {
        self.finished = true;
        let end = match outcome {
            Ok(result) if !self.was_stopped() => End::Succeeded(result),
            Ok(result) if self.was_cancelled => End::Cancelled(result),
            Err(_) if self.was_cancelled => End::Cancelled(BTreeMap::new()),
            _ if self.was_put_down => End::PutDown,
            Ok(result) => End::Succeeded(result),
            Err(error) => End::Failed(Failure::from(error)),
        };
        let ended = self.service.end_job(&self.active, end);
        // Not before: what waits for the turn may look for what this one leaves.
        self.turn = None;
        ended
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        Failure { code: error.code().to_owned(), message: error.message.clone() }
    }
}

impl Drop for JobAtWork {
    fn drop(&mut self) {
        if !self.finished {
            // What breaks off because the process is ending goes on in the next one.
            self.was_put_down |= self.active.lock().put_down;
            let fault = Error::new(ErrorKind::Internal, "the work broke off; the log says why");
            if let Err(error) = self.end(Err(&fault)) {
                tracing::warn!(%error, "a job's end was not recorded");
            }
        }
    }
}
