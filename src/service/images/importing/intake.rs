//! Giving images their data: the work of imports.
//!
//! The bytes go the way of an upload in parts, with the job's id as its name, so that a crash costs what came since the
//! last checkpoint, where the server can go on from there. Staged data is there already: it is looked at, and made
//! the image's.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::Landing;
use super::across::{Inbound, Said};
use super::converting::asked_of;
use super::locations::has_declared_hash;
use super::pouring::{Body, Pouring};
use super::unwrapping::{Staged, peeked};
use crate::base::Time;
use crate::catalog::quotas::Wish;
use crate::catalog::{images, uploads};
use crate::db::WriteTxn;
use crate::model::job::{DataOrigin, Intake, Task};
use crate::model::{Image, ImageId, PartialUpload, Status, StorePlace};
use crate::service::images::reserving::at_first;
use crate::service::images::resumable::forget;
use crate::service::images::transfer::{Patience, is_passing};
use crate::service::images::upload::{check_cap, gone, in_background, owned};
use crate::service::jobs::{JobAtWork, asker};
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Hindrance, Reason, Service};
use crate::store::Reach;
use crate::web::From;

/// What came of it, in figures.
type Figures = BTreeMap<String, u64>;
/// The job comes back, however its work ended.
pub(super) type Tried = (JobAtWork, Result<Figures, Error>);

