//! Requests for jobs: who may ask, and what can be told at once.
//!
//! Each is one commit that makes or marks the image and records the job. Invariant: nothing is opened before
//! the caller was authorised, and everything that a commit rests on is checked again inside it.

use super::across::is_of_origin;
use super::buckets::Purpose;
use super::import::check_object;
use super::{export, formats, hindered, is_iso, is_whole_machine};
use crate::catalog::quotas::Wish;
use crate::catalog::{domain_members, images, locations};
use crate::db::Rows;
use crate::model::image::MemberStatus;
use crate::model::job::{ImportRoute, Job, JobId, Place, Task};
use crate::model::{Image, ImageId, Status, Visibility};
use crate::service::images::access;
use crate::service::images::create::{self, NewImage};
use crate::service::images::fields::{Change, Existing, Field};
use crate::service::images::own::own;
use crate::service::images::sealing::{CUSTOM_KEY_PROPERTY, KEY_PROPERTY};
use crate::service::images::sharing::expect_may_copy;
use crate::service::jobs::Order;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, ErrorKind, Hindrance, Reason, Service, custom_keys};

/// Properties that tell of an image's own origin, and so are no copy's.
pub(super) const OF_ORIGIN: [&str; 6] = [
    "__data_origin",
    "__root_origin",
    "__originalimagename",
    "__backup_id",
    KEY_PROPERTY,
    CUSTOM_KEY_PROPERTY,
];

/// An image that is made from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImport {
    /// The image.
    pub image: NewImage,
    /// Where the file is.
    pub from: Place,
    /// How it is asked for.
    pub route: ImportRoute,
    /// The custom key that it is to be sealed with: an id, or an alias of the caller's project.
    pub key: Option<String>,
}

impl Service {
    /// Makes an image from a file.
    ///
    /// # Errors
    /// `Forbidden` without the right to register images; `Invalid` or `TooLarge` for what the image or the
    /// file cannot be, or a limit of the project does not let through; `Conflict` when an id is taken; `Unavailable` when a bucket cannot be reached.
    pub fn import_image(&self, actor: &Actor, import: NewImport) -> Result<Job, Error> {
        self.order_imports(actor, vec![import], None)
    }

    /// Makes a set of images from files, all or none: one job with a part for each.
    ///
    /// # Errors
    /// As [`Service::import_image`].
    pub fn import_images(&self, actor: &Actor, imports: Vec<NewImport>) -> Result<Job, Error> {
        let group = self.next_job_id();
        self.order_imports(actor, imports, Some(group))
    }

    fn order_imports(
        &self,
        actor: &Actor,
        imports: Vec<NewImport>,
        group: Option<JobId>,
    ) -> Result<Job, Error> {
        let mut made = Vec::new();
        let mut tasks = Vec::new();
        for NewImport { mut image, from, route, key } in imports {
            let action = match is_data_disk(&image) {
                true => Action::DataImagesCreate,
                false => Action::ServerImagesCreate,
            };
            actor.expect(action, Resource::None)?;
            image.changes.extend(self.key_change(actor, key.as_deref())?);
            let mut image = self.new_image(actor, image, action)?;
            let size = self.readable(actor, &from)?;
            let id = self.next_job_id();
            image.status = Status::Saving;
            image.upload = Some(id.0);
            tasks.push((id, Task::Import { image: image.id, from, route, stamp: None }));
            made.push((image, size));
        }
        let service = self.clone();
        self.queue_tasks(actor, Order { tasks, group }, move |txn| {
            made.iter().try_for_each(|(image, size)| {
                create::insert(txn, image)?;
                service.reserve(txn, image, Wish::exactly(*size))?;
                Ok(())
            })
        })
    }

    /// Fills an image that was registered from a file.
    ///
    /// # Errors
    /// As [`Service::import_image`]; `NotFound` or `Forbidden` for the image; `Conflict` when it has data, or
    /// some is on its way.
    pub fn import_into_image(&self, actor: &Actor, id: &ImageId, from: &Place) -> Result<Job, Error> {
        expect_fillable(&own(&self.db.read()?, actor, id, Action::ImagesUpload)?)?;
        let (size, from) = (self.readable(actor, from)?, from.clone());
        let (job, now) = (self.next_job_id(), self.clock.now());
        let task = Task::Import { image: *id, from: from.clone(), route: ImportRoute::Register, stamp: None };
        let (service, worker, id) = (self.clone(), actor.clone(), *id);
        self.queue_tasks(actor, Order { tasks: vec![(job, task)], group: None }, move |txn| {
            let mut image = own(txn, &worker, &id, Action::ImagesUpload)?;
            expect_fillable(&image)?;
            locations::remove(txn, &id)?;
            image.status = Status::Saving;
            image.upload = Some(job.0);
            image.properties.insert("__data_origin".to_owned(), format!("file,{from}"));
            image.properties.insert("__root_origin".to_owned(), "file".to_owned());
            image.updated_at = now;
            images::update(txn, &image)?;
            service.reserve(txn, &image, Wish::exactly(size))?;
            Ok(())
        })
    }

