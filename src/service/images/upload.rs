//! Filling an image: queued → saving → active, or back to queued.
//!
//! Invariant: an image is saving exactly as long as one upload owns it ([`super::importing`] has more states for it). Whatever ends that
//! upload (a client that hangs up, a refusal, a crash) puts the image back to queued, unless it
//! was deleted meanwhile; and it becomes active in the commit that publishes its content.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::task::spawn_blocking;

use super::access;
use super::reserving::{Room, at_first};
use super::screen::Screen;
use super::signature::{Verification, Verified};
use super::verdicts::Known;
use super::{capturing, importing, transfer};
use crate::base::Time;
use crate::base::limits::PAGE_ROWS_MAX;
use crate::catalog::images::{self, Filters, ListQuery, Viewer};
use crate::catalog::{locations, uploads};
use crate::db::{Rows, WriteTxn};
use crate::model::{Image, ImageId, Operation, ProjectId, Status};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, DedupScope, Error, ErrorKind, Service};
use crate::store::{Reach, Receipt, Scope};

/// Why the client's side of a body ended early.
#[derive(Debug)]
pub struct BodyBroken(pub String);

/// What is looked at while data arrives.
struct Looking {
    screen: Screen,
    verification: Verification,
}

/// An upload that owns its image. Dropping it unfinished puts the image back to queued.
pub struct Upload {
    service: Service,
    actor: Actor,
    image: ImageId,
    token: [u8; 16],
    scope: Scope,
    looking: Option<Looking>,
    declared_bytes: Option<u64>,
    room: Room,
    settled: bool,
}

impl Service {
    /// Takes a queued image for an upload, whose data goes to the default store: one commit to saving.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when it is not queued; `Invalid` when its formats
    /// are not set, or its signature cannot be verified; `TooLarge` when `declared_bytes` is over the cap, or a limit of the image's project.
    pub fn begin_upload(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
    ) -> Result<Upload, Error> {
        self.begin_upload_to(actor, id, declared_bytes, None)
    }

    /// The same, with its data going to the store of this name.
    ///
    /// # Errors
    /// As [`Service::begin_upload`]; `Invalid` for an unknown store, `Gone` for one that takes no new data.
    pub fn begin_upload_to(
        &self,
        actor: &Actor,
        id: &ImageId,
        declared_bytes: Option<u64>,
        store: Option<&str>,
    ) -> Result<Upload, Error> {
        let store = store.map(str::to_owned);
        // Before anything is committed: what cannot be verified at its end need not begin.
        let image = access::writable(&self.db.read()?, actor, id, Action::ImagesUpload)?;
        expect_ready(&image)?;
        let verification = self.verification(&image)?;
        let token = self.entropy.id();
        let (caller, id, now, rules) = (actor.clone(), *id, self.clock.now(), self.rules.clone());
        let service = self.clone();
        let (image, reserved_bytes) = self.db.write(move |txn| {
            let mut image = access::writable(txn, &caller, &id, Action::ImagesUpload)?;
            expect_ready(&image)?;
            image.place = service.store_for_new_data(store.as_deref())?;
            locations::remove(txn, &id)?;
            check_cap(declared_bytes.unwrap_or(0), rules.image_bytes_max)?;
            image.status = Status::Saving;
            image.upload = Some(token);
            image.updated_at = now;
            images::update(txn, &image)?;
            let reserved_bytes = service.reserve(txn, &image, at_first(declared_bytes))?;
            Ok::<_, Error>((image, reserved_bytes))
        })?;
        let room = Room { image: id, token, reserved_bytes };
        Upload::of(self, actor, &image, verification, declared_bytes, room)
    }

    /// The scope of an image's data, inside the key domain that it is sealed in, where it lies or goes.
    pub(super) fn stream_scope(&self, image: &Image) -> Result<Scope, Error> {
        Ok(self.sealed_scope(image, self.dedup_scope(image.owner.as_ref())?)?.at(image.place))
    }

