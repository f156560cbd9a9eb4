//! Disks that are stored in another format than they come in, where the operator wants one for all.
//!
//! The file of the other format is made as it is stored: of the disk that a guest sees of what is staged. Invariants: what is
//! staged has been looked through as what its record says before any of it is converted; the record says what the data is from
//! the commit on that makes the image active with it; what a signature stands for stays as it came.

use super::pouring::Body;
use super::unwrapping::Staged;
use crate::catalog::images;
use crate::disk::writing::Form;
use crate::model::{ByteRange, Image, ImageId};
use crate::service::images::screen::Screen;
use crate::service::images::upload::{gone, in_background};
use crate::service::{Error, ErrorKind, Service};

/// Formats of disks that are converted.
const DISKS: [&str; 6] = ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"];

impl Service {
    /// The form that data of an image is to be stored in, where that is another than it comes in.
    ///
    /// # Errors
    /// `Invalid` when the image's signature cannot be verified.
    pub(super) fn conversion(&self, image: &Image) -> Result<Option<Form>, Error> {
        let Some(form) = self.rules.imports.convert else { return Ok(None) };
        let format = image.disk_format.as_deref().unwrap_or_default();
        let is_disk = image.container_format.as_deref() == Some("bare") && DISKS.contains(&format);
        if !is_disk || format == form.disk_format() || self.verification(image)?.wants_data() {
            return Ok(None);
        }
        Ok(Some(form))
    }

    /// The same of the image with this id.
    pub(super) async fn conversion_of(&self, id: ImageId) -> Result<Option<Form>, Error> {
        let service = self.clone();
        in_background(move || {
            let image = images::get(&service.db.read()?, &id)?.ok_or_else(|| gone(&id))?;
            service.conversion(&image)
        })
        .await
    }

    /// What is staged, as it is to be stored, but in its wrapper; and how much that is, where it is known.
    pub(super) async fn staged_data(&self, staged: &Staged) -> Result<(Body, Option<u64>), Error> {
        let (service, upload) = (self.clone(), staged.upload.clone());
        let Some(form) = staged.form else {
            let total_bytes = staged.wrapper.is_none().then_some(upload.received_bytes);
            return Ok((in_background(move || service.kept_data(&upload)).await?, total_bytes));
        };
        if staged.wrapper.is_some() {
            let message = "a disk in a wrapper (gz, xz, zst) is not converted when it was staged: unwrap it before, or have the \
                           box fetch it (web-download)";
            return Err(Error::new(ErrorKind::UnsupportedContent, message));
        }
        let (image, disk) = in_background(move || {
            let image =
                images::get(&service.db.read()?, &upload.image)?.ok_or_else(|| gone(&upload.image))?;
            let Some(kept) = &upload.checkpoint else {
                return Err(Error::invalid("there is no data to be converted"));
            };
            let reader = service.store().reader(&kept.content)?;
            let mut screen = Screen::new(&image, service.rules.require_format_match);
            service.screen_again(&mut screen, &kept.content)?;
            service.look_through(screen.finish(reader.size_bytes())?, reader.clone())?;
            let disk = service.guest_disk(&image, reader)?;
            Ok((image, disk))
        })
        .await?;
        let export = self.export_of(image, disk, form).await?;
        let Some(size) = export.size_bytes() else {
            return Err(Error::new(ErrorKind::Internal, "a disk is converted to what has a known length"));
        };
        let body = export.stream(ByteRange::whole(size))?;
        Ok((body, Some(size)))
    }
}
