//! Links: addresses by which whoever has one downloads one image for a while, without a token.
//!
//! [`signing`] is what makes an address one that nobody guesses, [`using`] what it is worth. Invariants: a link is worth what its
//! maker may do when it is used, and never more than a download of its one image; its signature is told once, to its maker, and
//! kept nowhere; what a project may have of them is bounded, and each ends by itself. Must not know what addresses look like.

#[cfg(test)]
mod ending_tests;
mod signing;
#[cfg(test)]
mod tests;
mod using;

use ipnet::IpNet;

pub use self::signing::LinkSignature;
pub use self::using::LinkRefusal;
use super::access;
use super::download::expect_here;
use super::guests::ReadAs;
use crate::base::Time;
use crate::catalog::image_links;
use crate::db::WriteTxn;
use crate::disk::writing::Form;
use crate::model::image_link::{ImageLink, LinkId, LinkMaker, TREE};
use crate::model::{Image, ImageId, Operation, Status};
use crate::service::audit::Act;
use crate::service::identity::AccessRoot;
use crate::service::rights::Action;
use crate::service::{Actor, Error, ErrorKind, Service, custom_keys};
use signing::LinkKey;

/// The shortest life of a link, in seconds.
pub const TTL_MIN_S: i64 = 60;
/// Links removed in one commit.
const PURGED_AT_ONCE: usize = 256;

/// What the operator says of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkRules {
    /// The longest life of a link, in seconds.
    pub ttl_max_s: i64,
    /// Links to one image that one project may have at once.
    pub per_image_max: usize,
}

impl Default for LinkRules {
    fn default() -> Self {
        LinkRules { ttl_max_s: 7 * 86_400, per_image_max: 64 }
    }
}

/// What a link gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkGives {
    /// The image as it is stored.
    Stored,
    /// Its disk as a file in this form.
    Form(Form),
    /// The files of a disc, one by one.
    Tree,
}

impl LinkGives {
    /// The word in the link's record, which is under its signature.
    fn word(self) -> Option<&'static str> {
        match self {
            LinkGives::Stored => None,
            LinkGives::Form(form) => Some(form.as_str()),
            LinkGives::Tree => Some(TREE),
        }
    }
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Its life, in seconds.
    pub ttl_s: i64,
    /// What it gives.
    pub gives: LinkGives,
    /// Where it may be used from; from anywhere without.
    pub net: Option<IpNet>,
}

/// A link that was just made. The signature is told here only.
pub struct MadeLink {
    /// The link.
    pub link: ImageLink,
    /// Its signature.
    pub signature: LinkSignature,
    /// The image, as it was then.
    pub image: Image,
}

impl Service {
    /// Makes a link to an image.
    ///
    /// # Errors
    /// As [`Service::download_image`]; `Invalid` when the life is out of bounds; `UnsupportedContent` when the image leaves in no
    /// other format; `TooLarge` when the project has too many links to it; `Conflict` while it has no data or is deactivated,
    /// where a cloud has the users, and in a box without a root to sign with.
    pub fn create_image_link(&self, actor: &Actor, id: &ImageId, new: NewLink) -> Result<MadeLink, Error> {
        if !actor.is_local_admin() {
            self.expect_own_identities("links")?;
        }
        let longest = self.rules.links.ttl_max_s;
        if !(TTL_MIN_S..=longest).contains(&new.ttl_s) {
            let message = format!(
                "a link lives {TTL_MIN_S} to {longest} seconds (links.ttl_max_s), not {}: choose another ttl_s",
                new.ttl_s
            );
            return Err(Error::invalid(message));
        }
        let now = self.clock.now();
        let link = ImageLink {
            id: LinkId(self.entropy.id()),
            image: *id,
            maker: maker(actor),
            project: access::project(actor)?.clone(),
            format: new.gives.word().map(str::to_owned),
            net: new.net.map(|net| net.trunc()),
            created_at: now,
            // In whole seconds, as it is told.
            expires_at: Time(now.seconds() * Time::SECOND).plus_seconds(new.ttl_s),
            first_used_at: None,
        };
        let fresh = AccessRoot::generate(&*self.entropy);
        let (service, actor) = (self.clone(), actor.clone());
        self.recorded(&actor.clone(), Act::new(Operation::CreateImageLink), move |txn, act| {
            let image = access::reachable(txn, &actor, &link.image, Action::ImagesExport)?;
            describe(act, &link, &image);
            custom_keys::expect_opens(txn, &image, &actor)?;
            expect_fit(&image, new.gives)?;
            service.expect_room(txn, &link)?;
            let key = LinkKey::of(&service.make_access_root(txn, &fresh)?);
            let signature = key.sign(&link);
            let signature =
                signature.ok_or_else(|| Error::new(ErrorKind::Internal, "the link cannot be signed"))?;
            image_links::put(txn, &link)?;
            Ok(MadeLink { link: link.clone(), signature, image })
        })
    }

