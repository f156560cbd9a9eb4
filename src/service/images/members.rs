//! Sharing an image with other projects.
//!
//! The owner offers and takes back; the member alone accepts or declines, and sees no other
//! member. Invariant: members exist in any visibility, but act only while it is shared.

use super::access;
use super::fields::{check_count, check_length};
use crate::base::limits::IMAGE_MEMBERS_MAX;
use crate::catalog::{self, domain_members, members};
use crate::db::Rows;
use crate::model::image::{Member, MemberStatus};
use crate::model::{Image, ImageId, Operation, ProjectId, Visibility};
use crate::service::audit::Act;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Reason, Service, custom_keys};

impl Service {
    /// Offers an image to a project.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also when the image is not shared; `Conflict` when the project
    /// is a member already; `Invalid` or `TooLarge`.
    pub fn add_image_member(&self, actor: &Actor, id: &ImageId, project: ProjectId) -> Result<Member, Error> {
        if project.as_str().is_empty() {
            return Err(Error::invalid("member must name a project"));
        }
        check_length("member", project.as_str())?;
        let (actor, id, now) = (actor.clone(), *id, self.clock.now());
        let act = Act::new(Operation::AddMember).saying(format!("member {project}"));
        self.recorded(&actor.clone(), act, move |txn, act| {
            let image = access::visible(txn, &actor, &id)?;
            act.image(&image);
            expect_shared(&image)?;
            access::writable(txn, &actor, &id, Action::ImagesShare)?;
            custom_keys::expect_shares(txn, &image, &project)?;
            check_count("members", members::list(txn, &id)?.len() + 1, IMAGE_MEMBERS_MAX)?;
            let member = Member {
                image: id,
                project: project.clone(),
                status: MemberStatus::Pending,
                created_at: now,
                updated_at: now,
            };
            match members::insert(txn, &member) {
                Ok(()) => Ok(member),
                Err(catalog::Error::Exists(_)) => {
                    Err(Error::conflict(format!("project {project} is a member of image {id} already")))
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// An image's members: all for its owner, itself for a member.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` when the image is not shared.
    pub fn list_image_members(&self, actor: &Actor, id: &ImageId) -> Result<Vec<Member>, Error> {
        let read = self.db.read()?;
        let image = access::visible(&read, actor, id)?;
        expect_shared(&image)?;
        if access::owns(actor, &image) {
            return Ok(members::list(&read, id)?);
        }
        let own = access::project(actor)?;
        Ok(domain_members::share_of(&read, id, own)?.into_iter().collect())
    }

    /// One member.
    ///
    /// # Errors
    /// `NotFound`, also for another member's entry.
    pub fn show_image_member(
        &self,
        actor: &Actor,
        id: &ImageId,
        project: &ProjectId,
    ) -> Result<Member, Error> {
        let read = self.db.read()?;
        let image = access::visible(&read, actor, id)?;
        if image.visibility != Visibility::Shared {
            return Err(no_member(&image, project));
        }
        entry(&read, actor, &image, project)
    }

    /// Takes or declines an offer: the member project's own business, or an administrator's.
    ///
    /// # Errors
    /// `NotFound`, also for another member's entry; `Forbidden`, for the owner too.
    pub fn answer_image_share(
        &self,
        actor: &Actor,
        id: &ImageId,
        project: &ProjectId,
        status: MemberStatus,
    ) -> Result<Member, Error> {
        let (actor, id, project, now) = (actor.clone(), *id, project.clone(), self.clock.now());
        let said = format!("member {project}: {}", status.as_str());
        self.recorded(&actor.clone(), Act::new(Operation::UpdateMember).saying(said), move |txn, act| {
            let image = access::visible(txn, &actor, &id)?;
            act.image(&image);
            expect_shared(&image)?;
            let mut member = entry(txn, &actor, &image, &project)?;
            let is_its_own = actor.project() == Some(&project) || access::sees_all(&actor, &image);
            if !is_its_own || !access::may(&actor, Action::ImagesShare, &image) {
                return Err(Error::forbidden(format!(
                    "only who may share images in project {project}, as the role member may, can accept or reject its \
                     share of image {id}"
                )));
            }
            member.status = status;
            member.updated_at = now;
            domain_members::answer(txn, &member)?;
            Ok(member)
        })
    }

    /// Takes an offer back.
    ///
    /// # Errors
    /// `NotFound`, also for another member's entry; `Forbidden`, for the member too.
    pub fn remove_image_member(&self, actor: &Actor, id: &ImageId, project: &ProjectId) -> Result<(), Error> {
        let (actor, id, project) = (actor.clone(), *id, project.clone());
        let act = Act::new(Operation::DeleteMember).saying(format!("member {project}"));
        self.recorded(&actor.clone(), act, move |txn, act| {
            let image = access::visible(txn, &actor, &id)?;
            act.image(&image);
            expect_shared(&image)?;
            entry(txn, &actor, &image, &project)?;
            access::writable(txn, &actor, &id, Action::ImagesShare)?;
            members::delete(txn, &id, &project)?;
            Ok(())
        })
    }
}

/// The entry, for the image's owner and for the member itself.
fn entry(rows: &impl Rows, actor: &Actor, image: &Image, project: &ProjectId) -> Result<Member, Error> {
    if !access::owns(actor, image) && actor.project() != Some(project) {
        return Err(no_member(image, project));
    }
    domain_members::share_of(rows, &image.id, project)?.ok_or_else(|| no_member(image, project))
}

fn expect_shared(image: &Image) -> Result<(), Error> {
    if image.visibility != Visibility::Shared {
        return Err(Error::forbidden(format!(
            "image {} is {}: only shared images have members",
            image.id,
            image.visibility.as_str()
        ))
        .because(Reason::NotShared));
    }
    Ok(())
}

fn no_member(image: &Image, project: &ProjectId) -> Error {
    Error::not_found(format!("project {project} is no member of image {}", image.id))
}
