//! Uploads in parts: begun, asked after, continued ([`receive`]), given up, and forgotten in time.
//!
//! Invariants: while one is unfinished its image is saving and names it, and what has arrived is a
//! published stream of the store that no image names; both end in the same commit. It outlives
//! every restart and ends only when all has arrived, when it is given up, when its image is deleted,
//! or when nothing has come for a while.

mod commits;
mod receive;
#[cfg(test)]
mod tests;
mod turns;

pub(in crate::service::images) use receive::Part;
pub use receive::Patch;
pub(in crate::service) use turns::Turns;

use super::access;
use super::reserving::at_first;
use super::upload::{check_cap, expect_ready, in_background, put_back};
use crate::base::Time;
use crate::catalog::{images, locations, uploads};
use crate::db::{Rows, WriteTxn};
use crate::model::{ImageId, Operation, PartialUpload, Status};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};
use crate::store::{Reach, Store};

/// The name of an upload in parts.
pub type Token = [u8; 16];

impl Service {
    /// Takes a queued image for an upload in parts, whose data goes to the default store: one commit to saving.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when it is not queued; `Invalid` when its formats are not
    /// set, or its signature cannot be verified; `TooLarge` when `declared_bytes` is over the cap or a limit of its owner, or that has too many unfinished
    /// ones.
    pub fn create_upload(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
    ) -> Result<PartialUpload, Error> {
        self.create_upload_to(actor, id, declared_bytes, None)
    }

    /// The same, with its data going to the store of this name.
    ///
    /// # Errors
    /// As [`Service::create_upload`]; `Invalid` for an unknown store, `Gone` for one that takes no new data.
    pub fn create_upload_to(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
        named: Option<&str>,
    ) -> Result<PartialUpload, Error> {
        let named = named.map(str::to_owned);
        // What cannot be verified at its end need not begin.
        let image = access::writable(&self.db.read()?, actor, id, Action::ImagesUpload)?;
        expect_ready(&image)?;
        self.verification(&image)?;
        let (token, now, rules) = (self.entropy.id(), self.clock.now(), self.rules.clone());
        let (actor, id, store) = (actor.clone(), *id, self.store.clone());
        let service = self.clone();
        self.db.write(move |txn| {
            let mut image = access::writable(txn, &actor, &id, Action::ImagesUpload)?;
            expect_ready(&image)?;
            image.place = service.store_for_new_data(named.as_deref())?;
            check_cap(declared_bytes.unwrap_or(0), rules.image_bytes_max)?;
            let most = rules.unfinished_uploads_max;
            if uploads::unfinished_of(txn, image.owner.as_ref())? >= most {
                return Err(Error::too_large(format!(
                    "the project has {most} unfinished uploads, which is the most; finish or delete one first"
                )));
            }
            forget(txn, &store, &id)?;
            locations::remove(txn, &id)?;
            let upload = PartialUpload {
                expires_at: now.plus_seconds(rules.upload_expiry_s),
                ..PartialUpload::new(&image, token, declared_bytes, now)
            };
            uploads::put(txn, &upload)?;
            image.status = Status::Saving;
            image.upload = Some(token);
            image.updated_at = now;
            images::update(txn, &image)?;
            service.reserve(txn, &image, at_first(declared_bytes))?;
            Ok::<_, Error>(upload)
        })
    }

    /// The upload in parts that fills an image, or filled it a while ago.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`.
    pub fn upload_of(&self, actor: &Actor, id: &ImageId) -> Result<Option<PartialUpload>, Error> {
        let read = self.db.read()?;
        access::writable(&read, actor, id, Action::ImagesUpload)?;
        let is_staged = images::get(&read, id)?.is_some_and(|image| image.status == Status::Uploading);
        Ok(uploads::get(&read, id)?.filter(|upload| !upload.is_of_job() && !is_staged))
    }

    /// Where an upload stands, once whatever still arrived for it is durable.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`.
    pub async fn settled_upload(
        &self,
        actor: &Actor,
        id: &ImageId,
        token: Token,
    ) -> Result<PartialUpload, Error> {
        self.find_upload(actor, id, token).await?;
        let turn = self.turns.take(token).await;
        let upload = self.find_upload(actor, id, token).await?;
        drop(turn);
        if upload.complete || upload.declared_bytes != Some(upload.received_bytes) {
            return Ok(upload);
        }
        // A crash came between the last byte and the active image: for a client all is sent.
        let rest = Patch { offset: upload.received_bytes, declared_bytes: None };
        self.receive_part(actor, id, token, rest, futures::stream::empty()).await
    }

