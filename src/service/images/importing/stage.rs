//! Staging: a client's data for a later import.
//!
//! Invariant: an image is uploading while data comes, and after that until it is imported or nobody does so for too
//! long. Whatever else ends it puts the image back to queued.

use bytes::Bytes;
use futures::Stream;

use crate::catalog::{images, locations, uploads};
use crate::db::WriteTxn;
use crate::model::{Image, ImageId, PartialUpload, Status};
use crate::service::images::access;
use crate::service::images::reserving::at_first;
use crate::service::images::resumable::forget;
use crate::service::images::upload::{BodyBroken, check_cap, gone, in_background, owned, put_back};
use crate::service::rights::Action;
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::Reach;

impl Service {
    /// Takes a body in, for an import to make it the image's data. Its formats need not be known yet. Goes on to put
    /// the image back when its caller is gone.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when the image is not queued; `Invalid` when the body breaks off or is not
    /// as long as declared; `TooLarge`; `Gone` when the image was deleted meanwhile; what the store refuses with.
    pub async fn stage_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static,
    ) -> Result<(), Error> {
        let (service, asker, image) = (self.clone(), actor.clone(), *id);
        let upload = in_background(move || service.begin_stage(&asker, &image, declared_bytes)).await?;
        let (service, actor) = (self.clone(), actor.clone());
        let staged = tokio::spawn(async move {
            let (id, token) = (upload.image, upload.token);
            let staged = service.take_in_stage(&actor, upload, declared_bytes, body).await;
            if staged.is_err() {
                let asked = service.clone();
                let put_back = in_background(move || asked.end_stage(id, token)).await;
                if let Err(error) = put_back {
                    tracing::error!(image = %id, %error, "an image stays uploading until the next start");
                }
                service.litter.left(Reach::Released);
            }
            staged
        });
        staged.await.unwrap_or_else(|died| {
            tracing::error!(%died, "staging panicked");
            Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
        })
    }

    fn begin_stage(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
    ) -> Result<PartialUpload, Error> {
        let (token, now, rules) = (self.entropy.id(), self.clock.now(), self.rules.clone());
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        self.db.write(move |txn| {
            let mut image = access::writable(txn, &actor, &id, Action::ImagesUpload)?;
            expect_may_stage(&image)?;
            image.place = service.store_for_new_data(None)?;
            locations::remove(txn, &id)?;
            check_cap(declared_bytes.unwrap_or(0), rules.image_bytes_max)?;
            forget(txn, &service.store, &id)?;
            // Of a length that is declared the last byte would make the image active.
            let upload = PartialUpload {
                expires_at: now.plus_seconds(rules.upload_expiry_s),
                ..PartialUpload::new(&image, token, None, now)
            };
            uploads::put(txn, &upload)?;
            image.status = Status::Uploading;
            image.upload = Some(token);
            image.updated_at = now;
            images::update(txn, &image)?;
            service.reserve(txn, &image, at_first(declared_bytes))?;
            Ok::<_, Error>(upload)
        })
    }

    async fn take_in_stage(
        &self,
        actor: &Actor,
        upload: PartialUpload,
        declared_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<(), Error> {
        let turn = self.turns.take(upload.token).await;
        let (service, actor) = (self.clone(), actor.clone());
        let part = in_background(move || service.take_up_upload(&actor, upload, turn)).await?;
        let upload = part.keep_whole(declared_bytes, body).await?;
        let service = self.clone();
        in_background(move || service.staged(&upload)).await
    }

    /// The commit in which all is there.
    fn staged(&self, upload: &PartialUpload) -> Result<(), Error> {
        let (now, upload) = (self.clock.now(), upload.clone());
        self.db.write(move |txn| {
            let (id, bytes) = (&upload.image, upload.received_bytes);
            let mut image = owned(txn, id, &upload.token)?.ok_or_else(|| gone(id))?;
            uploads::put(txn, &PartialUpload { declared_bytes: Some(bytes), ..upload.clone() })?;
            image.size_bytes = Some(bytes);
            image.updated_at = now;
            Ok::<_, Error>(images::update(txn, &image)?)
        })
    }

    /// Puts an image back whose data did not all come.
    pub(in crate::service::images) fn end_stage(&self, id: ImageId, token: [u8; 16]) -> Result<(), Error> {
        let (store, now) = (self.store.clone(), self.clock.now());
        self.db.write(move |txn: &WriteTxn| {
            if owned(txn, &id, &token)?.is_some() {
                put_back(txn, &id, &token, now)?;
                forget(txn, &store, &id)?;
            }
            Ok::<_, Error>(())
        })
    }
}

fn expect_may_stage(image: &Image) -> Result<(), Error> {
    if image.status == Status::Queued {
        return Ok(());
    }
    let (id, status) = (image.id, image.status.as_str());
    Err(Error::conflict(format!("image {id} is {status}; only a queued image can become uploading")))
}
