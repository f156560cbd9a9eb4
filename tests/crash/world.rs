//! What a caller may expect of the box: every image as it was acknowledged, and, where an answer was
//! a failure, each state that the failed action may have left.
//!
//! Invariant: an acknowledged action leaves exactly one state. Knows nothing of media or faults.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use md5::Md5;
use sha2::{Digest, Sha512};
use tintype::base::Time;
use tintype::model::image::Member;
use tintype::model::{ContentId, Digests, Finding, Image, ImageId, SecureHash, Status, StorePlace, Verdict};
use tintype::service::images::READER;

use crate::rights::Thing;

/// The bytes of an image.
pub type Body = Arc<[u8]>;

/// One state an image may be in.
#[derive(Clone)]
pub struct Picture {
    /// The record.
    pub image: Image,
    /// Its data.
    pub body: Option<Body>,
    /// Its members.
    pub members: Vec<Member>,
    /// Whether the record was never acknowledged: its times and its content's name are then
    /// nobody's knowledge.
    pub unseen: bool,
}

/// Of the data its length alone: a verdict has to be read.
impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Picture { image, body, members, unseen } = self;
        let body_bytes = body.as_ref().map(|body| body.len());
        write!(f, "{image:?} with {body_bytes:?} bytes, {members:?}, unseen: {unseen}")
    }
}

impl Picture {
    /// What an upload of `body` makes of this image.
    pub fn filled(&self, body: &Body) -> Picture {
        let mut filled = Picture { body: Some(body.clone()), unseen: true, ..self.clone() };
        filled.image.status = Status::Active;
        filled.image.size_bytes = Some(body.len() as u64);
        filled.image.virtual_size_bytes = Some(body.len() as u64);
        filled.image.verdict = (!body.is_empty()).then(verdict);
        filled.image.digests = Some(digests(body));
        filled
    }

    /// What beginning an upload in parts makes of this image.
    pub fn begun(&self) -> Picture {
        self.changed(|state| state.image.status = Status::Saving)
    }

    /// The same, with its record changed by someone who was not told the outcome.
    pub fn changed(&self, change: impl FnOnce(&mut Picture)) -> Picture {
        let mut changed = Picture { unseen: true, ..self.clone() };
        change(&mut changed);
        changed
    }

    /// Whether this is what was found. The data is compared by who reads it.
    fn is(&self, image: &Image, members: &[Member]) -> bool {
        if self.body.is_some() != image.content.is_some() {
            return false;
        }
        if !self.unseen {
            return self.image == *image && self.members == members;
        }
        blurred(&self.image) == blurred(image) && projects(&self.members) == projects(members)
    }
}

/// What is found out about every body: it is a raw disk of noise.
fn verdict() -> Verdict {
    let (code, field) = ("no-partition-table".into(), "master boot record".into());
    Verdict { format: "raw".into(), reader: READER, findings: vec![Finding { code, field, value: None }] }
}

/// The record without what only an answer tells.
fn blurred(image: &Image) -> Image {
    let mut image = image.clone();
    image.content = None;
    if image.size_bytes.is_none() {
        // Where data was to go that never came.
        image.place = StorePlace::HOME;
    }
    image.copies.iter_mut().for_each(|copy| copy.content = ContentId([0; 16]));
    image.created_at = Time::default();
    image.updated_at = Time::default();
    image.active_at = None;
    image.upload = None;
    image.active_at = None;
    image.properties.remove("os_glance_import_task");
    image
}

fn projects(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.project.as_str()).collect()
}

/// The digests of a body, computed apart from the product.
pub fn digests(body: &[u8]) -> Digests {
    Digests {
        md5: Some(Md5::digest(body).into()),
        secure: Some(SecureHash::Sha512(Sha512::digest(body).into())),
        blake3: *blake3::hash(body).as_bytes(),
    }
}

/// Every image and every bare content, with the states each may be in; `None` is "not there".
#[derive(Debug, Clone, Default)]
pub struct World {
    images: BTreeMap<ImageId, Vec<Option<Picture>>>,
    contents: BTreeMap<ContentId, (Body, Vec<bool>)>,
    /// Whose key domain contents are in that are not in the store's own.
    owners: BTreeMap<ContentId, u64>,
    /// Owners whose domain was erased: more than one answer when that is in doubt.
    erased: BTreeMap<u64, Vec<bool>>,
    /// Numbers of the master keys of which one opens the store: the first until it is changed.
    master_keys: Vec<u64>,
    uploads: BTreeMap<ImageId, (Body, u64)>,
    /// Groups, policies and attachments, and whether they are there.
    things: BTreeMap<Thing, Vec<bool>>,
}

impl World {
    /// The master keys of which one opens the store.
    pub fn master_keys(&self) -> &[u64] {
        if self.master_keys.is_empty() { &[0] } else { &self.master_keys }
    }

    /// Says which these are.
    pub fn set_master_keys(&mut self, numbers: Vec<u64>) {
        self.master_keys = numbers;
    }

    /// Says whether a thing is there: more than one answer when that is in doubt.
    pub fn know_thing(&mut self, thing: Thing, states: Vec<bool>) {
        self.things.insert(thing, states);
    }

