//! Locations: addresses that images are given, from which the box fetches their data, once.
//!
//! This is the new way of them; the old one is [`super::super::referring`]'s. The reference serves such data from where it lies, unseen and unverified each time. Here it becomes the box's own, as
//! with any import, and the address is only noted. Invariants: no address of the box's own media is ever a location;
//! a location is shown to administrators and services alone (S26); data that is not what its caller said does not
//! become an image's, and is compared with what the import that fetches it declared, and nothing else.

use super::{Destination, NewIntake};
use crate::catalog::locations;
use crate::db::{Rows, WriteTxn};
use crate::model::ImageId;
use crate::model::image::{Located, Location};
use crate::model::job::{DataOrigin, Intake, IntakeKind, Job};
use crate::service::images::access;
use crate::service::rights::{Action, Point, Resource};
use crate::service::{Actor, Error, Service};

impl Service {
    /// The name of the store that stands for addresses of the web; `None` where the operator lets nobody name any.
    pub fn web_store(&self) -> Option<&str> {
        self.rules.imports.web_store.as_deref()
    }

    /// Has a job fetch an image's data from an address, compare it with what the caller expects, and keep it.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`, also where addresses of the web are no store; `Invalid` for an address that nothing
    /// may be fetched from; `Conflict` when the image's state, its formats or another task are in the way.
    pub fn add_image_location(
        &self,
        actor: &Actor,
        id: &ImageId,
        located: Located,
        input: String,
    ) -> Result<Job, Error> {
        let image = access::writable(&self.db.read()?, actor, id, Action::ImagesUpload)?;
        actor.obey(Point::SetLocation, Resource::of(&image))?;
        if self.web_store().is_none() {
            return Err(Error::forbidden(
                "this box takes no locations: its operator can name a store for addresses of the web (imports.web_store)",
            ));
        }
        let first = located.locations.first().ok_or_else(|| Error::invalid("a location needs an url"))?;
        let origin = DataOrigin::Web { url: first.url.clone() };
        let (kind, to) = (IntakeKind::LocationImport, Destination::default());
        let new = NewIntake { kind, origin, input, to, convert: None };
        let id = *id;
        self.order_intake(actor, &id, new, move |txn| Ok(locations::put(txn, &id, &located)?))
    }

    /// The locations of an image.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for all but administrators and services.
    pub fn image_locations(&self, actor: &Actor, id: &ImageId) -> Result<Vec<Location>, Error> {
        let read = self.db.read()?;
        let image = access::visible(&read, actor, id)?;
        actor.expect(Action::ImagesGetLocations, Resource::of(&image))?;
        Ok(locations::get(&read, id)?.map(|located| located.locations).unwrap_or_default())
    }
}

/// Whether a hash was declared of the data that an image is being filled with. It is one of the bytes as they are fetched, so
/// that they stay as they come: neither unwrapped nor converted.
///
/// # Errors
/// When the catalog fails.
pub(super) fn has_declared_hash(rows: &impl Rows, id: &ImageId) -> Result<bool, Error> {
    Ok(locations::get(rows, id)?.is_some_and(|located| located.declared.secure.is_some()))
}

/// Has an import that begins again compare its data with what it declared, and with nothing that another one did since. In the
/// commit that has its job begin again.
///
/// # Errors
/// `Conflict` where what it declared is not known any more.
pub(super) fn declare_again(txn: &WriteTxn, intake: &Intake) -> Result<(), Error> {
    let id = &intake.image;
    if intake.kind != IntakeKind::LocationImport {
        return Ok(locations::remove(txn, id)?);
    }
    let is_its =
        |location: &Location| matches!(&intake.origin, DataOrigin::Web { url } if *url == location.url);
    let located = locations::get(txn, id)?;
    if located.is_some_and(|located| located.locations.iter().any(is_its)) {
        return Ok(());
    }
    Err(Error::conflict(format!("image {id} has been imported otherwise since: add its location again")))
}
