//! What tasks do: the one place where the queue meets the work.
//!
//! Every kind of task says here how it is done, what it leaves behind when it does not succeed, and what it
//! needs to begin again.

use super::{Error, JobAtWork, Service};
use crate::base::Time;
use crate::catalog::jobs;
use crate::db::WriteTxn;
use crate::model::job::{Job, Task};
use crate::service::images;
use crate::store::Store;

impl Service {
    /// Takes the task whose turn it is out of the queue; `None` while there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn claim_task(&self) -> Result<Option<JobAtWork>, Error> {
        while let Some(id) = self.running.next(&self.rules.jobs) {
            let Some(job) = jobs::get(&self.db.read()?, &id)? else {
                drop(self.running.withdraw(&id));
                continue;
            };
            let job = Job { attempts: job.attempts + 1, started_at: None, ..job };
            if let Some((active, turn)) = self.running.begin(&self.rules.jobs, job) {
                return Ok(Some(self.work_on(active, Some(turn))));
            }
        }
        Ok(None)
    }

    /// Waits until a task may have its turn.
    pub async fn task_is_due(&self) {
        self.running.changed(&self.rules.jobs).await;
    }

    /// Lets no task begin any more, and has those at work go back to the queue at their next step: what they
    /// did by then stays, for the next process.
    pub fn put_tasks_down(&self) {
        self.running.close();
    }

    /// Does a task, to its recorded end.
    pub async fn perform(&self, job: JobAtWork) {
        let id = job.id();
        let ended = match job.task() {
            Some(Task::Import { .. }) => self.perform_import(job).await,
            Some(Task::Export { .. }) => self.perform_export(job).await,
            Some(Task::Copy { .. }) => self.perform_copy(job).await,
            Some(Task::Group) | None => job.finish(Err(&Error::invalid("the job has no work of its own"))),
        };
        if let Err(error) = ended {
            tracing::warn!(job = %id, %error, "a job's end was not recorded; the next start takes it up again");
        }
    }
}

/// What a task that did not succeed leaves behind, in the commit that records its end.
pub(super) fn unmake(txn: &WriteTxn, store: &Store, job: &Job, now: Time) -> Result<(), Error> {
    match job.task.as_ref().and_then(Task::fills) {
        Some(image) => images::kill(txn, store, &image, &job.id.0, now),
        None => Ok(()),
    }
}

/// What a task needs to begin again, in the commit that puts it back into the queue.
pub(super) fn remake(txn: &WriteTxn, job: &Job, now: Time) -> Result<(), Error> {
    match job.task.as_ref().and_then(Task::fills) {
        Some(image) => images::revive(txn, &image, &job.id.0, now),
        None => Ok(()),
    }
}
