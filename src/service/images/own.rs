//! Images as one project sees them: how each stands to it, and what it does with its own.
//!
//! An administrator's token counts for its own project alone here, as that of anybody else. Invariant: only
//! a project's own images change, and only in a commit that looked at them again.

use std::collections::BTreeSet;

use super::access;
use super::fields::{self, Change};
use super::read::Listing;
use crate::base::limits::IMAGE_LABELS_MAX;
use crate::catalog::images::{self, ListQuery, Viewer};
use crate::catalog::members;
use crate::db::Rows;
use crate::model::{Image, ImageId, Operation, ProjectId, Status, Visibility};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, Reason, Service};

/// Images of one page when all are visited.
const VISITED_PAGE_ROWS: usize = 256;

/// How an image stands to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everybody's to use.
    Public,
    /// The project's own, and nobody else's.
    Kept,
    /// The project's own and of members, or shared with the project.
    Shared,
}

/// A tag that has a key and perhaps a value: `key`, or `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Its key.
    pub key: String,
    /// Its value; empty for a tag that is a key alone.
    pub value: String,
}

impl Label {
    /// Takes a tag apart at its first equals sign.
    pub fn of(tag: &str) -> Label {
        let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
        Label { key: key.to_owned(), value: value.to_owned() }
    }

    fn tag(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}

impl Service {
    /// One page of what the caller's project may list, each with how it stands to the project.
    ///
    /// # Errors
    /// `Forbidden` without the right to list images; `Invalid` when the marker is no image that the caller may see.
    pub fn list_project_images(&self, actor: &Actor, listing: Listing) -> Result<Vec<(Image, Kind)>, Error> {
        let project = permitted(actor, Action::ImagesList)?;
        self.expect_readable(actor, &listing.filters)?;
        let read = self.db.read()?;
        if let Some(marker) = &listing.marker {
            access::in_sight(&read, actor, marker)
                .map_err(|_| Error::invalid(format!("marker {marker} is not an image you may see")))?;
        }
        let page = images::list(&read, &query(project, listing))?;
        page.into_iter()
            .map(|image| {
                let kind = kind(&read, project, &image)?;
                Ok((self.shown_to(actor, image), kind))
            })
            .collect()
    }

    /// Visits everything that a listing without marker and limit would have, as of one moment.
    ///
    /// # Errors
    /// `Forbidden` without the right.
    pub fn visit_project_images(
        &self,
        actor: &Actor,
        listing: Listing,
        visit: &mut dyn FnMut(&Image),
    ) -> Result<(), Error> {
        let project = permitted(actor, Action::ImagesList)?;
        self.expect_readable(actor, &listing.filters)?;
        let read = self.db.read()?;
        let mut query = query(project, Listing { limit: VISITED_PAGE_ROWS, marker: None, ..listing });
        loop {
            let page = images::list(&read, &query)?;
            let (rows, last) = (page.len(), page.last().map(|image| image.id));
            page.into_iter().for_each(|image| visit(&self.shown_to(actor, image)));
            match last {
                Some(last) if rows == VISITED_PAGE_ROWS => query.after = Some(last),
                _ => return Ok(()),
            }
        }
    }

    /// One image of the caller's project itself.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` when it belongs to another project.
    pub fn own_image(&self, actor: &Actor, id: &ImageId) -> Result<Image, Error> {
        let image = own(&self.db.read()?, actor, id, Action::ImagesList)?;
        Ok(self.shown_to(actor, image))
    }

    /// Applies `changes` in order to an image of the caller's project; all of them or none.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for other projects' images and public ones; `Conflict` when the image is not
    /// active, a property is not as the change expects it, or attributes exclude each other; `Invalid` or
    /// `TooLarge` when a field goes out of bounds.
    pub fn update_own_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        changes: Vec<Change>,
    ) -> Result<(Image, Kind), Error> {
        self.expect_keys_for(actor, &changes)?;
        let (worker, rules) = (actor.clone(), self.rules.clone());
        let changed = self.change_own_image(actor, id, Operation::UpdateImage, move |image| {
            if image.visibility == Visibility::Public {
                let message = format!("image {} is public: make it private first", image.id);
                return Err(Error::forbidden(message).because(Reason::IsPublic));
            }
            if image.status != Status::Active {
                let message = format!(
                    "image {} is {}: only active images can be changed",
                    image.id,
                    image.status.as_str()
                );
                return Err(Error::conflict(message).because(Reason::NotActive));
            }
            for change in &changes {
                fields::apply(&worker, image, change, rules.protections.as_ref())?;
            }
            check_exclusive(image)?;
            Ok(!changes.is_empty())
        });
        changed.map(|(image, kind)| (self.shown_to(actor, image), kind))
    }

