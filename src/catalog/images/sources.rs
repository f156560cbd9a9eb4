//! Which runs of index rows a viewer's listing is made of.
//!
//! Invariant: no image is in two runs of the same column and value, so that a merge of them
//! lists each image once. A few shares are read whole; everything else stays in the index.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::filters::{Filters, Standing};
use super::merge::{Keys, Walk};
use super::order::Direction;
use super::rows::{self, Column, INDEX, Scope};
use crate::catalog::error::Error;
use crate::catalog::members;
use crate::db::{Key, ReadTxn};
use crate::model::image::MemberStatus;
use crate::model::{Image, ProjectId, Visibility};

/// Whose eyes a listing is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Every image of every project.
    Admin {
        /// The administrator's project: its own community images are listed without asking.
        project: Option<ProjectId>,
    },
    /// What a project may list.
    Project {
        /// The project.
        project: ProjectId,
        /// Shares in this state count; `None` counts every state.
        member_status: Option<MemberStatus>,
    },
}

/// A stretch of rows, by what follows their scope (and value, where one is looked up).
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// From here.
    pub lower: Vec<u8>,
    /// Up to, but without.
    pub upper: Option<Vec<u8>>,
}

impl Window {
    /// Leaves out everything before `rank`.
    pub(super) fn from(&mut self, rank: Vec<u8>) {
        if rank > self.lower {
            self.lower = rank;
        }
    }

    /// Leaves out `rank` and everything behind it.
    pub(super) fn until(&mut self, rank: Vec<u8>) {
        if self.upper.as_ref().is_none_or(|upper| rank < *upper) {
            self.upper = Some(rank);
        }
    }

    fn bounds(&self, prefix: &Key) -> (Vec<u8>, Option<Vec<u8>>) {
        let lower = prefix.clone().fixed(&self.lower).into_bytes();
        let upper = match &self.upper {
            Some(upper) => Some(prefix.clone().fixed(upper).into_bytes()),
            None => prefix.successor(),
        };
        (lower, upper)
    }
}

/// The runs of a listing.
pub(super) struct Sources<'a> {
    read: &'a ReadTxn,
    hidden: bool,
    scopes: Vec<Scope<'a>>,
    shares: Vec<Image>,
}

impl<'a> Sources<'a> {
    pub(super) fn open(
        read: &'a ReadTxn,
        viewer: &'a Viewer,
        filters: &'a Filters,
    ) -> Result<Sources<'a>, Error> {
        let wanted = filters.visibility.flatten();
        let visibilities = Visibility::ALL.into_iter().filter(|v| wanted.is_none_or(|w| w == *v));
        let scopes = visibilities.flat_map(|v| match viewer {
            Viewer::Project { project, .. } if filters.standing.is_some() => {
                standing_scopes(project, filters, v)
            }
            Viewer::Admin { project } => admin_scopes(project.as_ref(), filters, v),
            Viewer::Project { project, .. } => project_scopes(project, filters, v),
        });
        let shares = match viewer {
            Viewer::Project { .. } if filters.standing == Some(Standing::Kept) => Vec::new(),
            Viewer::Project { project, member_status } => {
                let mut shares = shares(read, project, *member_status, filters)?;
                if filters.standing == Some(Standing::Shared) {
                    shares.extend(offered(read, project, filters)?);
                }
                shares
            }
            Viewer::Admin { .. } => Vec::new(),
        };
        Ok(Sources { read, hidden: filters.hidden, scopes: scopes.collect(), shares })
    }

    /// Walks a column, or only those of its rows that hold one of `values`; then the rows of all
    /// values come in one order, by creation time and id.
    pub(super) fn walk(
        &self,
        column: Column,
        values: Option<&[Key]>,
        window: &Window,
        direction: Direction,
    ) -> Result<Walk, Error> {
        let whole = [Key::new()];
        let values = values.unwrap_or(&whole);
        let mut walk = Walk::new(direction);
        for scope in &self.scopes {
            let start = rows::prefix(column, scope, self.hidden);
            for value in values {
                let prefix = start.clone().fixed(value.bytes());
                let (lower, upper) = window.bounds(&prefix);
                walk.add(prefix.bytes().len(), self.table_keys(&lower, upper.as_deref(), direction)?)?;
            }
        }
        if !self.shares.is_empty() {
            let keys = self.shares.iter().flat_map(|image| rows::keys_in(image, column, &Scope::Member));
            let keys: BTreeSet<Vec<u8>> = keys.collect();
            for value in values {
                let prefix = rows::prefix(column, &Scope::Member, self.hidden).fixed(value.bytes());
                let (lower, upper) = window.bounds(&prefix);
                walk.add(prefix.bytes().len(), share_keys(&keys, lower, upper, direction))?;
            }
        }
        Ok(walk)
    }

    fn table_keys(&self, lower: &[u8], upper: Option<&[u8]>, direction: Direction) -> Result<Keys, Error> {
        if upper.is_some_and(|upper| lower >= upper) {
            return Ok(Box::new(std::iter::empty()));
        }
        let range = (Bound::Included(lower), upper.map_or(Bound::Unbounded, Bound::Excluded));
        let keys = self.read.rows(&INDEX, range)?.map(|row| Ok(row.map(|(key, _)| key)?));
        Ok(match direction {
            Direction::Ascending => Box::new(keys),
            Direction::Descending => Box::new(keys.rev()),
        })
    }
}