impl Service {
    /// Does an import, to its recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_intake(&self, job: JobAtWork) -> Result<(), Error> {
        let Some(Task::Intake(intake)) = job.job().task else {
            return job.finish(Err(&Error::invalid("the job is no import")));
        };
        let (job, outcome) = match intake.origin {
            DataOrigin::Own => self.copy_to_all(job, intake.image, &intake.places, intake.must_all).await?,
            _ => {
                let tried = self.take_in_data(job).await?;
                self.spread(tried, &intake).await?
            }
        };
        in_background(move || job.finish(outcome.as_ref().cloned())).await
    }

    pub(super) async fn take_in_data(&self, mut job: JobAtWork) -> Result<Tried, Error> {
        let mut patience = Patience::default();
        loop {
            // Each try looks anew at what is to be done: the one before may have noted what the data looks like.
            let Some(Task::Intake(intake)) = job.job().task else {
                return Ok((job, Err(Error::invalid("the job is no import"))));
            };
            let makes_copies = intake.must_all && !intake.further().is_empty();
            let outcome;
            (job, outcome) = match &intake.origin {
                DataOrigin::Staged => self.adopt(job, &intake).await,
                DataOrigin::Web { .. } | DataOrigin::Region { .. } => self.download(job, intake).await,
                DataOrigin::Own => (job, Err(Error::invalid("what the image has is copied, not imported"))),
            };
            if makes_copies && outcome.is_err() {
                // Those that were made before it failed have no rows to be found by.
                self.litter().left(Reach::Everything);
            }
            let error = match outcome {
                Err(error) if is_passing(&error) => error,
                outcome => return Ok((job, outcome)),
            };
            let goes_on;
            (job, goes_on) = patience.another(job, &error, "waiting for the server").await?;
            if !goes_on {
                return Ok((job, Err(error)));
            }
        }
    }

    /// Makes the image's what was staged for it.
    async fn adopt(&self, job: JobAtWork, intake: &Intake) -> Tried {
        let (service, id, asked) = (self.clone(), intake.image, asked_of(intake));
        let (job, begun) = with_job(job, move |job| {
            let Some((upload, image)) = service.begin_adoption(&id, &job.id().0)? else { return Ok(None) };
            let step = Step { phase: "importing", done: 0, total: Some(upload.received_bytes) };
            if job.step(&step).is_break() {
                return Err(Error::conflict("the job was ended"));
            }
            let wrapper = match service.unwraps(image.container_format.as_deref()) {
                true => service.wrapper_of(&upload)?,
                false => None,
            };
            let form = service.conversion(&image, asked)?;
            Ok(Some((Staged { upload, wrapper, form }, image.place)))
        })
        .await;
        match begun {
            Ok(Some((staged, place))) if is_in_place(&staged, place, intake) => {
                self.finish_intake(job, intake, staged).await
            }
            Ok(Some((staged, _))) => self.finish_anew(job, intake, staged).await,
            Ok(None) => self.figures_of(job, id).await,
            Err(error) => (job, Err(error)),
        }
    }

    /// The commit in which staged data is begun to be looked at; `None` where it is the image's already.
    fn begin_adoption(
        &self,
        id: &ImageId,
        token: &[u8; 16],
    ) -> Result<Option<(PartialUpload, Image)>, Error> {
        let (now, id, token) = (self.clock.now(), *id, *token);
        self.db.write(move |txn| {
            let Some(mut image) = expect_own(txn, &id, &token)? else { return Ok(None) };
            let upload =
                uploads::get(txn, &id)?.filter(|upload| upload.token == token).ok_or_else(|| gone(&id))?;
            image.status = Status::Importing;
            image.updated_at = now;
            images::update(txn, &image)?;
            Ok(Some((upload, image)))
        })
    }

    /// Fetches the image's data.
    async fn download(&self, job: JobAtWork, intake: Intake) -> Tried {
        let (service, token) = (self.clone(), job.id().0);
        let asked = intake.clone();
        let (job, kept) = with_job(job, move |_| service.kept_of(&asked.image, &token)).await;
        let kept = match kept {
            Ok(Kept::Rest(upload)) => upload,
            Ok(Kept::Whole) => return self.figures_of(job, intake.image).await,
            Err(error) => return (job, Err(error)),
        };
        if let Some(upload) = kept.clone().filter(has_all) {
            // What is left to do asks nothing of the server.
            return self.finish_kept(job, &intake, upload).await;
        }
        let from = match (&kept, &intake.stamp) {
            (Some(upload), Some(stamp)) if upload.received_bytes > 0 => {
                let (offset, size_bytes) = (upload.received_bytes, upload.declared_bytes);
                Some(From { offset, stamp: stamp.clone(), size_bytes })
            }
            _ => None,
        };
        let inbound = match &intake.origin {
            DataOrigin::Web { url } => {
                self.web.open(url, from.as_ref()).await.map(Inbound::from).map_err(Error::from)
            }
            DataOrigin::Region { region, image } => {
                self.open_region(&job.job(), region, image, from.as_ref()).await
            }
            DataOrigin::Staged | DataOrigin::Own => Err(Error::invalid("what the box has is not fetched")),
        };
        match inbound {
            Ok(inbound) => self.take_in(job, intake, inbound).await,
            Err(error) => (job, Err(error)),
        }
    }

    async fn take_in(&self, job: JobAtWork, intake: Intake, inbound: Inbound) -> Tried {
        let Inbound { size_bytes, stamp, offset, body, record } = inbound;
        let body: Body = body.map_err(Error::from).boxed();
        let (job, unwraps) = self.unwraps_fetched(job, intake.image, record.clone()).await;
        let unwraps = match unwraps {
            Ok(unwraps) => unwraps,
            Err(error) => return (job, Err(error)),
        };
        // What goes on goes on as it began.
        let (wrapper, body) = match offset == 0 && unwraps {
            true => peeked(body).await,
            false => (None, body),
        };
        // Where a wrapper's inside stands says nothing of where its outside does: it begins anew each time.
        let (size_bytes, stamp) = if wrapper.is_some() { (None, None) } else { (size_bytes, stamp) };
        let opening = Opening { image: intake.image, token: job.id().0, size_bytes, offset, record };
        let service = self.clone();
        let (job, upload) = with_job(job, move |job| {
            check_cap(opening.size_bytes.unwrap_or(0), service.rules.image_bytes_max)?;
            let (now, within) = (service.clock.now(), service.clone());
            let upload = service.db.write(move |txn| make_ready(txn, &within, &opening, now))?;
            if intake.stamp != stamp {
                job.amend(Task::Intake(Intake { stamp, ..intake.clone() }))?;
            }
            Ok((upload, intake))
        })
        .await;
        let (upload, intake) = match upload {
            Ok(ready) => ready,
            Err(error) => return (job, Err(error)),
        };
        let form = match self.conversion_of(&intake).await {
            Ok(form) => form,
            Err(error) => return (job, Err(error)),
        };
        let part = match self.part_of(&job, upload, Landing::default()).await {
            Ok(part) => part,
            Err(error) => return (job, Err(error)),
        };
        let (pieces, pouring) =
            Pouring { body, wrapper, job, phase: "fetching", done_bytes: offset, total_bytes: size_bytes }
                .start();
        // Where more than one store waits for it, or another form, all of it is there first.
        let taken = match intake.further().is_empty() && form.is_none() {
            true => part.take_in(pieces).await,
            false => part.take_in_short(pieces).await,
        };
        let poured = match pouring.await {
            Ok(poured) => poured,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        // Why the bytes did not come says more than that they did not.
        let outcome = poured.outcome.and(taken);
        let job = poured.job;
        match outcome {
            Ok(upload) if upload.complete => self.figures_of(job, upload.image).await,
            Ok(upload) if has_all(&upload) && !job.was_stopped() => {
                self.finish_kept(job, &intake, upload).await
            }
            Ok(upload) if upload.declared_bytes.is_none() && !job.was_stopped() => {
                self.end_unmeasured(job, &intake, upload).await
            }
            Ok(_) => (job, Err(broken_off())),
            Err(error) => (job, Err(error)),
        }
    }

    /// All of it came, though nobody had said how much that is.
    async fn end_unmeasured(&self, job: JobAtWork, intake: &Intake, upload: PartialUpload) -> Tried {
        let service = self.clone();
        let declared = in_background(move || service.declare_all(upload)).await;
        match declared {
            Ok(upload) => self.finish_kept(job, intake, upload).await,
            Err(error) => (job, Err(error)),
        }
    }

    /// Makes the image active with what was fetched, in the form that it is to have.
    async fn finish_kept(&self, job: JobAtWork, intake: &Intake, upload: PartialUpload) -> Tried {
        match self.conversion_of(intake).await {
            Ok(None) => self.finish_intake(job, intake, Staged { upload, wrapper: None, form: None }).await,
            Ok(form) => self.finish_anew(job, intake, Staged { upload, wrapper: None, form }).await,
            Err(error) => (job, Err(error)),
        }
    }

    /// Makes the image active with what is there already, stored anew.
    async fn finish_anew(&self, job: JobAtWork, intake: &Intake, staged: Staged) -> Tried {
        let (job, staged) = match staged {
            // A disk is read at any place, which a wrapper does not allow.
            Staged { upload, wrapper: Some(wrapper), form: Some(form) } => {
                let (job, unwrapped) = self.unwrap_first(job, upload, wrapper).await;
                match unwrapped {
                    Ok(upload) => (job, Staged { upload, wrapper: None, form: Some(form) }),
                    Err(error) => return (job, Err(error)),
                }
            }
            staged => (job, staged),
        };
        let (job, landing) = self.land(job, intake, &staged).await;
        let landing = match landing {
            Ok(landing) => landing,
            Err(error) => return (job, Err(error)),
        };
        let (job, stored) = self.store_anew(job, staged, landing).await;
        match stored {
            Ok(_) => self.figures_of(job, intake.image).await,
            Err(error) => (job, Err(error)),
        }
    }

    /// Makes the image active with what is there already, where it is to lie.
    async fn finish_intake(&self, job: JobAtWork, intake: &Intake, staged: Staged) -> Tried {
        let (job, landing) = self.land(job, intake, &staged).await;
        let landing = match landing {
            Ok(landing) => landing,
            Err(error) => return (job, Err(error)),
        };
        let id = intake.image;
        let finished = match self.part_of(&job, staged.upload, landing).await {
            Ok(part) => part.take_in(stream::empty()).await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(upload) if upload.complete => self.figures_of(job, id).await,
            Ok(_) => (job, Err(broken_off())),
            Err(error) => (job, Err(error)),
        }
    }

    /// Whether what is fetched is looked at for a wrapper: what `said`, the other region's word, or else the image's record says
    /// of the container decides, and that no hash was declared of what comes.
    async fn unwraps_fetched(
        &self,
        job: JobAtWork,
        id: ImageId,
        said: Option<Said>,
    ) -> (JobAtWork, Result<bool, Error>) {
        let service = self.clone();
        with_job(job, move |_| {
            let read = service.db.read()?;
            let container = match said {
                Some(said) => said.container_format().map(str::to_owned),
                None => images::get(&read, &id)?.ok_or_else(|| gone(&id))?.container_format,
            };
            Ok(service.unwraps(container.as_deref()) && !has_declared_hash(&read, &id)?)
        })
        .await
    }

    async fn part_of(
        &self,
        job: &JobAtWork,
        upload: PartialUpload,
        landing: Landing,
    ) -> Result<crate::service::images::resumable::Part, Error> {
        let (service, asker) = (self.clone(), asker(&job.job()));
        let turn = self.turns.take(upload.token).await;
        in_background(move || service.take_up_upload_landing(&asker, upload, turn, landing)).await
    }

    async fn figures_of(&self, job: JobAtWork, id: ImageId) -> Tried {
        let service = self.clone();
        // One that was deleted since was filled all the same.
        let image = in_background(move || Ok(images::get(&service.db.read()?, &id)?)).await;
        (job, image.map(|image| image.as_ref().map(figures).unwrap_or_default()))
    }

    /// What an earlier try kept.
    fn kept_of(&self, id: &ImageId, token: &[u8; 16]) -> Result<Kept, Error> {
        let read = self.db.read()?;
        if expect_own(&read, id, token)?.is_none() {
            return Ok(Kept::Whole);
        }
        Ok(Kept::Rest(uploads::get(&read, id)?.filter(|upload| upload.token == *token)))
    }
}

