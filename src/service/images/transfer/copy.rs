//! Making an image from another: the work of a copy.
//!
//! Where both are sealed with the same key the copy shares all chunks, and no byte moves; else its bytes go
//! through the pipeline once more. Either way the digests are the same.

use std::collections::BTreeMap;

use super::pour::pour;
use crate::catalog::images;
use crate::model::job::Task;
use crate::model::{Image, ImageId, Status};
use crate::service::images::download::expect_here;
use crate::service::images::signature::Verified;
use crate::service::images::upload::{gone, in_background, owned};
use crate::service::images::verdicts::Known;
use crate::service::jobs::{JobAtWork, asker};
use crate::service::upkeep::Step;
use crate::service::{Error, Reason, Service, custom_keys};
use crate::store::{Reader, Scope};

/// What came of it, in figures.
type Figures = BTreeMap<String, u64>;

/// How a copy comes about.
enum Way {
    /// It is there.
    Done(Figures),
    /// Its bytes have to go into another key domain.
    Rewritten(Box<Other>),
}

/// What is stored anew.
struct Other {
    reader: Reader,
    scope: Scope,
    record: Vec<u8>,
    image: ImageId,
    known: Known,
}

impl Service {
    /// Does a copy, to its recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_copy(&self, job: JobAtWork) -> Result<(), Error> {
        let service = self.clone();
        let (job, way) = in_background(move || {
            let mut job = job;
            let way = service.begin_copy(&mut job);
            Ok((job, way))
        })
        .await?;
        let (job, outcome) = match way {
            Ok(Way::Done(figures)) => (job, Ok(figures)),
            Ok(Way::Rewritten(other)) => self.rewrite_copy(job, *other).await,
            Err(error) => (job, Err(error)),
        };
        in_background(move || job.finish(outcome.as_ref().cloned())).await
    }

    fn begin_copy(&self, job: &mut JobAtWork) -> Result<Way, Error> {
        let Some(Task::Copy { source, image: id }) = job.job().task else {
            return Err(Error::invalid("this job is no copy"));
        };
        let read = self.db.read()?;
        let image = images::get(&read, &id)?.ok_or_else(|| gone(&id))?;
        if image.status == Status::Active {
            return Ok(Way::Done(figures(&image)));
        }
        let token = job.id().0;
        owned(&read, &id, &token)?.ok_or_else(|| gone(&id))?;
        let origin = images::get(&read, &source)?.filter(|origin| origin.status == Status::Active);
        if let Some(origin) = &origin {
            custom_keys::expect_opens(&read, origin, &asker(&job.job()))?;
        }
        drop(read);
        let not_active = || Error::conflict(format!("image {source} is not active any more"));
        let origin = origin.ok_or_else(|| not_active().because(Reason::NotActive))?;
        expect_here(&origin)?;
        let content = origin.content.ok_or_else(not_active)?;
        if job.step(&Step { phase: "copying", done: 0, total: origin.size_bytes }).is_break() {
            return Ok(Way::Done(Figures::new()));
        }
        let (scope, record) = (self.stream_scope(&image)?, self.final_record(&id, &token, None)?);
        // Chunks are shared where they lie.
        let content = origin.copy_at(scope.place()).unwrap_or(content);
        match self.store.copy(&content, scope, record.clone())? {
            Some(receipt) => {
                let (asker, known) = (asker(&job.job()), Known::of(&origin));
                let verified = Verified::with_its_original();
                let image = self.publish_upload(&asker, id, token, receipt, known, verified)?;
                Ok(Way::Done(figures(&image)))
            }
            None => {
                let reader = self.reader_of(&origin)?.ok_or_else(not_active)?;
                let known = Known::of(&origin);
                Ok(Way::Rewritten(Box::new(Other { reader, scope, record, image: id, known })))
            }
        }
    }

    /// Reads the other image and stores it anew.
    async fn rewrite_copy(&self, job: JobAtWork, other: Other) -> (JobAtWork, Result<Figures, Error>) {
        let Other { reader, scope, record, image, known } = other;
        let mut ingest = match self.store.ingest(scope) {
            Ok(ingest) => ingest,
            Err(error) => return (job, Err(error.into())),
        };
        let token = job.id().0;
        let (job, poured) = pour(job, reader, &mut ingest, "copying into another key domain").await;
        match poured {
            Ok(true) => {}
            Ok(false) => return (job, Ok(Figures::new())),
            Err(error) => return (job, Err(error)),
        }
        let receipt = match ingest.finish(record).await {
            Ok(receipt) => receipt,
            Err(error) => return (job, Err(error.into())),
        };
        let (service, asker) = (self.clone(), asker(&job.job()));
        let published = in_background(move || {
            let verified = Verified::with_its_original();
            let image = service.publish_upload(&asker, image, token, receipt, known, verified)?;
            Ok(figures(&image))
        });
        (job, published.await)
    }
}

fn figures(image: &Image) -> Figures {
    image.size_bytes.map(|size| ("image_bytes".to_owned(), size)).into_iter().collect()
}