    /// Whether a thing is there, when there is no doubt.
    pub fn has_thing(&self, thing: Thing) -> Option<bool> {
        match self.things.get(&thing).map(Vec::as_slice) {
            None => Some(false),
            Some([one]) => Some(*one),
            Some(_) => None,
        }
    }

    /// Every thing that was spoken of.
    pub fn things(&self) -> Vec<(Thing, Vec<bool>)> {
        self.things.iter().map(|(thing, states)| (*thing, states.clone())).collect()
    }

    /// An acknowledged state.
    pub fn know(&mut self, id: ImageId, state: Option<Picture>) {
        self.images.insert(id, vec![state]);
    }

    /// The states of which a failed action left one.
    pub fn doubt(&mut self, id: ImageId, states: Vec<Option<Picture>>) {
        self.images.insert(id, states);
    }

    /// The state of an image, when there is no doubt and it is there.
    pub fn picture(&self, id: &ImageId) -> Option<Picture> {
        match self.images.get(id)?.as_slice() {
            [Some(one)] => Some(one.clone()),
            _ => None,
        }
    }

    /// The members an image has, whatever else is in doubt of it.
    pub fn members(&self, id: &ImageId) -> Vec<Member> {
        let states = self.images.get(id).into_iter().flatten();
        states.flatten().next().map(|state| state.members.clone()).unwrap_or_default()
    }

    /// Whether the id was ever spoken of.
    pub fn has_heard_of(&self, id: &ImageId) -> bool {
        self.images.contains_key(id)
    }

    /// An upload in parts of `body`, of which so many bytes were acknowledged.
    pub fn acknowledge(&mut self, id: ImageId, body: &Body, bytes: u64) {
        self.uploads.insert(id, (body.clone(), bytes));
    }

    /// What an image's upload in parts sends, and how much of it was acknowledged.
    pub fn acknowledged(&self, id: &ImageId) -> Option<(Body, u64)> {
        self.uploads.get(id).cloned()
    }

    /// Every image without doubt.
    pub fn pictures(&self) -> Vec<Picture> {
        self.images.keys().filter_map(|id| self.picture(id)).collect()
    }

    /// A bare content, and whether it is published: more than one answer when that is in doubt.
    pub fn content(&mut self, content: ContentId, body: Body, published: Vec<bool>) {
        self.contents.insert(content, (body, published));
    }

    /// Says in whose key domain a content is.
    pub fn own(&mut self, content: ContentId, owner: u64) {
        self.owners.insert(content, owner);
    }

    /// Says whether an owner's key domain was erased.
    pub fn erase(&mut self, owner: u64, erased: Vec<bool>) {
        self.erased.insert(owner, erased);
    }

    /// Takes over which domains were erased: that is told by the key ring, which is no part of a
    /// catalog.
    pub fn erased_as_in(&mut self, other: &World) {
        self.erased = other.erased.clone();
    }

    /// Whether an owner's key domain may have been erased.
    pub fn may_be_erased(&self, owner: u64) -> bool {
        self.erased.get(&owner).is_some_and(|states| states.contains(&true))
    }

    /// Takes a content as it was found, readable or revoked, for the state of its owner's domain.
    ///
    /// # Errors
    /// When that is none of the states it may be in.
    pub fn meet_key(&mut self, content: &ContentId, is_revoked: bool) -> Result<(), String> {
        let Some(owner) = self.owners.get(content).copied().filter(|owner| *owner > 0) else {
            return if is_revoked { Err("the store's own key was revoked".into()) } else { Ok(()) };
        };
        let states = self.erased.entry(owner).or_insert_with(|| vec![false]);
        if !states.contains(&is_revoked) {
            return Err(format!("revoked is {is_revoked}, expected {states:?}"));
        }
        *states = vec![is_revoked];
        Ok(())
    }

    /// Every bare content.
    pub fn contents(&self) -> impl Iterator<Item = (&ContentId, &Body, &[bool])> {
        self.contents.iter().map(|(id, (body, published))| (id, body, published.as_slice()))
    }

    /// Takes an image as it was found for its state from now on; gives its data.
    ///
    /// # Errors
    /// When that is none of the states it may be in.
    pub fn meet(&mut self, image: &Image, members: &[Member]) -> Result<Option<Body>, String> {
        let states = self.images.get_mut(&image.id).ok_or_else(|| format!("nobody made {image:?}"))?;
        let found = states.iter().flatten().find(|state| state.is(image, members)).cloned();
        let Some(found) = found else {
            return Err(format!("found {image:?} with {members:?}, expected one of {states:?}"));
        };
        let body = found.body.clone();
        *states =
            vec![Some(Picture { image: image.clone(), members: members.to_vec(), unseen: false, ..found })];
        Ok(body)
    }

    /// Takes an image's absence for its state from now on.
    ///
    /// # Errors
    /// When it was acknowledged.
    pub fn miss(&mut self, met: &[ImageId]) -> Result<(), String> {
        for (id, states) in self.images.iter_mut().filter(|(id, _)| !met.contains(id)) {
            if !states.iter().any(Option::is_none) {
                return Err(format!("image {id} is gone, expected one of {states:?}"));
            }
            *states = vec![None];
        }
        Ok(())
    }
}