fn share_keys(
    keys: &BTreeSet<Vec<u8>>,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    direction: Direction,
) -> Keys {
    if upper.as_ref().is_some_and(|upper| lower >= *upper) {
        return Box::new(std::iter::empty());
    }
    let range = (Bound::Included(lower), upper.map_or(Bound::Unbounded, Bound::Excluded));
    let keys: Vec<_> = keys.range(range).cloned().map(Ok).collect();
    match direction {
        Direction::Ascending => Box::new(keys.into_iter()),
        Direction::Descending => Box::new(keys.into_iter().rev()),
    }
}

fn admin_scopes<'a>(project: Option<&'a ProjectId>, filters: &'a Filters, v: Visibility) -> Vec<Scope<'a>> {
    let unasked = v == Visibility::Community && filters.visibility.is_none();
    let project = project.map(ProjectId::as_str);
    match filters.owner.as_deref() {
        Some(owner) if unasked && project != Some(owner) => Vec::new(),
        Some(owner) => vec![Scope::Owner(owner, v)],
        None if unasked => project.map(|project| Scope::Owner(project, v)).into_iter().collect(),
        None => vec![Scope::Everyone(v)],
    }
}

fn project_scopes<'a>(project: &'a ProjectId, filters: &'a Filters, v: Visibility) -> Vec<Scope<'a>> {
    let project = project.as_str();
    let open = match v {
        Visibility::Public => true,
        Visibility::Community => filters.visibility.is_some(),
        Visibility::Shared | Visibility::Private => false,
    };
    match filters.owner.as_deref() {
        Some(owner) if open || owner == project => vec![Scope::Owner(owner, v)],
        Some(_) => Vec::new(),
        None if open => vec![Scope::Everyone(v)],
        None if v == Visibility::Community => vec![Scope::Owner(project, v)],
        None => vec![Scope::Owner(project, v), Scope::Ownerless(v)],
    }
}

/// The runs of a listing of one kind; those of images that members have are made from the members.
fn standing_scopes<'a>(project: &'a ProjectId, filters: &'a Filters, v: Visibility) -> Vec<Scope<'a>> {
    let is_own = filters.owner.as_deref().is_none_or(|owner| owner == project.as_str());
    match filters.standing {
        Some(Standing::Kept) if is_own && v != Visibility::Public => vec![Scope::Owner(project.as_str(), v)],
        _ => Vec::new(),
    }
}

/// The project's own images that have members, and that pass the filters.
fn offered(read: &ReadTxn, project: &ProjectId, filters: &Filters) -> Result<Vec<Image>, Error> {
    let mut offered = Vec::new();
    if filters.visibility.flatten().is_some_and(|v| v != Visibility::Shared) {
        return Ok(offered);
    }
    for id in members::images(read)? {
        let Some(image) = super::get(read, &id)? else { continue };
        let is_own = image.owner.as_ref() == Some(project);
        if is_own && image.visibility == Visibility::Shared && filters.admit(&image) {
            offered.push(image);
        }
    }
    Ok(offered)
}

/// Images that only a share makes visible to the project, and that pass the filters.
fn shares(
    read: &ReadTxn,
    project: &ProjectId,
    status: Option<MemberStatus>,
    filters: &Filters,
) -> Result<Vec<Image>, Error> {
    if filters.visibility.flatten().is_some_and(|v| v != Visibility::Shared) {
        return Ok(Vec::new());
    }
    let mut shares = Vec::new();
    for id in members::shared_with(read, project, status)? {
        let Some(image) = super::get(read, &id)? else { continue };
        let foreign = image.owner.as_ref().is_some_and(|owner| owner != project);
        if foreign && image.visibility == Visibility::Shared && filters.admit(&image) {
            shares.push(image);
        }
    }
    Ok(shares)
}
