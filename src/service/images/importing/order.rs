//! Requests for imports: who may ask, and what can be told at once.
//!
//! Each is one commit that marks the image and records the job. Invariant: everything that a commit rests on is
//! checked again inside it.

use super::targets::{Destination, first_in_front};
use super::{ImportMethod, ImportRules, expect_free, hold};
use crate::base::limits::IMAGE_PROPERTIES_MAX;
use crate::catalog::{images, locations, quotas, uploads};
use crate::db::{Rows, WriteTxn};
use crate::disk::writing::Form;
use crate::model::job::{DataOrigin, Intake, IntakeKind, Job, JobId, Task};
use crate::model::{Image, ImageId, PartialUpload, Status};
use crate::service::images::NewImage;
use crate::service::images::access;
use crate::service::images::create;
use crate::service::images::fields;
use crate::service::images::reserving::at_first;
use crate::service::jobs::Order;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Service};

/// An import as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIntake {
    /// How it is asked for.
    pub kind: IntakeKind,
    /// Where the data is.
    pub origin: DataOrigin,
    /// What the client said, as JSON; the task tells it.
    pub input: String,
    /// Which stores the data goes to.
    pub to: Destination,
    /// The format that its disk is to be stored in, where that is another than it comes in.
    pub convert: Option<Form>,
}

impl Service {
    /// Whether the operator allows a way in.
    pub fn offers_import(&self, method: ImportMethod) -> bool {
        self.import_methods().any(|offered| offered == method)
    }

    /// The ways in that the operator allows, as far as there is something to do them with.
    pub fn import_methods(&self) -> impl Iterator<Item = ImportMethod> {
        let methods = self.rules.imports.methods.iter().copied();
        methods.filter(|method| *method != ImportMethod::CopyImage || self.stores().are_several())
    }

    /// Whether anything may be fetched from an address. Blocks on looking its host up.
    ///
    /// # Errors
    /// `Invalid`, with the address and the reason.
    pub fn expect_fetchable(&self, url: &str) -> Result<(), Error> {
        Ok(self.web.expect_allowed(url)?)
    }

    /// Has a job give an image its data.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Invalid` when the origin cannot be, or the image's signature cannot be verified; `Conflict` when the image's state, its formats or
    /// another task are in the way; `TooLarge` when a limit of its project is.
    pub fn import_image_data(&self, actor: &Actor, id: &ImageId, new: NewIntake) -> Result<Job, Error> {
        self.order_intake(actor, id, new, |_| Ok(()))
    }

    /// The same, in one commit with `also`.
    pub(super) fn order_intake(
        &self,
        actor: &Actor,
        id: &ImageId,
        new: NewIntake,
        also: impl Fn(&WriteTxn) -> Result<(), Error> + Send + 'static,
    ) -> Result<Job, Error> {
        self.check_origin(actor, &new.origin)?;
        // Before anything is committed: who may not is told so, whatever the image is like.
        let image = access::writable(&self.db.read()?, actor, id, Action::ImagesUpload)?;
        expect_importable(&image, &new.origin)?;
        self.verification(&image)?;
        self.conversion(&image, new.convert)?;
        let (job, mut intake) = self.intake(actor, id, new);
        first_in_front(self, &image, &mut intake)?;
        let (service, caller) = (self.clone(), actor.clone());
        let order = Order { tasks: vec![(job, Task::Intake(intake.clone()))], group: None };
        self.queue_tasks(actor, order, move |txn| {
            let mut image = access::writable(txn, &caller, &intake.image, Action::ImagesUpload)?;
            expect_importable(&image, &intake.origin)?;
            image.upload = Some(job.0);
            hold(&mut image, &job, &service.stores().names_at(&intake.places));
            // Of an import before this one: the data would be compared with what that one expected.
            locations::remove(txn, &image.id)?;
            inject(&service.rules.imports, &caller, &mut image)?;
            image.updated_at = service.clock.now();
            match &intake.origin {
                // It stays uploading until the task begins, as the reference has it.
                DataOrigin::Staged => {
                    let staged = staged(txn, &image.id)?;
                    let expires_at = PartialUpload::NEVER;
                    let more = staged.received_bytes.saturating_mul(intake.further().len() as u64);
                    uploads::put(txn, &PartialUpload { token: job.0, expires_at, ..staged })?;
                    images::update(txn, &image)?;
                    quotas::expect_room(txn, &image, more)?;
                }
                DataOrigin::Web { .. } | DataOrigin::Region { .. } => {
                    image.status = Status::Importing;
                    image.place = match intake.places.first() {
                        Some(first) => *first,
                        None => service.store_for_new_data(None)?,
                    };
                    images::update(txn, &image)?;
                    service.reserve(txn, &image, at_first(None))?;
                }
                DataOrigin::Own => return Err(Error::invalid("an image with data is filled by nothing")),
            }
            also(txn)
        })
    }

