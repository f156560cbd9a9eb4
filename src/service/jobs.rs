//! Long work as jobs: persisted, watched, paused, ended. Knows no kind of work.
//!
//! Invariants: a job's record exists before its work begins, and its end is recorded before its
//! caller hears of it; what is running is known in memory, so that progress costs a commit now and
//! then only; a job whose process died is interrupted, never running.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::upkeep::Step;
use super::{Actor, Error, Service};
use crate::base::Time;
use crate::catalog::jobs;
use crate::model::job::{Job, JobId, JobKind, JobState};

/// Jobs that are kept.
const KEPT: usize = 100;
/// Longest time that progress is in memory only, in seconds.
const PERSISTED_EVERY_S: i64 = 30;

/// What is running. Cheap to share.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<BTreeMap<JobId, Arc<Active>>>>);

/// One job at work.
struct Active {
    state: Mutex<Control>,
    changed: Condvar,
}

struct Control {
    job: Job,
    paused: bool,
    cancelled: bool,
}

/// A job as a caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: Job,
    /// Whether it waits until it is resumed.
    pub paused: bool,
}

/// A job in the hands of whoever does its work. Dropping it before [`JobAtWork::finish`] fails it.
pub struct JobAtWork {
    service: Service,
    active: Arc<Active>,
    persisted_at: Time,
    was_cancelled: bool,
    finished: bool,
}

