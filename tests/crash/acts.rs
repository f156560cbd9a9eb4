//! What callers do to a box, and what each answer makes them expect.
//!
//! Invariant: only a fault excuses a refusal, and only the action it hit.

use std::io::Write;
use std::ops::ControlFlow;
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tintype::model::{Image, ImageId, ProjectId, Status, Visibility};
use tintype::service::images::{BodyBroken, Change, Existing, Field, KEY_PROPERTY, NewImage, OWN_KEY};
use tintype::store::{Compare, Piece, Reach, Scope, Wish};

use crate::chance::{lines, noise};
use crate::machine::{Machine, PIECE_BYTES, Source, actor};
use crate::world::{Body, Picture, digests};

/// One thing a caller does. Images go by slot: a number for each.
#[derive(Debug, Clone)]
pub enum Act {
    /// Registers an image.
    Create(u64),
    /// Fills an image; the inner acts happen before the last piece of the body is sent.
    Upload(u64, Vec<Part>, Vec<Act>),
    /// Begins to fill an image and breaks off.
    BreakOff(u64, Vec<Part>),
    /// Begins to fill an image in parts.
    Begin(u64, Vec<Part>),
    /// Sends the next part, up to this byte.
    Send(u64, usize),
    /// Gives an upload in parts up.
    GiveUp(u64),
    /// Asks for an image from a file of a bucket.
    Import(u64, Vec<Part>),
    /// Ask for the images of a whole machine, the system's first.
    ImportMachine(Vec<(u64, Vec<Part>)>),
    /// Stages data for an image.
    Stage(u64, Vec<Part>),
    /// Asks for what was staged to become the image's data.
    ImportStaged(u64, Vec<Part>),
    /// Fills an image, whose data goes to the store beside the home.
    UploadCold(u64, Vec<Part>),
    /// Has an image copied to the store beside the home, and does that job.
    CopyToCold(u64),
    /// Takes an image's data from the home.
    DropHome(u64),
    /// Asks for a copy of an image.
    CopyImage(u64),
    /// Does the jobs that were asked for.
    Work,
    /// Changes an image's record.
    Update(u64, u64),
    /// Offers an image to a project.
    Share(u64, u64),
    /// Takes the offer back.
    Unshare(u64, u64),
    /// Deletes an image.
    Delete(u64),
    /// Gives space back.
    Reclaim,
    /// Gives space back, and writes packs anew.
    Rewrite,
    /// Keeps an image, which has these parts, by a recipe, and gives back what it had before.
    Recipe(u64, Vec<Part>),
    /// Looks for what is stored twice, gives streams one copy, and takes the other away.
    Dedup,
    /// Makes the store describe what was committed.
    Ship,
    /// The disk changes a byte of the first pack; nobody is told.
    Rot,
    /// The disk changes a byte of the first manifest; nobody is told.
    RotManifest,
    /// The disk changes a byte of the first pack's parity; nobody is told.
    RotParity,
    /// Copies everything stored to where nothing happens to it; starts from here on know where.
    Copy,
    /// There a byte of the first pack changes.
    RotCopy,
    /// Compares everything stored with what was written, and repairs it.
    Scrub,
    /// Heals what was lost from what was stored again.
    Mend,
    /// Puts a sealed store under another master key.
    Rotate(u64),
    /// Gives the key domain of this owner another key; owner 0 is the store itself.
    RotateDomain(u64),
    /// Seals anew whatever an older key sealed.
    Reseal,
    /// Erases the key domain of this owner.
    Erase(u64),
    /// Registers an image that asks for a key of its own.
    CreateOwn(u64),
    /// Gives space back, and drops the keys of images that have gone.
    GiveBack,
    /// Brings a stream in without publishing it.
    Ingest(u64, Vec<Part>),
    /// Brings a stream in, in the key domain of this owner, without publishing it.
    IngestFor(u64, u64, Vec<Part>),
    /// Publishes it.
    Publish(u64),
    /// Lets go of every published stream that is no image's.
    Release,
    /// Makes a group and a policy, and attaches one to the other.
    GiveRights(u64),
    /// Takes them away.
    TakeRights(u64),
    /// Moves the clock on, or back.
    StepClock(i64),
    /// Ends the process in good order, and starts it again.
    Restart,
}

/// Where a pack rots: in its chunks.
const ROT_AT: usize = 1000;
/// Where a manifest rots: in what it says.
const MANIFEST_ROT_AT: usize = 100;