    /// What has an image sealed with a custom key, when the caller may use it.
    fn key_change(&self, actor: &Actor, key: Option<&str>) -> Result<Option<Change>, Error> {
        let key = key.map(|named| self.key_for_new_data(actor, named)).transpose()?;
        Ok(key.map(|key| Change::SetProperty {
            name: CUSTOM_KEY_PROPERTY.to_owned(),
            value: key.id.to_string(),
            existing: Existing::Any,
        }))
    }

    /// How many bytes the file has, when the caller's project may read there and it may be an image.
    pub(super) fn readable(&self, actor: &Actor, place: &Place) -> Result<u64, Error> {
        let (medium, key) = self.bucket(&self.db.read()?, actor.project(), place, Purpose::Read)?;
        let source = medium.open(&key)?;
        check_object(&*source, &place.to_string(), self.rules.image_bytes_max)?;
        Ok(source.size_bytes())
    }

    /// Writes an image's data to a bucket.
    ///
    /// # Errors
    /// `NotFound`, or `Forbidden` for other projects' images; `Conflict` or `Invalid` when the image is of a
    /// kind or in a state that does not leave, or the object is there already; `Unavailable` when the bucket
    /// cannot be reached.
    pub fn export_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        to: Place,
        format: Option<String>,
    ) -> Result<Job, Error> {
        exportable(&self.db.read()?, actor, id, format.as_deref())?;
        let (medium, key) = self.bucket(&self.db.read()?, actor.project(), &to, Purpose::Write)?;
        export::check_free(&*medium, &key)?;
        let task = Task::Export { image: *id, to, format: format.clone() };
        let (worker, id) = (actor.clone(), *id);
        let order = Order { tasks: vec![(self.next_job_id(), task)], group: None };
        self.queue_tasks(actor, order, move |txn| exportable(txn, &worker, &id, format.as_deref()))
    }

    /// Whether the caller's project may make an image from this one.
    ///
    /// # Errors
    /// As [`Service::copy_image`].
    pub fn expect_copyable(&self, actor: &Actor, source: &ImageId) -> Result<(), Error> {
        copyable(&self.db.read()?, actor, source).map(drop)
    }

    /// Makes an image of the caller's project from another that it may see.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`; `Conflict` or `Invalid` when the other is of a kind or in a state that is not
    /// copied, `changes` go out of bounds, or `key` is none that the caller may use, or the other's own. Without
    /// a `key` the copy is sealed as any image of the project.
    pub fn copy_image(
        &self,
        actor: &Actor,
        source: &ImageId,
        changes: Vec<Change>,
        key: Option<&str>,
    ) -> Result<Job, Error> {
        let origin = copyable(&self.db.read()?, actor, source)?;
        let sealed = self.key_change(actor, key)?;
        if let Some(Change::SetProperty { value, .. }) = &sealed
            && origin.properties.get(CUSTOM_KEY_PROPERTY) == Some(value)
        {
            let message =
                format!("image {source} is sealed with custom key {value} already; name another one");
            return Err(Error::conflict(message).because(Reason::SameKey));
        }
        let changes = copied_fields(&origin).into_iter().chain(changes).chain(sealed).collect();
        let mut image = self.new_image(actor, NewImage { id: None, changes }, Action::ImagesCopy)?;
        image.place = self.stores.place_beside(&origin);
        let id = self.next_job_id();
        image.status = Status::Saving;
        image.upload = Some(id.0);
        let task = Task::Copy { source: *source, image: image.id };
        let (service, worker, source) = (self.clone(), actor.clone(), *source);
        self.queue_tasks(actor, Order { tasks: vec![(id, task)], group: None }, move |txn| {
            let origin = copyable(txn, &worker, &source)?;
            create::insert(txn, &image)?;
            service.reserve(txn, &image, Wish::exactly(origin.size_bytes.unwrap_or(0)))?;
            Ok(())
        })
    }
}

