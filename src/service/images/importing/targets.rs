//! Which stores an import's data goes to, and imports of what an image has already.
//!
//! Invariant: the first store is one that can be reached when the import is asked for; where staged data lies already comes
//! before the others, so that it is not written again.

use super::order::{NewIntake, expect_importable};
use super::{expect_free, hold};
use crate::catalog::{images, jobs, quotas};
use crate::db::Rows;
use crate::model::job::{DataOrigin, Intake, Job, Task};
use crate::model::{Image, ImageId, StorePlace};
use crate::service::images::access;
use crate::service::images::download::expect_fetched;
use crate::service::jobs::Order;
use crate::service::rights::Action;
use crate::service::{Actor, Error, ErrorKind, Service};

/// Which stores an import's data goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Their places; none where there is no choice.
    pub places: Vec<StorePlace>,
    /// Whether somebody asked for all that there are, without naming any.
    pub all: bool,
    /// Whether the data stays in none of them unless it comes to be in all.
    pub must_all: bool,
}

impl Default for Destination {
    fn default() -> Destination {
        Destination { places: Vec::new(), all: false, must_all: true }
    }
}

/// Puts the place in front that an import's data goes to first.
///
/// # Errors
/// `Gone` for a store that takes no new data; `Unavailable` where no store can be reached, or one that must be.
pub(super) fn first_in_front(service: &Service, image: &Image, intake: &mut Intake) -> Result<(), Error> {
    let mut refused = None;
    let mut away = Vec::new();
    for place in &intake.places {
        expect_takes_data(service, *place)?;
        if let Err(error) = service.store.expect_place(*place) {
            refused.get_or_insert(Error::from(error));
            away.push(*place);
        }
    }
    match refused {
        Some(error) if intake.must_all || away.len() == intake.places.len() => return Err(error),
        _ => {}
    }
    let staged_at = (intake.origin == DataOrigin::Staged).then_some(image.place);
    // Stable: else they stay as they were asked for.
    intake.places.sort_by_key(|place| (away.contains(place), Some(*place) != staged_at));
    Ok(())
}

/// Refuses a store that takes no new data.
fn expect_takes_data(service: &Service, place: StorePlace) -> Result<(), Error> {
    match service.stores().at(place) {
        None => Err(Error::invalid(format!("{place} is none of this box's stores"))),
        Some(store) if store.read_only => {
            Err(Error::new(ErrorKind::Gone, format!("store {} takes no new data", store.name)))
        }
        Some(_) => Ok(()),
    }
}

impl Service {
    /// Has a task copy an image's data to more stores, as an import of what it has already. `None` where all stores were
    /// asked for, and it is in all of them.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when the image is not active, or another task holds it; `Invalid` for a store
    /// that has it already, or where another format is asked for; `Gone` for one that takes no new data; `TooLarge` when a
    /// limit of the image's project is.
    pub fn import_to_more_stores(
        &self,
        actor: &Actor,
        id: &ImageId,
        mut new: NewIntake,
    ) -> Result<Option<Job>, Error> {
        if new.convert.is_some() {
            return Err(Error::invalid(
                "what is copied to more stores stays as it is: a format is chosen when the data is imported first",
            ));
        }
        let image = access::reachable(&self.db.read()?, actor, id, Action::ImagesCopyToPlace)?;
        expect_importable(&image, &DataOrigin::Own)?;
        expect_fetched(&self.db.read()?, &image)?;
        if new.to.all {
            new.to.places.retain(|place| image.copy_at(*place).is_none());
            if new.to.places.is_empty() {
                return Ok(None);
            }
        }
        let (job, intake) = self.intake(actor, id, NewIntake { origin: DataOrigin::Own, ..new });
        self.more_stores(&self.db.read()?, actor, &intake)?;
        let order = Order { tasks: vec![(job, Task::Intake(intake.clone()))], group: None };
        let (service, caller) = (self.clone(), actor.clone());
        let queued = self.queue_tasks(actor, order, move |txn| {
            let mut image = service.more_stores(txn, &caller, &intake)?;
            let more = image.size_bytes.unwrap_or(0).saturating_mul(intake.places.len() as u64);
            quotas::expect_room(txn, &image, more)?;
            hold(&mut image, &job, &service.stores().names_at(&intake.places));
            image.updated_at = service.clock.now();
            Ok(images::update(txn, &image)?)
        });
        queued.map(Some)
    }

    /// The image, when its data may be copied as the intake says.
    fn more_stores(&self, rows: &impl Rows, actor: &Actor, intake: &Intake) -> Result<Image, Error> {
        let Intake { image: id, places, .. } = intake;
        let image = access::reachable(rows, actor, id, Action::ImagesCopyToPlace)?;
        expect_importable(&image, &DataOrigin::Own)?;
        expect_uncopied(rows, &image)?;
        for place in places {
            expect_takes_data(self, *place)?;
            if image.copy_at(*place).is_some() {
                let store = self.stores().name_of(*place);
                return Err(Error::invalid(format!("image {id} is in {store} already")));
            }
        }
        Ok(image)
    }
}

/// Refuses an image whose data a job is copying to other stores.
///
/// # Errors
/// `Conflict`.
pub(in crate::service::images) fn expect_uncopied(rows: &impl Rows, image: &Image) -> Result<(), Error> {
    expect_free(image)?;
    let is_of_it =
        |job: &Job| matches!(&job.task, Some(Task::CopyToPlaces { image: id, .. }) if *id == image.id);
    if jobs::open(rows)?.iter().any(is_of_it) {
        let id = image.id;
        return Err(Error::conflict(format!(
            "image {id} is being copied to other stores; wait for that job's end"
        )));
    }
    Ok(())
}
