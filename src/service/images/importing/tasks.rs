//! Imports as the Image API tells of them: tasks, for a while after their end.
//!
//! A task is a job under another name. Must not know how one is printed.

use crate::base::Time;
use crate::catalog::jobs;
use crate::db::ReadTxn;
use crate::model::ImageId;
use crate::model::job::{IntakeKind, Job, JobId, JobState, Task};
use crate::service::images::access;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// Tasks that are read at once.
const READ_AT_ONCE: usize = 500;

/// How far a task is, in the Image API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// It waits for its turn.
    Pending,
    /// It is at work.
    Processing,
    /// It did what was asked for.
    Success,
    /// It did not.
    Failure,
}

impl TaskState {
    /// Every one.
    pub const ALL: [TaskState; 4] =
        [TaskState::Pending, TaskState::Processing, TaskState::Success, TaskState::Failure];

    /// Of a job.
    pub fn of(state: JobState) -> TaskState {
        match state {
            JobState::Queued => TaskState::Pending,
            JobState::Running => TaskState::Processing,
            JobState::Succeeded => TaskState::Success,
            JobState::Failed | JobState::Cancelled | JobState::Interrupted => TaskState::Failure,
        }
    }

    /// The Image API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Processing => "processing",
            TaskState::Success => "success",
            TaskState::Failure => "failure",
        }
    }
}

/// Which tasks are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only those that are so far.
    pub state: Option<TaskState>,
    /// Only those that were asked for so.
    pub kind: Option<IntakeKind>,
}

impl TaskFilter {
    fn admits(&self, job: &Job) -> bool {
        let kind = match &job.task {
            Some(Task::Intake(intake)) => intake.kind,
            _ => return false,
        };
        self.state.is_none_or(|state| state == TaskState::of(job.state))
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

impl Service {
    /// All tasks that are told of, newest first.
    ///
    /// # Errors
    /// `Forbidden` without the right to see tasks.
    pub fn import_tasks(&self, actor: &Actor, filter: &TaskFilter) -> Result<Vec<Job>, Error> {
        actor.expect(Action::TasksGet, Resource::None)?;
        let read = self.db.read()?;
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = jobs::intakes(&read, before, READ_AT_ONCE)?;
            let is_last = page.len() < READ_AT_ONCE;
            before = page.last().map(|job| job.number);
            for job in page {
                let job = self.seen(job)?;
                if self.is_told(&job) && filter.admits(&job) {
                    all.push(job);
                }
            }
            if is_last {
                return Ok(all);
            }
        }
    }

    /// One task.
    ///
    /// # Errors
    /// `Forbidden` without the right to see tasks; `NotFound`.
    pub fn import_task(&self, actor: &Actor, id: &JobId) -> Result<Job, Error> {
        actor.expect(Action::TasksGet, Resource::None)?;
        let found = find(&self.db.read()?, id)?.map(|job| self.seen(job)).transpose()?;
        let none = || Error::not_found(format!("there is no task {}", super::task_id(id)));
        found.filter(|job| self.is_told(job)).ok_or_else(none)
    }

    /// The tasks that are about an image, oldest first, for whoever sees it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn import_tasks_of(&self, actor: &Actor, image: &ImageId) -> Result<Vec<Job>, Error> {
        let read = self.db.read()?;
        access::visible(&read, actor, image)?;
        let found = jobs::intakes_of(&read, image)?.into_iter().map(|job| self.seen(job));
        Ok(found.collect::<Result<Vec<_>, Error>>()?.into_iter().filter(|job| self.is_told(job)).collect())
    }

    /// Until when an ended task is told of.
    pub fn task_expires_at(&self, job: &Job) -> Option<Time> {
        job.finished_at.map(|ended| ended.plus_seconds(self.rules.imports.task_ttl_s))
    }

    fn is_told(&self, job: &Job) -> bool {
        self.task_expires_at(job).is_none_or(|expires| self.clock.now() < expires)
    }
}

fn find(read: &ReadTxn, id: &JobId) -> Result<Option<Job>, Error> {
    Ok(jobs::get(read, id)?.filter(|job| matches!(job.task, Some(Task::Intake(_)))))
}
