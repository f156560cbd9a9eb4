//! Filling images from a bucket: the work of an import, be it of one file or of all disks of a machine.
//!
//! The bytes go the way of an upload in parts, with the job's id as its name, so that a crash costs what came
//! since the last checkpoint. An object that is not any more what was read before is begun anew.

use std::collections::BTreeMap;

use super::buckets::Purpose;
use super::hindered;
use super::patience::{Patience, is_passing};
use super::reading::Reading;
use super::sniff::{self, Found};
use crate::base::Time;
use crate::catalog::quotas::Wish;
use crate::catalog::{images, uploads};
use crate::db::WriteTxn;
use crate::disk::writing::Form;
use crate::model::job::{Disk, ImportRoute, Task};
use crate::model::{Image, ImageId, PartialUpload, Status};
use crate::objects::exchange::Source;
use crate::service::images::resumable::forget;
use crate::service::images::upload::{check_cap, gone, in_background, owned};
use crate::service::jobs::{JobAtWork, asker};
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Hindrance, Service};

/// What came of it, in figures.
type Figures = BTreeMap<String, u64>;

/// Formats that a quick import takes.
const QUICK: [&str; 2] = ["raw", "zvhd2"];
const GIB: u64 = 1 << 30;

/// One image that a job fills.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    /// What is filled from where.
    pub disk: Disk,
    /// How it was asked for.
    pub route: ImportRoute,
    /// Whether the image's smallest disk is to be the size of the guest's.
    pub sets_min_disk: bool,
}

/// What an import finds when it begins.
pub(super) enum Begun {
    /// The image is active: an earlier process did not come to record the end.
    Done(Figures),
    /// There are bytes to read.
    Open {
        source: Box<dyn Source>,
        upload: PartialUpload,
        /// The form that the disk is stored in, where that is another than it comes in.
        form: Option<Form>,
    },
}