    /// Whom the data of an owner's images shares its chunks with.
    fn dedup_scope(&self, owner: Option<&ProjectId>) -> Result<Scope, Error> {
        let project = owner.map_or("", ProjectId::as_str);
        Ok(match self.rules.dedup_scope {
            DedupScope::Store => Scope::STORE,
            DedupScope::Project => Scope::of("project", project),
            DedupScope::Domain => {
                let known = owner.map(|id| self.known_project(&self.db.read()?, id)).transpose()?;
                match known.flatten() {
                    Some(project) => Scope::of("domain", project.domain.as_str()),
                    // A project that is gone shares with nobody else.
                    None => Scope::of("project", project),
                }
            }
        })
    }

    /// Puts images back to queued whose uploads a crash interrupted, and takes those away that only the process before could
    /// have filled; says how many. For start-up, before any upload can begin.
    ///
    /// # Errors
    /// When the database fails.
    pub fn recover_uploads(&self) -> Result<usize, Error> {
        let mut recovered = 0;
        for hidden in [false, true] {
            let mut after = None;
            loop {
                let read = self.db.read()?;
                let page = images::list(&read, &interrupted(hidden, after))?;
                for image in &page {
                    if let Some(token) = image.upload
                        && !can_go_on(&read, image, &token)?
                    {
                        match image.status {
                            Status::Uploading => self.end_stage(image.id, token)?,
                            _ => {
                                let why = "the upload ended with the process";
                                self.requeue(&Actor::system(), image.id, token, why)?;
                            }
                        }
                        recovered += 1;
                    }
                }
                if page.len() < PAGE_ROWS_MAX {
                    break;
                }
                after = page.last().map(|image| image.id);
            }
        }
        Ok(recovered)
    }

    fn requeue(&self, by: &Actor, id: ImageId, token: [u8; 16], why: &str) -> Result<(), Error> {
        let now = self.clock.now();
        let is_lost = owned(&self.db.read()?, &id, &token)?.is_some_and(|it| capturing::is_unfinished(&it));
        let act = match is_lost {
            true => Act::on(Operation::DeleteImage, id)
                .saying(format!("what was written to a disk is lost, and the image of it goes: {why}")),
            false => Act::on(Operation::UpdateImage, id).saying(why),
        };
        self.recorded_failure(by, act, move |txn, act| {
            if let Some(image) = owned(txn, &id, &token)? {
                act.image(&image);
            }
            put_back(txn, &id, &token, now)
        })
    }
}

impl Upload {
    /// The upload that owns an image, as a commit has it. From here on whatever fails puts the image back.
    ///
    /// # Errors
    /// When its data cannot be sealed.
    pub(super) fn of(
        service: &Service,
        actor: &Actor,
        image: &Image,
        verification: Verification,
        declared_bytes: Option<u64>,
        room: Room,
    ) -> Result<Upload, Error> {
        let screen = Screen::new(image, service.rules.require_format_match);
        let mut upload = Upload {
            service: service.clone(),
            actor: actor.clone(),
            image: image.id,
            token: room.token,
            scope: Scope::STORE,
            looking: Some(Looking { screen, verification }),
            declared_bytes,
            room,
            settled: false,
        };
        upload.scope = service.stream_scope(image)?;
        Ok(upload)
    }

