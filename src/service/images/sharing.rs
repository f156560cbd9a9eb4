//! Sharing as the image management API has it: many images with many projects and domains, each pair with an
//! outcome of its own; and what a member may do with what was shared.
//!
//! Invariants: only the owner offers and takes back, and only private images that are active; a member answers for
//! itself alone; each pair is one commit with its record. The Image API's member routes keep their own rules
//! ([`super::members`]).

use super::access;
use super::fields::check_length;
use super::sealing::{CUSTOM_KEY_PROPERTY, KEY_PROPERTY};
use crate::base::limits::{IMAGE_MEMBERS_MAX, SHARED_PAIRS_MAX, WHOLE_IMAGE_MEMBERS_MAX};
use crate::catalog::{self, custom_keys, domain_members, identity, images, members};
use crate::db::{Rows, WriteTxn};
use crate::model::identity::Domain;
use crate::model::image::{DomainMember, Member, MemberStatus};
use crate::model::{DomainId, Image, ImageId, KeyId, Operation, ProjectId, Status, Visibility};
use crate::service::audit::{Act, Refused};
use crate::service::rights::Action;
use crate::service::{Actor, Error, ErrorKind, Reason, Service};

/// Whom an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// One project.
    Project(ProjectId),
    /// All projects of a domain, those that are made later included.
    Domain(DomainId),
}

impl Recipient {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Recipient::Project(project) => project.as_str(),
            Recipient::Domain(domain) => domain.as_str(),
        }
    }
}

/// What became of one image and one recipient.
#[derive(Debug)]
pub struct Shared {
    /// The image.
    pub image: ImageId,
    /// The recipient.
    pub with: Recipient,
    /// Whether it was done, or why not.
    pub outcome: Result<(), Error>,
}

/// All that an image is shared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// Projects.
    pub projects: Vec<Member>,
    /// Domains; told to the owner alone.
    pub domains: Vec<DomainMember>,
}

impl Service {
    /// Offers images of the caller's project to projects and domains. One pair that is refused stops no other.
    ///
    /// # Errors
    /// `Invalid` when nothing is named, or too much.
    pub fn share_images(
        &self,
        actor: &Actor,
        images: &[ImageId],
        with: &[Recipient],
    ) -> Result<Vec<Shared>, Error> {
        let service = self.clone();
        self.each_pair(actor, images, with, Operation::AddMember, move |txn, actor, image, with, now| {
            offer(&service, txn, actor, image, with, now)
        })
    }

    /// Takes offers back. The image is gone for the recipient at once.
    ///
    /// # Errors
    /// As [`Service::share_images`].
    pub fn unshare_images(
        &self,
        actor: &Actor,
        images: &[ImageId],
        with: &[Recipient],
    ) -> Result<Vec<Shared>, Error> {
        self.each_pair(actor, images, with, Operation::DeleteMember, |txn, actor, image, with, _| {
            own(actor, image)?;
            let was_there = match with {
                Recipient::Project(project) => members::delete(txn, &image.id, project)?,
                Recipient::Domain(domain) => domain_members::delete(txn, &image.id, domain)?,
            };
            let missing = || format!("image {} is not shared with {}", image.id, with.id());
            was_there.then_some(()).ok_or_else(|| Error::not_found(missing()).because(Reason::NoMember))
        })
    }

    /// Takes or declines what was offered to the caller's own project, by itself or through its domain.
    ///
    /// # Errors
    /// As [`Service::share_images`]; `Forbidden` when `project` is not the caller's own.
    pub fn answer_shares(
        &self,
        actor: &Actor,
        images: &[ImageId],
        project: &ProjectId,
        status: MemberStatus,
    ) -> Result<Vec<Shared>, Error> {
        if actor.project() != Some(project) {
            let message = format!("you act in another project than {project}, and may not answer for it");
            return Err(Error::forbidden(message).because(Reason::OtherProject));
        }
        let with = [Recipient::Project(project.clone())];
        self.each_pair(actor, images, &with, Operation::UpdateMember, move |txn, _, image, with, now| {
            let Recipient::Project(project) = with else { return Ok(()) };
            let share = domain_members::share_of(txn, &image.id, project)?;
            let share = share.filter(|_| image.visibility == Visibility::Shared).ok_or_else(|| {
                let message = format!("image {} is not shared with project {project}", image.id);
                Error::not_found(message).because(Reason::NotOffered)
            })?;
            Ok(domain_members::answer(txn, &Member { status, updated_at: now, ..share })?)
        })
    }

    /// Whom an image is shared with: all for its owner, itself for a member.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` when the image is not shared.
    pub fn image_shares(&self, actor: &Actor, id: &ImageId) -> Result<Shares, Error> {
        let projects = self.list_image_members(actor, id)?;
        let read = self.db.read()?;
        let image = access::visible(&read, actor, id)?;
        let domains = match access::owns(actor, &image) {
            true => domain_members::list(&read, id)?,
            false => Vec::new(),
        };
        Ok(Shares { projects, domains })
    }

