//! Whose an image is and who sees it, beside the rights that [`Actor::allows`] decides.
//!
//! Invariant: what the caller could not show is not found, whatever was asked, unless the caller has the very right
//! that was asked for. Must not change anything.

use crate::catalog::{domain_members, images};
use crate::db::Rows;
use crate::model::{Image, ImageId, ProjectId, Visibility};
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Reason};

/// The caller's project; every image action needs one, an administrator's too.
pub(super) fn project(actor: &Actor) -> Result<&ProjectId, Error> {
    actor
        .project()
        .ok_or_else(|| Error::forbidden("image actions need a token scoped to a project; sign in to one"))
}

/// The image, when it lies where the caller can see, whatever the caller may do with it. Who acts in no project
/// sees none, as the reference has it.
pub(super) fn in_sight(rows: &impl Rows, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
    let project = actor.project().ok_or_else(|| not_found(id))?;
    match images::get(rows, id)? {
        Some(image) if is_in_sight(rows, actor, project, &image)? => Ok(image),
        _ => Err(not_found(id)),
    }
}

/// The image, when the caller may show it.
pub(super) fn visible(rows: &impl Rows, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
    reachable(rows, actor, id, Action::ImagesGet)
}

/// The image, when the caller sees it and has the right, whoever owns it.
pub(super) fn reachable(
    rows: &impl Rows,
    actor: &Actor,
    id: &ImageId,
    action: Action,
) -> Result<Image, Error> {
    let image = in_sight(rows, actor, id)?;
    if may(actor, action, &image) { Ok(image) } else { Err(refusal(actor, &image, action)) }
}

/// The image, when the caller acts for its owner and has the right.
pub(super) fn writable(
    rows: &impl Rows,
    actor: &Actor,
    id: &ImageId,
    action: Action,
) -> Result<Image, Error> {
    let image = in_sight(rows, actor, id)?;
    if owns(actor, &image) && may(actor, action, &image) {
        return Ok(image);
    }
    Err(refusal(actor, &image, action))
}

/// Whether the caller has a right to an image.
pub(super) fn may(actor: &Actor, action: Action, image: &Image) -> bool {
    actor.allows(action, Resource::of(image))
}

/// Whether the caller acts for the image's owner.
pub(super) fn owns(actor: &Actor, image: &Image) -> bool {
    (image.owner.is_some() && image.owner.as_ref() == actor.project()) || sees_all(actor, image)
}

/// Whether every project's images are the caller's.
pub(super) fn sees_all(actor: &Actor, image: &Image) -> bool {
    may(actor, Action::ImagesAccessAll, image)
}

/// What a caller hears who lacks a right to an image, or acts for another project.
pub(super) fn refusal(actor: &Actor, image: &Image, action: Action) -> Error {
    let id = &image.id;
    if !may(actor, Action::ImagesGet, image) {
        return not_found(id);
    }
    if actor.is_denied(action, Resource::of(image)) {
        let name = action.name();
        let message = format!(
            "a policy denies {name} for image {id}, which beats what allows it; tintype policy simulate names it"
        );
        return Error::forbidden(message).because(Reason::Role);
    }
    if let Some(decided) = actor.overridden(action, Resource::of(image)).filter(|rule| !rule.lets_through) {
        return decided.refusal();
    }
    let verb = match action {
        Action::ImagesUpdate => "change",
        Action::ImagesDelete => "delete",
        Action::ImagesRestore => "restore",
        Action::ImagesPurge => "purge",
        Action::ImagesUpload => "upload to",
        Action::ImagesExport => "download",
        Action::ImagesShare => "share",
        Action::ImagesCopy | Action::ImagesCopyToPlace => "copy",
        Action::ImagesDropCopy => "take a copy from",
        _ => "use",
    };
    let action = action.name();
    Error::forbidden(format!(
        "you may see image {id} but not {verb} it: that takes the role member, or a policy that allows {action}, in \
         the project that owns it"
    ))
    .because(Reason::Role)
}

/// What a caller hears of an image that is not there, or not for its eyes.
pub(super) fn not_found(id: &ImageId) -> Error {
    Error::not_found(format!("no image with id {id}"))
}

fn is_in_sight(rows: &impl Rows, actor: &Actor, project: &ProjectId, image: &Image) -> Result<bool, Error> {
    if sees_all(actor, image) {
        return Ok(true);
    }
    let Some(owner) = &image.owner else { return Ok(true) };
    Ok(match image.visibility {
        _ if owner == project => true,
        Visibility::Public | Visibility::Community => true,
        Visibility::Shared => domain_members::share_of(rows, &image.id, project)?.is_some(),
        Visibility::Private => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::Scope;
    use crate::service::{ErrorKind, testing};

    #[test]
    fn who_acts_in_no_project_sees_no_image_and_may_make_none() {
        let (service, _clock) = testing::service();
        let mut actor = Actor::local_admin(ProjectId::from("p"));
        actor.scope = Some(Scope::System);
        let id = ImageId(uuid::Uuid::nil());
        let seen = visible(&service.db.read().unwrap(), &actor, &id);
        assert_eq!(seen.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(project(&actor).unwrap_err().kind, ErrorKind::Forbidden);
    }
}
