//! Handing out an image's data.

use super::access;
use crate::model::{Image, ImageId, Status};
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service, custom_keys};
use crate::store::Reader;

/// An image whose data the caller may read.
pub struct Download {
    /// The record, as it was when the data was opened.
    pub image: Image,
    /// The data; `None` while there is none.
    pub reader: Option<Reader>,
}

impl Service {
    /// Opens an image's data.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the right to export it, while the image is deactivated, or while its custom key is
    /// disabled or not granted; `Gone` when that was deleted; what the store refuses with.
    pub fn download_image(&self, actor: &Actor, id: &ImageId) -> Result<Download, Error> {
        let read = self.db.read()?;
        let image = access::reachable(&read, actor, id, Action::ImagesExport)?;
        if image.status == Status::Deactivated && !access::sees_all(actor, &image) {
            return Err(Error::forbidden(format!(
                "image {id} is deactivated; only administrators may read it"
            )));
        }
        custom_keys::expect_opens(&read, &image, actor)?;
        let reader = image.content.as_ref().map(|content| self.store.reader(content)).transpose()?;
        Ok(Download { image, reader })
    }
}
