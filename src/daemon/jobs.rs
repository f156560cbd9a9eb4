//! Workers: takes tasks out of the queue as long as there is room for them, and does them.
//!
//! Invariants: a task that dies takes nothing else along; at a stop those at work go back to the queue, for the
//! next process. Forgets ended jobs now and then.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::Service;
use crate::service::jobs::JobAtWork;

/// Rest after the catalog failed.
const REST: Duration = Duration::from_secs(1);
/// Between two looks for jobs that are old enough to go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// Works until told to stop; then tasks at work have `drain` to come to a step.
pub async fn run(service: Service, drain: Duration, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    keep_working(&service, &tasks, &stop).await;
    service.put_tasks_down();
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(
            jobs = tasks.len(),
            "jobs did not come to a step in time; the next start takes them up again"
        );
    }
}

/// Is never cut off between taking a task and having it done: nobody would do it then.
async fn keep_working(service: &Service, tasks: &TaskTracker, stop: &CancellationToken) {
    let mut pruned: Option<Instant> = None;
    while !stop.is_cancelled() {
        match claim(service).await {
            Some(job) => {
                let worker = service.clone();
                tasks.spawn(async move { perform(worker, job).await });
            }
            None => {
                if pruned.is_none_or(|at| at.elapsed() >= PRUNE_INTERVAL) {
                    pruned = Some(Instant::now());
                    prune(service).await;
                }
                tokio::select! {
                    () = service.task_is_due() => {}
                    () = sleep(PRUNE_INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

async fn claim(service: &Service) -> Option<JobAtWork> {
    let asked = service.clone();
    match tokio::task::spawn_blocking(move || asked.claim_task()).await {
        Ok(Ok(job)) => job,
        Ok(Err(error)) => {
            tracing::warn!(%error, "no job can be begun now; it is tried again");
            sleep(REST).await;
            None
        }
        Err(died) => {
            tracing::error!(%died, "taking a job out of the queue panicked; it is tried again");
            sleep(REST).await;
            None
        }
    }
}

async fn perform(service: Service, job: JobAtWork) {
    let id = job.id();
    // In a task of its own, so that a panic is told of with the job's name.
    if let Err(died) = tokio::spawn(async move { service.perform(job).await }).await {
        tracing::error!(job = %id, %died, "a job panicked, and has failed");
    }
}

async fn prune(service: &Service) {
    let asked = service.clone();
    match tokio::task::spawn_blocking(move || asked.prune_jobs()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(jobs)) => tracing::info!(jobs, "forgot jobs that had ended long ago, or were too many"),
        Ok(Err(error)) => tracing::warn!(%error, "old jobs stay for now; it is tried again"),
        Err(died) => tracing::error!(%died, "looking for old jobs panicked; it is tried again"),
    }
}
