//! One part of an upload: taken in, made durable now and then and at its end, and the image made active
//! with the last.
//!
//! Invariant: whatever ends a part (a client that hangs up, a newer request, a stop), what had
//! arrived is durable before anybody hears of it, unless the process dies, or more came than was declared; then
//! the latest checkpoint holds.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::commits::Whole;
use super::turns::Turn;
use super::{Token, known};
use crate::catalog::{locations, quotas};
use crate::disk::probe::{HEAD_BYTES, TAIL_BYTES};
use crate::model::{ContentId, ImageId, PartialUpload, SecureHash, Status};
use crate::service::images::importing::Landing;
use crate::service::images::reserving::Room;
use crate::service::images::screen::Screen;
use crate::service::images::signature::Verification;
use crate::service::images::upload::{BodyBroken, check_cap, gone, in_background, owned};
use crate::service::{Actor, Error, ErrorKind, Service};
use crate::store::{Ingest, Reach, Receipt};

/// Bytes after which a part that goes on is made durable: what a crash costs a fast client.
const CHECKPOINT_BYTES: u64 = 1 << 30;
/// Time after which it is: what a crash costs a slow one.
const CHECKPOINT_TIME: Duration = Duration::from_secs(30);
/// What a request says of the part it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Where in the stream it begins.
    pub offset: u64,
    /// How long the whole stream is, if it says so.
    pub declared_bytes: Option<u64>,
}

impl Service {
    /// Takes one part of an upload, and makes the image active when it was the last. Goes on to make
    /// durable what has arrived when its caller is gone.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `Conflict` when the part begins elsewhere than the upload stands, or a
    /// newer request took over; `Invalid` when the body breaks off or is longer than declared;
    /// `TooLarge`; `UnsupportedContent`, which ends the upload; `Gone` when the image was deleted
    /// meanwhile; what the store refuses with.
    pub async fn receive_part(
        &self,
        actor: &Actor,
        id: &ImageId,
        token: Token,
        patch: Patch,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static,
    ) -> Result<PartialUpload, Error> {
        self.find_upload(actor, id, token).await?;
        let turn = self.turns.take(token).await;
        let (service, actor, id) = (self.clone(), actor.clone(), *id);
        // What is there already is read to go on from it.
        let reading = self.store.turn().await?;
        let opened = in_background(move || service.open_part(&actor, &id, &token, patch, turn)).await?;
        drop(reading);
        let part = match opened {
            Opened::Complete(upload) => return Ok(upload),
            Opened::Part(part) => part,
        };
        tokio::spawn(part.take_in(body)).await.unwrap_or_else(|died| {
            tracing::error!(%died, "an upload panicked");
            Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
        })
    }

    /// Makes everything ready for the bytes, where the part fits.
    fn open_part(
        &self,
        actor: &Actor,
        id: &ImageId,
        token: &Token,
        patch: Patch,
        turn: Turn,
    ) -> Result<Opened, Error> {
        let read = self.db.read()?;
        let mut upload = known(&read, actor, id, token)?;
        if patch.offset != upload.received_bytes {
            return Err(Error::conflict(format!(
                "the upload stands at byte {}, and the part begins at {}",
                upload.received_bytes, patch.offset
            )));
        }
        if upload.complete {
            return Ok(Opened::Complete(upload));
        }
        if let Some(declared) = patch.declared_bytes {
            upload = self.declare(upload, declared)?;
        }
        drop(read);
        Ok(Opened::Part(Box::new(self.take_up_upload(actor, upload, turn)?)))
    }

    /// Takes an upload up where it stands, for whoever may fill its image. Blocks on the medium.
    ///
    /// # Errors
    /// `Gone` when it does not own its image any more; `Invalid` when the image's signature cannot be verified; what the store refuses with.
    pub(in crate::service::images) fn take_up_upload(
        &self,
        actor: &Actor,
        upload: PartialUpload,
        turn: Turn,
    ) -> Result<Part, Error> {
        self.take_up_upload_landing(actor, upload, turn, Landing::default())
    }