impl Service {
    /// Does an import, to its recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_import(&self, job: JobAtWork) -> Result<(), Error> {
        let (job, outcome) = self.import(job).await?;
        in_background(move || job.finish(outcome.as_ref().cloned())).await
    }

    async fn import(&self, mut job: JobAtWork) -> Result<(JobAtWork, Result<Figures, Error>), Error> {
        let (mut all, mut patience) = (Figures::new(), Patience::default());
        // Each try looks anew at what is to be filled: the one before may have noted what the object looks like.
        let mut turn = 0;
        while let Some(filling) = fillings(&job).into_iter().nth(turn) {
            let outcome;
            (job, outcome) = self.fill(job, filling).await;
            let error = match outcome {
                Ok(figures) => {
                    figures.into_iter().for_each(|(name, figure)| *all.entry(name).or_default() += figure);
                    turn += 1;
                    continue;
                }
                Err(error) => error,
            };
            let mut goes_on = is_passing(&error);
            if goes_on {
                (job, goes_on) = patience.another(job, &error, "waiting for the bucket").await?;
            }
            if !goes_on {
                return Ok((job, Err(error)));
            }
        }
        Ok((job, Ok(all)))
    }

    async fn fill(&self, mut job: JobAtWork, filling: Filling) -> (JobAtWork, Result<Figures, Error>) {
        let service = self.clone();
        let begun = tokio::task::spawn_blocking(move || {
            let begun = service.begin_import(&mut job, filling);
            (job, begun)
        });
        let (job, begun) = match begun.await {
            Ok((job, Ok(begun))) => (job, begun),
            Ok((job, Err(error))) => return (job, Err(error)),
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        match begun {
            Begun::Done(figures) => (job, Ok(figures)),
            Begun::Open { source, upload, form } => self.read_import(job, source, upload, form).await,
        }
    }

    /// Looks at everything again, and makes the image ready for its bytes.
    pub(super) fn begin_import(&self, job: &mut JobAtWork, filling: Filling) -> Result<Begun, Error> {
        let asked = job.job();
        let Filling { disk: Disk { image: id, from, stamp }, route, sets_min_disk } = filling;
        let read = self.db.read()?;
        let image = images::get(&read, &id)?.ok_or_else(|| gone(&id))?;
        if matches!(image.status, Status::Active | Status::Deactivated) {
            return Ok(Begun::Done(figures(&image)));
        }
        let (medium, key) = self.bucket(&read, asked.project.as_ref(), &from, Purpose::Read)?;
        drop(read);
        let _ = job.step(&Step { phase: "looking", done: 0, total: None });
        let mut source = medium.open(&key)?;
        check_object(&*source, &from.to_string(), self.rules.image_bytes_max)?;
        let found = sniff::sniff(&mut *source, key.as_str())?;
        check_found(&found, &image, route)?;
        let min_disk_gib = found.virtual_bytes.map(|bytes| bytes.div_ceil(GIB)).filter(|_| sets_min_disk);
        let opening = Opening {
            image: id,
            min_disk_gib,
            token: asked.id.0,
            format: found.format,
            size_bytes: source.size_bytes(),
            is_same: stamp.as_deref() == Some(source.stamp()),
        };
        let (service, now) = (self.clone(), self.clock.now());
        let upload = self.db.write(move |txn| make_ready(txn, &service, &opening, now))?;
        let form = match route {
            ImportRoute::System | ImportRoute::Data => {
                let ready = images::get(&self.db.read()?, &id)?.ok_or_else(|| gone(&id))?;
                self.conversion(&ready, None)?
            }
            // What is registered stays as it lies there, and what is quick is not looked at.
            ImportRoute::Register | ImportRoute::Quick => None,
        };
        if let Some(task) = asked.task {
            job.amend(stamped(task, &id, source.stamp()))?;
        }
        Ok(Begun::Open { source, upload, form })
    }

    async fn read_import(
        &self,
        job: JobAtWork,
        source: Box<dyn Source>,
        upload: PartialUpload,
        form: Option<Form>,
    ) -> (JobAtWork, Result<Figures, Error>) {
        let (service, id, at) = (self.clone(), upload.image, upload.received_bytes);
        let turn = self.turns.take(upload.token).await;
        let asker = asker(&job.job());
        let part = match in_background(move || service.take_up_upload(&asker, upload, turn)).await {
            Ok(part) => part,
            Err(error) => return (job, Err(error)),
        };
        let (pieces, reader) = Reading { source, job, at, hole: 0 }.start();
        let taken = match form {
            None => part.take_in(pieces).await,
            // All of it is there before any is converted.
            Some(_) => part.take_in_short(pieces).await,
        };
        let read = match reader.await {
            Ok(read) => read,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        // Why the bytes did not come says more than that they did not.
        let outcome = read.outcome.map_err(Error::from).and(taken);
        let is_there = |upload: &PartialUpload| upload.declared_bytes == Some(upload.received_bytes);
        let (job, outcome) = match (outcome, form) {
            (Ok(upload), Some(form)) if is_there(&upload) && !read.job.was_stopped() => {
                self.store_converted(read.job, upload, form).await
            }
            (outcome, _) => (read.job, outcome),
        };
        let outcome = outcome.and_then(|upload| match upload.complete {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Unavailable, "the object's bytes did not all come")),
        });
        let service = self.clone();
        let outcome = match outcome {
            Ok(()) => in_background(move || service.import_figures(&id)).await,
            Err(error) => Err(error),
        };
        (job, outcome)
    }

    fn import_figures(&self, id: &ImageId) -> Result<Figures, Error> {
        // One that was deleted since was filled all the same.
        Ok(images::get(&self.db.read()?, id)?.as_ref().map(figures).unwrap_or_default())
    }
}

/// What a job fills, in this order: of a machine the system last, so that it is active only when all is there.
pub(super) fn fillings(job: &JobAtWork) -> Vec<Filling> {
    match job.job().task {
        Some(Task::Import { image, from, route, stamp }) => {
            vec![Filling { disk: Disk { image, from, stamp }, route, sets_min_disk: false }]
        }
        Some(Task::Machine { disks }) => {
            let mut disks = disks.into_iter();
            let system = disks.next().map(|disk| (disk, ImportRoute::System));
            let order = disks.map(|disk| (disk, ImportRoute::Data)).chain(system);
            order.map(|(disk, route)| Filling { disk, route, sets_min_disk: true }).collect()
        }
        _ => Vec::new(),
    }
}

