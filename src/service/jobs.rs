//! Long work as jobs: persisted, watched, paused, ended. Knows no kind of work.
//!
//! Invariants: a job's record exists before its work begins, and its end is recorded before its
//! caller hears of it; what is running is known in memory, so that progress costs a commit now and
//! then only; a job whose process died is interrupted, never running, but for one that somebody
//! paused: it waits on for whoever does its kind of work, until it is resumed or cancelled.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::audit::Act;
use super::upkeep::Step;
use super::{Actor, Error, Service};
use crate::base::Time;
use crate::catalog::jobs;
use crate::model::Operation;
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
    cancelled: bool,
    /// Whether somebody does its work; one that was paused when its process ended waits for that.
    at_work: bool,
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
                paused: false,
            };
            jobs::put(txn, &job)?;
            jobs::prune(txn, KEPT)?;
            Ok::<_, Error>(job)
        })?;
        Ok(self.work_on(self.enlist(job, true)))
    }

    /// Takes up a job of this kind whose process ended while it was paused. Its next step waits until
    /// it is resumed.
    pub fn take_up_job(&self, kind: JobKind) -> Option<JobAtWork> {
        let waiting = self.waiting_job(kind)?;
        let taken = std::mem::replace(&mut lock(&waiting.state).at_work, true);
        (!taken).then(|| self.work_on(waiting))
    }

    /// Whether there is one to be taken up.
    pub fn has_waiting_job(&self, kind: JobKind) -> bool {
        self.waiting_job(kind).is_some()
    }

    fn waiting_job(&self, kind: JobKind) -> Option<Arc<Active>> {
        let waits = |active: &&Arc<Active>| {
            let control = lock(&active.state);
            control.job.kind == kind && !control.at_work
        };
        lock(&self.running.0).values().find(waits).cloned()
    }

    fn enlist(&self, job: Job, at_work: bool) -> Arc<Active> {
        let id = job.id;
        let control = Control { job, cancelled: false, at_work };
        let active = Arc::new(Active { state: Mutex::new(control), changed: Condvar::new() });
        lock(&self.running.0).insert(id, active.clone());
        active
    }

    fn work_on(&self, active: Arc<Active>) -> JobAtWork {
        let persisted_at = self.clock.now();
        JobAtWork { service: self.clone(), active, persisted_at, was_cancelled: false, finished: false }
    }

    /// The newest jobs, newest first.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], or when the catalog fails.
    pub fn jobs(&self, actor: &Actor) -> Result<Vec<Job>, Error> {
        self.authorise_upkeep(actor)?;
        let listed = jobs::list(&self.db.read()?, KEPT)?;
        Ok(listed.into_iter().map(|job| self.seen(job)).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// [`super::ErrorKind::Forbidden`], [`super::ErrorKind::NotFound`], or when the catalog fails.
    pub fn job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
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
    pub fn cancel_job(&self, actor: &Actor, id: JobId) -> Result<Job, Error> {
        let active = self.control(actor, id, |control| control.cancelled = true)?;
        self.record(actor, Act::on(Operation::CancelJob, id))?;
        let mut control = lock(&active.state);
        let nobody_ends_it = !std::mem::replace(&mut control.at_work, true);
        drop(control);
        if nobody_ends_it {
            let mut job = self.work_on(active.clone());
            job.was_cancelled = true;
            job.finish(Ok(BTreeMap::new()))?;
        }
        Ok(active.job())
    }

    /// Has a job wait, or go on. That it waits outlives the process.
    ///
    /// # Errors
    /// As [`Service::cancel_job`].
    pub fn pause_job(&self, actor: &Actor, id: JobId, paused: bool) -> Result<Job, Error> {
        let active = self.control(actor, id, |control| control.job.paused = paused)?;
        let operation = if paused { Operation::PauseJob } else { Operation::ResumeJob };
        self.record(actor, Act::on(operation, id))?;
        self.keep_job(&active)?;
        Ok(active.job())
    }

    /// Notes that the jobs of a process that is no more were interrupted; says how many. Those that
    /// were paused go on waiting, where somebody `takes_up` such work. For start-up.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn recover_jobs(&self, takes_up: bool) -> Result<usize, Error> {
        let mut left = jobs::list(&self.db.read()?, usize::MAX)?;
        left.retain(|job| !job.state.is_final());
        let (waiting, mut left): (Vec<Job>, Vec<Job>) =
            left.into_iter().partition(|job| takes_up && job.paused);
        for job in waiting {
            self.enlist(Job { state: JobState::Queued, ..job }, false);
        }
        let (count, now) = (left.len(), self.clock.now());
        if count > 0 {
            self.db.write(move |txn| {
                for job in &mut left {
                    job.state = JobState::Interrupted;
                    (job.finished_at, job.paused) = (Some(now), false);
                    jobs::put(txn, job)?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(count)
    }

    /// A job as it is now, where memory knows better than its record.
    fn seen(&self, job: Job) -> Job {
        lock(&self.running.0).get(&job.id).map_or(job, |active| active.job())
    }

    fn control(
        &self,
        actor: &Actor,
        id: JobId,
        change: impl FnOnce(&mut Control),
    ) -> Result<Arc<Active>, Error> {
        let known = self.job(actor, id)?;
        let active = lock(&self.running.0).get(&id).cloned();
        let Some(active) = active else {
            return Err(Error::conflict(format!("job {id} has ended: it {}", known.state.as_str())));
        };
        change(&mut lock(&active.state));
        active.changed.notify_all();
        Ok(active)
    }
}

impl Active {
    fn job(&self) -> Job {
        lock(&self.state).job.clone()
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
        let waits = |control: &mut Control| control.job.paused && !control.cancelled;
        let control = self.active.changed.wait_while(control, waits).unwrap_or_else(PoisonError::into_inner);
        self.was_cancelled = control.cancelled;
        drop(control);
        if turned || due {
            self.persisted_at = now;
            if let Err(error) = self.service.keep_job(&self.active) {
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
        (job.finished_at, job.paused) = (Some(now), false);
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
        let id = job.id;
        drop(control);
        let kept = self.service.keep_job(&self.active);
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
    /// Records a job as it is when the commit is made, so that no commit brings an older state back.
    fn keep_job(&self, active: &Arc<Active>) -> Result<(), Error> {
        let active = active.clone();
        self.db.write(move |txn| Ok(jobs::put(txn, &active.job())?))
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
        assert_eq!(service.job(&actor, id).unwrap().state, JobState::Queued);
        assert!(job.step(&step("one", 1)).is_continue());
        assert!(job.step(&step("one", 7)).is_continue());
        let seen = service.job(&actor, id).unwrap();
        assert_eq!((seen.state, seen.phase.as_str(), seen.done_bytes), (JobState::Running, "one", 7));
        job.finish(Ok([("packs".to_owned(), 3)].into())).unwrap();
        let seen = service.job(&actor, id).unwrap();
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
        assert_eq!(service.job(&actor, id).unwrap().state, JobState::Cancelled);
    }

    #[test]
    fn a_paused_job_goes_on_when_it_is_resumed() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        service.pause_job(&actor, id, true).unwrap();
        let worker = std::thread::spawn(move || job.step(&step("one", 1)).is_continue());
        while service.job(&actor, id).unwrap().state != JobState::Running {
            std::thread::yield_now();
        }
        assert!(!worker.is_finished());
        assert!(!service.pause_job(&actor, id, false).unwrap().paused);
        assert!(worker.join().unwrap());
        // Nobody finished it.
        assert_eq!(service.job(&actor, id).unwrap().state, JobState::Failed);
    }

    #[test]
    fn p2_jobs_of_a_process_that_died_are_interrupted_and_old_ones_go() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        std::mem::forget(service.begin_job(JobKind::Reclaim).unwrap());
        lock(&service.running.0).clear();
        assert_eq!(service.recover_jobs(true).unwrap(), 1);
        assert_eq!(service.recover_jobs(true).unwrap(), 0);
        assert_eq!(service.job(&actor, JobId(1)).unwrap().state, JobState::Interrupted);
        for _ in 0..KEPT {
            service.begin_job(JobKind::Reclaim).unwrap().finish(Ok(BTreeMap::new())).unwrap();
        }
        let listed = service.jobs(&actor).unwrap();
        assert_eq!((listed.len(), listed[0].id), (KEPT, JobId(KEPT as u64 + 1)));
        assert!(service.job(&actor, JobId(1)).is_err());
    }

    /// A service of a process that has just started on the same catalog.
    fn restarted(service: &Service, takes_up: bool) -> usize {
        lock(&service.running.0).clear();
        service.recover_jobs(takes_up).unwrap()
    }

    #[test]
    fn p2_a_paused_job_waits_on_in_the_next_process() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let mut job = service.begin_job(JobKind::Reclaim).unwrap();
        let id = job.id();
        assert!(job.step(&step("one", 1)).is_continue());
        service.pause_job(&actor, id, true).unwrap();
        std::mem::forget(job);
        assert_eq!(restarted(&service, true), 0);
        let seen = service.job(&actor, id).unwrap();
        assert_eq!((seen.state, seen.paused), (JobState::Queued, true));
        assert!(service.has_waiting_job(JobKind::Reclaim));
        let mut job = service.take_up_job(JobKind::Reclaim).unwrap();
        assert!(service.take_up_job(JobKind::Reclaim).is_none() && job.id() == id);
        let worker = std::thread::spawn(move || {
            let goes_on = job.step(&step("two", 1)).is_continue();
            job.finish(Ok(BTreeMap::new())).unwrap();
            goes_on
        });
        while service.job(&actor, id).unwrap().state != JobState::Running {
            std::thread::yield_now();
        }
        assert!(!worker.is_finished());
        service.pause_job(&actor, id, false).unwrap();
        assert!(worker.join().unwrap());
        let seen = service.job(&actor, id).unwrap();
        assert_eq!((seen.state, seen.paused), (JobState::Succeeded, false));
    }

    #[test]
    fn a_paused_job_that_nobody_takes_up_can_be_resumed_and_cancelled() {
        let (service, _) = testing::service();
        let actor = admin(&service);
        let paused = || {
            let job = service.begin_job(JobKind::Reclaim).unwrap();
            let id = job.id();
            service.pause_job(&actor, id, true).unwrap();
            std::mem::forget(job);
            id
        };
        let id = paused();
        restarted(&service, true);
        assert!(!service.pause_job(&actor, id, false).unwrap().paused);
        assert!(service.has_waiting_job(JobKind::Reclaim));
        assert_eq!(service.cancel_job(&actor, id).unwrap().state, JobState::Cancelled);
        assert_eq!(service.job(&actor, id).unwrap().state, JobState::Cancelled);
        assert!(!service.has_waiting_job(JobKind::Reclaim));
        // Resumed before the process ended: as any other.
        let id = paused();
        service.pause_job(&actor, id, false).unwrap();
        assert_eq!(restarted(&service, true), 1);
        // And where the box does no such work by itself.
        let other = paused();
        assert_eq!(restarted(&service, false), 1);
        for id in [id, other] {
            assert_eq!(service.job(&actor, id).unwrap().state, JobState::Interrupted);
        }
    }

    #[test]
    fn strangers_see_no_jobs() {
        let (service, _) = testing::service();
        let stranger = Actor { roles: ["member".to_owned()].into(), ..admin(&service) };
        assert_eq!(service.jobs(&stranger).unwrap_err().kind, ErrorKind::Forbidden);
        assert_eq!(service.cancel_job(&stranger, JobId(1)).unwrap_err().kind, ErrorKind::Forbidden);
    }
}
