//! In which stores an image's data lies: copied to more of them, and dropped from one.
//!
//! Invariants: an image that has data keeps a copy of it; copies are of the same bytes, which each was compared with
//! when it was made. Must not know how a copy is made, which is [`super::transfer`]'s.

use super::access;
use super::download::expect_fetched;
use super::importing::expect_uncopied;
use crate::catalog::{images, quotas};
use crate::db::{Rows, WriteTxn};
use crate::model::job::{Job, Task};
use crate::model::{Image, ImageId, Operation, Status, StorePlace};
use crate::service::audit::Act;
use crate::service::jobs::Order;
use crate::service::rights::Action;
use crate::service::stores::unknown;
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::Reach;

impl Service {
    /// The places of the stores of these names, to copy to.
    ///
    /// # Errors
    /// `Invalid` for an unknown store.
    pub fn places_named<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Vec<StorePlace>, Error> {
        let place = |name| self.stores().named(name).map(|store| store.place);
        names.into_iter().map(|name| place(name).ok_or_else(|| unknown(self.stores(), name))).collect()
    }

    /// Has a job copy an image's data to these places. Where all `must_all` be reached, a job that cannot reach one takes
    /// back what it copied to the others; else it fails only where it reached none.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when the image is not active, or is being copied; `Invalid` for no place, or
    /// one that has the data already; `Gone` for one that takes no new data; `TooLarge` when a limit of the image's project
    /// has no room for so much more.
    pub fn copy_to_places(
        &self,
        actor: &Actor,
        id: &ImageId,
        places: Vec<StorePlace>,
        must_all: bool,
    ) -> Result<Job, Error> {
        self.copyable_to(&self.db.read()?, actor, id, &places)?;
        let task = Task::CopyToPlaces { image: *id, places: places.clone(), must_all };
        let order = Order { tasks: vec![(self.next_job_id(), task)], group: None };
        let (service, worker, id) = (self.clone(), actor.clone(), *id);
        self.queue_tasks(actor, order, move |txn| {
            let image = service.copyable_to(txn, &worker, &id, &places)?;
            expect_uncopied(txn, &image)?;
            let more = image.size_bytes.unwrap_or(0).saturating_mul(places.len() as u64);
            Ok(quotas::expect_room(txn, &image, more)?)
        })
    }

    /// The image, when its data may be copied to these places.
    fn copyable_to(
        &self,
        rows: &impl Rows,
        actor: &Actor,
        id: &ImageId,
        places: &[StorePlace],
    ) -> Result<Image, Error> {
        let image = access::reachable(rows, actor, id, Action::ImagesCopyToPlace)?;
        expect_active(&image)?;
        expect_fetched(rows, &image)?;
        if places.is_empty() {
            return Err(Error::invalid("name at least one store to copy the image to"));
        }
        for (at, place) in places.iter().enumerate() {
            let store = self.stores().at(*place);
            let store =
                store.ok_or_else(|| Error::invalid(format!("{place} is none of this box's stores")))?;
            if store.read_only {
                return Err(Error::new(ErrorKind::Gone, format!("store {} takes no new data", store.name)));
            }
            if image.copy_at(*place).is_some() || places[..at].contains(place) {
                return Err(Error::invalid(format!("image {id} is in store {} already", store.name)));
            }
        }
        Ok(image)
    }

    /// Takes an image's data from one store. The image keeps it in the others.
    ///
    /// # Errors
    /// `NotFound` for the image, when it is not in that store, or where the box has one store only; `Forbidden`, also for
    /// the last copy; `Conflict` for an unknown store, or an image that is not active.
    pub fn drop_copy(&self, actor: &Actor, id: &ImageId, store: &str) -> Result<(), Error> {
        let (service, caller) = (self.clone(), actor.clone());
        let (id, store) = (*id, store.to_owned());
        let act = Act::new(Operation::DropImageCopy).saying(format!("from store {store}"));
        self.recorded(actor, act, move |txn, act| {
            let image = access::writable(txn, &caller, &id, Action::ImagesDropCopy)?;
            act.image(&image);
            if !service.stores().are_several() {
                return Err(Error::not_found("this box has one store only; delete the image instead"));
            }
            let known = service.stores().named(&store);
            let place = known.ok_or_else(|| Error::conflict(unknown(service.stores(), &store).message))?.place;
            expect_active(&image)?;
            if image.copy_at(place).is_none() {
                return Err(Error::not_found(format!("image {id} is not in store {store}")));
            }
            if image.copies.is_empty() {
                let message = format!(
                    "store {store} has the only copy of image {id}; copy it to another store first, or delete it"
                );
                return Err(Error::forbidden(message));
            }
            service.release_copy(txn, image, place)
        })?;
        self.litter().left(Reach::Released);
        Ok(())
    }

    /// Takes what a job copied to these places back, as far as it is there.
    pub(super) fn take_copies_back(
        &self,
        actor: &Actor,
        id: &ImageId,
        places: &[StorePlace],
        why: &str,
    ) -> Result<(), Error> {
        let (service, id, places) = (self.clone(), *id, places.to_vec());
        let act = Act::new(Operation::DropImageCopy).saying(why);
        self.recorded(actor, act, move |txn, act| {
            for place in &places {
                let Some(image) = images::get(txn, &id)? else { return Ok(()) };
                act.image(&image);
                if image.copy_at(*place).is_some() && !image.copies.is_empty() {
                    service.release_copy(txn, image, *place)?;
                }
            }
            Ok::<_, Error>(())
        })?;
        self.litter().left(Reach::Released);
        Ok(())
    }

    fn release_copy(&self, txn: &WriteTxn, mut image: Image, place: StorePlace) -> Result<(), Error> {
        if let Some(gone) = image.take_copy(place) {
            self.store.release(txn, &gone)?;
        }
        image.updated_at = self.clock.now();
        Ok(images::update(txn, &image)?)
    }
}

fn expect_active(image: &Image) -> Result<(), Error> {
    if image.status == Status::Active {
        return Ok(());
    }
    Err(Error::conflict(format!("image {} is {}, not active", image.id, image.status.as_str())))
}

#[cfg(test)]
mod tests;
