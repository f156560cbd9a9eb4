//! Further stores of an import's data: copies that are made before the image is active, where all of its stores must be
//! reached, and after that, where the first is enough.
//!
//! Invariants: what is copied is read from where the box has it, and never fetched again; a copy that is made before is named by
//! nothing until the commit that makes the image active publishes it, so that a crash leaves litter and the import begins
//! its copies anew.

use futures::{StreamExt, TryStreamExt, stream};

use super::holding::has_missed;
use super::intake::Tried;
use super::pouring::{Body, Pouring};
use super::unwrapping::Staged;
use super::{Landing, has_reached};
use crate::catalog::images;
use crate::disk::writing::Form;
use crate::model::job::Intake;
use crate::model::{ByteRange, Image, ImageId, PartialUpload, StorePlace};
use crate::service::images::upload::{check_cap, gone, in_background, owned};
use crate::service::jobs::JobAtWork;
use crate::service::{Error, Service};
use crate::store::{Ingest, Reach, Receipt};

/// Copies on their way to be published.
pub(super) type Copies = Vec<(StorePlace, Receipt)>;

impl Service {
    /// Goes on with an import whose image is active: to the stores that are left, where one of them was enough.
    pub(super) async fn spread(&self, tried: Tried, intake: &Intake) -> Result<Tried, Error> {
        let (job, outcome) = tried;
        let goes_on = outcome.is_ok() && !intake.must_all && !job.was_stopped();
        if !goes_on {
            return Ok((job, outcome));
        }
        // What was not reached is told at the image: the import succeeded.
        let (job, copied) = self.copy_to_all(job, intake.image, intake.further(), false).await?;
        if let Err(error) = copied {
            tracing::warn!(image = %intake.image, %error, "an import reached its first store alone");
        }
        Ok((job, outcome))
    }

    /// How an import's data comes to lie in stores: makes the copies that have to be there before its image is active.
    pub(super) async fn land(
        &self,
        job: JobAtWork,
        intake: &Intake,
        staged: &Staged,
    ) -> (JobAtWork, Result<Landing, Error>) {
        let (place, further) = (intake.places.first().copied(), intake.further());
        let disk_format = staged.form.map(Form::disk_format);
        if !intake.must_all {
            let pending = self.stores().names_at(further);
            return (job, Ok(Landing { place, pending, copies: Vec::new(), disk_format }));
        }
        let (mut job, mut copies) = (job, Copies::new());
        for place in further {
            let copied;
            (job, copied) = self.copy_aside(job, staged, *place).await;
            match copied {
                Ok(receipt) => copies.push((*place, receipt)),
                Err(error) => {
                    self.litter().left(Reach::Everything);
                    let message = format!("{}: {}", self.stores().name_of(*place), error.message);
                    let noted = self.note_missed(&job, intake.image, *place).await;
                    return (job, noted.and(Err(Error { message, ..error })));
                }
            }
            let noted = self.note(intake.image, *place, has_reached).await;
            if let Err(error) = noted {
                return (job, Err(error));
            }
        }
        (job, Ok(Landing { place, copies, pending: Vec::new(), disk_format }))
    }

    /// Stores what an upload keeps once more, as the image is to have it, in another place.
    async fn copy_aside(
        &self,
        job: JobAtWork,
        staged: &Staged,
        place: StorePlace,
    ) -> (JobAtWork, Result<Receipt, Error>) {
        let (service, upload) = (self.clone(), staged.upload.clone());
        let disk_format = staged.form.map(Form::disk_format);
        let opened = in_background(move || {
            let image = owned(&service.db.read()?, &upload.image, &upload.token)?;
            let image = image.ok_or_else(|| gone(&upload.image))?;
            let ingest = service.store().ingest(service.stream_scope(&image)?.at(place))?;
            Ok((ingest, service.final_record(&upload.image, &upload.token, disk_format)?))
        });
        let (ingest, record) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return (job, Err(error)),
        };
        let (body, total_bytes) = match self.staged_data(staged).await {
            Ok(data) => data,
            Err(error) => return (job, Err(error)),
        };
        let pouring = Pouring {
            body,
            wrapper: staged.wrapper,
            job,
            phase: "copying to another store",
            done_bytes: 0,
            total_bytes,
        };
        let (pieces, pouring) = pouring.start();
        let stored = store_all(pieces, ingest, record, self.rules.image_bytes_max).await;
        let poured = match pouring.await {
            Ok(poured) => poured,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        // Why the bytes did not come says more than that they did not.
        let outcome = poured.outcome.and(stored);
        match outcome {
            Ok(_) if poured.job.was_stopped() => (poured.job, Err(Error::conflict("the job was ended"))),
            outcome => (poured.job, outcome),
        }
    }

    /// What an upload keeps, from its beginning. Blocks on the medium.
    pub(super) fn kept_data(&self, upload: &PartialUpload) -> Result<Body, Error> {
        let Some(kept) = &upload.checkpoint else { return Ok(stream::empty().boxed()) };
        let reader = self.store().reader(&kept.content)?;
        let all = ByteRange { start: 0, end: reader.size_bytes() };
        Ok(reader.stream(all).map_err(Error::from).boxed())
    }

    /// Takes down at an image that its data did not come to a store, unless its job was ended.
    pub(in crate::service::images) async fn note_missed(
        &self,
        job: &JobAtWork,
        id: ImageId,
        place: StorePlace,
    ) -> Result<(), Error> {
        if job.was_stopped() {
            return Ok(());
        }
        self.note(id, place, has_missed).await
    }

    /// Changes the marks of an image that a task holds.
    async fn note(&self, id: ImageId, place: StorePlace, mark: fn(&mut Image, &str)) -> Result<(), Error> {
        let (service, name) = (self.clone(), self.stores().names_at(&[place]).concat());
        in_background(move || {
            service.db.write(move |txn| {
                let Some(before) = images::get(txn, &id)? else { return Ok(()) };
                let mut image = before.clone();
                mark(&mut image, &name);
                if image == before { Ok(()) } else { Ok(images::update(txn, &image)?) }
            })
        })
        .await
    }
}

/// Stores what comes, up to the most bytes that an image may have: a small wrapper may have a lot in it.
async fn store_all(
    mut pieces: impl futures::Stream<Item = Result<bytes::Bytes, crate::service::images::BodyBroken>> + Unpin,
    mut ingest: Ingest,
    record: Vec<u8>,
    bytes_max: u64,
) -> Result<Receipt, Error> {
    let mut stored = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|broken| Error::invalid(broken.0))?;
        stored += piece.len() as u64;
        check_cap(stored, bytes_max)?;
        ingest.write(piece).await?;
    }
    Ok(ingest.finish(record).await?)
}
