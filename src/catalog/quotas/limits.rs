//! Limits of all projects, and of single ones.
//!
//! A project's are found by what they are of, as their ids follow from that. Invariant: a project has a limit only of what
//! there is a registered limit of.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::Error;
use super::told::told;
use crate::catalog::records::quota::{ProjectLimitRecord, RegisteredLimitRecord};
use crate::db::codec;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ProjectId;
use crate::model::quota::{Limit, LimitOf, ProjectLimit, RegisteredLimit, Resource};

/// Id.
pub(super) const REGISTERED: Table = Table::facts("registered-limits-1");
/// Id.
pub(super) const LIMITS: Table = Table::facts("project-limits-1");

/// The limit that holds for a project, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// What holds.
    pub limit: Limit,
    /// The project's own, where it has one.
    pub own: Option<Limit>,
    /// That of all projects; unlimited where nobody registered one.
    pub registered: Limit,
}

/// The registered limits of one moment: few, whatever there is of projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    limits: Vec<RegisteredLimit>,
    /// What the Keystone of a cloud told of all projects.
    told: BTreeMap<Resource, Limit>,
}

impl Registered {
    /// All of them.
    ///
    /// # Errors
    /// When the database fails, or a record is unreadable.
    pub fn read(rows: &impl Rows) -> Result<Registered, Error> {
        let mut found = Vec::new();
        rows.scan(&REGISTERED, (Bound::Unbounded, Bound::Unbounded), false, &mut |id, value| {
            found.push(codec::decode::<RegisteredLimitRecord>(value).and_then(|r| r.into_limit(&text(id))));
            ControlFlow::Continue(())
        })?;
        let limits = found.into_iter().collect::<Result<_, _>>()?;
        Ok(Registered { limits, told: told(rows, None)? })
    }

    /// All of them, in the order of their ids.
    pub fn all(&self) -> &[RegisteredLimit] {
        &self.limits
    }

    /// Whether the Keystone of a cloud says how much there may be of a resource.
    pub fn is_told(&self, resource: Resource) -> bool {
        self.told.contains_key(&resource)
    }

    /// The one of this.
    pub fn of(&self, of: LimitOf) -> Option<&RegisteredLimit> {
        self.limits.iter().find(|limit| limit.of == of)
    }

    /// What is said of a resource. What names the region goes before what names none.
    pub fn said(&self, resource: Resource) -> Option<&RegisteredLimit> {
        [true, false].into_iter().find_map(|regional| self.of(LimitOf { resource, regional }))
    }

    /// What holds for whoever has no limit of its own.
    pub fn of_all(&self, resource: Resource) -> Limit {
        let said = || self.said(resource).map_or(Limit::Unlimited, |said| said.limit);
        self.told.get(&resource).copied().unwrap_or_else(said)
    }

    /// What holds for a project.
    ///
    /// # Errors
    /// When the database fails, or a record is unreadable.
    pub fn applied(
        &self,
        rows: &impl Rows,
        project: &ProjectId,
        resource: Resource,
    ) -> Result<Applied, Error> {
        if let Some(registered) = self.told.get(&resource).copied() {
            let own = told(rows, Some(project))?.get(&resource).copied();
            return Ok(Applied { limit: own.unwrap_or(registered), own, registered });
        }
        let Some(registered) = self.said(resource) else { return Ok(Applied::default()) };
        let own = own_of(rows, project, registered.of)?.map(|own| own.limit);
        Ok(Applied { limit: own.unwrap_or(registered.limit), own, registered: registered.limit })
    }
}

fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

/// The registered limit with this id.
///
/// # Errors
/// When the database fails, or the record is unreadable.
pub fn registered(rows: &impl Rows, id: &str) -> Result<Option<RegisteredLimit>, Error> {
    let record = rows.record::<RegisteredLimitRecord>(&REGISTERED, id.as_bytes())?;
    Ok(record.map(|record| record.into_limit(id)).transpose()?)
}

/// Adds a registered limit, or changes the one with its id.
///
/// # Errors
/// [`Error::Exists`] when there is another one of the same.
pub fn put_registered(txn: &WriteTxn, limit: &RegisteredLimit) -> Result<(), Error> {
    if let Some(other) = Registered::read(txn)?.of(limit.of).filter(|other| other.id != limit.id) {
        return Err(Error::Exists(duplicate("registered_limit", &other.id)));
    }
    Ok(txn.put_record(&REGISTERED, limit.id.as_bytes(), &RegisteredLimitRecord::of(limit))?)
}

