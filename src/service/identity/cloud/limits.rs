//! Limits that the cloud's Keystone has of this service: asked for as projects act, kept until they are told anew.
//!
//! Invariant: what Keystone told last holds until it tells otherwise, whatever becomes of it; a project is asked about once
//! in [`FRESH_S`] at most, and nobody waits for an answer that somebody else is waiting for.

use super::Cloud;
use crate::catalog::quotas;
use crate::keystone::ToldLimits;
use crate::model::ProjectId;
use crate::service::{Error, Service};

/// How long what was told of a project is not asked for again, in seconds.
pub(super) const FRESH_S: i64 = 60;
/// Projects whose last question is kept in mind.
pub(super) const PROJECTS_MAX: usize = 8192;

impl Service {
    /// Takes up what Keystone says of a project's limits, where that was not asked for lately. Blocks for as long as it takes;
    /// where it fails, the last known hold.
    pub(super) fn refresh_limits(&self, cloud: &Cloud, project: &ProjectId) {
        let now = self.clock.now();
        let is_fresh = cloud.limits_asked.get(project).is_some_and(|until| now < until);
        if is_fresh || cloud.trouble_at(now).is_some() {
            return;
        }
        cloud.limits_asked.insert(project.clone(), now.plus_seconds(FRESH_S));
        let told = cloud.handle.block_on(async {
            let _question = cloud.questions.acquire().await;
            let rules = &cloud.rules;
            cloud.keystone.limits(&rules.service_type, &rules.region, project, now).await
        });
        let kept = match told {
            Ok(None) => Ok(()),
            Ok(Some(told)) => self.keep_limits(project, told),
            Err(error) => {
                tracing::warn!(%project, %error, "the cloud's Keystone tells no limits; the last known hold, or this server's own");
                Ok(())
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%project, %error, "limits of the cloud's Keystone were not kept");
        }
    }

    /// Writes only what differs.
    fn keep_limits(&self, project: &ProjectId, told: ToldLimits) -> Result<(), Error> {
        let read = self.db.read()?;
        let is_known =
            quotas::told(&read, None)? == told.registered && quotas::told(&read, Some(project))? == told.own;
        drop(read);
        if is_known {
            return Ok(());
        }
        let project = project.clone();
        self.db.write(move |txn| {
            quotas::put_told(txn, None, &told.registered)?;
            Ok::<_, Error>(quotas::put_told(txn, Some(&project), &told.own)?)
        })
    }

    /// Forgets what a cloud's Keystone told of limits, where there is none any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle_limits(&self) -> Result<(), Error> {
        if self.cloud.is_some() || !quotas::has_told(&self.db.read()?)? {
            return Ok(());
        }
        self.db.write(|txn| Ok(quotas::forget_told(txn)?))
    }
}