/// Where parity rots: in its footer, before its sum, the locator, one block's hash and the tail.
const PARITY_ROT_FROM_END: usize = 32 + 24 + 32 + 64 + 10;

/// A stretch of a body.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Incompressible bytes that only this label gives, so many.
    Noise(u64, usize),
    /// Text that only this label gives, so many bytes of it; a strong level makes it smaller.
    Text(u64, usize),
    /// Zeros.
    Zeros(usize),
    /// Deflate streams, so many, each of a cluster of text that only this label gives.
    Packed(u64, u64),
}

/// What a deflate stream of a body holds.
const CLUSTER_BYTES: usize = 8 << 10;

/// The deflate streams of [`Part::Packed`].
fn units(label: u64, count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |number| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&lines(label << 8 | number, CLUSTER_BYTES)).unwrap();
        encoder.finish().unwrap()
    })
}

/// Where a body of these parts has deflate streams.
fn pieces(parts: &[Part]) -> Vec<Piece> {
    let (mut at, mut pieces) = (0, Vec::new());
    for part in parts {
        match *part {
            Part::Noise(_, length) | Part::Text(_, length) | Part::Zeros(length) => at += length as u64,
            Part::Packed(label, count) => {
                for unit in units(label, count) {
                    let (bytes, unpacked_bytes) = (unit.len() as u64, Some(CLUSTER_BYTES as u64));
                    pieces.push(Piece { at, bytes, unpacked_bytes });
                    at += bytes;
                }
            }
        }
    }
    pieces
}

/// The body made of these parts.
pub fn body(parts: &[Part]) -> Body {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Noise(label, length) => bytes.extend(noise(*label, *length)),
            Part::Text(label, length) => bytes.extend(lines(*label, *length)),
            Part::Zeros(length) => bytes.resize(bytes.len() + length, 0),
            Part::Packed(label, count) => units(*label, *count).for_each(|unit| bytes.extend(unit)),
        }
    }
    bytes.into()
}