/// The task, with what the object looks like now that an image is filled from.
fn stamped(mut task: Task, id: &ImageId, now: &str) -> Task {
    match &mut task {
        Task::Import { stamp, .. } => *stamp = Some(now.to_owned()),
        Task::Machine { disks } => {
            let disk = disks.iter_mut().find(|disk| disk.image == *id);
            disk.into_iter().for_each(|disk| disk.stamp = Some(now.to_owned()));
        }
        Task::Export { .. } | Task::Copy { .. } => {}
        Task::CopyAcross { .. } | Task::CopyToPlaces { .. } | Task::Intake(_) => {}
        Task::Cache { .. } | Task::Group => {}
    }
    task
}

/// Refuses an object that makes no image, whatever is in it.
pub(super) fn check_object(source: &dyn Source, name: &str, bytes_max: u64) -> Result<(), Error> {
    let size = source.size_bytes();
    if size == 0 {
        return Err(hindered(ErrorKind::Invalid, Hindrance::NoObject, format!("object {name} is empty")));
    }
    check_cap(size, bytes_max)
        .map_err(|error| hindered(ErrorKind::TooLarge, Hindrance::ObjectTooLarge, error.message))
}

fn check_found(found: &Found, image: &Image, route: ImportRoute) -> Result<(), Error> {
    let format = found.format.as_str();
    if route == ImportRoute::Quick && !QUICK.contains(&format) {
        let message =
            format!("a quick import takes raw and zvhd2 files as they are, and this one is {format}");
        return Err(hindered(ErrorKind::UnsupportedContent, Hindrance::NotQuick, message));
    }
    let wants_iso = image.properties.get("virtual_env_type").is_some_and(|kind| kind == "IsoImage");
    match (wants_iso, format == "iso") {
        (true, false) => {
            return Err(sniff::bad(format!("type is IsoImage, and the file is {format}; leave type out")));
        }
        (false, true) if route != ImportRoute::Register => {
            return Err(sniff::bad("the file is an ISO; ask with type IsoImage".to_owned()));
        }
        _ => {}
    }
    let Some(virtual_bytes) = found.virtual_bytes.filter(|_| image.min_disk_gib > 0) else { return Ok(()) };
    let wanted_gib = virtual_bytes.div_ceil(GIB);
    if wanted_gib > image.min_disk_gib {
        let message = format!(
            "the guest's disk has {virtual_bytes} bytes, which takes {wanted_gib} GiB, and min_disk is {} GiB; ask again \
             with a larger min_disk",
            image.min_disk_gib
        );
        return Err(hindered(ErrorKind::Invalid, Hindrance::DiskTooSmall, message));
    }
    Ok(())
}

/// What the commit before the first byte rests on.
struct Opening {
    image: ImageId,
    /// What its smallest disk is to be, where the guest's disk says it.
    min_disk_gib: Option<u64>,
    /// The job's id, which the image carries.
    token: [u8; 16],
    format: String,
    size_bytes: u64,
    /// Whether the object is what was read before.
    is_same: bool,
}

/// The commit before the first byte: the image knows its format, and has an upload of the job's name.
fn make_ready(
    txn: &WriteTxn,
    service: &Service,
    opening: &Opening,
    now: Time,
) -> Result<PartialUpload, Error> {
    let Opening { image: id, min_disk_gib, token, format, size_bytes, is_same } = opening;
    let mut image = owned(txn, id, token)?.ok_or_else(|| gone(id))?;
    // It may have grown since it was asked for, and a job that begins again has nothing reserved.
    service.reserve(txn, &image, Wish::exactly(*size_bytes))?;
    let before = uploads::get(txn, id)?.filter(|upload| upload.token == *token);
    if let Some(before) = before.filter(|before| *is_same && before.declared_bytes == Some(*size_bytes)) {
        return Ok(before);
    }
    forget(txn, &service.store, id)?;
    image.disk_format = Some(format.clone());
    image.container_format.get_or_insert_with(|| "bare".to_owned());
    image.min_disk_gib = min_disk_gib.unwrap_or(image.min_disk_gib);
    image.updated_at = now;
    images::update(txn, &image)?;
    let upload = PartialUpload::new(&image, *token, Some(*size_bytes), now);
    uploads::put(txn, &upload)?;
    Ok(upload)
}

fn figures(image: &Image) -> Figures {
    let figures = [("image_bytes", image.size_bytes), ("virtual_bytes", image.virtual_size_bytes)];
    figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?))).collect()
}
