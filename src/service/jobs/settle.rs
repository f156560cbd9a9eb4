//! How jobs end: in one commit with what they leave behind, and with the job they are a part of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::running::Active;
use super::work;
use crate::base::Time;
use crate::catalog::jobs;
use crate::db::WriteTxn;
use crate::model::Operation;
use crate::model::identity::Scope;
use crate::model::job::{Failure, Job, JobState};
use crate::service::audit::Act;
use crate::service::{Actor, Error, Service};

/// How one ended.
pub(super) enum End {
    /// It did what it was asked for.
    Succeeded(BTreeMap<String, u64>),
    /// It could not.
    Failed(Failure),
    /// Somebody ended it.
    Cancelled(BTreeMap<String, u64>),
    /// It goes back to the queue, as its process is ending.
    PutDown,
}

impl End {
    /// The job as it is then.
    fn applied(self, mut job: Job, now: Time) -> Job {
        (job.finished_at, job.paused) = (Some(now), false);
        // What was noted of a try that went before.
        job.error = None;
        match self {
            End::Succeeded(result) => {
                (job.state, job.result) = (JobState::Succeeded, result);
                // The last step told where it began.
                job.done_bytes = job.total_bytes.unwrap_or(job.done_bytes);
            }
            End::Cancelled(result) => (job.state, job.result) = (JobState::Cancelled, result),
            End::Failed(failure) => (job.state, job.error) = (JobState::Failed, Some(failure)),
            End::PutDown => {
                job.state = JobState::Queued;
                job.finished_at = None;
                // It was no failed try.
                job.attempts = job.attempts.saturating_sub(1);
            }
        }
        job
    }
}

impl Service {
    /// Records how a job at work ended. Until that is durable it counts as running.
    pub(super) fn end_job(&self, active: &Arc<Active>, end: End) -> Result<(), Error> {
        let now = self.clock.now();
        let mut control = active.lock();
        if let End::Failed(failure) = &end {
            let (job, kind) = (control.job.id, control.job.kind.as_str());
            tracing::warn!(%job, kind, code = failure.code, error = failure.message, "a job failed");
        }
        let ended = end.applied(control.job.clone(), now);
        control.ended = Some(ended.clone());
        drop(control);
        let (service, id) = (self.clone(), ended.id);
        let kept = self.db.write(move |txn| service.settle(txn, &ended, now));
        self.running.forget(&id);
        self.tidy_after_job();
        kept
    }

    /// Ends a task that waits, for who asked for its end.
    pub(super) fn cancel_idle(&self, actor: &Actor, job: Job) -> Result<Job, Error> {
        let now = self.clock.now();
        let ended =
            Job { state: JobState::Cancelled, error: None, finished_at: Some(now), paused: false, ..job };
        let (service, kept) = (self.clone(), ended.clone());
        let act = Act::on(Operation::CancelJob, kept.id);
        self.recorded(actor, act, move |txn, _| service.settle(txn, &kept, now))?;
        self.tidy_after_job();
        Ok(ended)
    }

    /// The commit: the job's record, what it leaves behind, and its parent's.
    pub(super) fn settle(&self, txn: &WriteTxn, job: &Job, now: Time) -> Result<(), Error> {
        if job.state.is_final() && job.state != JobState::Succeeded {
            work::unmake(txn, &self.store, job, now)?;
            for act in work::failed(txn, job)? {
                self.record_in(txn, &asker(job), act)?;
            }
        }
        if job.state.is_final() {
            work::let_go(txn, job, now)?;
        }
        jobs::put(txn, job)?;
        settle_parent(txn, job, now)
    }

    fn tidy_after_job(&self) {
        self.litter.left(crate::store::Reach::Released);
    }
}

/// Whoever asked for a job, for records: it may do nothing.
pub(in crate::service) fn asker(job: &Job) -> Actor {
    let system = Actor::system();
    Actor {
        user: job.user.clone().unwrap_or(system.user),
        scope: job.project.clone().map(Scope::Project),
        ..system
    }
}

/// Ends the job that this one is a part of, when it was the last; lets it go on when it begins again.
pub(super) fn settle_parent(txn: &WriteTxn, job: &Job, now: Time) -> Result<(), Error> {
    let Some(parent) = &job.parent else { return Ok(()) };
    let Some(mut parent) = jobs::get(txn, parent)? else { return Ok(()) };
    let parts = jobs::parts(txn, &parent.id)?;
    if parts.iter().any(|part| !part.state.is_final()) {
        (parent.state, parent.finished_at, parent.error) = (JobState::Running, None, None);
        return Ok(jobs::put(txn, &parent)?);
    }
    let failed: Vec<&Job> = parts.iter().filter(|part| part.error.is_some()).collect();
    let all_succeeded = parts.iter().all(|part| part.state == JobState::Succeeded);
    parent.finished_at = Some(now);
    parent.error = failed.first().and_then(|part| part.error.clone()).map(|first| Failure {
        message: format!("{} of {} parts failed; the first: {}", failed.len(), parts.len(), first.message),
        ..first
    });
    parent.state = match (all_succeeded, failed.is_empty()) {
        (true, _) => JobState::Succeeded,
        (false, true) => JobState::Cancelled,
        (false, false) => JobState::Failed,
    };
    Ok(jobs::put(txn, &parent)?)
}
