//! Uploads in parts: what their callers do and may expect, and the verdict on those a fault interrupted.
//!
//! Invariant: an offset that was acknowledged is never taken back, and what is sent from there on makes
//! the image that was begun.

use bytes::Bytes;
use futures::stream;
use tintype::catalog::uploads;
use tintype::model::{Image, ImageId, Status};
use tintype::service::images::Patch;

use crate::acts::{id, text};
use crate::machine::{Machine, PIECE_BYTES, actor};
use crate::world::{Body, digests};

impl Machine {
    /// Begins an upload in parts.
    pub fn begin(&self, slot: u64, body: &Body) -> Result<(), String> {
        let Some(before) = self.world.borrow().picture(&id(slot)) else { return Ok(()) };
        if before.image.status != Status::Queued {
            return Ok(());
        }
        let id = before.image.id;
        self.world.borrow_mut().acknowledge(id, body, 0);
        self.world.borrow_mut().doubt(id, vec![Some(before.clone()), Some(before.begun())]);
        self.service().create_upload(&actor(), &id, Some(body.len() as u64)).map_err(text)?;
        self.look_again(&id)
    }

    /// Sends a part, from where the box says the upload stands.
    pub async fn send_part(&self, id: &ImageId, end: usize) -> Result<(), String> {
        let Some((before, token)) = self.saving(id) else { return Ok(()) };
        let Some((body, acknowledged)) = self.world.borrow().acknowledged(id) else { return Ok(()) };
        let end = end.min(body.len());
        let service = self.service();
        let stands = service.settled_upload(&actor(), id, token).await.map_err(text)?.received_bytes;
        if stands < acknowledged {
            return Err(format!("{acknowledged} bytes were acknowledged, and the upload stands at {stands}"));
        }
        self.world.borrow_mut().acknowledge(*id, &body, stands);
        let rest = body.get(stands as usize..end).unwrap_or_default();
        let pieces: Vec<_> =
            rest.chunks(PIECE_BYTES).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if end == body.len() {
            self.world.borrow_mut().doubt(*id, vec![Some(before.clone()), Some(before.filled(&body))]);
        }
        let patch = Patch { offset: stands, declared_bytes: None };
        let sent = service.receive_part(&actor(), id, token, patch, stream::iter(pieces)).await;
        let upload = match sent {
            Ok(upload) => upload,
            Err(refusal) if self.power.is_gone() || self.is_catalog_hit() => return Err(text(refusal)),
            Err(refusal) => {
                // The catalog works: a refused part leaves the image as it was.
                self.look_again(id)?;
                return Err(text(refusal));
            }
        };
        self.world.borrow_mut().acknowledge(*id, &body, upload.received_bytes);
        if !upload.complete {
            return Ok(());
        }
        let image = service.show_image(&actor(), id).map_err(text)?;
        if image.digests != Some(digests(&body)) {
            return Err(format!("the digests of {image:?} are not those of what was sent"));
        }
        self.learn(image, Some(body));
        Ok(())
    }

    /// Gives an upload in parts up.
    pub async fn give_up(&self, id: &ImageId) -> Result<(), String> {
        let Some((before, token)) = self.saving(id) else { return Ok(()) };
        let queued = before.changed(|state| state.image.status = Status::Queued);
        self.world.borrow_mut().doubt(*id, vec![Some(before), Some(queued)]);
        self.service().abandon_upload(&actor(), id, token).await.map_err(text)?;
        self.look_again(id)
    }

    /// Sends what is missing of every upload in parts.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn finish_uploads(&self) -> Result<(), String> {
        let saving: Vec<ImageId> = self.world.borrow().pictures().iter().map(|p| p.image.id).collect();
        for id in saving {
            self.wait(self.send_part(&id, usize::MAX))?;
        }
        Ok(())
    }

    /// Whether an image that is saving is filled in parts that stand where they should.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn judge_upload(&self, image: &Image) -> Result<(), String> {
        let upload = uploads::get(&self.db().read().map_err(text)?, &image.id).map_err(text)?;
        let upload = upload.filter(|upload| !upload.complete && image.upload == Some(upload.token));
        let known = self.world.borrow().acknowledged(&image.id);
        let (Some(upload), Some((body, acknowledged))) = (upload, known) else {
            return Err(format!("nobody fills {image:?}"));
        };
        let received = upload.received_bytes;
        if received < acknowledged || received > body.len() as u64 {
            return Err(format!("{acknowledged} bytes were acknowledged, and {received} are there"));
        }
        match &upload.checkpoint {
            None if received == 0 => Ok(()),
            None => Err(format!("nothing was kept of {upload:?}")),
            Some(kept) => self.compare(&kept.content, &body[..received as usize]).map_err(|e| e.to_string()),
        }
    }

    /// The image as it is now, when the box says so.
    fn look_again(&self, id: &ImageId) -> Result<(), String> {
        let image = self.service().show_image(&actor(), id).map_err(text)?;
        self.learn(image, None);
        Ok(())
    }

    fn saving(&self, id: &ImageId) -> Option<(crate::world::Picture, [u8; 16])> {
        let picture = self.world.borrow().picture(id)?;
        let token = picture.image.upload.filter(|_| picture.image.status == Status::Saving)?;
        Some((picture, token))
    }

    fn is_catalog_hit(&self) -> bool {
        self.power.struck().is_some_and(|step| step.medium == "db")
    }
}
