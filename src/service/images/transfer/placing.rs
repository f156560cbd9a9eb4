//! Copying an image's data to more stores: the work.
//!
//! What is read is verified, from whichever copy can be read, and goes through the pipeline once more, as chunks are never
//! shared across stores; the copy counts only when its digest is the image's. A copy that was cut off begins anew, those
//! that came before it stay.

use std::collections::BTreeMap;

use super::pour::pour;
use crate::catalog::images;
use crate::model::job::Task;
use crate::model::{ContentId, DataCopy, Image, ImageId, Operation, Status, StorePlace};
use crate::objects::exchange::PIECE_BYTES;
use crate::service::audit::Act;
use crate::service::images::download::expect_here;
use crate::service::images::importing::has_reached;
use crate::service::images::upload::{gone, in_background};
use crate::service::jobs::{JobAtWork, asker};
use crate::service::{Actor, Error, ErrorKind, Service, custom_keys};
use crate::store::{Ingest, Reach, Reader, Receipt, Scope};

/// What came of it, in figures.
type Figures = BTreeMap<String, u64>;

/// A copy about to be made.
struct Copying {
    reader: Reader,
    scope: Scope,
    record: Vec<u8>,
    digest: [u8; 32],
}

impl Service {
    /// Copies an image to more stores, to the job's recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_copy_to_places(&self, job: JobAtWork) -> Result<(), Error> {
        let Some(Task::CopyToPlaces { image, places, must_all }) = job.job().task else {
            return job.finish(Err(&Error::invalid("this job copies nothing to other stores")));
        };
        let (job, outcome) = self.copy_to_all(job, image, &places, must_all).await?;
        in_background(move || job.finish(outcome.as_ref().cloned())).await
    }

    /// Copies an image to these places, one after the other. Where all `must_all` be reached and one is not, what was copied
    /// to the others is taken back; else it is a failure only where none was reached.
    ///
    /// # Errors
    /// When what was copied cannot be taken back.
    pub(in crate::service::images) async fn copy_to_all(
        &self,
        job: JobAtWork,
        image: ImageId,
        places: &[StorePlace],
        must_all: bool,
    ) -> Result<(JobAtWork, Result<Figures, Error>), Error> {
        let (mut job, mut reached, mut refused) = (job, 0, None);
        for place in places {
            let (back, copied) = self.copy_to_place(job, image, *place).await;
            job = back;
            match copied {
                Ok(()) if job.was_stopped() => break,
                Ok(()) => reached += 1,
                Err(error) => {
                    self.litter().left(Reach::Everything);
                    self.note_missed(&job, image, *place).await?;
                    let message = format!("{}: {}", self.stores.name_of(*place), error.message);
                    refused.get_or_insert(Error { message, ..error });
                    if must_all {
                        break;
                    }
                }
            }
        }
        let outcome = match refused {
            Some(error) if must_all || reached == 0 => Err(error),
            _ => Ok(figures(reached, places.len() as u64 - reached)),
        };
        if must_all && (job.was_cancelled() || outcome.is_err() && !job.was_stopped()) {
            let (service, told, places) = (self.clone(), job.job(), places.to_vec());
            in_background(move || {
                let why = format!("job {} did not reach all of its stores", told.id);
                service.take_copies_back(&asker(&told), &image, &places, &why)
            })
            .await?;
        }
        Ok((job, outcome))
    }

    /// Copies to one place, unless the job is to end or the image is there.
    async fn copy_to_place(
        &self,
        job: JobAtWork,
        id: ImageId,
        place: StorePlace,
    ) -> (JobAtWork, Result<(), Error>) {
        let (service, by) = (self.clone(), asker(&job.job()));
        let begun = in_background(move || {
            let read = service.db.read()?;
            let image = images::get(&read, &id)?.ok_or_else(|| gone(&id))?;
            custom_keys::expect_opens(&read, &image, &by)?;
            drop(read);
            service.begin_copy_to(image, place)
        });
        let Copying { reader, scope, record, digest } = match begun.await {
            Ok(Some(copying)) => copying,
            Ok(None) => return (job, Ok(())),
            Err(error) => return (job, Err(error)),
        };
        let mut ingest = match self.store.ingest(scope) {
            Ok(ingest) => ingest,
            Err(error) => return (job, Err(error.into())),
        };
        let (job, poured) = pour(job, reader, &mut ingest, "copying to another store").await;
        match poured {
            Ok(true) => {}
            Ok(false) => return (job, Ok(())),
            Err(error) => return (job, Err(error)),
        }
        let receipt = match ingest.finish(record).await {
            Ok(receipt) => receipt,
            Err(error) => return (job, Err(error.into())),
        };
        let (service, told) = (self.clone(), job.job());
        let published = in_background(move || {
            if receipt.digests().blake3 != digest {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("what was read of image {id} is not what was stored; tintype check says more"),
                ));
            }
            let said = format!("job {}: copied to {}", told.id, service.stores().name_of(place));
            service.publish_copy(&asker(&told), id, place, receipt, said)
        });
        (job, published.await)
    }

    /// Makes a damaged copy of an image's data anew from one in another store; says whether it did. What is whole of it is
    /// shared, what is lost stored again. Blocks until that is done.
    ///
    /// # Errors
    /// When no other copy can be read, or the damaged one's place does not answer.
    pub(in crate::service) fn renew_copy(&self, image: &Image, damaged: ContentId) -> Result<bool, Error> {
        let Some(copy) = image.data().find(|copy| copy.content == damaged) else { return Ok(false) };
        let place = copy.place;
        let mut others = self.stores.contents(image, &[]);
        others.retain(|content| *content != damaged);
        if others.is_empty() {
            return Ok(false);
        }
        let reader = self.store.reader_of(&others)?;
        let ingest = self.store.ingest(self.stream_scope(image)?.at(place))?;
        let receipt = apart(stored_again(reader, ingest, images::encode(image)))?;
        self.replace_copy(image.id, place, damaged, receipt)
    }

    /// The commit in which a copy takes the place of a damaged one.
    fn replace_copy(
        &self,
        id: ImageId,
        place: StorePlace,
        damaged: ContentId,
        receipt: Receipt,
    ) -> Result<bool, Error> {
        let (store, names) = (self.store.clone(), self.stores.clone());
        let said = format!("its copy in {} was damaged, and made anew from another", names.name_of(place));
        let act = Act::on(Operation::UpdateImage, id).saying(said);
        self.recorded(&Actor::system(), act, move |txn, act| {
            let Some(mut image) = images::get(txn, &id)? else { return Ok(false) };
            act.image(&image);
            let is_same = image.digests.as_ref().is_some_and(|own| own.blake3 == receipt.digests().blake3);
            if image.copy_at(place) != Some(damaged) || !is_same {
                return Ok(false);
            }
            store.publish(txn, &receipt)?;
            store.release(txn, &damaged)?;
            // Nothing of the image is another than before.
            let fresh = receipt.content();
            match image.content == Some(damaged) {
                true => image.content = Some(fresh),
                false => image.copies.iter_mut().filter(|copy| copy.content == damaged).for_each(|copy| {
                    copy.content = fresh;
                }),
            }
            images::update(txn, &image)?;
            Ok(true)
        })
    }

    /// `None` where the image has its data there.
    fn begin_copy_to(&self, image: Image, place: StorePlace) -> Result<Option<Copying>, Error> {
        if image.copy_at(place).is_some() {
            return Ok(None);
        }
        expect_here(&image)?;
        let not_active = || Error::conflict(format!("image {} is not active any more", image.id));
        let digest = image.digests.as_ref().ok_or_else(not_active)?.blake3;
        let reader = self.reader_of(&image)?.ok_or_else(not_active)?;
        let scope = self.stream_scope(&image)?.at(place);
        let record = images::encode(&image);
        Ok(Some(Copying { reader, scope, record, digest }))
    }

    /// The commit in which an image has its data in a place more.
    fn publish_copy(
        &self,
        by: &Actor,
        id: ImageId,
        place: StorePlace,
        receipt: Receipt,
        said: String,
    ) -> Result<(), Error> {
        let (store, now) = (self.store.clone(), self.clock.now());
        let name = self.stores.names_at(&[place]).concat();
        self.recorded(by, Act::new(Operation::UpdateImage).saying(said), move |txn, act| {
            let mut image = images::get(txn, &id)?.ok_or_else(|| gone(&id))?;
            act.image(&image);
            let is_same = image.digests.as_ref().is_some_and(|own| own.blake3 == receipt.digests().blake3);
            if !matches!(image.status, Status::Active | Status::Deactivated) || !is_same {
                return Err(Error::conflict(format!("image {id} has other data, or none, by now")));
            }
            if image.copy_at(place).is_some() {
                return Err(Error::conflict(format!("image {id} was copied there meanwhile")));
            }
            store.publish(txn, &receipt)?;
            image.copies.push(DataCopy { place, content: receipt.content() });
            has_reached(&mut image, &name);
            image.updated_at = now;
            Ok(images::update(txn, &image)?)
        })
    }
}

/// Reads a stream into another.
async fn stored_again(reader: Reader, mut ingest: Ingest, record: Vec<u8>) -> Result<Receipt, Error> {
    let (size, mut at) = (reader.size_bytes(), 0);
    while at < size {
        let mut piece = vec![0; (size - at).min(PIECE_BYTES as u64) as usize];
        reader.read_at(at, &mut piece)?;
        at += piece.len() as u64;
        ingest.write(piece.into()).await?;
    }
    Ok(ingest.finish(record).await?)
}

/// Does what takes a runtime on a thread of its own: whoever heals blocks, wherever that is.
fn apart<T: Send>(work: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
    let failed =
        |why: &dyn std::fmt::Display| Error::new(ErrorKind::Internal, format!("no thread to heal on: {why}"));
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("heal".into()).spawn_scoped(scope, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map_err(|error| failed(&error))?.block_on(work)
        });
        let done = worker.map_err(|error| failed(&error))?.join();
        done.unwrap_or_else(|_| Err(failed(&"it panicked; the log says why")))
    })
}

fn figures(reached: u64, missed: u64) -> Figures {
    [("stores_reached", reached), ("stores_missed", missed)]
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}
