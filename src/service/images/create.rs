//! Registering an image.

use super::access;
use super::fields::{self, Change, Field};
use crate::catalog::{self, images};
use crate::db::WriteTxn;
use crate::model::{Image, ImageId, Operation, ProjectId, Status, Visibility};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// An image to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewImage {
    /// The id the caller wishes; by default a fresh one.
    pub id: Option<ImageId>,
    /// What differs from a nameless, shared, empty image of the caller's project.
    pub changes: Vec<Change>,
}

impl Service {
    /// Registers an image: queued, without data.
    ///
    /// # Errors
    /// `Forbidden` without the right to create it so, `Conflict` when the id was ever used,
    /// `Invalid` or `TooLarge` when a field is out of bounds.
    pub fn create_image(&self, actor: &Actor, new: NewImage) -> Result<Image, Error> {
        let image = self.new_image(actor, new, Action::ImagesCreate)?;
        let made = self.recorded(actor, Act::new(Operation::CreateImage), move |txn, act| {
            act.image(&image);
            insert(txn, &image).map(|()| image.clone())
        })?;
        Ok(self.shown_to(actor, made))
    }

    /// The record of an image that the caller may make by `action`, before it is.
    pub(super) fn new_image(&self, actor: &Actor, new: NewImage, action: Action) -> Result<Image, Error> {
        let project = access::project(actor)?;
        actor.expect(action, Resource::None)?;
        self.expect_keys_for(actor, &new.changes)?;
        let mut image = self.blank(new.id, project.clone());
        for change in &new.changes {
            if let Change::Set(Field::Owner(owner)) = change
                && owner.as_ref() != Some(project)
                && !actor.allows(Action::ImagesSetOwner, Resource::None)
            {
                return Err(Error::forbidden("only administrators may register images for another owner"));
            }
            fields::apply(actor, &mut image, change, self.rules.protections.as_ref())?;
        }
        Ok(image)
    }

    fn blank(&self, id: Option<ImageId>, owner: ProjectId) -> Image {
        let now = self.clock.now();
        Image {
            id: id.unwrap_or_else(|| ImageId(self.entropy.uuid())),
            name: None,
            status: Status::Queued,
            visibility: Visibility::Shared,
            protected: false,
            hidden: false,
            owner: Some(owner),
            container_format: None,
            disk_format: None,
            min_disk_gib: 0,
            min_ram_mib: 0,
            size_bytes: None,
            virtual_size_bytes: None,
            verdict: None,
            digests: None,
            content: None,
            tags: Default::default(),
            properties: Default::default(),
            created_at: now,
            updated_at: now,
            upload: None,
            active_at: None,
            place: self.stores.default_place(),
            copies: Vec::new(),
        }
    }
}

/// Adds a record, in the caller's transaction.
pub(super) fn insert(txn: &WriteTxn, image: &Image) -> Result<(), Error> {
    images::insert(txn, image).map_err(|error| match error {
        catalog::Error::Exists(_) => Error::conflict(format!("image id {} is taken", image.id)),
        error => error.into(),
    })
}