fn is_data_disk(new: &NewImage) -> bool {
    new.changes.iter().any(|change| {
        matches!(change, Change::SetProperty { name, value, .. } if name == "virtual_env_type" && value == "DataImage")
    })
}

/// Refuses the export of an image that does not leave, or not so.
fn exportable(rows: &impl Rows, actor: &Actor, id: &ImageId, format: Option<&str>) -> Result<(), Error> {
    let image = own(rows, actor, id, Action::ImagesExport)?;
    expect_exportable(&image)?;
    custom_keys::expect_opens(rows, &image, actor)?;
    formats::check(&image, format)
}

fn expect_fillable(image: &Image) -> Result<(), Error> {
    match image.status {
        Status::Queued => Ok(()),
        status => Err(hindered(
            ErrorKind::Conflict,
            Hindrance::NotFillable,
            format!("image {} is {}; only a queued image can be filled", image.id, status.as_str()),
        )),
    }
}

fn expect_exportable(image: &Image) -> Result<(), Error> {
    let id = &image.id;
    let refuse = |hindrance, why: &str| {
        Err(hindered(ErrorKind::Conflict, hindrance, format!("image {id} cannot be exported: {why}")))
    };
    match image.visibility {
        Visibility::Public | Visibility::Community => refuse(Hindrance::PublicImage, "it is public"),
        _ if is_whole_machine(image) => refuse(Hindrance::WholeMachine, "it is a part of a whole machine"),
        _ if image.status != Status::Active => Err(not_active(image)),
        _ if is_iso(image) => refuse(Hindrance::InstallMedia, "it is an ISO; download it instead"),
        _ => Ok(()),
    }
}

/// The image, when the caller's project may make another from it: its own, or one it accepted.
pub(super) fn copyable(rows: &impl Rows, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
    let project = access::project(actor)?;
    let image = access::reachable(rows, actor, id, Action::ImagesCopy)?;
    let is_own = image.owner.as_ref() == Some(project);
    if !is_own {
        if matches!(image.visibility, Visibility::Public | Visibility::Community) {
            let message = format!("image {id} is public: use it as it is, or download it and upload it");
            return Err(Error::conflict(message).because(Reason::IsPublic));
        }
        let share = domain_members::share_of(rows, id, project)?;
        match share.map(|share| share.status) {
            Some(MemberStatus::Accepted) => {}
            Some(MemberStatus::Pending | MemberStatus::Rejected) => {
                let message = format!("image {id} is offered to your project: accept it first");
                return Err(hindered(ErrorKind::Conflict, Hindrance::NotAccepted, message));
            }
            // An administrator sees it; that makes it no share.
            None => {
                let message = format!("image {id} belongs to another project");
                return Err(Error::forbidden(message).because(Reason::NotOwner));
            }
        }
    }
    if image.status != Status::Active {
        return Err(not_active(&image));
    }
    let refuse = |hindrance, why: &str| {
        Err(hindered(ErrorKind::Conflict, hindrance, format!("image {id} cannot be copied: {why}")))
    };
    if is_whole_machine(&image) {
        return refuse(Hindrance::WholeMachine, "it is a part of a whole machine");
    }
    if is_iso(&image) {
        return refuse(Hindrance::InstallMedia, "it is an ISO");
    }
    expect_may_copy(rows, actor, &image)?;
    custom_keys::expect_opens(rows, &image, actor)?;
    Ok(image)
}

fn not_active(image: &Image) -> Error {
    let message =
        format!("image {} is {}: only active images can leave or be copied", image.id, image.status.as_str());
    Error::conflict(message).because(Reason::NotActive)
}

/// What a copy has of the other image.
fn copied_fields(origin: &Image) -> Vec<Change> {
    let fields = [
        Field::Visibility(Visibility::Private),
        Field::ContainerFormat(origin.container_format.clone()),
        Field::DiskFormat(origin.disk_format.clone()),
        Field::MinDiskGib(origin.min_disk_gib),
        Field::MinRamMib(origin.min_ram_mib),
    ];
    let set = |(name, value): (&String, &String)| Change::SetProperty {
        name: name.clone(),
        value: value.clone(),
        existing: Existing::Any,
    };
    let own = origin.properties.iter().filter(|(name, _)| !is_of_origin(name));
    let parent = Change::SetProperty {
        name: "__originalimagename".to_owned(),
        value: origin.id.to_string(),
        existing: Existing::Any,
    };
    fields.map(Change::Set).into_iter().chain(own.map(set)).chain([parent]).collect()
}