/// Whether what was staged is what the image is to have, and lies where it is to lie.
fn is_in_place(staged: &Staged, place: StorePlace, intake: &Intake) -> bool {
    staged.wrapper.is_none()
        && staged.form.is_none()
        && intake.places.first().is_none_or(|first| *first == place)
}

/// Whether all has arrived.
fn has_all(upload: &PartialUpload) -> bool {
    !upload.complete && upload.declared_bytes == Some(upload.received_bytes)
}

/// What an earlier try left.
enum Kept {
    /// The image is active: an earlier process did not come to record the end.
    Whole,
    /// Some of its data, or nothing.
    Rest(Option<PartialUpload>),
}

/// The image, while it is the job's; `None` when it has its data already.
fn expect_own(rows: &impl crate::db::Rows, id: &ImageId, token: &[u8; 16]) -> Result<Option<Image>, Error> {
    if let Some(image) = owned(rows, id, token)? {
        return Ok(Some(image));
    }
    match images::get(rows, id)?.map(|image| image.status) {
        Some(Status::Active | Status::Deactivated) => Ok(None),
        _ => Err(gone(id)),
    }
}

/// What the commit before the first byte rests on.
struct Opening {
    image: ImageId,
    /// The job's id, which the image carries.
    token: [u8; 16],
    /// How much there is, where the server says so.
    size_bytes: Option<u64>,
    /// Where the data that comes begins.
    offset: u64,
    /// What the other region says of its image.
    record: Option<Said>,
}

