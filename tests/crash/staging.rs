//! Data that is staged and then imported: what its callers may expect, and the verdict on what was staged.

use bytes::Bytes;
use futures::stream;
use tintype::catalog::uploads;
use tintype::model::job::{DataOrigin, IntakeKind};
use tintype::model::{Image, Status};
use tintype::service::images::{BodyBroken, Destination, NewIntake};

use crate::acts::{Act, id, text};
use crate::every_step::{Before, Workload, run};
use crate::machine::{Machine, actor};
use crate::workloads::{dense, filled, similar};
use crate::world::{Body, Picture};

/// What the client sends at once.
const PIECE_BYTES: usize = 64 << 10;

impl Machine {
    /// Stages data for a queued image.
    pub async fn stage(&self, slot: u64, body: &Body) -> Result<(), String> {
        let Some(before) = self.picture(slot, Status::Queued) else { return Ok(()) };
        let id = before.image.id;
        self.drawer.put(&format!("staged {slot}"), body);
        let begun = before.changed(|picture| picture.image.status = Status::Uploading);
        let states = vec![Some(before.changed(|_| ())), Some(begun), Some(staged(&before, body))];
        self.tell(|world| world.doubt(id, states));
        let pieces: Vec<Result<Bytes, BodyBroken>> =
            body.chunks(PIECE_BYTES).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let (service, actor, bytes) = (self.service(), actor(), body.len() as u64);
        service.stage_image(&actor, &id, Some(bytes), stream::iter(pieces)).await.map_err(text)?;
        let image = service.show_image(&actor, &id).map_err(text)?;
        self.learn(image, None);
        Ok(())
    }

    /// Asks for what was staged to become the image's data.
    pub fn import_staged(&self, slot: u64, body: &Body) -> Result<(), String> {
        let Some(before) = self.picture(slot, Status::Uploading) else { return Ok(()) };
        let held = before.changed(|picture| {
            for name in ["os_glance_importing_to_stores", "os_glance_failed_import"] {
                picture.image.properties.insert(name.to_owned(), String::new());
            }
        });
        let queued = held.changed(|picture| {
            picture.image.status = Status::Queued;
            picture.image.size_bytes = None;
        });
        let importing = held.changed(|picture| picture.image.status = Status::Importing);
        let states = [before.changed(|_| ()), held.clone(), importing, held.filled(body), queued];
        self.tell(|world| world.doubt(id(slot), states.map(Some).into()));
        let (kind, origin, to) = (IntakeKind::ImageImport, DataOrigin::Staged, Destination::default());
        let new = NewIntake { kind, origin, input: "{}".into(), to, convert: None };
        self.service().import_image_data(&actor(), &id(slot), new).map(drop).map_err(text)
    }

    /// What is staged is all there, or its request has not ended.
    ///
    /// # Errors
    /// What is not so.
    pub fn judge_staged(&self, image: &Image) -> Result<(), String> {
        let upload = uploads::get(&self.db().read().map_err(text)?, &image.id).map_err(text)?;
        let upload = upload.filter(|upload| !upload.complete && image.upload == Some(upload.token));
        let Some(upload) = upload else { return Err(format!("nobody fills {image:?}")) };
        let Some(bytes) = upload.declared_bytes else { return Ok(()) };
        let slots = 0..10;
        let slot = slots.into_iter().find(|slot| id(*slot) == image.id);
        let body = slot.and_then(|slot| self.drawer.get(&format!("staged {slot}")));
        let body = body.ok_or_else(|| format!("nobody staged {image:?}"))?;
        match &upload.checkpoint {
            Some(kept) if bytes == body.len() as u64 => {
                self.compare(&kept.content, &body).map_err(|e| e.to_string())
            }
            kept => Err(format!("{bytes} of {} bytes are staged, kept as {kept:?}", body.len())),
        }
    }
}

/// The image once all is there.
fn staged(before: &Picture, body: &Body) -> Picture {
    before.changed(|picture| {
        picture.image.status = Status::Uploading;
        picture.image.size_bytes = Some(body.len() as u64);
    })
}

/// An image that is staged and imported, with a restart while the import waits; another one that is only staged, and
/// deleted.
fn staging() -> Workload {
    Workload {
        name: "staging",
        before: Before::Done(filled(0, dense(0))),
        acts: vec![
            Act::Create(1),
            Act::Stage(1, similar(0)),
            Act::ImportStaged(1, similar(0)),
            Act::Create(2),
            Act::Stage(2, dense(1)),
            Act::Restart,
            Act::Work,
            Act::Delete(2),
            Act::Reclaim,
        ],
        recovery: vec![Act::Work],
        stride: 3,
    }
}

#[test]
fn p2_staging_plain() {
    run(&staging(), false);
}

#[test]
fn p2_staging_sealed() {
    run(&staging(), true);
}