    /// One commit and one record for each pair.
    fn each_pair(
        &self,
        actor: &Actor,
        images: &[ImageId],
        with: &[Recipient],
        operation: Operation,
        change: impl Fn(&WriteTxn, &Actor, &mut Image, &Recipient, crate::base::Time) -> Result<(), Error>
        + Clone
        + Send
        + 'static,
    ) -> Result<Vec<Shared>, Error> {
        if images.is_empty() {
            return Err(Error::invalid("name at least one image"));
        }
        if with.is_empty() {
            return Err(Error::invalid("name at least one project or domain").because(Reason::NoRecipient));
        }
        if images.len().saturating_mul(with.len()) > SHARED_PAIRS_MAX {
            return Err(Error::invalid(format!(
                "{} images and {} recipients are more than {SHARED_PAIRS_MAX} pairs: send fewer at once",
                images.len(),
                with.len()
            )));
        }
        let mut shared = Vec::new();
        for (image, with) in images.iter().flat_map(|image| with.iter().map(move |with| (image, with))) {
            let outcome = self.one_pair(actor, *image, with.clone(), operation, change.clone());
            if let Err(error) = &outcome {
                self.note_refused_pair(actor, image, operation, error);
            }
            shared.push(Shared { image: *image, with: with.clone(), outcome });
        }
        Ok(shared)
    }

    fn one_pair(
        &self,
        actor: &Actor,
        id: ImageId,
        with: Recipient,
        operation: Operation,
        change: impl Fn(&WriteTxn, &Actor, &mut Image, &Recipient, crate::base::Time) -> Result<(), Error>
        + Send
        + 'static,
    ) -> Result<(), Error> {
        if with.id().is_empty() {
            return Err(Error::invalid("a project or domain has no empty id").because(Reason::NoRecipient));
        }
        check_length("member", with.id())?;
        let kind = if matches!(with, Recipient::Domain(_)) { "domain member" } else { "member" };
        let act = Act::on(operation, id).saying(format!("{kind} {}", with.id()));
        let (caller, now) = (actor.clone(), self.clock.now());
        self.recorded(actor, act, move |txn, act| {
            let mut image = access::visible(txn, &caller, &id)?;
            act.image(&image);
            if !access::may(&caller, Action::ImagesShare, &image) {
                return Err(access::refusal(&caller, &image, Action::ImagesShare));
            }
            change(txn, &caller, &mut image, &with, now)
        })
    }

    /// A pair that was refused in a request that goes on is on record as any refusal.
    fn note_refused_pair(&self, actor: &Actor, image: &ImageId, operation: Operation, error: &Error) {
        let refused = Refused {
            operation: Some(operation),
            resource_id: image.to_string(),
            message: error.message.clone(),
            is_fault: matches!(error.kind, ErrorKind::Internal | ErrorKind::Corrupt),
            ..Refused::default()
        };
        if let Err(error) = self.record_refusal_of(actor, refused) {
            tracing::warn!(%error, "a refusal was not recorded");
        }
    }
}

/// Offers an image, where all rules allow it.
fn offer(
    service: &Service,
    txn: &WriteTxn,
    actor: &Actor,
    image: &mut Image,
    with: &Recipient,
    now: crate::base::Time,
) -> Result<(), Error> {
    own(actor, image)?;
    expect_shareable(image)?;
    expect_recipient(service, txn, image, with)?;
    let kept = members::list(txn, &image.id)?.len() + domain_members::list(txn, &image.id)?.len();
    let most = if is_whole(image) { WHOLE_IMAGE_MEMBERS_MAX } else { IMAGE_MEMBERS_MAX };
    if kept >= most {
        let message = format!("image {} is shared with {kept}, and {most} is the most", image.id);
        return Err(Error::too_large(message).because(Reason::TooManyMembers));
    }
    if image.visibility == Visibility::Private {
        // What the reference calls private is open to members here once it has one.
        image.visibility = Visibility::Shared;
        image.updated_at = now;
        images::update(txn, image)?;
    }
    let offered = match with {
        Recipient::Project(project) => members::insert(
            txn,
            &Member {
                image: image.id,
                project: project.clone(),
                status: MemberStatus::Pending,
                created_at: now,
                updated_at: now,
            },
        ),
        Recipient::Domain(domain) => domain_members::insert(txn, &image.id, domain, now),
    };
    match offered {
        Err(catalog::Error::Exists(text)) => Err(Error::conflict(text).because(Reason::MemberExists)),
        offered => Ok(offered?),
    }
}