/// The commit before the first byte: the image has an upload of the job's name that stands where the data begins.
fn make_ready(
    txn: &WriteTxn,
    service: &Service,
    opening: &Opening,
    now: Time,
) -> Result<PartialUpload, Error> {
    let Opening { image: id, token, size_bytes, offset, record } = opening;
    let mut image = owned(txn, id, token)?.ok_or_else(|| gone(id))?;
    service.reserve(txn, &image, size_bytes.map_or(at_first(None), Wish::exactly))?;
    let before = uploads::get(txn, id)?.filter(|upload| upload.token == *token);
    if let Some(before) = before.filter(|before| *offset > 0 && before.received_bytes == *offset) {
        return Ok(before);
    }
    if *offset > 0 {
        return Err(broken_off());
    }
    forget(txn, &service.store, id)?;
    if let Some(record) = record {
        record.apply(&mut image, &service.rules.imports.inject);
    }
    image.updated_at = now;
    images::update(txn, &image)?;
    let upload = PartialUpload::new(&image, *token, *size_bytes, now);
    uploads::put(txn, &upload)?;
    Ok(upload)
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Unavailable, "the data did not all come")
        .because(Reason::Transfer(Hindrance::ServerFails))
}

/// Does what blocks, and gives the job back.
async fn with_job<T: Send + 'static>(
    job: JobAtWork,
    work: impl FnOnce(&mut JobAtWork) -> Result<T, Error> + Send + 'static,
) -> (JobAtWork, Result<T, Error>) {
    let worked = tokio::task::spawn_blocking(move || {
        let mut job = job;
        let worked = work(&mut job);
        (job, worked)
    });
    worked.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
}

fn figures(image: &Image) -> Figures {
    let figures = [("image_bytes", image.size_bytes), ("virtual_bytes", image.virtual_size_bytes)];
    figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?))).collect()
}