    /// Gives an upload up: its image is queued again, and its space comes back.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`.
    pub async fn abandon_upload(&self, actor: &Actor, id: &ImageId, token: Token) -> Result<(), Error> {
        self.find_upload(actor, id, token).await?;
        let _turn = self.turns.take(token).await;
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        in_background(move || {
            let (store, now) = (service.store.clone(), service.clock.now());
            let act = Act::on(Operation::UpdateImage, id).saying("gave the upload up");
            service.recorded(&actor.clone(), act, move |txn, act| {
                known(txn, &actor, &id, &token)?;
                name_image(txn, act, &id)?;
                end(txn, &store, &id, &token, now)
            })?;
            service.litter.left(Reach::Released);
            Ok(())
        })
        .await
    }

    /// Ends the uploads for which nothing has come for too long, and forgets those that are complete;
    /// says how many were given up.
    ///
    /// # Errors
    /// When the database fails.
    pub fn expire_uploads(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut expired = Vec::new();
        uploads::for_each(&self.db.read()?, &mut |upload| {
            // One that still arrives, however slowly, has time.
            if upload.expires_at < now && !self.turns.is_taken(&upload.token) {
                expired.push(upload);
            }
        })?;
        let mut given_up = 0;
        for upload in expired {
            let (store, id, token) = (self.store.clone(), upload.image, upload.token);
            let act = Act::on(Operation::UpdateImage, id);
            let forgotten = upload.complete;
            let ends = move |txn: &WriteTxn| {
                // More may have arrived since.
                let still = uploads::get(txn, &id)?.filter(|u| u.token == token && u.expires_at < now);
                still.as_ref().map_or(Ok(()), |_| end(txn, &store, &id, &token, now))?;
                Ok::<_, Error>(still.is_some_and(|upload| !upload.complete))
            };
            let ended = match forgotten {
                // Nothing of the image changes.
                true => self.db.write(ends)?,
                false => self.recorded(&Actor::system(), act, move |txn, act| {
                    name_image(txn, act, &id)?;
                    act.say("the upload expired");
                    ends(txn)
                })?,
            };
            given_up += usize::from(ended);
        }
        if given_up > 0 {
            self.litter.left(Reach::Released);
        }
        Ok(given_up)
    }

    async fn find_upload(&self, actor: &Actor, id: &ImageId, token: Token) -> Result<PartialUpload, Error> {
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        in_background(move || known(&service.db.read()?, &actor, &id, &token)).await
    }
}

/// Names the image in the record of what is done to it.
fn name_image(rows: &impl Rows, act: &mut Act, id: &ImageId) -> Result<(), Error> {
    if let Some(image) = images::get(rows, id)? {
        act.image(&image);
    }
    Ok(())
}

/// The upload with this name, for whoever may fill its image.
fn known(rows: &impl Rows, actor: &Actor, id: &ImageId, token: &Token) -> Result<PartialUpload, Error> {
    access::writable(rows, actor, id, Action::ImagesUpload)?;
    // What a job fills is nobody else's to fill.
    let is_it = |upload: &PartialUpload| upload.token == *token && !upload.is_of_job();
    // Nor is what was staged for an import.
    let is_staged = images::get(rows, id)?.is_some_and(|image| image.status == Status::Uploading);
    uploads::get(rows, id)?.filter(|upload| is_it(upload) && !is_staged).ok_or_else(|| {
        let name = hex::encode(token);
        Error::not_found(format!("image {id} has no upload {name}: it ended or expired; begin a new one"))
    })
}

/// Ends an upload in the caller's transaction: its image is queued again, its data let go of.
fn end(txn: &WriteTxn, store: &Store, id: &ImageId, token: &Token, now: Time) -> Result<(), Error> {
    put_back(txn, id, token, now)?;
    forget(txn, store, id)
}

/// Removes an image's upload and lets go of what it kept.
pub(in crate::service::images) fn forget(txn: &WriteTxn, store: &Store, id: &ImageId) -> Result<(), Error> {
    if let Some(kept) = uploads::remove(txn, id)?.and_then(|upload| upload.checkpoint) {
        store.release(txn, &kept.content)?;
    }
    Ok(())
}