    /// Gives an image of the caller's project labels; one with the same key goes.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden`; `TooLarge` when there would be too many.
    pub fn put_image_labels(&self, actor: &Actor, id: &ImageId, labels: Vec<Label>) -> Result<(), Error> {
        let put = move |image: &mut Image| {
            let before = image.tags.clone();
            for label in &labels {
                remove_key(&mut image.tags, &label.key);
                image.tags.insert(label.tag());
            }
            // Who has more from another protocol may still change what is there.
            if image.tags.len() > IMAGE_LABELS_MAX && image.tags.len() > before.len() {
                let message = format!("an image takes at most {IMAGE_LABELS_MAX} tags; delete one first");
                return Err(Error::too_large(message).because(Reason::TooManyTags));
            }
            Ok(image.tags != before)
        };
        self.change_own_image(actor, id, Operation::AddTag, put).map(drop)
    }

    /// Takes labels with these keys off an image of the caller's project. `must_exist`: each must be there.
    ///
    /// # Errors
    /// `NotFound`, also for a label that must exist; `Forbidden`.
    pub fn remove_image_labels(
        &self,
        actor: &Actor,
        id: &ImageId,
        keys: Vec<String>,
        must_exist: bool,
    ) -> Result<(), Error> {
        let remove = move |image: &mut Image| {
            let mut changed = false;
            for key in &keys {
                let removed = remove_key(&mut image.tags, key);
                if must_exist && !removed {
                    let message = format!("image {} has no tag with the key {key:?}", image.id);
                    return Err(Error::not_found(message).because(Reason::NoSuchTag));
                }
                changed |= removed;
            }
            Ok(changed)
        };
        self.change_own_image(actor, id, Operation::DeleteTag, remove).map(drop)
    }

    /// One commit: loads, authorises, lets `change` work (it says whether anything changed), saves.
    fn change_own_image(
        &self,
        actor: &Actor,
        id: &ImageId,
        operation: Operation,
        change: impl Fn(&mut Image) -> Result<bool, Error> + Send + 'static,
    ) -> Result<(Image, Kind), Error> {
        let (actor, id, now) = (actor.clone(), *id, self.clock.now());
        self.recorded(&actor.clone(), Act::new(operation), move |txn, act| {
            let mut image = own(txn, &actor, &id, Action::ImagesUpdate)?;
            if change(&mut image)? {
                image.updated_at = now;
                images::update(txn, &image)?;
            }
            act.image(&image);
            let kind = kind(txn, access::project(&actor)?, &image)?;
            Ok((image, kind))
        })
    }
}

/// The caller's project, when the caller has a right in it.
fn permitted(actor: &Actor, action: Action) -> Result<&ProjectId, Error> {
    let project = access::project(actor)?;
    actor.expect(action, Resource::None)?;
    Ok(project)
}

fn query(project: &ProjectId, listing: Listing) -> ListQuery {
    ListQuery {
        viewer: Viewer::Project { project: project.clone(), member_status: listing.member_status },
        filters: listing.filters,
        sort: listing.sort,
        after: listing.marker,
        limit: listing.limit,
    }
}

/// The image, when it is the caller's project's own and the caller has the right.
pub(super) fn own(rows: &impl Rows, actor: &Actor, id: &ImageId, action: Action) -> Result<Image, Error> {
    let image = access::in_sight(rows, actor, id)?;
    let is_own = image.owner.as_ref() == Some(access::project(actor)?);
    match is_own {
        true if access::may(actor, action, &image) => Ok(image),
        false if access::may(actor, Action::ImagesGet, &image) => {
            Err(Error::forbidden(format!("image {id} belongs to another project")).because(Reason::NotOwner))
        }
        _ => Err(access::refusal(actor, &image, action)),
    }
}

fn kind(rows: &impl Rows, project: &ProjectId, image: &Image) -> Result<Kind, Error> {
    let is_own = image.owner.as_ref() == Some(project);
    Ok(match image.visibility {
        Visibility::Public => Kind::Public,
        Visibility::Shared if !is_own || members::has_any(rows, &image.id)? => Kind::Shared,
        Visibility::Shared | Visibility::Private => Kind::Kept,
        Visibility::Community if is_own => Kind::Kept,
        Visibility::Community => Kind::Public,
    })
}

/// Removes the tag that is `key` alone and every one that has it as key; says whether there was one.
fn remove_key(tags: &mut BTreeSet<String>, key: &str) -> bool {
    let before = tags.len();
    tags.retain(|tag| Label::of(tag).key != key);
    tags.len() != before
}

/// Labels of hardware that no machine has together.
fn check_exclusive(image: &Image) -> Result<(), Error> {
    let has = |name: &&str| image.properties.get(*name).is_some_and(|value| value != "false");
    let special = ["__support_xen_gpu_type", "__support_kvm_gpu_type", "__support_xen_hana"];
    let pairs = [
        (&special[..], &["__support_xen", "__support_kvm"][..]),
        (&["__support_kvm_infiniband"], &["__support_xen"]),
    ];
    for (one, other) in pairs {
        if let (Some(a), Some(b)) = (one.iter().find(|n| has(n)), other.iter().find(|n| has(n))) {
            let message = format!("{a} and {b} exclude each other: remove one");
            return Err(Error::conflict(message).because(Reason::Exclusive));
        }
    }
    Ok(())
}