impl Service {
    /// Registers a job, which begins with its first step.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn begin_job(&self, kind: JobKind) -> Result<JobAtWork, Error> {
        let now = self.clock.now();
        let job = self.db.write(move |txn| {
            let job = Job {
                id: jobs::next_id(txn)?,
                kind,
                state: JobState::Queued,
                phase: String::new(),
                done_bytes: 0,
                total_bytes: None,
                created_at: now,
                started_at: None,
                finished_at: None,
                result: BTreeMap::new(),
                error: None,
            };
            jobs::put(txn, &job)?;
            jobs::prune(txn, KEPT)?;
            Ok::<_, Error>(job)
        })?;
        let id = job.id;
        let control = Control { job, paused: false, cancelled: false };
        let active = Arc::new(Active { state: Mutex::new(control), changed: Condvar::new() });
        lock(&self.running.0).insert(id, active.clone());
        Ok(JobAtWork {
            service: self.clone(),
            active,
            persisted_at: now,
            was_cancelled: false,
            finished: false,
        })
    }

    /// The newest jobs, newest first.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog fails.
    pub fn jobs(&self, actor: &Actor) -> Result<Vec<JobView>, Error> {
        self.authorise_upkeep(actor)?;
        let listed = jobs::list(&self.db.read()?, KEPT)?;
        Ok(listed.into_iter().map(|job| self.seen(job)).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], [`super::ErrorKind::NotFound`], or when the catalog fails.
    pub fn job(&self, actor: &Actor, id: JobId) -> Result<JobView, Error> {
        self.authorise_upkeep(actor)?;
        match jobs::get(&self.db.read()?, id)? {
            Some(job) => Ok(self.seen(job)),
            None => Err(Error::not_found(format!("there is no job {id}"))),
        }
    }

    /// Asks a job to end. What it did by then stays.
    ///
    /// # Errors
    /// As [`Service::job`], and [`super::ErrorKind::Conflict`] when it has ended.
    pub fn cancel_job(&self, actor: &Actor, id: JobId) -> Result<JobView, Error> {
        self.control(actor, id, |control| control.cancelled = true)
    }

    /// Has a job wait, or go on.
    ///
    /// # Errors
    /// As [`Service::cancel_job`].
    pub fn pause_job(&self, actor: &Actor, id: JobId, paused: bool) -> Result<JobView, Error> {
        self.control(actor, id, |control| control.paused = paused)
    }

    /// Notes that the jobs of a process that is no more were interrupted; says how many. For start-up.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn recover_jobs(&self) -> Result<usize, Error> {
        let mut left = jobs::list(&self.db.read()?, usize::MAX)?;
        left.retain(|job| !job.state.is_final());
        let (count, now) = (left.len(), self.clock.now());
        if count > 0 {
            self.db.write(move |txn| {
                for job in &mut left {
                    job.state = JobState::Interrupted;
                    job.finished_at = Some(now);
                    jobs::put(txn, job)?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(count)
    }

    /// A job as it is now, where memory knows better than its record.
    fn seen(&self, job: Job) -> JobView {
        match lock(&self.running.0).get(&job.id) {
            Some(active) => active.view(),
            None => JobView { job, paused: false },
        }
    }

    fn control(&self, actor: &Actor, id: JobId, change: impl FnOnce(&mut Control)) -> Result<JobView, Error> {
        let known = self.job(actor, id)?;
        let active = lock(&self.running.0).get(&id).cloned();
        let Some(active) = active else {
            return Err(Error::conflict(format!("job {id} has ended: it {}", known.job.state.as_str())));
        };
        change(&mut lock(&active.state));
        active.changed.notify_all();
        Ok(active.view())
    }
}

impl Active {
    fn view(&self) -> JobView {
        let control = lock(&self.state);
        JobView { job: control.job.clone(), paused: control.paused }
    }
}

impl JobAtWork {
    /// Its number.
    pub fn id(&self) -> JobId {
        lock(&self.active.state).job.id
    }

    /// Tells how far it is; waits while it is paused. The work ends where this breaks.
    pub fn step(&mut self, step: &Step) -> ControlFlow<()> {
        let now = self.service.clock.now();
        let mut control = lock(&self.active.state);
        let turned = control.job.state == JobState::Queued || control.job.phase != step.phase;
        let job = &mut control.job;
        job.state = JobState::Running;
        job.started_at.get_or_insert(now);
        step.phase.clone_into(&mut job.phase);
        (job.done_bytes, job.total_bytes) = (step.done, step.total);
        let due = self.persisted_at.plus_seconds(PERSISTED_EVERY_S) <= now;
        let changed = (turned || due).then(|| job.clone());
        let waits = |control: &mut Control| control.paused && !control.cancelled;
        let control = self.active.changed.wait_while(control, waits).unwrap_or_else(PoisonError::into_inner);
        self.was_cancelled = control.cancelled;
        drop(control);
        if let Some(job) = changed {
            self.persisted_at = now;
            if let Err(error) = self.service.keep_job(job) {
                tracing::warn!(%error, "a job's progress was not recorded");
            }
        }
        if self.was_cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
        let now = self.service.clock.now();
        let mut control = lock(&self.active.state);
        let job = &mut control.job;
        job.finished_at = Some(now);
        match outcome {
            Ok(result) => {
                job.state = if self.was_cancelled { JobState::Cancelled } else { JobState::Succeeded };
                job.result = result;
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.error = Some(error.message.clone());
            }
        }
        let job = job.clone();
        drop(control);
        let id = job.id;
        let kept = self.service.keep_job(job);
        lock(&self.service.running.0).remove(&id);
        kept
    }
}

impl Drop for JobAtWork {
    fn drop(&mut self) {
        if !self.finished {
            let fault = Error::new(super::ErrorKind::Internal, "the work broke off; the log says why");
            if let Err(error) = self.end(Err(&fault)) {
                tracing::warn!(%error, "a job's end was not recorded");
            }
        }
    }
}

impl Service {
    fn keep_job(&self, job: Job) -> Result<(), Error> {
        self.db.write(move |txn| Ok(jobs::put(txn, &job)?))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{ErrorKind, testing};

    fn step(phase: &'static str, done: u64) -> Step {
        Step { phase, done, total: Some(10) }
    }

    fn admin(service: &Service) -> Actor {
        service.local_admin().unwrap()
    }

    #[test]
    fn a_job_is_recorded_from_its_beginning_to_its_end() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        assert_eq!(service.job(&actor, id).unwrap().job.state, JobState::Queued);
        assert!(job.step(&step("one", 1)).is_continue());
        assert!(job.step(&step("one", 7)).is_continue());
        let seen = service.job(&actor, id).unwrap().job;
        assert_eq!((seen.state, seen.phase.as_str(), seen.done_bytes), (JobState::Running, "one", 7));
        job.finish(Ok([("packs".to_owned(), 3)].into())).unwrap();
        let seen = service.job(&actor, id).unwrap().job;
        assert_eq!((seen.state, seen.result["packs"]), (JobState::Succeeded, 3));
        assert!(seen.created_at <= seen.started_at.unwrap() && seen.started_at <= seen.finished_at);
        assert_eq!(service.cancel_job(&actor, id).unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(service.cancel_job(&actor, JobId(99)).unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn steps_cost_few_commits() {
        let (service, clock) = testing::service();
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let recorded = |id| jobs::get(&service.db.read().unwrap(), id).unwrap().unwrap().done_bytes;
        for done in 0..100 {
            let _ = job.step(&step("one", done));
        }
        assert_eq!(recorded(job.id()), 0);
        clock.step_seconds(PERSISTED_EVERY_S);
        let _ = job.step(&step("one", 100));
        assert_eq!(recorded(job.id()), 100);
    }

    #[test]
    fn a_cancelled_job_ends_at_its_next_step_even_while_paused() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        assert!(service.pause_job(&actor, id, true).unwrap().paused);
        let worker = std::thread::spawn(move || {
            let stopped = job.step(&step("one", 1)).is_break();
            job.finish(Ok(BTreeMap::new())).unwrap();
            stopped
        });
        service.cancel_job(&actor, id).unwrap();
        assert!(worker.join().unwrap());
        assert_eq!(service.job(&actor, id).unwrap().job.state, JobState::Cancelled);
    }

    #[test]
    fn a_paused_job_goes_on_when_it_is_resumed() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        service.pause_job(&actor, id, true).unwrap();
        let worker = std::thread::spawn(move || job.step(&step("one", 1)).is_continue());
        while service.job(&actor, id).unwrap().job.state != JobState::Running {
            std::thread::yield_now();
        }
        assert!(!worker.is_finished());
        assert!(!service.pause_job(&actor, id, false).unwrap().paused);
        assert!(worker.join().unwrap());
        // Nobody finished it.
        assert_eq!(service.job(&actor, id).unwrap().job.state, JobState::Failed);
    }

    #[test]
    fn p2_jobs_of_a_process_that_died_are_interrupted_and_old_ones_go() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        std::mem::forget(service.begin_job(JobKind::Reclaim).unwrap());
        lock(&service.running.0).clear();
        assert_eq!(service.recover_jobs().unwrap(), 1);
        assert_eq!(service.recover_jobs().unwrap(), 0);
        assert_eq!(service.job(&actor, JobId(1)).unwrap().job.state, JobState::Interrupted);
        for _ in 0..KEPT {
            service.begin_job(JobKind::Reclaim).unwrap().finish(Ok(BTreeMap::new())).unwrap();
        }
        let listed = service.jobs(&actor).unwrap();
        assert_eq!((listed.len(), listed[0].job.id), (KEPT, JobId(KEPT as u64 + 1)));
        assert!(service.job(&actor, JobId(1)).is_err());
    }

    #[test]
    fn strangers_see_no_jobs() {
        let (service, _) = testing::service();
        let stranger = Actor { roles: ["member".to_owned()].into(), ..admin(&service) };
        assert_eq!(service.jobs(&stranger).unwrap_err().kind, ErrorKind::Forbidden);
        assert_eq!(service.cancel_job(&stranger, JobId(1)).unwrap_err().kind, ErrorKind::Forbidden);
    }
}