/// Removes a registered limit on which none of a project stands: what it is of is unlimited then.
///
/// # Errors
/// When the database fails.
pub fn delete_registered(txn: &WriteTxn, limit: &RegisteredLimit) -> Result<(), Error> {
    txn.remove(&REGISTERED, limit.id.as_bytes())?;
    Ok(())
}

/// Whether any project has a limit of this. Reads the limits of all projects until it finds one.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn has_limits(rows: &impl Rows, of: LimitOf) -> Result<bool, Error> {
    let mut found = false;
    visit(rows, &mut |limit| {
        found = limit.of == of;
        !found
    })?;
    Ok(found)
}

/// The limit of a project with this id.
///
/// # Errors
/// When the database fails, or the record is unreadable.
pub fn limit(rows: &impl Rows, id: &str) -> Result<Option<ProjectLimit>, Error> {
    let record = rows.record::<ProjectLimitRecord>(&LIMITS, id.as_bytes())?;
    Ok(record.map(ProjectLimitRecord::into_limit).transpose()?)
}

fn own_of(rows: &impl Rows, project: &ProjectId, of: LimitOf) -> Result<Option<ProjectLimit>, Error> {
    limit(rows, &ProjectLimit::id_of(project, of))
}

/// Every limit of one project.
///
/// # Errors
/// As [`limit`].
pub fn limits_of(rows: &impl Rows, project: &ProjectId) -> Result<Vec<ProjectLimit>, Error> {
    LimitOf::all().filter_map(|of| own_of(rows, project, of).transpose()).collect()
}

/// The limits of all projects.
///
/// # Errors
/// As [`limit`].
pub fn limits(rows: &impl Rows) -> Result<Vec<ProjectLimit>, Error> {
    let mut found = Vec::new();
    visit(rows, &mut |limit| {
        found.push(limit);
        true
    })?;
    Ok(found)
}

/// Adds a limit of a project.
///
/// # Errors
/// [`Error::Exists`] when the project has one of the same; [`Error::Missing`] when none of the same is registered.
pub fn insert_limit(txn: &WriteTxn, limit: &ProjectLimit) -> Result<(), Error> {
    if own_of(txn, &limit.project, limit.of)?.is_some() {
        return Err(Error::Exists(duplicate("limit", &limit.id())));
    }
    put_limit(txn, limit)
}

/// Adds a limit of a project, or changes it.
///
/// # Errors
/// [`Error::Missing`] when none of the same is registered.
pub fn put_limit(txn: &WriteTxn, limit: &ProjectLimit) -> Result<(), Error> {
    if Registered::read(txn)?.of(limit.of).is_none() {
        return Err(Error::Missing(
            "Unable to create a limit that has no corresponding registered limit.".to_owned(),
        ));
    }
    Ok(txn.put_record(&LIMITS, limit.id().as_bytes(), &ProjectLimitRecord::of(limit))?)
}

/// Removes a limit of a project: that of all projects holds for it then.
///
/// # Errors
/// When the database fails.
pub fn delete_limit(txn: &WriteTxn, limit: &ProjectLimit) -> Result<(), Error> {
    txn.remove(&LIMITS, limit.id().as_bytes())?;
    Ok(())
}

/// Removes the limits of a project that is deleted.
///
/// # Errors
/// When the database fails.
pub(in crate::catalog) fn delete_of_project(txn: &WriteTxn, project: &ProjectId) -> Result<(), Error> {
    limits_of(txn, project)?.iter().try_for_each(|limit| delete_limit(txn, limit))
}

fn duplicate(kind: &str, id: &str) -> String {
    format!("Conflict occurred attempting to store {kind} - Duplicate entry. It is {kind} {id}: change that.")
}

/// Visits every limit of a project until one is answered with no.
fn visit(rows: &impl Rows, each: &mut dyn FnMut(ProjectLimit) -> bool) -> Result<(), Error> {
    let mut outcome = Ok(());
    rows.scan(&LIMITS, (Bound::Unbounded, Bound::Unbounded), false, &mut |_, value| match codec::decode::<
        ProjectLimitRecord,
    >(value)
    .and_then(ProjectLimitRecord::into_limit)
    {
        Ok(limit) => match each(limit) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        },
        Err(error) => {
            outcome = Err(error.into());
            ControlFlow::Break(())
        }
    })?;
    outcome
}
