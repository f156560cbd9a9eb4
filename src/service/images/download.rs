//! Handing out an image's data.

use super::access;
use crate::model::{Image, ImageId, Status, StorePlace};
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
    /// The data of an image, whoever asks, from the heaviest store that it can be read from; `None` while there is none.
    ///
    /// # Errors
    /// What the store refuses with.
    pub(super) fn reader_of(&self, image: &Image) -> Result<Option<Reader>, Error> {
        let contents = self.stores.contents(image, &[]);
        if contents.is_empty() { Ok(None) } else { Ok(Some(self.store.reader_of(&contents)?)) }
    }

    /// Opens an image's data.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the right to export it, while the image is deactivated, or while its custom key is
    /// disabled or not granted; `Gone` when that was deleted; what the store refuses with.
    pub fn download_image(&self, actor: &Actor, id: &ImageId) -> Result<Download, Error> {
        self.download_from(actor, id, &[])
    }

    /// The same, from these places where they have it; from others where they have not, or it cannot be read there.
    ///
    /// # Errors
    /// As [`Service::download_image`].
    pub fn download_from(
        &self,
        actor: &Actor,
        id: &ImageId,
        preferred: &[StorePlace],
    ) -> Result<Download, Error> {
        let read = self.db.read()?;
        let image = access::reachable(&read, actor, id, Action::ImagesExport)?;
        if image.status == Status::Deactivated && !access::sees_all(actor, &image) {
            return Err(Error::forbidden(format!(
                "image {id} is deactivated; only administrators may read it"
            )));
        }
        custom_keys::expect_opens(&read, &image, actor)?;
        let contents = self.stores.contents(&image, preferred);
        let reader = if contents.is_empty() { None } else { Some(self.store.reader_of(&contents)?) };
        Ok(Download { image, reader })
    }
}
