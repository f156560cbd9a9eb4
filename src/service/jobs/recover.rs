//! Jobs across processes: what a start makes of those it finds, and how long ended ones are kept.

use super::exclusive;
use super::{Error, Service};
use crate::catalog::jobs;
use crate::model::job::{Failure, Job, JobKind, JobState};

/// How often a task begins before it counts as one that ends its process.
const ATTEMPTS_MAX: u32 = 5;
/// Jobs that one commit removes.
const PRUNED_AT_ONCE: usize = 1000;

impl Service {
    /// Takes over the jobs of a process that is no more; says how many were interrupted. Tasks wait for
    /// their turn again. Upkeep that was paused goes on waiting, where somebody `takes_up` such work; other
    /// upkeep was interrupted. For start-up.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn recover_jobs(&self, takes_up: bool) -> Result<usize, Error> {
        let mut ended = Vec::new();
        let mut begun = Vec::new();
        for job in jobs::open(&self.db.read()?)? {
            match &job.task {
                None if takes_up && job.paused => {
                    self.running.enlist(Job { state: JobState::Queued, ..job }, false);
                }
                None => ended.push(interrupted(job)),
                Some(_) if job.kind == JobKind::Group => {}
                Some(_) if job.attempts >= ATTEMPTS_MAX => ended.push(given_up(job)),
                Some(task) => {
                    let place = self.running.open_again(job.project.as_ref(), exclusive(task))?;
                    let waiting = Job { state: JobState::Queued, ..job };
                    self.running.queue(&waiting, place);
                    if job.state == JobState::Running {
                        begun.push(waiting);
                    }
                }
            }
        }
        let (count, now, service) = (ended.len(), self.clock.now(), self.clone());
        if count + begun.len() > 0 {
            self.db.write(move |txn| {
                begun.iter().try_for_each(|job| jobs::put(txn, job))?;
                for job in &ended {
                    service.settle(txn, &Job { finished_at: Some(now), ..job.clone() }, now)?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(count)
    }

    /// What a process makes of jobs that has just started on the same catalog.
    #[cfg(test)]
    pub(in crate::service) fn restart_jobs(&self) -> usize {
        self.running.clear();
        self.recover_jobs(true).unwrap()
    }

    /// Removes ended jobs that are more, or older, than are kept; says how many.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn prune_jobs(&self) -> Result<usize, Error> {
        let (kept, since) = (self.rules.jobs.kept, self.clock.now().plus_seconds(-self.rules.jobs.kept_s));
        let mut all = 0;
        loop {
            let gone = self.db.write(move |txn| jobs::prune(txn, kept, since, PRUNED_AT_ONCE))?;
            all += gone;
            if gone < PRUNED_AT_ONCE {
                return Ok(all);
            }
        }
    }
}

fn interrupted(job: Job) -> Job {
    Job { state: JobState::Interrupted, paused: false, ..job }
}

/// A task that was begun too often: it may be what ends the process.
fn given_up(job: Job) -> Job {
    let message = format!(
        "it was begun {} times, and each time the server ended before it did; ask for it again if that had \
         another reason",
        job.attempts
    );
    Job { error: Some(Failure { code: "interrupted".into(), message }), ..interrupted(job) }
}