    /// Takes the whole body and makes the image active, or puts it back to queued.
    ///
    /// # Errors
    /// `Invalid` when the body breaks off or is not as long as declared; `UnsupportedContent`;
    /// `TooLarge`; `Gone` when the image was deleted meanwhile; what the store refuses with.
    pub async fn receive(
        mut self,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<Image, Error> {
        let outcome = self.store(body).await;
        let (service, id, token) = (self.service.clone(), self.image, self.token);
        if let Err(error) = &outcome {
            self.service.litter.left(Reach::Released);
            // The refusal must not reach the client before the image can be tried again.
            let (actor, why) = (self.actor.clone(), format!("the upload failed: {}", error.message));
            let requeued = in_background(move || service.requeue(&actor, id, token, &why)).await;
            if let Err(error) = requeued {
                tracing::error!(image = %id, %error, "an image stays saving until the next start");
            }
        }
        self.settled = true;
        outcome
    }

    async fn store(
        &mut self,
        mut body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<Image, Error> {
        let bytes_max = self.service.rules.image_bytes_max;
        let mut ingest = self.service.store.ingest(self.scope)?;
        let looking = self.looking.take().ok_or_else(|| Error::conflict("this upload has ended"))?;
        let Looking { mut screen, mut verification } = looking;
        let mut received: u64 = 0;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|broken| {
                Error::invalid(format!("the upload broke off after {received} bytes: {}", broken.0))
            })?;
            received += bytes.len() as u64;
            check_cap(received, bytes_max)?;
            self.room.expect(&self.service, received).await?;
            screen.push(&bytes)?;
            verification.update(&bytes);
            ingest.write(bytes).await?;
        }
        if let Some(declared) = self.declared_bytes
            && declared != received
        {
            return Err(Error::invalid(format!("{declared} bytes were declared but {received} arrived")));
        }
        let judged = screen.finish(received)?;
        let verified = verification.finish()?;
        let (service, id, token) = (self.service.clone(), self.image, self.token);
        let record = in_background(move || service.final_record(&id, &token, None)).await?;
        let receipt = ingest.finish(record).await?;
        let (service, actor, id, token) = (self.service.clone(), self.actor.clone(), self.image, self.token);
        in_background(move || {
            let known = service.look_into(judged, &receipt)?;
            service.publish_upload(&actor, id, token, receipt, known, verified)
        })
        .await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The connection went away in the middle. Without a runtime the process is ending, and
        // the next start does this instead.
        if !self.settled
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.service.litter.left(Reach::Released);
            let (service, actor) = (self.service.clone(), self.actor.clone());
            let (id, token) = (self.image, self.token);
            runtime.spawn_blocking(move || {
                if let Err(error) = service.requeue(&actor, id, token, "the client left the upload") {
                    tracing::error!(image = %id, %error, "an image stays saving until the next start");
                }
            });
        }
    }
}

impl Service {
    /// The record that is kept beside the content.
    pub(super) fn final_record(
        &self,
        id: &ImageId,
        token: &[u8; 16],
        disk_format: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let mut image = owned(&self.db.read()?, id, token)?.ok_or_else(|| gone(id))?;
        image.status = Status::Active;
        image.upload = None;
        capturing::finish(&mut image);
        if let Some(format) = disk_format {
            importing::Landing::made_into(&mut image, format);
        }
        Ok(images::encode(&image))
    }

    /// The commit in which an image becomes active.
    pub(super) fn publish_upload(
        &self,
        actor: &Actor,
        id: ImageId,
        token: [u8; 16],
        receipt: Receipt,
        known: Known,
        verified: Verified,
    ) -> Result<Image, Error> {
        let (store, now) = (self.store.clone(), self.clock.now());
        let published = self.recorded(actor, uploaded(&receipt), move |txn, act| {
            let mut image = owned(txn, &id, &token)?.ok_or_else(|| gone(&id))?;
            act.image(&image);
            verified.expect_holds(&image)?;
            store.publish(txn, &receipt)?;
            activate(&mut image, &receipt, known.clone(), now);
            images::update(txn, &image)?;
            Ok::<_, Error>(image)
        });
        if published.is_err() {
            // Its manifest has no row to be found by.
            self.litter.left(Reach::Everything);
        }
        published
    }
}

/// What a whole stream is on record as.
pub(super) fn uploaded(receipt: &Receipt) -> Act {
    let digest = hex::encode(receipt.digests().blake3);
    let said = format!("uploaded {} bytes, BLAKE3 {digest}", receipt.size_bytes());
    Act::new(Operation::UpdateImage).saying(said)
}

