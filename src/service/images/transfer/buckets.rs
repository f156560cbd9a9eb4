//! The buckets that the operator shares, and who may read and write each.
//!
//! Invariant: a bucket that is not for a project looks to it like one that is not there.

use std::sync::Arc;

use super::hindered;
use crate::db::Rows;
use crate::model::ProjectId;
use crate::model::identity::Project;
use crate::model::job::Place;
use crate::objects::exchange::{Exchange, Key};
use crate::service::{Error, ErrorKind, Hindrance, Service};

/// The word for every project.
const EVERYBODY: &str = "*";
/// The domain whose projects may be named by their names.
const DEFAULT_DOMAIN: &str = "default";

/// One bucket.
#[derive(Debug, Clone)]
pub struct SharedBucket {
    /// What callers write before the colon.
    pub name: String,
    /// Projects that may import from it: ids, names in the domain `default`, or `*`.
    pub readers: Vec<String>,
    /// Projects that may export to it.
    pub writers: Vec<String>,
    /// Whether its folders are backups of machines.
    pub backups: bool,
    /// What its objects lie on.
    pub medium: Arc<dyn Exchange>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Buckets(Vec<SharedBucket>);

/// What a bucket is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl Buckets {
    /// These, whose names differ.
    pub fn new(buckets: Vec<SharedBucket>) -> Buckets {
        Buckets(buckets)
    }

    /// All of them, in the order of the settings.
    pub(super) fn all(&self) -> &[SharedBucket] {
        &self.0
    }

    /// The bucket that a place names, when it is for the project, and the key there.
    pub(super) fn find(
        &self,
        project: Option<&ProjectId>,
        known: Option<&Project>,
        place: &Place,
        purpose: Purpose,
    ) -> Result<(Arc<dyn Exchange>, Key), Error> {
        let found = self.0.iter().find(|bucket| bucket.name == place.bucket);
        let found = found.filter(|bucket| bucket.admits(project, known, purpose));
        let Some(bucket) = found else {
            let what = if purpose == Purpose::Read { "read" } else { "write to" };
            let message = format!(
                "there is no bucket {:?} that your project may {what}; the operator names buckets, and who may use \
                 them, in the settings (exchange)",
                place.bucket.chars().take(100).collect::<String>()
            );
            return Err(hindered(ErrorKind::Invalid, Hindrance::NoBucket, message));
        };
        Ok((bucket.medium.clone(), Key::new(&place.key)?))
    }

    /// The buckets of backups that the project may read, in the order of the settings.
    pub(super) fn of_backups(&self, project: &ProjectId, known: Option<&Project>) -> Vec<&SharedBucket> {
        let admits = |bucket: &&SharedBucket| bucket.admits(Some(project), known, Purpose::Read);
        self.0.iter().filter(|bucket| bucket.backups).filter(admits).collect()
    }
}

impl Service {
    /// The bucket that a place names, when it is for the project, and the key there.
    pub(super) fn bucket(
        &self,
        rows: &impl Rows,
        project: Option<&ProjectId>,
        place: &Place,
        purpose: Purpose,
    ) -> Result<(Arc<dyn Exchange>, Key), Error> {
        let known = project.map(|id| self.known_project(rows, id)).transpose()?.flatten();
        self.buckets.find(project, known.as_ref(), place, purpose)
    }
}

impl SharedBucket {
    pub(super) fn admits(
        &self,
        project: Option<&ProjectId>,
        known: Option<&Project>,
        purpose: Purpose,
    ) -> bool {
        let named = if purpose == Purpose::Read { &self.readers } else { &self.writers };
        project.is_some_and(|id| named.iter().any(|name| is_for(name, id, known)))
    }
}

/// Whether a name in the settings means this project.
pub(super) fn is_for(name: &str, id: &ProjectId, known: Option<&Project>) -> bool {
    name == EVERYBODY
        || name == id.as_str()
        || known.is_some_and(|project| project.domain.as_str() == DEFAULT_DOMAIN && project.name == name)
}
