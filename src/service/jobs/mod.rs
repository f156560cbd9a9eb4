//! Long work as jobs: persisted, queued, watched, paused, ended, begun again.
//!
//! Two ways lead here. Upkeep is begun by whoever does it ([`Service::begin_job`]) and tells how far it is.
//! A task is put into a queue ([`queue`]) together with whatever it is about, in one commit, and a worker
//! takes it when its kind and its project have room. Invariants: a job's record exists before its work
//! begins, and its end is recorded, with what it leaves behind, before anybody hears of it; what is running
//! is known in memory, so that progress costs a commit now and then only; after a crash tasks are begun
//! again, as each can, and upkeep is interrupted, but for what somebody paused: that waits on for whoever
//! does its kind of work. Only [`work`] knows what tasks do.

mod asked;
mod at_work;
mod queue;
mod recover;
mod running;
mod settle;
mod shared;
#[cfg(test)]
mod tests;
mod work;

use crate::base::Time;
use crate::catalog::jobs;
use crate::db::WriteTxn;
use crate::model::job::{Job, JobId, JobKind, JobState, Task};
use crate::model::{ImageId, ProjectId, UserId};

use super::{Actor, Error, Service};

pub use at_work::JobAtWork;
pub(super) use running::Running;
pub(super) use settle::asker;

/// How many jobs there may be, and for how long. Legal ranges are the settings' business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRules {
    /// Imports at work at once.
    pub imports_max: usize,
    /// Exports at work at once.
    pub exports_max: usize,
    /// Copies at work at once; as many into other regions.
    pub copies_max: usize,
    /// Tasks of one project at work at once.
    pub project_running_max: usize,
    /// Tasks of one project that have not ended.
    pub project_open_max: usize,
    /// Ended jobs that are kept.
    pub kept: u64,
    /// How long, in seconds.
    pub kept_s: i64,
}

impl Default for JobRules {
    fn default() -> Self {
        JobRules {
            imports_max: 2,
            exports_max: 2,
            copies_max: 2,
            project_running_max: 2,
            project_open_max: 1000,
            kept: 10_000,
            kept_s: 30 * 86_400,
        }
    }
}

impl JobRules {
    /// Tasks of a kind at work at once.
    fn most(&self, kind: JobKind) -> usize {
        match kind {
            JobKind::Import => self.imports_max,
            JobKind::Export => self.exports_max,
            JobKind::Copy | JobKind::CopyAcross | JobKind::CopyToPlaces => self.copies_max,
            // Side by side they would only send each other's data away.
            JobKind::Cache => 1,
            // None of these is ever in the queue.
            JobKind::AddMembers | JobKind::UpdateMembers | JobKind::DeleteMembers => 0,
            JobKind::Group | JobKind::Reclaim | JobKind::Reseal => 0,
        }
    }
}

/// Tasks that are asked for in one request.
pub(super) struct Order {
    /// What they are known by, and what is to be done.
    pub tasks: Vec<(JobId, Task)>,
    /// What the job is known by that they are parts of, where there are several.
    pub group: Option<JobId>,
}

impl Service {
    /// Registers upkeep, which begins with its first step.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn begin_job(&self, kind: JobKind) -> Result<JobAtWork, Error> {
        let (id, now) = (JobId(self.entropy.id()), self.clock.now());
        let job = self.db.write(move |txn| {
            let job = Job::new(jobs::next_number(txn)?, id, kind, now);
            jobs::put(txn, &job)?;
            Ok::<_, Error>(job)
        })?;
        Ok(self.work_on(self.running.enlist(job, true), None))
    }

    /// A fresh name for a job that is about to be asked for.
    pub(super) fn next_job_id(&self) -> JobId {
        JobId(self.entropy.id())
    }

    /// Puts tasks into the queue, in one commit with `also`, which makes and checks what they are about. Gives
    /// the job that tells of all of them.
    ///
    /// # Errors
    /// `TooLarge` when the project has too many open ones; `Conflict` when an image is being exported; what
    /// `also` says.
    pub(super) fn queue_tasks(
        &self,
        actor: &Actor,
        order: Order,
        mut also: impl FnMut(&WriteTxn) -> Result<(), Error> + Send + 'static,
    ) -> Result<Job, Error> {
        let owner = (actor.project().cloned(), actor.user.clone());
        let open = |(_, task): &(JobId, Task)| {
            self.running.open(&self.rules.jobs, owner.0.as_ref(), exclusive(task))
        };
        let places = order.tasks.iter().map(open).collect::<Result<Vec<_>, Error>>()?;
        let now = self.clock.now();
        let (service, caller) = (self.clone(), actor.clone());
        let (group, tasks) = self.db.write(move |txn| {
            also(txn)?;
            let mut group = None;
            if let Some(id) = order.group {
                let images = order.tasks.iter().flat_map(|(_, task)| task.images()).collect();
                let (state, started_at) = (JobState::Running, Some(now));
                let job = new_job(txn, id, now, &owner, Task::Group)?;
                group = Some(Job { state, started_at, images, ..job });
            }
            group.iter().try_for_each(|job| jobs::put(txn, job))?;
            let mut tasks = Vec::new();
            for (id, task) in &order.tasks {
                let job = new_job(txn, *id, now, &owner, task.clone())?;
                let job = Job { parent: order.group, ..job };
                jobs::put(txn, &job)?;
                for act in work::asked(txn, service.stores(), &job)? {
                    service.record_in(txn, &caller, act)?;
                }
                tasks.push(job);
            }
            Ok::<_, Error>((group, tasks))
        })?;
        for (job, place) in tasks.iter().zip(places) {
            self.running.queue(job, place);
        }
        group.or_else(|| tasks.into_iter().next()).ok_or_else(|| Error::invalid("nothing was asked for"))
    }
}

fn new_job(
    txn: &WriteTxn,
    id: JobId,
    now: Time,
    (project, user): &(Option<ProjectId>, UserId),
    task: Task,
) -> Result<Job, Error> {
    let number = jobs::next_number(txn)?;
    Ok(Job {
        project: project.clone(),
        user: Some(user.clone()),
        images: task.images(),
        task: Some(task.clone()),
        ..Job::new(number, id, task.kind(), now)
    })
}

/// The image of which a task must be the only one of its kind.
fn exclusive(task: &Task) -> Option<ImageId> {
    match task {
        Task::Export { image, .. } => Some(*image),
        Task::Import { .. } | Task::Machine { .. } => None,
        Task::Copy { .. } | Task::CopyAcross { .. } | Task::CopyToPlaces { .. } => None,
        Task::Intake(_) | Task::Cache { .. } | Task::Group => None,
    }
}
