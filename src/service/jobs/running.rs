//! What memory knows of jobs: those at work, and the queue of those that wait.
//!
//! Invariant: a task is in the queue, or at work, or neither has room for it any more: it goes from one to
//! the other in one step. Must not know what is on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use super::JobRules;
use super::queue::Lines;
use crate::model::job::{Job, JobId, JobKind};
use crate::model::{ImageId, ProjectId};
use crate::service::{Error, Hindrance, Reason};

/// The jobs that memory knows. Cheap to share.
#[derive(Clone, Default)]
pub(in crate::service) struct Running(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when a task may have its turn.
    changed: Notify,
}

#[derive(Default)]
struct State {
    active: BTreeMap<JobId, Arc<Active>>,
    lines: Lines,
    /// Whether no task begins any more, as the process is ending.
    closed: bool,
}

/// One job at work.
pub(super) struct Active {
    pub(super) state: Mutex<Control>,
    pub(super) changed: Condvar,
}

pub(super) struct Control {
    pub(super) job: Job,
    /// How it ended, from before that is recorded.
    pub(super) ended: Option<Job>,
    pub(super) cancelled: bool,
    /// Whether it is to go back to the queue, as the process is ending.
    pub(super) put_down: bool,
    /// Whether somebody does its work; one that was paused when its process ended waits for that.
    pub(super) at_work: bool,
}

/// A task's place among the open ones of its project, from before it is recorded to its end.
pub(super) struct OpenPlace {
    /// The queue keeps places, so that a place keeps no queue.
    running: Weak<Shared>,
    project: Option<ProjectId>,
    exclusive: Option<ImageId>,
}

/// A task's turn, from the queue to its end.
pub(super) struct Turn {
    running: Running,
    kind: JobKind,
    place: OpenPlace,
}

impl Running {
    /// Takes a place among the open tasks of a project.
    pub(super) fn open(
        &self,
        rules: &JobRules,
        project: Option<&ProjectId>,
        exclusive: Option<ImageId>,
    ) -> Result<OpenPlace, Error> {
        let most = rules.project_open_max;
        let mut state = self.lock();
        if state.lines.open_of(project) >= most {
            let message = format!(
                "the project has {most} jobs that have not ended, which is the most; wait for some of them"
            );
            return Err(Error::too_large(message).because(Reason::Transfer(Hindrance::TooManyJobs)));
        }
        self.open_anyway(&mut state, project, exclusive)
    }

    /// The same for what was asked for by an earlier process: there is always room for that.
    pub(super) fn open_again(
        &self,
        project: Option<&ProjectId>,
        exclusive: Option<ImageId>,
    ) -> Result<OpenPlace, Error> {
        self.open_anyway(&mut self.lock(), project, exclusive)
    }

    fn open_anyway(
        &self,
        state: &mut State,
        project: Option<&ProjectId>,
        exclusive: Option<ImageId>,
    ) -> Result<OpenPlace, Error> {
        if !state.lines.open(project, exclusive) {
            let message = "the image is being exported already; wait for that job's end".to_owned();
            return Err(Error::conflict(message).because(Reason::Transfer(Hindrance::ExportUnderWay)));
        }
        Ok(OpenPlace { running: Arc::downgrade(&self.0), project: project.cloned(), exclusive })
    }

    /// Lets a recorded task wait for its turn.
    pub(super) fn queue(&self, job: &Job, place: OpenPlace) {
        self.lock().lines.wait(job, place);
        self.0.changed.notify_waiters();
    }

    /// The task whose turn it is.
    pub(super) fn next(&self, rules: &JobRules) -> Option<JobId> {
        let state = self.lock();
        if state.closed { None } else { state.lines.next(rules) }
    }

    /// Puts the task of `job` to work, if it still waits and has room.
    pub(super) fn begin(&self, rules: &JobRules, job: Job) -> Option<(Arc<Active>, Turn)> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let (kind, place) = state.lines.begin(rules, &job.id)?;
        let turn = Turn { running: self.clone(), kind, place };
        Some((state.enlist(job, true), turn))
    }

    /// Takes a task that waits out of the queue; its place is free when the answer is dropped.
    pub(super) fn withdraw(&self, id: &JobId) -> Option<OpenPlace> {
        self.lock().lines.withdraw(id)
    }

    /// Waits until a task may have its turn.
    pub(super) async fn changed(&self, rules: &JobRules) {
        let changed = self.0.changed.notified();
        tokio::pin!(changed);
        // Before looking, so that nothing that happens after is missed.
        changed.as_mut().enable();
        if self.next(rules).is_none() {
            changed.await;
        }
    }

    /// Lets no task begin any more, and has those at work go back to the queue at their next step.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let tasks: Vec<Arc<Active>> = state.active.values().cloned().collect();
        drop(state);
        for active in tasks {
            let mut control = active.lock();
            control.put_down = control.job.task.is_some();
            drop(control);
            active.changed.notify_all();
        }
        self.0.changed.notify_waiters();
    }

    /// Adds a job at work, or one that waits for whoever does its kind of work.
    pub(super) fn enlist(&self, job: Job, at_work: bool) -> Arc<Active> {
        self.lock().enlist(job, at_work)
    }

    /// The job at work known by this id.
    pub(super) fn active(&self, id: &JobId) -> Option<Arc<Active>> {
        self.lock().active.get(id).cloned()
    }

    /// The first job at work that has what is asked.
    pub(super) fn find(&self, fits: impl Fn(&Control) -> bool) -> Option<Arc<Active>> {
        self.lock().active.values().find(|active| fits(&active.lock())).cloned()
    }

    /// Removes a job that has ended.
    pub(super) fn forget(&self, id: &JobId) {
        self.lock().active.remove(id);
    }

    /// Forgets everything, as the end of a process does.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        let old = std::mem::take(&mut *self.lock());
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is complete before anything can panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enlist(&mut self, job: Job, at_work: bool) -> Arc<Active> {
        let id = job.id;
        let control = Control { job, ended: None, cancelled: false, put_down: false, at_work };
        let active = Arc::new(Active { state: Mutex::new(control), changed: Condvar::new() });
        self.active.insert(id, active.clone());
        active
    }
}

impl Active {
    /// The job as it is now.
    pub(super) fn job(&self) -> Job {
        self.lock().job.clone()
    }

    /// The job as it is to be recorded now: a later record never brings an older state back.
    pub(super) fn recorded(&self) -> Job {
        let control = self.lock();
        control.ended.clone().unwrap_or_else(|| control.job.clone())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Control> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        if let Some(shared) = self.running.upgrade() {
            Running(shared).lock().lines.close(self.project.as_ref(), self.exclusive);
        }
    }
}

impl OpenPlace {
    /// Whose place it is.
    pub(super) fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.lock().lines.end(self.kind, self.place.project());
        self.running.0.changed.notify_waiters();
    }
}
