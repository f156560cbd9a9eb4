//! What a link is worth when somebody comes with it.
//!
//! Invariants: a stranger hears the same of a link that never was, of one that is over, and of one that it may not use, after the
//! same work; nothing is kept of whoever comes with a wrong signature. Must not know how the data goes out.

use std::net::IpAddr;
use std::sync::Arc;

use super::signing::{LinkKey, LinkSignature};
use super::{access, describe};
use crate::base::Time;
use crate::catalog::{identity, image_links};
use crate::db::ReadTxn;
use crate::model::identity::User;
use crate::model::image_link::{ImageLink, LinkId, LinkMaker};
use crate::model::{DomainId, Image, ImageId, Operation, Status, UserId};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Caller, Error, ErrorKind, Origin, Service, custom_keys};

/// Why a link gives nothing.
#[derive(Debug)]
pub enum LinkRefusal {
    /// It is none of this box, or was changed.
    Unknown,
    /// It is one, but does not hold here and now: why, for records alone.
    Closed(String),
    /// The box failed.
    Failed(Error),
}

impl From<Error> for LinkRefusal {
    fn from(error: Error) -> LinkRefusal {
        LinkRefusal::Failed(error)
    }
}

impl LinkRefusal {
    /// Tells an image that is not there any more, or not for the link's maker, from a failure of the box.
    pub fn of_image(error: Error) -> LinkRefusal {
        let hides = [ErrorKind::NotFound, ErrorKind::Forbidden, ErrorKind::Gone, ErrorKind::Unauthenticated];
        if hides.contains(&error.kind) {
            LinkRefusal::Closed(error.message)
        } else {
            LinkRefusal::Failed(error)
        }
    }
}

impl Service {
    /// Who downloads which image when somebody comes with this link: its maker, with the maker's rights of now. The first time
    /// is on record.
    ///
    /// # Errors
    /// [`LinkRefusal`].
    pub fn use_image_link(
        &self,
        id: &LinkId,
        signature: &LinkSignature,
        origin: &Arc<Origin>,
    ) -> Result<(Actor, ImageLink), LinkRefusal> {
        let rows = self.db.read().map_err(Error::from)?;
        let link = self.signed_link(&rows, id, signature)?.ok_or(LinkRefusal::Unknown)?;
        origin.set_caller(caller(&rows, &link)?);
        expect_open(&link, origin.source.address(), self.clock.now())?;
        let actor = self.maker_of(&rows, &link, origin)?;
        let image = expect_downloadable(&rows, &actor, &link.image)?;
        drop(rows);
        if link.first_used_at.is_none() {
            self.note_first_use(&actor, &link, &image)?;
        }
        Ok((actor, link))
    }

    /// The link, if that is its signature.
    fn signed_link(
        &self,
        rows: &ReadTxn,
        id: &LinkId,
        signature: &LinkSignature,
    ) -> Result<Option<ImageLink>, Error> {
        let Some(root) = self.access_root(rows)? else { return Ok(None) };
        let found = image_links::get(rows, id)?;
        let is_there = found.is_some();
        let link = found.unwrap_or_else(|| stand_in(id));
        let is_signed = LinkKey::of(&root).has_signed(&link, signature);
        Ok((is_there && is_signed).then_some(link))
    }

    /// The link's maker, with the rights that are left.
    fn maker_of(&self, rows: &ReadTxn, link: &ImageLink, origin: &Arc<Origin>) -> Result<Actor, LinkRefusal> {
        let actor = match &link.maker {
            LinkMaker::LocalAdmin => Some(Actor::local_admin(link.project.clone())),
            LinkMaker::User(user, credential) => {
                self.acting_for(rows, user, &link.project, credential.as_ref())?
            }
        };
        let gone = || LinkRefusal::Closed("its maker may not act in its project any more".into());
        let actor = actor.ok_or_else(gone)?;
        let rights = actor.rights.asked_from(origin.source.address());
        Ok(Actor { origin: origin.clone(), rights, ..actor })
    }

    fn note_first_use(&self, actor: &Actor, link: &ImageLink, image: &Image) -> Result<(), Error> {
        let (link, image, now) = (link.clone(), image.clone(), self.clock.now());
        self.recorded(actor, Act::new(Operation::UseImageLink), move |txn, act| {
            describe(act, &link, &image);
            if let Some(kept) = image_links::get(txn, &link.id)? {
                let first_used_at = kept.first_used_at.or(Some(now));
                image_links::put(txn, &ImageLink { first_used_at, ..kept })?;
            }
            Ok(())
        })
    }
}

/// Refuses a link that is over, or that somebody elsewhere has.
fn expect_open(link: &ImageLink, from: Option<IpAddr>, now: Time) -> Result<(), LinkRefusal> {
    if link.expires_at <= now {
        return Err(LinkRefusal::Closed("it has expired".into()));
    }
    let Some(net) = link.net else { return Ok(()) };
    match from.map(|address| address.to_canonical()) {
        Some(address) if net.contains(&address) => Ok(()),
        Some(address) => Err(LinkRefusal::Closed(format!("it is for {net}, and {address} is outside"))),
        None => Err(LinkRefusal::Closed(format!("it is for {net}, and this did not come over the network"))),
    }
}

/// The image, if the link's maker may download it. One that is deactivated is nobody's by a link, whoever made it.
fn expect_downloadable(rows: &ReadTxn, actor: &Actor, id: &ImageId) -> Result<Image, LinkRefusal> {
    let image = access::reachable(rows, actor, id, Action::ImagesExport).map_err(LinkRefusal::of_image)?;
    if image.status == Status::Deactivated {
        return Err(LinkRefusal::Closed(format!("image {id} is deactivated")));
    }
    custom_keys::expect_opens(rows, &image, actor).map_err(LinkRefusal::of_image)?;
    Ok(image)
}

/// The maker as records of a refusal name it, also when it may do nothing any more.
fn caller(rows: &ReadTxn, link: &ImageLink) -> Result<Caller, Error> {
    let project = Some(link.project.clone());
    Ok(match &link.maker {
        LinkMaker::LocalAdmin => {
            let Actor { user, user_domain: domain, .. } = Actor::local_admin(link.project.clone());
            Caller { user, domain, project }
        }
        LinkMaker::User(user, _) => {
            let known = identity::get::<User>(rows, user)?;
            let domain = known.map_or_else(|| DomainId(String::new()), |known| known.domain);
            Caller { user: user.clone(), domain, project }
        }
    })
}

/// What is looked at in the place of a link that is not there, so that its absence takes no less time.
fn stand_in(id: &LinkId) -> ImageLink {
    ImageLink {
        id: *id,
        image: ImageId(uuid::Uuid::nil()),
        maker: LinkMaker::User(UserId(String::new()), None),
        project: String::new().as_str().into(),
        format: None,
        net: None,
        created_at: Time(0),
        expires_at: Time(0),
        first_used_at: None,
    }
}
