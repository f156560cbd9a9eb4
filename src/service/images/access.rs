//! Who may do what to an image: the Image API's default rules.
//!
//! Invariant: what the caller could not show is not found, whatever was asked. Must not change
//! anything.

use crate::catalog::{domain_members, images};
use crate::db::Rows;
use crate::model::{Image, ImageId, ProjectId, Visibility};
use crate::service::{Actor, Error};

/// The caller's project; every image action needs one, an administrator's too.
pub(super) fn project(actor: &Actor) -> Result<&ProjectId, Error> {
    actor
        .project()
        .ok_or_else(|| Error::forbidden("image actions need a token scoped to a project; sign in to one"))
}

/// The image, when the caller may show it. Who acts in no project sees none, as the reference has it.
pub(super) fn visible(rows: &impl Rows, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
    let project = actor.project().ok_or_else(|| not_found(id))?;
    match images::get(rows, id)? {
        Some(image) if may_show(rows, actor, project, &image)? => Ok(image),
        _ => Err(not_found(id)),
    }
}

/// The image, when the caller may change it; `action` names what for.
pub(super) fn writable(rows: &impl Rows, actor: &Actor, id: &ImageId, action: &str) -> Result<Image, Error> {
    let image = visible(rows, actor, id)?;
    if owns(actor, &image) && may_write(actor) {
        return Ok(image);
    }
    Err(Error::forbidden(format!(
        "you may see image {id} but not {action} it: that takes the role member in the project that owns it"
    )))
}

/// Whether the caller holds a role that may write in its own project.
pub(super) fn may_write(actor: &Actor) -> bool {
    actor.is_admin() || actor.has_role("member")
}

/// Whether the caller acts for the image's owner.
pub(super) fn owns(actor: &Actor, image: &Image) -> bool {
    actor.is_admin() || (image.owner.is_some() && image.owner.as_ref() == actor.project())
}

/// What a caller hears of an image that is not there, or not for its eyes.
pub(super) fn not_found(id: &ImageId) -> Error {
    Error::not_found(format!("no image with id {id}"))
}

fn may_show(rows: &impl Rows, actor: &Actor, project: &ProjectId, image: &Image) -> Result<bool, Error> {
    if actor.is_admin() {
        return Ok(true);
    }
    if !actor.has_role("reader") {
        return Ok(false);
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
