//! What came of sharing many images with many, kept as a job that has ended.
//!
//! Each pair has its own commit and record; the job only tells of all of them, for clients that ask a job for it.

use super::{Actor, Error, Service};
use crate::catalog::jobs;
use crate::model::ProjectId;
use crate::model::job::{Failure, Job, JobId, JobKind, JobState, MemberOutcome};
use crate::service::images::Shared;

impl Service {
    /// Keeps what came of each pair. The job succeeded where any pair did.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn tell_shared(&self, actor: &Actor, kind: JobKind, shared: &[Shared]) -> Result<Job, Error> {
        let outcome = |pair: &Shared| MemberOutcome {
            image: pair.image,
            project: ProjectId::from(pair.with.id()),
            succeeded: pair.outcome.is_ok(),
        };
        let refused = shared.iter().find_map(|pair| pair.outcome.as_ref().err());
        let any = shared.iter().any(|pair| pair.outcome.is_ok());
        let (id, now) = (JobId(self.entropy.id()), self.clock.now());
        let told = Job {
            project: actor.project().cloned(),
            user: Some(actor.user.clone()),
            state: if any { JobState::Succeeded } else { JobState::Failed },
            members: shared.iter().map(outcome).collect(),
            error: refused.filter(|_| !any).map(Failure::from),
            started_at: Some(now),
            finished_at: Some(now),
            ..Job::new(0, id, kind, now)
        };
        self.db.write(move |txn| {
            let told = Job { number: jobs::next_number(txn)?, ..told.clone() };
            jobs::put(txn, &told)?;
            Ok(told)
        })
    }
}
