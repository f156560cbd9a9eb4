//! Families: images of one kind that succeed each other, and the latest of them that is fit for use.
//!
//! An image is of a family by its property [`FAMILY_PROPERTY`]; one with [`DEPRECATED_PROPERTY`] is no longer
//! chosen, and still there for whoever names it. Invariant: what a family gives is active, shown in
//! listings, readable as far as is known, and not deprecated; what was passed over is told with its reason.

use std::collections::{BTreeMap, HashSet};

use super::{Direction, Filters, Listing, SortKey};
use crate::model::image::MemberStatus;
use crate::model::{ContentId, Image, ImageId, Status};
use crate::service::{Actor, Error, Service, custom_keys};

/// The property that names an image's family.
pub const FAMILY_PROPERTY: &str = "tintype_family";
/// The property of an image that is no longer to be chosen; its value says why, or what to use instead.
pub const DEPRECATED_PROPERTY: &str = "tintype_deprecated";
/// Images that are named as passed over; more are only not chosen.
const PASSED_OVER_MAX: usize = 100;
/// Images looked at at once.
const PAGE_ROWS: usize = 100;

/// Why a newer image of a family was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It has no complete data, or is deactivated.
    NotActive(Status),
    /// It is deprecated; what its property says.
    Deprecated(String),
    /// Some of its data is damaged.
    Damaged,
    /// Its custom key does not open it for the caller.
    KeyClosed,
}

/// A family, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The newest image that is fit for use.
    pub latest: Option<Image>,
    /// Newer images than that one, newest first; at most 100.
    pub passed_over: Vec<(ImageId, Unfit)>,
}

/// A family in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyEntry {
    /// Its name.
    pub name: String,
    /// Images that the caller may list.
    pub images: u64,
    /// The newest of them that is fit for use.
    pub latest: Option<Image>,
}

impl Service {
    /// The latest image of a family among those that the caller may list.
    ///
    /// # Errors
    /// `Forbidden` without the role reader; `NotFound` when there is no image of it.
    pub fn family(&self, actor: &Actor, name: &str) -> Result<Family, Error> {
        let damaged = self.damaged_contents()?;
        let mut family = Family { latest: None, passed_over: Vec::new() };
        let mut seen = false;
        let filters = Filters {
            properties: [(FAMILY_PROPERTY.to_owned(), name.to_owned())].into(),
            ..Filters::default()
        };
        self.walk(actor, filters, &mut |image| {
            seen = true;
            match self.unfit(actor, &image, &damaged)? {
                None => family.latest = Some(image),
                Some(why) if family.passed_over.len() < PASSED_OVER_MAX => {
                    family.passed_over.push((image.id, why));
                }
                Some(_) => {}
            }
            Ok(family.latest.is_none())
        })?;
        if seen { Ok(family) } else { Err(Error::not_found(format!("there is no image of family {name}"))) }
    }

    /// All families of the images that the caller may list, by name. Takes time in proportion to those.
    ///
    /// # Errors
    /// `Forbidden` without the role reader.
    pub fn families(&self, actor: &Actor) -> Result<Vec<FamilyEntry>, Error> {
        let damaged = self.damaged_contents()?;
        let mut found: BTreeMap<String, FamilyEntry> = BTreeMap::new();
        self.walk(actor, Filters::default(), &mut |image| {
            let Some(name) = image.properties.get(FAMILY_PROPERTY).cloned() else { return Ok(true) };
            let fresh = || FamilyEntry { name: name.clone(), images: 0, latest: None };
            let entry = found.entry(name.clone()).or_insert_with(fresh);
            entry.images += 1;
            // The newest comes first.
            if entry.latest.is_none() && self.unfit(actor, &image, &damaged)?.is_none() {
                entry.latest = Some(image);
            }
            Ok(true)
        })?;
        Ok(found.into_values().collect())
    }

    /// Visits what the caller may list, newest first, until `visit` says no.
    fn walk(
        &self,
        actor: &Actor,
        filters: Filters,
        visit: &mut dyn FnMut(Image) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut marker = None;
        loop {
            let page = self.list_images(
                actor,
                Listing {
                    filters: filters.clone(),
                    sort: vec![(SortKey::CreatedAt, Direction::Descending)],
                    marker,
                    limit: PAGE_ROWS,
                    member_status: Some(MemberStatus::Accepted),
                },
            )?;
            let is_last = page.len() < PAGE_ROWS;
            for image in page {
                marker = Some(image.id);
                if !visit(image)? {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn unfit(
        &self,
        actor: &Actor,
        image: &Image,
        damaged: &HashSet<ContentId>,
    ) -> Result<Option<Unfit>, Error> {
        if image.status != Status::Active {
            return Ok(Some(Unfit::NotActive(image.status)));
        }
        if let Some(why) = image.properties.get(DEPRECATED_PROPERTY) {
            return Ok(Some(Unfit::Deprecated(why.clone())));
        }
        // One whole copy is enough to be read.
        if image.content.is_some() && image.contents().all(|content| damaged.contains(&content)) {
            return Ok(Some(Unfit::Damaged));
        }
        match custom_keys::expect_opens(&self.db.read()?, image, actor) {
            Ok(()) => Ok(None),
            Err(Error { reason: Some(_), .. }) => Ok(Some(Unfit::KeyClosed)),
            Err(error) => Err(error),
        }
    }

    /// The streams that are known to be damaged. Nearly always there are none, and nothing is read.
    fn damaged_contents(&self) -> Result<HashSet<ContentId>, Error> {
        let counts = self.store.damage_counts();
        if counts.packs + counts.manifests == 0 {
            return Ok(HashSet::new());
        }
        let damage = self.store.damage()?;
        Ok(damage.iter().flat_map(|object| object.contents.iter().map(|(content, _)| *content)).collect())
    }
}