/// Whether what owns a saving image is an upload in parts, or a job: then it goes on after a restart.
fn can_go_on(rows: &impl Rows, image: &Image, token: &[u8; 16]) -> Result<bool, Error> {
    let upload = uploads::get(rows, &image.id)?.filter(|upload| upload.token == *token);
    let is_kept = match image.status {
        // A client stages in one request, which ended with the process: what came must be all.
        Status::Uploading => upload.is_some_and(|upload| upload.declared_bytes.is_some()),
        _ => upload.is_some(),
    };
    Ok(is_kept || transfer::is_filling(rows, token)?)
}

/// Back to queued, if the upload named by `token` still owns the image; away, where nobody else can fill it.
pub(super) fn put_back(txn: &WriteTxn, id: &ImageId, token: &[u8; 16], now: Time) -> Result<(), Error> {
    let Some(mut image) = owned(txn, id, token)? else { return Ok(()) };
    if capturing::is_unfinished(&image) {
        images::delete(txn, id)?;
        return Ok(());
    }
    image.status = Status::Queued;
    image.upload = None;
    image.size_bytes = None;
    image.virtual_size_bytes = None;
    image.verdict = None;
    image.updated_at = now;
    importing::give_up(&mut image);
    Ok(images::update(txn, &image)?)
}

/// What a whole stream makes of its image.
pub(super) fn activate(image: &mut Image, receipt: &Receipt, known: Known, now: Time) {
    image.status = Status::Active;
    image.upload = None;
    capturing::finish(image);
    image.size_bytes = Some(receipt.size_bytes());
    image.virtual_size_bytes = known.virtual_size;
    image.verdict = known.verdict;
    image.digests = Some(receipt.digests().clone());
    image.content = Some(receipt.content());
    image.updated_at = now;
    image.active_at.get_or_insert(now);
}

/// One page of the images that data is on its way to.
fn interrupted(hidden: bool, after: Option<ImageId>) -> ListQuery {
    let filters = Filters {
        statuses: Some(
            Status::ALL.iter().filter(|status| status.is_filling()).map(|s| s.as_str().to_owned()).collect(),
        ),
        visibility: Some(None),
        hidden,
        ..Filters::default()
    };
    ListQuery {
        viewer: Viewer::Admin { project: None },
        filters,
        sort: Vec::new(),
        after,
        limit: PAGE_ROWS_MAX,
    }
}

/// The image, while the upload named by `token` owns it.
pub(super) fn owned(rows: &impl Rows, id: &ImageId, token: &[u8; 16]) -> Result<Option<Image>, Error> {
    let image = images::get(rows, id)?;
    Ok(image.filter(|image| image.status.is_filling() && image.upload.as_ref() == Some(token)))
}

pub(super) fn expect_ready(image: &Image) -> Result<(), Error> {
    if !image.status.may_become(Status::Saving) {
        return Err(Error::conflict(format!(
            "image {} is {}; only a queued image can become saving",
            image.id,
            image.status.as_str()
        )));
    }
    for (what, format) in [("disk_format", &image.disk_format), ("container_format", &image.container_format)]
    {
        if format.is_none() {
            return Err(Error::invalid(format!("image {} has no {what}; set it before uploading", image.id)));
        }
    }
    Ok(())
}

pub(super) fn check_cap(bytes: u64, max: u64) -> Result<(), Error> {
    if bytes > max {
        return Err(Error::too_large(format!(
            "an image may have at most {max} bytes, this one has {bytes} or more"
        )));
    }
    Ok(())
}

pub(super) fn gone(id: &ImageId) -> Error {
    Error::new(ErrorKind::Gone, format!("image {id} was deleted while its data arrived"))
}

pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|died| {
        tracing::error!(%died, "a use case panicked");
        Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
    })
}
