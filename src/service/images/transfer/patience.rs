//! How long a job goes on trying when what it reads from or sends to fails for a while.
//!
//! Invariant: tries that come hardly further than one before are counted, and end; whoever ends the job ends the
//! waiting too.

use std::time::Duration;

use crate::model::job::Failure;
use crate::service::images::upload::in_background;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::service::{Error, Hindrance, Reason};

/// Tries in a row that come hardly further.
const TRIES_MAX: u32 = 6;
/// Bytes by which one comes further: with less, who hands out a byte a try would hold a job's place for ever.
const FURTHER_BYTES: u64 = 1 << 20;
/// How long the first waits, in milliseconds; each one after that twice as long.
const WAIT_MS: u64 = if cfg!(test) { 1 } else { 1000 };
/// How often somebody who ends the job is looked for meanwhile, in milliseconds.
const LOOK_MS: u64 = if cfg!(test) { 1 } else { 200 };

/// What is left of it.
#[derive(Debug, Default)]
pub(in crate::service::images) struct Patience {
    tries: u32,
    furthest: u64,
}

impl Patience {
    /// Waits for another try after one that came as far as the job says; gives the job back, and whether there is
    /// another try.
    pub(in crate::service::images) async fn another(
        &mut self,
        job: JobAtWork,
        why: &Error,
        phase: &'static str,
    ) -> Result<(JobAtWork, bool), Error> {
        let came = job.job().done_bytes;
        if came >= self.furthest.saturating_add(FURTHER_BYTES) {
            *self = Patience { tries: 0, furthest: came };
        }
        self.tries += 1;
        if job.was_stopped() || self.tries > TRIES_MAX {
            return Ok((job, false));
        }
        tracing::warn!(job = %job.id(), error = %why, try_number = self.tries, "a job waits and tries again");
        let message = format!("{} (try {} of {TRIES_MAX}; it is tried again)", why.message, self.tries);
        let failure = Failure { code: why.code().to_owned(), message };
        let job = wait(job, failure, phase, WAIT_MS << self.tries).await?;
        let goes_on = !job.was_stopped();
        Ok((job, goes_on))
    }
}

/// Whether a bucket, another region or a web server failed in a way that may pass.
pub(in crate::service::images) fn is_passing(error: &Error) -> bool {
    use Hindrance::{BucketFails, RegionFails, ServerFails};
    matches!(error.reason, Some(Reason::Transfer(BucketFails | RegionFails | ServerFails)))
}

/// Waits, with the reason on the job's record.
async fn wait(job: JobAtWork, failure: Failure, phase: &'static str, ms: u64) -> Result<JobAtWork, Error> {
    in_background(move || {
        let mut job = job;
        job.note(failure)?;
        let known = job.job();
        let step = Step { phase, done: known.done_bytes, total: known.total_bytes };
        for _ in 0..ms.div_ceil(LOOK_MS) {
            if job.step(&step).is_break() {
                break;
            }
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
        Ok(job)
    })
    .await
}
