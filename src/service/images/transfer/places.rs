//! Where images may come from and go to: what the settings name, as one project may use it.
//!
//! Invariant: what is not for a project is not told to it. Nothing is asked of any bucket or box.

use super::buckets::Purpose;
use crate::service::images::access;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// A bucket, as a project may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// What callers write before the colon.
    pub name: String,
    /// Whether the project may import from it.
    pub read: bool,
    /// Whether it may export to it.
    pub write: bool,
    /// Whether its folders are backups of machines.
    pub backups: bool,
}

/// All that a project may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Buckets, in the order of the settings.
    pub buckets: Vec<BucketPlace>,
    /// Other regions, likewise.
    pub regions: Vec<String>,
}

impl Service {
    /// The buckets and regions that the caller's project may use.
    ///
    /// # Errors
    /// `Forbidden` without a project, or without the right to see its jobs.
    pub fn places(&self, actor: &Actor) -> Result<Places, Error> {
        let project = access::project(actor)?;
        actor.expect(Action::JobsGet, Resource::None)?;
        let known = self.known_project(&self.db.read()?, project)?;
        let buckets = self.buckets.all().iter().map(|bucket| BucketPlace {
            name: bucket.name.clone(),
            read: bucket.admits(Some(project), known.as_ref(), Purpose::Read),
            write: bucket.admits(Some(project), known.as_ref(), Purpose::Write),
            backups: bucket.backups,
        });
        let regions = self.regions.all().iter().filter(|region| region.admits(Some(project), known.as_ref()));
        Ok(Places {
            buckets: buckets.filter(|bucket| bucket.read || bucket.write).collect(),
            regions: regions.map(|region| region.name.clone()).collect(),
        })
    }
}