    /// The links to an image that have not ended: those of the caller's project, or all of them for who acts for the image's
    /// owner. The oldest first.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without the right to download it.
    pub fn image_links(&self, actor: &Actor, id: &ImageId) -> Result<Vec<ImageLink>, Error> {
        let rows = self.db.read()?;
        let image = access::reachable(&rows, actor, id, Action::ImagesExport)?;
        let of = if access::owns(actor, &image) { None } else { actor.project() };
        let now = self.clock.now();
        let mut links = image_links::list(&rows, id, of)?;
        links.retain(|link| now < link.expires_at);
        links.sort_by_key(|link| (link.created_at, link.id));
        Ok(links)
    }

    /// Ends a link. Downloads that it began go on.
    ///
    /// # Errors
    /// As [`Service::image_links`]; `NotFound` also when the image has no such link that the caller may see.
    pub fn delete_image_link(&self, actor: &Actor, id: &ImageId, link: &LinkId) -> Result<(), Error> {
        let (actor, id, link) = (actor.clone(), *id, *link);
        self.recorded(&actor.clone(), Act::new(Operation::DeleteImageLink), move |txn, act| {
            let image = access::reachable(txn, &actor, &id, Action::ImagesExport)?;
            let is_own =
                |link: &ImageLink| Some(&link.project) == actor.project() || access::owns(&actor, &image);
            let found = image_links::get(txn, &link)?.filter(|link| link.image == id && is_own(link));
            let found = found.ok_or_else(|| Error::not_found(format!("image {id} has no link {link}")))?;
            describe(act, &found, &image);
            image_links::delete(txn, &link)?;
            Ok(())
        })
    }

    /// Removes links that have ended; says how many.
    ///
    /// # Errors
    /// When the catalog fails; what was removed by then stays so.
    pub fn purge_ended_links(&self) -> Result<usize, Error> {
        let (now, mut purged) = (self.clock.now(), 0);
        while image_links::has_ended(&self.db.read()?, now)? {
            purged += self.db.write(move |txn| image_links::purge_ended(txn, now, PURGED_AT_ONCE))?;
        }
        Ok(purged)
    }

    fn expect_room(&self, txn: &WriteTxn, link: &ImageLink) -> Result<(), Error> {
        let others = image_links::list(txn, &link.image, Some(&link.project))?;
        let most = self.rules.links.per_image_max;
        if others.iter().filter(|other| link.created_at < other.expires_at).count() < most {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the project has {most} links to image {}, and no more are kept (links.per_image_max): revoke one first",
            link.image
        )))
    }
}

/// Whose rights a link of this caller's rests on.
fn maker(actor: &Actor) -> LinkMaker {
    if actor.is_local_admin() {
        return LinkMaker::LocalAdmin;
    }
    LinkMaker::User(actor.user.clone(), actor.rights.lent().map(|lent| lent.credential.clone()))
}

/// Refuses an image that no link gives anything of.
fn expect_fit(image: &Image, gives: LinkGives) -> Result<(), Error> {
    let id = &image.id;
    if image.status == Status::Deactivated {
        return Err(Error::conflict(format!(
            "image {id} is deactivated, and no link leads to it until it is not"
        )));
    }
    if image.content.is_none() && !image.is_by_reference() {
        return Err(Error::conflict(format!("image {id} has no data yet: send it first")));
    }
    match gives {
        LinkGives::Stored => Ok(()),
        LinkGives::Form(_) => ReadAs::of(image).map(drop),
        LinkGives::Tree if image.disk_format.as_deref() != Some("iso") => Err(Error::new(
            ErrorKind::UnsupportedContent,
            format!("image {id} is no ISO: links to files lead into those"),
        )),
        LinkGives::Tree => {
            ReadAs::of(image)?;
            expect_here(image)
        }
    }
}

/// Says which link a record is about; its signature follows from nothing of that.
fn describe(act: &mut Act, link: &ImageLink, image: &Image) {
    act.name(link.id, image.name.as_deref().unwrap_or_default());
    if let Some(owner) = &image.owner {
        *act = act.clone().of_project(owner);
    }
    act.say(format!(
        "to image {}, {}, from {}, until {}",
        link.image,
        link.format.as_ref().map_or("as it is stored".to_owned(), |format| format!("as {format}")),
        link.net.map_or("anywhere".to_owned(), |net| net.to_string()),
        link.expires_at.rfc3339_seconds()
    ));
}
