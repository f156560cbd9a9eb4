//! Images made in another region, which is another box that the operator named: asking for them.
//!
//! [`send`](super::send) does the work. Invariants: a region that is not for a project looks to it like one that
//! is not there; the id of the image there is chosen here, before anything is asked of the other box, so that
//! no try makes a second one.

use super::buckets::is_for;
use super::order::copyable;
use super::{hindered, order};
use crate::catalog::jobs;
use crate::model::identity::Project;
use crate::model::job::{Job, JobKind, Task};
use crate::model::{Image, ImageId, ProjectId};
use crate::peers::Peer;
use crate::service::images::access;
use crate::service::images::sealing::{CUSTOM_KEY_PROPERTY, KEY_PROPERTY};
use crate::service::jobs::Order;
use crate::service::{Actor, Error, ErrorKind, Hindrance, Service};

/// Copies of one project into other regions that have not ended (the reference's limit).
const PROJECT_ACROSS_MAX: usize = 5;

/// Another region.
#[derive(Debug)]
pub struct Region {
    /// What callers name.
    pub name: String,
    /// The agency that callers name beside it; any where it is empty.
    pub agency: String,
    /// Projects that may copy into it: ids, names in the domain `default`, or `*`.
    pub projects: Vec<String>,
    /// The box.
    pub peer: Peer,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Regions(Vec<Region>);

/// A copy into another region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyAcross {
    /// The region.
    pub region: String,
    /// What acts for the caller there, as the operator calls it.
    pub agency: String,
    /// The project there, by name.
    pub project: String,
    /// The name of the image to be made.
    pub name: String,
    /// Its description; by default that of the image here.
    pub description: Option<String>,
}

impl Regions {
    /// These, whose names differ.
    pub fn new(regions: Vec<Region>) -> Regions {
        Regions(regions)
    }

    /// All of them, in the order of the settings.
    pub(super) fn all(&self) -> &[Region] {
        &self.0
    }

    /// The region of this name, when it is for the project.
    pub(in crate::service::images) fn find(
        &self,
        project: Option<&ProjectId>,
        known: Option<&Project>,
        name: &str,
    ) -> Result<&Region, Error> {
        let found = self.0.iter().find(|region| region.name == name);
        found.filter(|region| region.admits(project, known)).ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let message = format!(
                "there is no region {shown:?} that your project may copy to; the operator names regions in the settings \
                 (peer). Without one, export the image to a bucket and import it there"
            );
            hindered(ErrorKind::Invalid, Hindrance::NoRegion, message)
        })
    }
}

impl Region {
    pub(super) fn admits(&self, project: Option<&ProjectId>, known: Option<&Project>) -> bool {
        project.is_some_and(|id| self.projects.iter().any(|name| is_for(name, id, known)))
    }
}

impl Service {
    /// Makes an image in another region from one that the caller may copy.
    ///
    /// # Errors
    /// As [`Service::copy_image`]; `Invalid` for a region or agency that is none of the caller's; `Conflict` for an
    /// image that is sealed with a custom key; `TooLarge` when too many are on their way.
    pub fn copy_image_across(&self, actor: &Actor, source: &ImageId, copy: CopyAcross) -> Result<Job, Error> {
        let project = access::project(actor)?.clone();
        let read = self.db.read()?;
        expect_leaves(&copyable(&read, actor, source)?)?;
        let region =
            self.regions.find(Some(&project), self.known_project(&read, &project)?.as_ref(), &copy.region)?;
        if !region.agency.is_empty() && region.agency != copy.agency {
            let shown: String = copy.agency.chars().take(100).collect();
            let message =
                format!("{shown:?} is no agency of region {}; ask the operator for its name", region.name);
            return Err(hindered(ErrorKind::Invalid, Hindrance::NoAgency, message));
        }
        drop(read);
        let CopyAcross { region, project: there, name, description, .. } = copy;
        let (image, remote) = (*source, ImageId(self.entropy.uuid()));
        let task = Task::CopyAcross { image, remote, region, project: there, name, description };
        let order = Order { tasks: vec![(self.next_job_id(), task)], group: None };
        let worker = actor.clone();
        self.queue_tasks(actor, order, move |txn| {
            expect_leaves(&copyable(txn, &worker, &image)?)?;
            let open = jobs::open(txn)?.into_iter();
            let own = open.filter(|job| job.kind == JobKind::CopyAcross && job.project.as_ref() == Some(&project));
            match own.count() < PROJECT_ACROSS_MAX {
                true => Ok(()),
                false => {
                    let message = format!(
                        "{PROJECT_ACROSS_MAX} images of the project are on their way into other regions, which is the most; \
                         wait for one of them"
                    );
                    Err(hindered(ErrorKind::TooLarge, Hindrance::TooManyAcross, message))
                }
            }
        })
    }
}

/// Refuses an image that is sealed with a key of its own choice: it would lie open there.
pub(super) fn expect_leaves(image: &Image) -> Result<(), Error> {
    let is_sealed =
        [CUSTOM_KEY_PROPERTY, KEY_PROPERTY].iter().any(|name| image.properties.contains_key(*name));
    match is_sealed {
        false => Ok(()),
        true => {
            let message = format!(
                "image {} is sealed with a key of its own, which the other region does not have; copy it here without one before",
                image.id
            );
            Err(hindered(ErrorKind::Conflict, Hindrance::SealedHere, message))
        }
    }
}

/// Properties that are said of the image here, and so not of one made from it.
pub(super) fn is_of_origin(name: &str) -> bool {
    order::OF_ORIGIN.contains(&name) || name.starts_with("os_glance_")
}