fn own(actor: &Actor, image: &Image) -> Result<(), Error> {
    match image.owner.is_some() && image.owner.as_ref() == Some(access::project(actor)?) {
        true => Ok(()),
        false => {
            let message =
                format!("image {} belongs to another project: copy it, and share the copy", image.id);
            Err(Error::forbidden(message).because(Reason::NotOwner))
        }
    }
}

/// Refuses what nobody may share.
fn expect_shareable(image: &Image) -> Result<(), Error> {
    let id = image.id;
    let refuse = |text: String, reason| Err(Error::forbidden(text).because(reason));
    if matches!(image.visibility, Visibility::Public | Visibility::Community) {
        return refuse(format!("image {id} is everybody's already"), Reason::PublicShare);
    }
    if image.status != Status::Active {
        let status = image.status.as_str();
        return refuse(format!("image {id} is {status}: only active images are shared"), Reason::NotActive);
    }
    if has(image, "__productcode") {
        return refuse(format!("image {id} is a product of a market"), Reason::MarketImage);
    }
    if is_whole(image) && !has(image, "__backup_id") {
        let text = format!("image {id} is of a whole server without a backup, which cannot be shared");
        return refuse(text, Reason::WholeImage);
    }
    Ok(())
}

/// Refuses recipients that are not there, are the owner itself, or could not open the image.
fn expect_recipient(
    service: &Service,
    rows: &impl Rows,
    image: &Image,
    with: &Recipient,
) -> Result<(), Error> {
    if let (Recipient::Domain(_), Some(_)) = (with, service.keystone_url()) {
        let message =
            "this server does not know which projects a domain of the cloud's has: share with each project";
        return Err(Error::not_found(message).because(Reason::UnknownProject));
    }
    let is_known = match with {
        Recipient::Project(project) => service.may_be_project(rows, project)?,
        Recipient::Domain(domain) => identity::get::<Domain>(rows, domain)?.is_some(),
    };
    if matches!(with, Recipient::Project(project) if image.owner.as_ref() == Some(project)) {
        let message = format!("image {} belongs to project {} already", image.id, with.id());
        return Err(Error::conflict(message).because(Reason::ShareWithSelf));
    }
    if !is_known {
        let message = format!("there is no project or domain {:?}", with.id());
        return Err(Error::not_found(message).because(Reason::UnknownProject));
    }
    if !holds_key_grant(rows, image, with)? {
        let message = format!(
            "image {} is sealed with a key of its owner's, which {} was not granted",
            image.id,
            with.id()
        );
        return Err(Error::forbidden(message).because(Reason::Encrypted));
    }
    Ok(())
}

/// Whether the recipient may open what an image is sealed with. Only custom keys are granted, and only to projects.
fn holds_key_grant(rows: &impl Rows, image: &Image, with: &Recipient) -> Result<bool, Error> {
    if !is_encrypted(image) {
        return Ok(true);
    }
    let Recipient::Project(project) = with else { return Ok(false) };
    if has(image, KEY_PROPERTY) {
        return Ok(false);
    }
    let id = image.properties.get(CUSTOM_KEY_PROPERTY).and_then(|text| KeyId::parse(text));
    let key = id.map(|id| custom_keys::get(rows, id)).transpose()?.flatten();
    Ok(key.is_some_and(|key| key.is_open_to(project)))
}

fn has(image: &Image, property: &str) -> bool {
    image.properties.get(property).is_some_and(|value| !value.is_empty() && value != "false")
}

fn is_whole(image: &Image) -> bool {
    has(image, "__whole_image")
}

/// Whether an image has a key that its owner chose.
fn is_encrypted(image: &Image) -> bool {
    has(image, CUSTOM_KEY_PROPERTY) || has(image, KEY_PROPERTY)
}

/// Refuses callers who may not copy an image: its owner may, and a member that took the offer.
///
/// # Errors
/// `Forbidden`, with the reason.
pub fn expect_may_copy(rows: &impl Rows, actor: &Actor, image: &Image) -> Result<(), Error> {
    let project = access::project(actor)?;
    if image.owner.as_ref() == Some(project) {
        return Ok(());
    }
    if matches!(image.visibility, Visibility::Public | Visibility::Community) {
        let message = format!("image {} is public, and is not copied: use it as it is", image.id);
        return Err(Error::forbidden(message).because(Reason::IsPublic));
    }
    match domain_members::share_of(rows, &image.id, project)? {
        Some(share) if share.status == MemberStatus::Accepted => {}
        _ => {
            let message = format!("accept the share of image {} before you copy it", image.id);
            return Err(Error::forbidden(message).because(Reason::NotAccepted));
        }
    }
    if is_encrypted(image) {
        let message =
            format!("image {} is sealed with a key of its owner's, and only its owner copies it", image.id);
        return Err(Error::forbidden(message).because(Reason::SharedAndEncrypted));
    }
    Ok(())
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
