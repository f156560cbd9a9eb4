//! Handing out an image's data.

use super::access;
use crate::catalog::locations;
use crate::db::Rows;
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
    /// `Conflict` for an image by reference that nobody has read yet; what the store refuses with.
    pub(super) fn reader_of(&self, image: &Image) -> Result<Option<Reader>, Error> {
        expect_here(image)?;
        let contents = self.stores.contents(image, &[]);
        if contents.is_empty() {
            return Ok(None);
        }
        self.reads.note(&contents, self.clock.now());
        Ok(Some(self.store.reader_of(&contents)?))
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
        let image = expect_readable(&self.db.read()?, actor, id)?;
        let contents = self.stores.contents(&image, preferred);
        self.reads.note(&contents, self.clock.now());
        let reader = if contents.is_empty() { None } else { Some(self.store.reader_of(&contents)?) };
        Ok(Download { image, reader })
    }
}

/// The record of an image whose data the caller may read.
///
/// # Errors
/// As [`Service::download_image`], but for what the store refuses with.
pub(in crate::service) fn expect_readable(
    rows: &impl Rows,
    actor: &Actor,
    id: &ImageId,
) -> Result<Image, Error> {
    let image = access::reachable(rows, actor, id, Action::ImagesExport)?;
    if image.status == Status::Deactivated && !access::sees_all(actor, &image) {
        return Err(Error::forbidden(format!("image {id} is deactivated; only administrators may read it")));
    }
    custom_keys::expect_opens(rows, &image, actor)?;
    Ok(image)
}

/// Refuses an image whose data lies at its location alone, before anything is asked of the data.
pub(super) fn expect_fetched(rows: &impl Rows, image: &Image) -> Result<(), Error> {
    match locations::get(rows, &image.id)? {
        Some(_) => expect_here(image),
        None => Ok(()),
    }
}

/// Refuses an image by reference whose data the box does not have yet, to whoever cannot wait for it.
pub(super) fn expect_here(image: &Image) -> Result<(), Error> {
    if !image.is_by_reference() {
        return Ok(());
    }
    let message = format!(
        "the data of image {} lies at its location alone: download it once, and the box has it too",
        image.id
    );
    Err(Error::conflict(message))
}