    /// Makes an image and has a job give it its data.
    ///
    /// # Errors
    /// As [`Service::import_image_data`], and for the image's record.
    pub fn import_new_image(&self, actor: &Actor, image: NewImage, new: NewIntake) -> Result<Job, Error> {
        actor.expect(Action::ImagesImportByTask, Resource::None)?;
        self.check_origin(actor, &new.origin)?;
        let mut image = self.new_image(actor, image, Action::ImagesCreate)?;
        expect_importable(&image, &new.origin)?;
        self.verification(&image)?;
        let (job, intake) = self.intake(actor, &image.id, new);
        image.status = Status::Importing;
        image.upload = Some(job.0);
        hold(&mut image, &job, &[]);
        inject(&self.rules.imports, actor, &mut image)?;
        let service = self.clone();
        let order = Order { tasks: vec![(job, Task::Intake(intake))], group: None };
        self.queue_tasks(actor, order, move |txn| {
            create::insert(txn, &image)?;
            service.reserve(txn, &image, at_first(None)).map(drop)
        })
    }

    /// The work that a request asks for, and what its job is known by.
    pub(super) fn intake(&self, actor: &Actor, id: &ImageId, new: NewIntake) -> (JobId, Intake) {
        let request_id = actor.origin.request_id.clone();
        let NewIntake { kind, origin, input, to: Destination { places, must_all, .. }, convert } = new;
        let (image, stamp, convert) = (*id, None, convert.map(|form| form.as_str().to_owned()));
        let intake = Intake { kind, image, origin, stamp, input, request_id, places, must_all, convert };
        (self.next_job_id(), intake)
    }

    fn check_origin(&self, actor: &Actor, origin: &DataOrigin) -> Result<(), Error> {
        match origin {
            DataOrigin::Staged | DataOrigin::Own => Ok(()),
            DataOrigin::Web { url } => self.expect_fetchable(url),
            DataOrigin::Region { region, image } => self.check_region(actor, region, image),
        }
    }
}

/// Puts on an image what the operator wants on those that such callers have imported. It is no change of the caller's, so
/// that no rule about what callers may set holds for it.
fn inject(rules: &ImportRules, actor: &Actor, image: &mut Image) -> Result<(), Error> {
    if actor.roles.iter().any(|role| rules.inject_roles_except.contains(role)) {
        return Ok(());
    }
    image.properties.extend(rules.inject.clone());
    fields::check_count("properties", image.properties.len(), IMAGE_PROPERTIES_MAX)
}

/// What was staged for an image, once all of it is there.
fn staged(rows: &impl Rows, id: &ImageId) -> Result<PartialUpload, Error> {
    let upload =
        uploads::get(rows, id)?.filter(|upload| upload.declared_bytes == Some(upload.received_bytes));
    upload.ok_or_else(|| Error::conflict(format!("image {id}: its data is still being staged")))
}

/// Refuses an image that cannot be imported so.
pub(super) fn expect_importable(image: &Image, origin: &DataOrigin) -> Result<(), Error> {
    let id = image.id;
    expect_free(image)?;
    let (expected, how) = match origin {
        DataOrigin::Staged => (Status::Uploading, ImportMethod::GlanceDirect),
        DataOrigin::Web { .. } => (Status::Queued, ImportMethod::WebDownload),
        DataOrigin::Region { .. } => (Status::Queued, ImportMethod::GlanceDownload),
        DataOrigin::Own => (Status::Active, ImportMethod::CopyImage),
    };
    if image.status != expected {
        let (status, expected, how) = (image.status.as_str(), expected.as_str(), how.as_str());
        return Err(Error::conflict(format!(
            "image {id} is {status}; {how} takes an image that is {expected}"
        )));
    }
    // What comes from another region says itself what it is.
    let comes_with_formats = matches!(origin, DataOrigin::Region { .. });
    for (what, format) in [("disk_format", &image.disk_format), ("container_format", &image.container_format)]
    {
        if format.is_none() && !comes_with_formats {
            return Err(Error::conflict(format!("image {id} has no {what}; set it before it is imported")));
        }
    }
    Ok(())
}
