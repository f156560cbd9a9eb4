//! What an image's record chooses of its disk, tried before anybody relies on it.
//!
//! Invariant: only what the data itself does not allow is refused here; whatever else hinders somebody, such as a missing right
//! or a medium that does not answer, is for the commit or the download to tell.

use super::access;
use super::fields::Change;
use super::guests::DISK_PROPERTY;
use crate::disk::writing::Form;
use crate::model::ImageId;
use crate::service::rights::Action;
use crate::service::{Actor, Error, ErrorKind, Service, custom_keys};

impl Service {
    /// Refuses a form that no download gives the image in, for the same reason.
    ///
    /// # Errors
    /// `UnsupportedContent` or `Invalid`, as [`Service::open_export`].
    pub async fn expect_leaves_as(&self, actor: &Actor, id: &ImageId, form: Form) -> Result<(), Error> {
        match self.open_export(actor, id, form).await {
            Err(error) if is_of_data(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Refuses changes that choose a disk which the machine of an image with data does not have. Blocks on the medium.
    ///
    /// # Errors
    /// `Invalid`, with the disks that there are.
    pub(super) fn expect_disk_choice(
        &self,
        actor: &Actor,
        id: &ImageId,
        changes: &[Change],
    ) -> Result<(), Error> {
        let chosen = changes.iter().rev().find_map(|change| match change {
            Change::SetProperty { name, value, .. } if name == DISK_PROPERTY => Some(value),
            _ => None,
        });
        let Some(chosen) = chosen else { return Ok(()) };
        let rows = self.db.read()?;
        let Ok(mut image) = access::writable(&rows, actor, id, Action::ImagesUpdate) else { return Ok(()) };
        if image.container_format.as_deref() != Some("ova")
            || custom_keys::expect_opens(&rows, &image, actor).is_err()
        {
            return Ok(());
        }
        drop(rows);
        image.properties.insert(DISK_PROPERTY.to_owned(), chosen.clone());
        let Ok(Some(reader)) = self.reader_of(&image) else { return Ok(()) };
        match self.guest_disk(&image, reader) {
            Err(error) if is_of_data(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether an error tells of the data, and will be the same tomorrow.
fn is_of_data(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::UnsupportedContent | ErrorKind::Invalid)
}
