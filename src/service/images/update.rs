//! Changing an image's record: fields, tags, and whether its data is handed out.

use super::access;
use super::fields::{self, Change, Field};
use super::protection::Protections;
use crate::base::limits::IMAGE_TAGS_MAX;
use crate::catalog::images;
use crate::model::{Image, ImageId, Operation, Status};
use crate::service::audit::Act;
use crate::service::rights::{Action, Point, Resource};
use crate::service::{Actor, Error, Service};

impl Service {
    /// Applies `changes` in order; all of them or none.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when a property is not as the change expects it;
    /// `Invalid` or `TooLarge` when a field goes out of bounds; `Invalid` also for a disk that the image's data does not have.
    pub fn update_image(&self, actor: &Actor, id: &ImageId, changes: Vec<Change>) -> Result<Image, Error> {
        self.expect_keys_for(actor, &changes)?;
        self.expect_disk_choice(actor, id, &changes)?;
        let (worker, rules) = (actor.clone(), self.rules.clone());
        self.change_image(actor, id, Act::new(Operation::UpdateImage), move |image| {
            apply_all(&worker, image, &changes, rules.protections.as_ref())?;
            Ok(!changes.is_empty())
        })
    }

    /// Puts a tag on an image; one that is there already stays.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Invalid` when it is too long, `TooLarge` when there are too many.
    pub fn add_image_tag(&self, actor: &Actor, id: &ImageId, tag: String) -> Result<Image, Error> {
        fields::check_length("tag", &tag)?;
        self.change_image(actor, id, Act::new(Operation::AddTag), move |image| {
            let added = image.tags.insert(tag.clone());
            fields::check_count("tags", image.tags.len(), IMAGE_TAGS_MAX)?;
            Ok(added)
        })
    }

    /// Takes a tag off an image.
    ///
    /// # Errors
    /// `NotFound`, also when the tag is not there; `Forbidden`.
    pub fn remove_image_tag(&self, actor: &Actor, id: &ImageId, tag: String) -> Result<Image, Error> {
        self.change_image(actor, id, Act::new(Operation::DeleteTag), move |image| {
            match image.tags.remove(&tag) {
                true => Ok(true),
                false => Err(Error::not_found(format!("image {} has no tag {tag:?}", image.id))),
            }
        })
    }

    /// Stops handing out an image's data to all but administrators.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also when the image has no data.
    pub fn deactivate_image(&self, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
        self.switch_image(actor, id, "deactivate", Status::Deactivated)
    }

    /// Hands out an image's data again.
    ///
    /// # Errors
    /// As [`Service::deactivate_image`].
    pub fn reactivate_image(&self, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
        self.switch_image(actor, id, "reactivate", Status::Active)
    }

    fn switch_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        action: &'static str,
        target: Status,
    ) -> Result<Image, Error> {
        let point = if target == Status::Active { Point::Reactivate } else { Point::Deactivate };
        let caller = actor.clone();
        self.change_image(actor, id, Act::new(Operation::UpdateImage).saying(action), move |image| {
            caller.obey(point, Resource::of(image))?;
            if !matches!(image.status, Status::Active | Status::Deactivated) {
                let status = image.status.as_str();
                return Err(Error::forbidden(format!(
                    "image {} is {status}: only active and deactivated images can be {action}d",
                    image.id
                )));
            }
            let changed = image.status != target;
            image.status = target;
            Ok(changed)
        })
    }

    /// One commit: loads, authorises, lets `change` work (it says whether anything changed), saves.
    fn change_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        act: Act,
        change: impl Fn(&mut Image) -> Result<bool, Error> + Send + 'static,
    ) -> Result<Image, Error> {
        let (actor, id, now) = (actor.clone(), *id, self.clock.now());
        let asker = actor.clone();
        let changed = self.recorded(&asker, act, move |txn, act| {
            let mut image = access::writable(txn, &actor, &id, Action::ImagesUpdate)?;
            if change(&mut image)? {
                image.updated_at = now;
                images::update(txn, &image)?;
            }
            act.image(&image);
            Ok::<_, Error>(image)
        })?;
        Ok(self.shown_to(&asker, changed))
    }
}

/// Applies changes in order to an image that the caller may change.
///
/// # Errors
/// As [`Service::update_image`].
pub(super) fn apply_all(
    actor: &Actor,
    image: &mut Image,
    changes: &[Change],
    protections: Option<&Protections>,
) -> Result<(), Error> {
    for change in changes {
        if matches!(change, Change::Set(Field::Owner(_)))
            && !actor.allows(Action::ImagesSetOwner, Resource::of(image))
        {
            return Err(Error::forbidden("only administrators may change an image's owner"));
        }
        fields::apply(actor, image, change, protections)?;
    }
    Ok(())
}
