//! What tasks do: the one place where the queue meets the work.
//!
//! Every kind of task says here how it is done, what it leaves behind when it does not succeed, and what it
//! needs to begin again.

use super::{Error, JobAtWork, Service};
use crate::base::Time;
use crate::catalog::jobs;
use crate::db::{Rows, WriteTxn};
use crate::model::Operation;
use crate::model::job::{ImportRoute, Job, Task};
use crate::model::trace::Rating;
use crate::service::audit::Act;
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

/// What is on record of a task that was asked for.
pub(super) fn asked(rows: &impl Rows, job: &Job) -> Result<Option<Act>, Error> {
    let (operation, image, said) = match &job.task {
        Some(Task::Import { image, from, route: ImportRoute::Register, .. }) => {
            (Operation::UpdateImage, image, format!("job {}: filled from {from}", job.id))
        }
        Some(Task::Import { image, from, .. }) => {
            (Operation::CreateImage, image, format!("job {}: from {from}", job.id))
        }
        Some(Task::Export { image, to, .. }) => {
            (Operation::ExportImage, image, format!("job {}: to {to}", job.id))
        }
        Some(Task::Copy { source, image }) => {
            // On the new one: its record is to be found by its id.
            (Operation::CopyImage, image, format!("job {}: from image {source}", job.id))
        }
        Some(Task::Group) | None => return Ok(None),
    };
    let mut act = Act::on(operation, image);
    if let Some(image) = crate::catalog::images::get(rows, image)? {
        act.image(&image);
    }
    act.say(said);
    Ok(Some(act))
}

/// What is on record of an image that the job did not fill.
pub(super) fn failed(rows: &impl Rows, job: &Job) -> Result<Option<Act>, Error> {
    let Some(id) = job.task.as_ref().and_then(Task::fills) else { return Ok(None) };
    let mut act = Act::on(Operation::UpdateImage, id).rated(Rating::Warning);
    if let Some(image) = crate::catalog::images::get(rows, &id)? {
        act.image(&image);
    }
    let why = job.error.as_ref().map_or_else(|| job.state.as_str().to_owned(), |error| error.message.clone());
    act.say(format!("job {} did not fill it: {why}", job.id));
    Ok(Some(act))
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
    match &job.task {
        Some(task) => images::revive(txn, task, &job.id.0, now),
        None => Ok(()),
    }
}
