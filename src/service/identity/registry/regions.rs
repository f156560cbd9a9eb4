//! Regions beside the box's own.
//!
//! Invariant: a region is no part of itself, not even by a detour.

use super::own::expect_not_own_region;
use super::{check_text, expect_room};
use crate::catalog::registry;
use crate::db::WriteTxn;
use crate::model::Operation;
use crate::model::identity::Extra;
use crate::model::registry::Region;
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::identity::values::merge_extra;
use crate::service::identity::{missing, new_id};
use crate::service::rights::{Action, REGION, Resource};
use crate::service::{Actor, Error, Service};

/// What to say of a region; `None` leaves a field as it is, or at its default.
#[derive(Debug, Clone, Default)]
pub struct RegionChange {
    /// Free text.
    pub description: Option<String>,
    /// The region that it is a part of.
    pub parent: Option<Option<String>>,
    /// Members to set.
    pub extra: Extra,
}

impl Service {
    /// The regions beside the box's own. They are no secret.
    ///
    /// # Errors
    /// When the database fails.
    pub fn registered_regions(&self, _actor: &Actor) -> Result<Vec<Region>, Error> {
        Ok(registry::regions(&self.db.read()?)?)
    }

    /// Makes a region; its id is made up when `None`.
    ///
    /// # Errors
    /// Refused without the right; `Conflict` when there is one; `Invalid` for a bad id, or an unknown parent.
    pub fn create_region(
        &self,
        actor: &Actor,
        id: Option<String>,
        new: RegionChange,
    ) -> Result<Region, Error> {
        actor.expect(Action::RegionsManage, Resource::None)?;
        let id = id.unwrap_or_else(|| new_id(&*self.entropy));
        check_text("id", &id)?;
        self.recorded(actor, Act::on(Operation::CreateRegion, &id), move |txn, _| {
            if id == REGION || registry::region(txn, &id)?.is_some() {
                return Err(Error::conflict(format!(
                    "Conflict occurred attempting to store region - Duplicate ID, {id}."
                )));
            }
            expect_room(registry::regions(txn)?.len(), "regions")?;
            let region =
                Region { id: id.clone(), description: String::new(), parent: None, extra: Extra::new() };
            put_region(txn, region, &new)
        })
    }

    /// Changes a region beside the box's own.
    ///
    /// # Errors
    /// As [`Service::create_region`], and for the box's own; `NotFound` when there is none.
    pub fn update_region(&self, actor: &Actor, id: &str, change: RegionChange) -> Result<Region, Error> {
        actor.expect(Action::RegionsManage, Resource::Id(id))?;
        expect_not_own_region(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::UpdateRegion, &id), move |txn, _| {
            let region = registry::region(txn, &id)?.ok_or_else(|| missing("region", &id))?;
            put_region(txn, region, &change)
        })
    }

    /// Deletes a region beside the box's own in which there is nothing.
    ///
    /// # Errors
    /// Refused without the right, for the box's own, and while regions or endpoints are in it; `NotFound` when there is
    /// none.
    pub fn delete_region(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        actor.expect(Action::RegionsManage, Resource::Id(id))?;
        expect_not_own_region(id)?;
        let id = id.to_owned();
        self.recorded(actor, Act::on(Operation::DeleteRegion, &id), move |txn, _| {
            let is_parent = registry::regions(txn)?.iter().any(|region| region.parent.as_ref() == Some(&id));
            let has_endpoint =
                registry::endpoints(txn)?.iter().any(|endpoint| endpoint.region.as_ref() == Some(&id));
            if is_parent || has_endpoint {
                return Err(Error::forbidden(format!(
                    "Unable to delete region {id} because it or its child regions have associated endpoints."
                )));
            }
            match registry::delete_region(txn, &id)? {
                true => Ok(()),
                false => Err(missing("region", &id)),
            }
        })
    }
}

fn put_region(txn: &WriteTxn, mut region: Region, change: &RegionChange) -> Result<Region, Error> {
    region.description = change.description.clone().unwrap_or(region.description);
    region.parent = change.parent.clone().unwrap_or(region.parent);
    merge_extra(&mut region.extra, &change.extra)?;
    check_description(Some(&region.description))?;
    let mut above = region.parent.clone();
    while let Some(parent) = above {
        if parent == region.id {
            return Err(Error::invalid(format!(
                "Invalid input for field/attribute parent_region_id: {parent} is a part of the region {}.",
                region.id
            )));
        }
        above = match registry::region(txn, &parent)? {
            Some(parent) => parent.parent,
            None if parent == REGION => None,
            None => return Err(missing("region", &parent)),
        };
    }
    registry::put_region(txn, &region)?;
    Ok(region)
}
