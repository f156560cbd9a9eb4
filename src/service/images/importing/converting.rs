//! Disks that are stored in another format than they come in, where the operator wants one for all, or who imports one asks for it.
//!
//! The file of the other format is made as it is stored: of the disk that a guest sees of what is staged. Invariants: what is
//! staged has been looked through as what its record says before any of it is converted; the record says what the data is from
//! the commit on that makes the image active with it; what a signature or a declared hash stands for stays as it came; nothing is
//! made that is longer than an image may be, or that its project has no room for.

use super::Landing;
use super::locations::has_declared_hash;
use super::pouring::Body;
use super::unwrapping::Staged;
use crate::catalog::images;
use crate::catalog::quotas::{self, Wish};
use crate::disk::writing::Form;
use crate::model::job::Intake;
use crate::model::{ByteRange, Image, PartialUpload};
use crate::service::images::screen::Screen;
use crate::service::images::upload::{check_cap, gone, in_background, owned};
use crate::service::jobs::JobAtWork;
use crate::service::{Error, ErrorKind, Service};

/// Formats of disks that are converted.
const DISKS: [&str; 6] = ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"];

impl Service {
    /// The form that data of an image is to be stored in, where that is another than it comes in: `asked`, or what the
    /// operator wants.
    ///
    /// # Errors
    /// `Invalid` when the image's signature cannot be verified, or when a form is asked for that the image cannot have.
    pub(in crate::service::images) fn conversion(
        &self,
        image: &Image,
        asked: Option<Form>,
    ) -> Result<Option<Form>, Error> {
        let Some(form) = asked.or(self.rules.imports.convert) else { return Ok(None) };
        let format = image.disk_format.as_deref().unwrap_or_default();
        let is_disk = match image.container_format.as_deref() {
            Some("bare") => DISKS.contains(&format),
            // A machine is taken apart only where somebody asks for that.
            Some("ova") => asked.is_some(),
            _ => false,
        };
        if asked.is_some() && !is_disk {
            let formats = DISKS.join(", ");
            return Err(Error::invalid(format!(
                "a disk is converted where container_format is ova, or it is bare and disk_format one of {formats}"
            )));
        }
        let is_bare = image.container_format.as_deref() == Some("bare");
        if !is_disk || (is_bare && format == form.disk_format()) {
            return Ok(None);
        }
        match (self.verification(image)?.wants_data(), asked) {
            (false, _) => Ok(Some(form)),
            (true, None) => Ok(None),
            (true, Some(_)) => {
                Err(Error::invalid("a signed image stays as it comes: its signature is over those bytes"))
            }
        }
    }

    /// The same of the image that an import fills: none where a hash was declared of what is fetched.
    pub(super) async fn conversion_of(&self, intake: &Intake) -> Result<Option<Form>, Error> {
        let (service, id, asked) = (self.clone(), intake.image, asked_of(intake));
        in_background(move || {
            let read = service.db.read()?;
            if has_declared_hash(&read, &id)? {
                return Ok(None);
            }
            let image = images::get(&read, &id)?.ok_or_else(|| gone(&id))?;
            service.conversion(&image, asked)
        })
        .await
    }

    /// Makes an image active with the disk that an upload keeps, in another form.
    pub(in crate::service::images) async fn store_converted(
        &self,
        job: JobAtWork,
        upload: PartialUpload,
        form: Form,
    ) -> (JobAtWork, Result<PartialUpload, Error>) {
        let landing = Landing { disk_format: Some(form.disk_format()), ..Landing::default() };
        self.store_anew(job, Staged { upload, wrapper: None, form: Some(form) }, landing).await
    }

    /// What is staged, as it is to be stored, but in its wrapper; and how much that is, where it is known. A disk that is to
    /// be converted is in none any more, and has room for all of what it becomes.
    ///
    /// # Errors
    /// `TooLarge` when what is converted would be over the cap, or a limit of the image's project; `Gone` when the image was
    /// deleted meanwhile; what the store and the disk are refused with.
    pub(super) async fn staged_data(&self, staged: &Staged) -> Result<(Body, Option<u64>), Error> {
        let (service, upload) = (self.clone(), staged.upload.clone());
        let Some(form) = staged.form else {
            let total_bytes = staged.wrapper.is_none().then_some(upload.received_bytes);
            return Ok((in_background(move || service.kept_data(&upload)).await?, total_bytes));
        };
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
        let (service, upload) = (self.clone(), staged.upload.clone());
        in_background(move || service.make_room(&upload, size)).await?;
        let body = export.stream(ByteRange::whole(size))?;
        Ok((body, Some(size)))
    }

    /// Reserves what an upload's data becomes, before its first byte is made.
    fn make_room(&self, upload: &PartialUpload, bytes: u64) -> Result<(), Error> {
        check_cap(bytes, self.rules.image_bytes_max)?;
        let (service, id, token) = (self.clone(), upload.image, upload.token);
        self.db.write(move |txn| {
            let image = owned(txn, &id, &token)?.ok_or_else(|| gone(&id))?;
            // What it is made of stays until then, and needs the room that it has.
            if quotas::reserved(txn, &id)? < bytes {
                service.reserve(txn, &image, Wish::exactly(bytes))?;
            }
            Ok::<_, Error>(())
        })
    }
}

/// The form that an import's caller asks for.
pub(super) fn asked_of(intake: &Intake) -> Option<Form> {
    intake.convert.as_deref().and_then(Form::parse)
}