    /// The same, for an import whose data comes to lie so.
    pub(in crate::service::images) fn take_up_upload_landing(
        &self,
        actor: &Actor,
        upload: PartialUpload,
        turn: Turn,
        landing: Landing,
    ) -> Result<Part, Error> {
        let id = &upload.image;
        let read = self.db.read()?;
        let mut image = owned(&read, id, &upload.token)?.ok_or_else(|| gone(id))?;
        if let Some(format) = landing.disk_format {
            Landing::made_into(&mut image, format);
        }
        let room = Room { image: *id, token: upload.token, reserved_bytes: quotas::reserved(&read, id)? };
        // What a client fills is compared by that client.
        let expected = match upload.is_of_job() {
            true => locations::get(&read, id)?.and_then(|located| located.declared.secure),
            false => None,
        };
        drop(read);
        let verification = match image.status {
            // What is staged is looked at when it is imported.
            Status::Uploading => Verification::none(),
            _ => self.verification(&image)?,
        };
        let mut screen = Screen::new(&image, self.rules.require_format_match);
        let scope = self.stream_scope(&image)?.at(landing.place.unwrap_or(image.place));
        let ingest = match &upload.checkpoint {
            None => match expected.as_ref().map(SecureHash::algorithm) {
                Some(algorithm) => self.store.ingest_hashing(scope, algorithm)?,
                None => self.store.ingest(scope)?,
            },
            Some(kept) => {
                self.screen_again(&mut screen, &kept.content)?;
                self.store.resume(scope, &kept.content, &kept.progress)?
            }
        };
        let (received, kept_at) = (upload.received_bytes, Instant::now());
        let (service, actor) = (self.clone(), actor.clone());
        let saw_all = upload.checkpoint.is_none();
        Ok(Part {
            actor,
            service,
            upload,
            screen,
            expected,
            verification,
            saw_all,
            is_aside: false,
            landing,
            ingest,
            room,
            received,
            kept_at,
            turn,
        })
    }

    /// Shows a screening what it has seen of the bytes before this part.
    pub(in crate::service::images) fn screen_again(
        &self,
        screen: &mut Screen,
        kept: &ContentId,
    ) -> Result<(), Error> {
        let reader = self.store.reader(kept)?;
        let size = reader.size_bytes();
        screen.sees_parts();
        let mut head = vec![0; size.min(HEAD_BYTES as u64) as usize];
        reader.read_at(0, &mut head)?;
        screen.push(&head)?;
        if size > HEAD_BYTES as u64 {
            // Of one that is little longer, what the start has is not shown twice.
            let mut tail = vec![0; (size - HEAD_BYTES as u64).min(TAIL_BYTES as u64) as usize];
            reader.read_at(size - tail.len() as u64, &mut tail)?;
            screen.push(&tail)?;
        }
        Ok(())
    }
}

/// What a part finds.
enum Opened {
    /// All has arrived already: the answer was lost.
    Complete(PartialUpload),
    /// The bytes may come.
    Part(Box<Part>),
}

/// A part on its way in.
pub(in crate::service::images) struct Part {
    service: Service,
    actor: Actor,
    /// As it was committed last.
    upload: PartialUpload,
    screen: Screen,
    /// What the data's hash must be, as it comes: what it is of is neither unwrapped nor converted.
    expected: Option<SecureHash>,
    verification: Verification,
    /// Whether the verification saw the stream from its first byte.
    saw_all: bool,
    /// Whether it must not be made durable before its end.
    is_aside: bool,
    /// How an import's data comes to lie in stores.
    landing: Landing,
    ingest: Ingest,
    room: Room,
    /// Bytes of the stream so far.
    received: u64,
    /// When it was made durable last.
    kept_at: Instant,
    turn: Turn,
}

/// Why a body was not taken in to its end.
enum Cut {
    /// It ended early; what came before stands.
    Short(Error),
    /// It is longer than was declared: nothing tells which of its bytes are the wrong ones; the latest checkpoint stands.
    Long(Error),
    /// Its content is refused, and so the upload.
    Refused(Error),
    /// The store gave up; the latest checkpoint stands.
    Lost(Error),
}

