//! Whether a user holds anything on a scope: a role, a role through a group, or a policy through a group.
//!
//! Invariant: a token whose user holds nothing on its scope any more is gone, in the transaction that took
//! the last of it away.

use std::collections::BTreeSet;

use super::assignments::{assigned_at, assigned_to};
use super::attachments::{self, attachments as all_attachments};
use super::entity::get;
use super::group_assignments::{assigned_to_group, groups_assigned_at};
use super::implied::with_implied;
use super::members::{groups_of, members_of};
use crate::catalog::{Error, application_credentials, tokens};
use crate::db::{Rows, WriteTxn};
use crate::model::identity::{Group, Project, Role, Scope};
use crate::model::policy::Reach;
use crate::model::{GroupId, ProjectId, RoleId, UserId};

/// Whether a user holds a role there, or is in a group that holds a role or a policy there.
///
/// # Errors
/// When the database fails.
pub fn holds_anything(rows: &impl Rows, user: &UserId, scope: &Scope) -> Result<bool, Error> {
    if !assigned_to(rows, user, Some(scope))?.is_empty() {
        return Ok(true);
    }
    for group in groups_of(rows, user)? {
        if !assigned_to_group(rows, &group, Some(scope))?.is_empty() {
            return Ok(true);
        }
        if let Scope::Project(project) = scope
            && has_policy(rows, &group, project)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a policy of the group holds in the project.
///
/// # Errors
/// When the database fails.
pub fn has_policy(rows: &impl Rows, group: &GroupId, project: &ProjectId) -> Result<bool, Error> {
    if attachments::has_any(rows, group, &Reach::Project(project.clone()))? {
        return Ok(true);
    }
    Ok(attachments::has_any(rows, group, &Reach::All)? && shares_domain(rows, group, project)?)
}

/// Whether a project is one of those that policies for all projects reach from a group.
///
/// # Errors
/// When the database fails.
pub fn shares_domain(rows: &impl Rows, group: &GroupId, project: &ProjectId) -> Result<bool, Error> {
    let group = get::<Group>(rows, group)?.map(|group| group.domain);
    let project = get::<Project>(rows, project)?.map(|project| project.domain);
    Ok(group.is_some() && group == project)
}

/// The roles that a user was given on a scope, itself and through groups, with those that they bring along, each once
/// and sorted by name.
///
/// # Errors
/// When the database fails.
pub fn held_roles(rows: &impl Rows, user: &UserId, scope: &Scope) -> Result<Vec<Role>, Error> {
    let mut ids: BTreeSet<RoleId> =
        assigned_to(rows, user, Some(scope))?.into_iter().map(|given| given.role).collect();
    for group in groups_of(rows, user)? {
        ids.extend(assigned_to_group(rows, &group, Some(scope))?.into_iter().map(|given| given.role));
    }
    let mut roles = Vec::new();
    for id in ids {
        roles.extend(get::<Role>(rows, &id)?);
    }
    with_implied(rows, roles)
}

/// Ends the tokens of a user that stand on nothing any more, and those of application credentials that are worth
/// more than the user.
pub(super) fn end_idle_tokens(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    tokens::retain_of_user(txn, user, |token| match (&token.scope, &token.application_credential) {
        (Some(scope), None) => holds_anything(txn, user, scope),
        (Some(scope), Some(id)) => {
            let Some(credential) = application_credentials::get(txn, id)? else { return Ok(false) };
            let held = held_roles(txn, user, scope)?;
            let is_held = |id: &RoleId| held.iter().any(|role| role.id == *id);
            Ok(credential.roles.iter().all(is_held) && holds_anything(txn, user, scope)?)
        }
        (None, _) => Ok(true),
    })
}

/// The same for all members of a group.
pub(super) fn end_idle_tokens_of_members(txn: &WriteTxn, group: &GroupId) -> Result<(), Error> {
    members_of(txn, group)?.iter().try_for_each(|user| end_idle_tokens(txn, user))
}

/// Ends every token for a scope; what stands on it stays given.
///
/// # Errors
/// When the database fails.
pub fn end_tokens_at(txn: &WriteTxn, scope: &Scope) -> Result<(), Error> {
    for assignment in assigned_at(txn, scope)? {
        tokens::delete_of_user(txn, &assignment.user, Some(scope))?;
    }
    let mut groups: Vec<GroupId> =
        groups_assigned_at(txn, scope)?.into_iter().map(|assignment| assignment.group).collect();
    if let Scope::Project(project) = scope {
        let reaches = |reach: &Reach| *reach == Reach::All || *reach == Reach::Project(project.clone());
        groups.extend(all_attachments(txn)?.into_iter().filter(|a| reaches(&a.reach)).map(|a| a.group));
    }
    groups.sort();
    groups.dedup();
    for group in groups {
        for user in members_of(txn, &group)? {
            tokens::delete_of_user(txn, &user, Some(scope))?;
        }
    }
    Ok(())
}
