//! The commits of an upload in parts, from the first byte to the active image.
//!
//! Invariant: each checks again that the upload still owns its image, and leaves the upload with one
//! published stream at most.

use super::{end, name_image};
use crate::base::Time;
use crate::catalog::quotas::Wish;
use crate::catalog::{images, uploads};
use crate::db::WriteTxn;
use crate::model::upload::Checkpoint;
use crate::model::{Image, Operation, PartialUpload};
use crate::service::audit::Act;
use crate::service::images::importing::Landing;
use crate::service::images::signature::Verified;
use crate::service::images::upload::{activate, check_cap, gone, owned, uploaded};
use crate::service::images::verdicts::Known;
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::{self, Reach, Receipt};

/// How long a complete upload is remembered, in seconds, for a client that lost the last answer.
const REMEMBERED_S: i64 = 3600;

/// A whole stream, for the commit that makes its image active.
pub(super) struct Whole {
    pub receipt: Receipt,
    pub known: Known,
    pub verified: Verified,
    /// How it comes to lie in stores.
    pub landing: Landing,
}

impl Service {
    /// Takes down how long the stream will be, which a client may say once.
    pub(super) fn declare(&self, upload: PartialUpload, bytes: u64) -> Result<PartialUpload, Error> {
        check_cap(bytes, self.rules.image_bytes_max)?;
        let fits = upload.declared_bytes.map_or(bytes >= upload.received_bytes, |known| known == bytes);
        if !fits {
            let (received, known) = (upload.received_bytes, upload.declared_bytes);
            let known = known.map(|known| format!(", {known} were declared before")).unwrap_or_default();
            return Err(Error::invalid(format!(
                "{bytes} bytes are declared, {received} have arrived{known}"
            )));
        }
        let service = self.clone();
        self.db.write(move |txn| {
            let (upload, image) = current(txn, &upload)?;
            service.reserve(txn, &image, Wish::exactly(bytes))?;
            let declared = PartialUpload { declared_bytes: Some(bytes), ..upload };
            uploads::put(txn, &declared)?;
            Ok(declared)
        })
    }

    /// Takes down that all has arrived.
    pub(in crate::service::images) fn declare_all(
        &self,
        upload: PartialUpload,
    ) -> Result<PartialUpload, Error> {
        let bytes = upload.received_bytes;
        self.declare(upload, bytes)
    }

    /// Publishes what has arrived, in place of what had arrived before. Of a length that is not known no more stays
    /// reserved than that.
    pub(super) fn keep(
        &self,
        upload: PartialUpload,
        checkpoint: store::Checkpoint,
    ) -> Result<(PartialUpload, u64), Error> {
        self.keep_as(upload, checkpoint, |upload| upload.declared_bytes)
    }

    /// Publishes what was made of all that had arrived, in its place: that is all there is then.
    pub(super) fn keep_instead(
        &self,
        upload: PartialUpload,
        checkpoint: store::Checkpoint,
    ) -> Result<PartialUpload, Error> {
        self.keep_as(upload, checkpoint, |upload| Some(upload.received_bytes)).map(|(upload, _)| upload)
    }

    fn keep_as(
        &self,
        upload: PartialUpload,
        checkpoint: store::Checkpoint,
        declared: fn(&PartialUpload) -> Option<u64>,
    ) -> Result<(PartialUpload, u64), Error> {
        let store::Checkpoint { receipt, progress } = checkpoint;
        let (service, store, expires_at) = (self.clone(), self.store.clone(), self.expiry());
        let kept = self.db.write(move |txn| {
            let (mut upload, image) = current(txn, &upload)?;
            store.publish(txn, &receipt)?;
            let checkpoint = Checkpoint { content: receipt.content(), progress: progress.clone() };
            if let Some(before) = upload.checkpoint.replace(checkpoint) {
                store.release(txn, &before.content)?;
            }
            upload.received_bytes = receipt.size_bytes();
            upload.blake3 = receipt.digests().blake3;
            upload.expires_at = upload.expires_at.max(expires_at);
            upload.declared_bytes = declared(&upload);
            uploads::put(txn, &upload)?;
            let wish = Wish::exactly(upload.declared_bytes.unwrap_or(upload.received_bytes));
            let reserved_bytes = service.reserve(txn, &image, wish)?;
            Ok::<_, Error>((upload, reserved_bytes))
        });
        // Without a row its manifest is found by a look at every object only.
        self.litter.left(if kept.is_ok() { Reach::Released } else { Reach::Everything });
        kept
    }

    /// Publishes the whole stream and makes its image active.
    pub(super) fn complete(
        &self,
        actor: &Actor,
        upload: PartialUpload,
        whole: Whole,
    ) -> Result<PartialUpload, Error> {
        let Whole { receipt, known, verified, landing } = whole;
        let (store, now) = (self.store.clone(), self.clock.now());
        let expires_at = now.plus_seconds(self.rules.upload_expiry_s.min(REMEMBERED_S));
        let completed = self.recorded(actor, uploaded(&receipt), move |txn, act| {
            let (mut upload, mut image) = current(txn, &upload)?;
            act.image(&image);
            verified.expect_holds(&image)?;
            store.publish(txn, &receipt)?;
            for (_, copy) in &landing.copies {
                expect_same(&receipt, copy)?;
                store.publish(txn, copy)?;
            }
            if let Some(before) = upload.checkpoint.take() {
                store.release(txn, &before.content)?;
            }
            activate(&mut image, &receipt, known.clone(), now);
            landing.apply(&mut image);
            images::update(txn, &image)?;
            upload.declared_bytes = Some(receipt.size_bytes());
            upload.received_bytes = receipt.size_bytes();
            upload.blake3 = receipt.digests().blake3;
            upload.complete = true;
            upload.expires_at = expires_at;
            uploads::put(txn, &upload)?;
            Ok::<_, Error>(upload)
        });
        self.litter.left(if completed.is_ok() { Reach::Released } else { Reach::Everything });
        completed
    }

    /// Ends an upload whose content is refused.
    pub(super) fn end_refused(&self, actor: &Actor, upload: PartialUpload, why: &Error) -> Result<(), Error> {
        let (store, now) = (self.store.clone(), self.clock.now());
        let act = Act::on(Operation::UpdateImage, upload.image);
        let act = act.saying(format!("the upload failed: {}", why.message));
        self.recorded_failure(actor, act, move |txn, act| {
            name_image(txn, act, &upload.image)?;
            current(txn, &upload)?;
            end(txn, &store, &upload.image, &upload.token, now)
        })?;
        self.litter.left(Reach::Released);
        Ok(())
    }

    fn expiry(&self) -> Time {
        self.clock.now().plus_seconds(self.rules.upload_expiry_s)
    }
}

/// Refuses a copy that is not of the same bytes.
fn expect_same(receipt: &Receipt, copy: &Receipt) -> Result<(), Error> {
    if copy.digests().blake3 == receipt.digests().blake3 {
        return Ok(());
    }
    let message =
        "what was read of the data for another store is not what was stored; tintype check says more";
    Err(Error::new(ErrorKind::Unavailable, message))
}

/// The upload and its image as they are now, while the one owns the other.
fn current(txn: &WriteTxn, upload: &PartialUpload) -> Result<(PartialUpload, Image), Error> {
    let (id, token) = (&upload.image, &upload.token);
    let image = owned(txn, id, token)?.ok_or_else(|| gone(id))?;
    let upload = uploads::get(txn, id)?.filter(|upload| upload.token == *token).ok_or_else(|| gone(id))?;
    Ok((upload, image))
}