/// The id of the image in a slot.
pub fn id(slot: u64) -> ImageId {
    let bytes = noise(slot ^ 0x1d, 16).try_into().unwrap();
    ImageId(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

impl Machine {
    /// Does these things in order, as long as the box is on.
    ///
    /// # Errors
    /// When the product refuses what no fault excuses.
    pub fn perform(&self, acts: &[Act]) -> Result<(), String> {
        self.wait(self.perform_all(acts))
    }

    fn perform_all<'a>(&'a self, acts: &'a [Act]) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>> {
        Box::pin(async move {
            for act in acts {
                if !self.is_running() {
                    break;
                }
                // What was struck by an object medium before is over: the box must go on.
                let excused = self.power.struck().is_some_and(|step| step.medium == "db");
                let before = self.power.struck();
                let outcome = self.perform_one(act).await;
                let hit = self.power.struck() != before;
                if let Err(refusal) = outcome
                    && !(excused || hit || self.power.is_gone())
                {
                    return Err(format!("{act:?} was refused without a fault: {refusal}"));
                }
            }
            Ok(())
        })
    }

    /// One act; the error is the product's refusal.
    async fn perform_one(&self, act: &Act) -> Result<(), String> {
        match act {
            Act::Create(slot) => self.create_as(*slot, &[]),
            Act::Upload(slot, parts, midway) => {
                let body = body(parts);
                self.upload(*slot, &body, self.pieces(&body, midway, None)).await
            }
            Act::UploadCold(slot, parts) => self.upload_cold(*slot, &body(parts)).await,
            Act::CopyToCold(slot) => self.copy_to_cold(*slot).await,
            Act::DropHome(slot) => self.drop_home(*slot),
            Act::BreakOff(slot, parts) => {
                let body = body(parts);
                let pieces = self.pieces(&body, &[], Some(BodyBroken("the client went away".into())));
                match self.upload(*slot, &body, pieces).await {
                    Ok(()) => Err("half a body was taken for a whole one".into()),
                    Err(refusal) if refusal.contains("broke off") => Ok(()),
                    Err(refusal) => Err(refusal),
                }
            }
            Act::Begin(slot, parts) => self.begin(*slot, &body(parts)),
            Act::Send(slot, end) => self.send_part(&id(*slot), *end).await,
            Act::GiveUp(slot) => self.give_up(&id(*slot)).await,
            Act::Import(slot, parts) => self.import(*slot, &body(parts)),
            Act::ImportMachine(disks) => {
                let disks: Vec<_> = disks.iter().map(|(slot, parts)| (*slot, body(parts))).collect();
                self.import_machine(&disks)
            }
            Act::Stage(slot, parts) => self.stage(*slot, &body(parts)).await,
            Act::ImportStaged(slot, parts) => self.import_staged(*slot, &body(parts)),
            Act::CopyImage(slot) => self.copy_image(*slot),
            Act::Work => self.work().await,
            Act::Update(slot, value) => self.update(*slot, *value),
            Act::Share(slot, project) => self.share(*slot, *project),
            Act::Unshare(slot, project) => self.unshare(*slot, *project),
            Act::Delete(slot) => self.delete(*slot),
            Act::Reclaim => self.reclaim(Wish::default()),
            Act::Rewrite => self.reclaim(Wish { dedup: None, compact: true, recompress: true }),
            Act::Dedup => self.reclaim(Wish { dedup: Some(Compare::All), compact: true, recompress: false }),
            Act::Recipe(slot, parts) => {
                self.keep_by_recipe(*slot, &pieces(parts))?;
                self.reclaim(Wish::default())
            }
            Act::Ship => self.service().store().ship().map_err(text),
            Act::Rot => self.rot("pack/", ROT_AT),
            Act::RotManifest => self.rot("manifest/", MANIFEST_ROT_AT),
            Act::RotParity => self.rot_parity(),
            Act::RotCopy => {
                self.rot_copy(ROT_AT + 1);
                Ok(())
            }
            Act::Copy => {
                self.copy();
                Ok(())
            }
            Act::Scrub => self.service().store().scrub_all(&mut |_| ()).map(drop).map_err(text),
            Act::Mend => self.service().mend().map(drop).map_err(text),
            Act::Rotate(number) => self.rotate(*number),
            Act::RotateDomain(owner) => self.rotate_domain(*owner),
            Act::Reseal => self.reseal(),
            Act::Erase(owner) => self.erase(*owner),
            Act::CreateOwn(slot) => self.create_as(*slot, &[(KEY_PROPERTY, OWN_KEY)]),
            Act::GiveBack => self.service().give_back(Reach::Everything).map(drop).map_err(text),
            Act::Ingest(slot, parts) => self.ingest(*slot, Scope::STORE, (body(parts), 0)).await,
            Act::IngestFor(slot, owner, parts) => {
                self.ingest(*slot, self.owned_scope(*owner)?, (body(parts), *owner)).await
            }
            Act::Publish(slot) => self.publish(*slot),
            Act::Release => self.release(),
            Act::GiveRights(number) => self.give_rights(*number),
            Act::TakeRights(number) => self.take_rights(*number),
            Act::StepClock(seconds) => {
                self.clock.step_seconds(*seconds);
                Ok(())
            }
            Act::Restart => self.stop().and_then(|()| self.start()),
        }
    }

    fn keep_by_recipe(&self, slot: u64, pieces: &[Piece]) -> Result<(), String> {
        let Some(known) = self.known(slot) else { return Ok(()) };
        let content = known.image.contents().next().ok_or("the image has no data")?;
        let store = self.service().store().clone();
        let mut watch = |_| ControlFlow::Continue(());
        store.keep_by_recipe(&content, &mut pieces.iter().copied(), &mut watch).map(drop).map_err(text)
    }

    /// Changes a byte of the first object of a kind.
    fn rot(&self, kind: &str, at: usize) -> Result<(), String> {
        let stock = self.shelf.stock();
        let object = stock.keys().find(|key| key.as_str().starts_with(kind));
        object.into_iter().for_each(|key| self.shelf.rot(key, at));
        Ok(())
    }

    /// Changes a byte of the first pack's parity, near its end, where it says what it is.
    fn rot_parity(&self) -> Result<(), String> {
        let stock = self.shelf.stock();
        let pack = stock.keys().find_map(|key| key.as_str().strip_prefix("pack/"));
        let name = pack.map(|pack| format!("parity/{pack}"));
        let parity = stock.iter().find(|(key, _)| Some(key.as_str()) == name.as_deref());
        parity.into_iter().for_each(|(key, bytes)| self.shelf.rot(key, bytes.len() - PARITY_ROT_FROM_END));
        Ok(())
    }

    fn reclaim(&self, wish: Wish) -> Result<(), String> {
        self.service().reclaim(&actor(), wish, None, &mut |_| ()).map(drop).map_err(text)
    }

    fn create_as(&self, slot: u64, properties: &[(&str, &str)]) -> Result<(), String> {
        let id = id(slot);
        if self.world.borrow().has_heard_of(&id) {
            return Ok(());
        }
        let fields = [
            Field::Name(Some(format!("image {slot}"))),
            Field::Visibility(Visibility::Shared),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        let asked = properties.iter().map(|(name, value)| Change::SetProperty {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            existing: Existing::Any,
        });
        let changes = fields.map(Change::Set).into_iter().chain(asked).collect();
        let new = NewImage { id: Some(id), changes };
        match self.service().create_image(&actor(), new) {
            Ok(image) => self.learn(image, None),
            Err(refusal) => {
                let mut image = blank(slot);
                let asked = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                image.properties.extend(asked);
                let state = Picture { image, body: None, members: Vec::new(), unseen: true };
                self.tell(|world| world.doubt(id, vec![None, Some(state)]));
                return Err(text(refusal));
            }
        }
        Ok(())
    }

    pub async fn upload(
        &self,
        slot: u64,
        body: &Body,
        pieces: impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin,
    ) -> Result<(), String> {
        let Some(before) = self.picture(slot, Status::Queued) else { return Ok(()) };
        let id = before.image.id;
        // Until it is answered, the image may be either; acts midway leave it alone.
        let states = vec![Some(before.changed(|_| ())), Some(before.filled(body))];
        self.tell(|world| world.doubt(id, states));
        let upload = self.service().begin_upload(&actor(), &id, None).map_err(text)?;
        let image = match upload.receive(pieces).await {
            Ok(image) => image,
            Err(refusal) => {
                self.after_refused_upload(&before)?;
                return Err(text(refusal));
            }
        };
        if image.digests != Some(digests(body)) {
            return Err(format!("the digests of {image:?} are not those of what was sent"));
        }
        self.learn(image, Some(body.clone()));
        Ok(())
    }

    /// While the catalog works, a refused image is queued again before its caller hears of it.
    fn after_refused_upload(&self, before: &Picture) -> Result<(), String> {
        if self.power.is_gone() || self.power.struck().is_some_and(|step| step.medium == "db") {
            return Ok(());
        }
        let image = self.service().show_image(&actor(), &before.image.id).map_err(text)?;
        if image.status != Status::Queued {
            return Err(format!("a refused upload left {image:?}"));
        }
        self.learn(image, None);
        Ok(())
    }

    /// A body in pieces; `midway` happens before the last of them, and `broken` ends it instead.
    fn pieces<'a>(
        &'a self,
        body: &Body,
        midway: &'a [Act],
        broken: Option<BodyBroken>,
    ) -> impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + 'a {
        let mut pieces: Vec<Result<Bytes, BodyBroken>> =
            body.chunks(PIECE_BYTES).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let last = pieces.len().saturating_sub(1);
        if let Some(broken) = broken {
            pieces.push(Err(broken));
        }
        let numbered = stream::iter(pieces.into_iter().enumerate());
        Box::pin(numbered.then(move |(number, piece)| async move {
            if number == last {
                self.perform_all(midway).await.map_err(BodyBroken)?;
            }
            piece
        }))
    }

    fn update(&self, slot: u64, value: u64) -> Result<(), String> {
        let Some(before) = self.known(slot) else { return Ok(()) };
        let (name, value) = ("note".to_owned(), value.to_string());
        let after = before.changed(|state| {
            state.image.properties.insert(name.clone(), value.clone());
        });
        let change = Change::SetProperty { name, value, existing: Existing::Any };
        match self.service().update_image(&actor(), &before.image.id, vec![change]) {
            Ok(image) => {
                let state = Picture { image, ..before };
                self.tell(|world| world.know(state.image.id, Some(state)));
                Ok(())
            }
            Err(refusal) => self.either(before, after, text(refusal)),
        }
    }

    fn share(&self, slot: u64, project: u64) -> Result<(), String> {
        let (Some(before), project) = (self.known(slot), project_of(project)) else { return Ok(()) };
        if before.members.iter().any(|member| member.project == project) {
            return Ok(());
        }
        match self.service().add_image_member(&actor(), &before.image.id, project.clone()) {
            Ok(member) => {
                let mut state = before;
                state.members.push(member);
                state.members.sort_by(|a, b| a.project.cmp(&b.project));
                self.tell(|world| world.know(state.image.id, Some(state)));
                Ok(())
            }
            Err(refusal) => {
                let after = before.changed(|state| {
                    state.members.push(tintype::model::image::Member {
                        image: state.image.id,
                        project: project.clone(),
                        status: tintype::model::image::MemberStatus::Pending,
                        created_at: Default::default(),
                        updated_at: Default::default(),
                    });
                    state.members.sort_by(|a, b| a.project.cmp(&b.project));
                });
                self.either(before, after, text(refusal))
            }
        }
    }

    fn unshare(&self, slot: u64, project: u64) -> Result<(), String> {
        let (Some(before), project) = (self.known(slot), project_of(project)) else { return Ok(()) };
        if !before.members.iter().any(|member| member.project == project) {
            return Ok(());
        }
        let mut after = before.clone();
        after.members.retain(|member| member.project != project);
        match self.service().remove_image_member(&actor(), &before.image.id, &project) {
            Ok(()) => {
                self.tell(|world| world.know(after.image.id, Some(after)));
                Ok(())
            }
            Err(refusal) => self.either(before, after, text(refusal)),
        }
    }

    fn delete(&self, slot: u64) -> Result<(), String> {
        let Some(before) = self.known(slot) else { return Ok(()) };
        let id = before.image.id;
        match self.service().delete_image(&actor(), &id) {
            Ok(()) => {
                self.tell(|world| world.know(id, None));
                Ok(())
            }
            Err(refusal) => {
                self.tell(|world| world.doubt(id, vec![Some(before), None]));
                Err(text(refusal))
            }
        }
    }

    async fn ingest(&self, slot: u64, scope: Scope, source: Source) -> Result<(), String> {
        let mut ingest = self.service().store().ingest(scope).map_err(text)?;
        for piece in source.0.chunks(PIECE_BYTES) {
            ingest.write(Bytes::copy_from_slice(piece)).await.map_err(text)?;
        }
        let receipt = ingest.finish(Vec::new()).await.map_err(text)?;
        self.hold(slot, receipt, source);
        Ok(())
    }

    fn publish(&self, slot: u64) -> Result<(), String> {
        let Some((receipt, (body, owner))) = self.held(slot) else { return Ok(()) };
        let (store, content) = (self.service().store().clone(), receipt.content());
        let published = self.db().write(move |txn| store.publish(txn, &receipt));
        let states = if published.is_ok() { vec![true] } else { vec![false, true] };
        self.tell(|world| {
            world.own(content, owner);
            world.content(content, body, states);
        });
        published.map_err(text)
    }

    fn release(&self) -> Result<(), String> {
        let published: Vec<_> = {
            let world = self.world.borrow();
            let sure = world.contents().filter(|(_, _, published)| *published == [true]);
            sure.map(|(content, body, _)| (*content, body.clone())).collect()
        };
        for (content, body) in published {
            let store = self.service().store().clone();
            let released = self.db().write(move |txn| store.release(txn, &content));
            let states = if released.is_ok() { vec![false] } else { vec![true, false] };
            self.tell(|world| world.content(content, body, states));
            released.map_err(text)?;
        }
        Ok(())
    }

    /// An acknowledged record, with the members it had.
    pub fn learn(&self, image: Image, body: Option<Body>) {
        let members = self.world.borrow().members(&image.id);
        let state = Picture { body, members, unseen: false, image };
        self.tell(|world| world.know(state.image.id, Some(state)));
    }

    pub fn known(&self, slot: u64) -> Option<Picture> {
        self.world.borrow().picture(&id(slot))
    }

    pub fn picture(&self, slot: u64, status: Status) -> Option<Picture> {
        self.known(slot).filter(|state| state.image.status == status)
    }

    fn either(&self, before: Picture, after: Picture, refusal: String) -> Result<(), String> {
        self.tell(|world| world.doubt(before.image.id, vec![Some(before), Some(after)]));
        Err(refusal)
    }
}

fn project_of(number: u64) -> ProjectId {
    ProjectId(format!("project-{number}"))
}

/// The record a create makes, as far as its caller knows it.
pub fn blank(slot: u64) -> Image {
    Image {
        id: id(slot),
        name: Some(format!("image {slot}")),
        status: Status::Queued,
        visibility: Visibility::Shared,
        protected: false,
        hidden: false,
        owner: actor().project().cloned(),
        container_format: Some("bare".into()),
        disk_format: Some("raw".into()),
        min_disk_gib: 0,
        min_ram_mib: 0,
        size_bytes: None,
        virtual_size_bytes: None,
        verdict: None,
        digests: None,
        content: None,
        tags: Default::default(),
        properties: Default::default(),
        created_at: Default::default(),
        updated_at: Default::default(),
        upload: None,
        active_at: None,
        place: Default::default(),
        copies: Vec::new(),
    }
}

/// An error in words.
pub fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