impl Part {
    /// Takes the bytes in that are left of the stream, as far as they come.
    pub(in crate::service::images) async fn take_in(
        mut self,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<PartialUpload, Error> {
        match self.take_body(body).await {
            Ok(()) | Err(Cut::Short(_)) if self.is_whole() => self.finish().await,
            Ok(()) => self.put_down().await.map(|()| self.upload),
            Err(Cut::Short(error)) => self.put_down().await.and(Err(error)),
            Err(Cut::Long(error)) => Err(self.let_go(error)),
            Err(Cut::Refused(error)) => Err(give_up(self.service, self.actor, self.upload, error).await),
            Err(Cut::Lost(error)) => Err(error),
        }
    }

    /// Takes the bytes in that are left of the stream, as far as they come, and makes them durable, also the last: who makes
    /// the image active with them has something to do before.
    pub(in crate::service::images) async fn take_in_short(
        mut self,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<PartialUpload, Error> {
        match self.take_body(body).await {
            Ok(()) => self.put_down().await.map(|()| self.upload),
            Err(Cut::Short(_)) if self.is_whole() => self.put_down().await.map(|()| self.upload),
            Err(Cut::Short(error)) => self.put_down().await.and(Err(error)),
            Err(Cut::Long(error)) => Err(self.let_go(error)),
            Err(Cut::Refused(error) | Cut::Lost(error)) => Err(error),
        }
    }

    /// Takes a whole body in and makes it durable, whatever it is: who makes an image of it looks at it then.
    pub(in crate::service::images) async fn keep_whole(
        mut self,
        declared_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<PartialUpload, Error> {
        self.screen = Screen::blind();
        match self.take_body(body).await {
            Ok(()) => {}
            Err(Cut::Short(error) | Cut::Long(error) | Cut::Refused(error) | Cut::Lost(error)) => {
                return Err(error);
            }
        }
        if let Some(declared) = declared_bytes.filter(|declared| *declared != self.received) {
            let received = self.received;
            return Err(Error::invalid(format!("{declared} bytes were declared but {received} arrived")));
        }
        self.put_down().await?;
        Ok(self.upload)
    }

    async fn take_body(
        &mut self,
        mut body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<(), Cut> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.turn.over() => {
                    return Err(Cut::Short(Error::conflict("a newer request took this upload over")));
                }
                next = body.next() => next,
            };
            let Some(bytes) = next else { return Ok(()) };
            let bytes = bytes.map_err(|broken| {
                let reason = format!("the upload broke off after {} bytes: {}", self.received, broken.0);
                Cut::Short(Error::invalid(reason))
            })?;
            let after = self.received + bytes.len() as u64;
            // Before the limit, which cuts a body short: of one that is too long, the start is never taken for all of it.
            if let Some(declared) = self.upload.declared_bytes.filter(|declared| after > *declared) {
                let reason = format!("{declared} bytes were declared, and more than that arrived");
                return Err(Cut::Long(Error::invalid(reason)));
            }
            check_cap(after, self.service.rules.image_bytes_max).map_err(Cut::Short)?;
            self.room.expect(&self.service, after).await.map_err(Cut::Short)?;
            self.screen.push(&bytes).map_err(Cut::Refused)?;
            self.verification.update(&bytes);
            self.ingest.write(bytes).await.map_err(|error| Cut::Lost(error.into()))?;
            self.received = after;
            if self.is_due() && !self.is_whole() {
                self.put_down().await.map_err(Cut::Lost)?;
            }
        }
    }

    /// Takes a whole stream in, of which nothing is durable before [`Part::end`]: what was kept of the upload before
    /// stays as it is until then.
    pub(in crate::service::images) async fn take_aside(
        mut self,
        body: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<Part, Error> {
        self.is_aside = true;
        match self.take_body(body).await {
            Ok(()) => Ok(self),
            Err(Cut::Short(error) | Cut::Long(error) | Cut::Refused(error) | Cut::Lost(error)) => Err(error),
        }
    }

    /// Makes durable what came aside, in the place of what was kept of the upload before.
    pub(in crate::service::images) async fn keep_instead(mut self) -> Result<PartialUpload, Error> {
        let checkpoint = self.ingest.checkpoint().await?;
        let (service, upload) = (self.service, self.upload);
        in_background(move || service.keep_instead(upload, checkpoint)).await
    }

    /// Makes the image active with what came.
    pub(in crate::service::images) async fn end(self) -> Result<PartialUpload, Error> {
        self.finish().await
    }

    /// Leaves the upload as the latest checkpoint has it; gives the reason back.
    fn let_go(self, error: Error) -> Error {
        // What came since has no row to be found by.
        self.service.litter.left(Reach::Everything);
        error
    }

    fn is_whole(&self) -> bool {
        self.upload.declared_bytes == Some(self.received)
    }

    fn is_due(&self) -> bool {
        if self.is_aside {
            return false;
        }
        let waiting = self.received - self.upload.received_bytes;
        waiting >= CHECKPOINT_BYTES || self.kept_at.elapsed() >= CHECKPOINT_TIME
    }

    /// Makes durable what has arrived.
    async fn put_down(&mut self) -> Result<(), Error> {
        if self.received == self.upload.received_bytes {
            return Ok(());
        }
        let checkpoint = self.ingest.checkpoint().await?;
        let (service, upload) = (self.service.clone(), self.upload.clone());
        (self.upload, self.room.reserved_bytes) =
            in_background(move || service.keep(upload, checkpoint)).await?;
        self.kept_at = Instant::now();
        Ok(())
    }

    async fn finish(mut self) -> Result<PartialUpload, Error> {
        if self.verification.wants_data() && !self.saw_all {
            self = self.read_back().await?;
        }
        let Part {
            service,
            actor,
            upload,
            screen,
            expected,
            verification,
            ingest,
            received,
            landing,
            turn: _turn,
            ..
        } = self;
        let judged = screen.finish(received).and_then(|judged| Ok((judged, verification.finish()?)));
        let (judged, verified) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Err(give_up(service, actor, upload, refusal).await),
        };
        let (asked, id, token) = (service.clone(), upload.image, upload.token);
        let format = landing.disk_format;
        let record = in_background(move || asked.final_record(&id, &token, format)).await?;
        let receipt = ingest.finish(record).await?;
        if let Some(refusal) = differs(expected.as_ref(), &receipt) {
            // Its manifest has no row to be found by.
            service.litter.left(Reach::Everything);
            return Err(give_up(service, actor, upload, refusal).await);
        }
        let (looking, looked_at) = (service.clone(), receipt.clone());
        let looked = in_background(move || looking.look_into(judged, &looked_at)).await;
        let known = match looked {
            Ok(known) => known,
            Err(refusal) if refusal.kind == ErrorKind::UnsupportedContent => {
                return Err(give_up(service, actor, upload, refusal).await);
            }
            // What could not be read now is looked at again when the upload goes on.
            Err(error) => return Err(error),
        };
        let whole = Whole { receipt, known, verified, landing };
        in_background(move || service.complete(&actor, upload, whole)).await
    }

    /// Shows the verification the whole stream, of which it saw what came last: once, when all of it is there, so that
    /// many small parts cost no more than few large ones.
    async fn read_back(mut self) -> Result<Part, Error> {
        self.put_down().await?;
        let _reading = self.service.store.turn().await?;
        in_background(move || {
            if let Some(kept) = &self.upload.checkpoint {
                self.verification.read_back(&self.service.store, &kept.content)?;
            }
            Ok(self)
        })
        .await
    }
}

/// Why data is not what it was to be.
fn differs(expected: Option<&SecureHash>, receipt: &Receipt) -> Option<Error> {
    let found = receipt.digests().secure.as_ref();
    let expected = expected.filter(|expected| found != Some(*expected))?;
    let found = found.map(|found| hex::encode(found.value())).unwrap_or_default();
    let (algorithm, expected) = (expected.algorithm().as_str(), hex::encode(expected.value()));
    Some(Error::invalid(format!("the data's {algorithm} is {found}, and {expected} was expected")))
}

/// Ends an upload whose content is refused; gives the refusal back.
async fn give_up(service: Service, actor: Actor, upload: PartialUpload, refusal: Error) -> Error {
    if upload.is_of_job() {
        // The job says in one commit that it failed and what became of its image.
        return refusal;
    }
    let why = refusal.clone();
    if let Err(error) = in_background(move || service.end_refused(&actor, upload, &why)).await {
        tracing::error!(%error, "a refused upload stays until it expires");
    }
    refusal
}
