//! The kinds of named things, their tables, and what goes with them when they are deleted.

use super::entity::{self, Entity};
use super::{assignments, attachments, group_assignments, holdings, implied, members};
use crate::catalog::records::identity::{DomainRecord, ProjectRecord, RoleRecord, UserRecord};
use crate::catalog::records::policy::{GroupRecord, PolicyRecord};
use crate::catalog::{Error, access_keys, application_credentials, credentials, passwords, quotas, tokens};
use crate::db::{Table, WriteTxn};
use crate::model::identity::{Domain, Group, Project, Role, Scope, User};
use crate::model::policy::{Policy, Reach};
use crate::model::{DomainId, GroupId, PolicyId, ProjectId, RoleId, UserId};

macro_rules! entity {
    ($kind:ident, $id:ident, $word:literal, $record:ident, $from:ident, $facts:literal, $names:literal,
     space: $space:expr $(, folded: $folded:expr)?) => {
        impl Entity for $kind {
            type Id = $id;
            type Record = $record;
            const KIND: &'static str = $word;
            const FACTS: Table = Table::facts($facts);
            const NAMES: Table = Table::derived($names);

            fn id(&self) -> &$id {
                &self.id
            }
            fn id_text(id: &$id) -> &str {
                id.as_str()
            }
            fn id_from(text: String) -> $id {
                $id(text)
            }
            fn space(&self) -> &str {
                let space: fn(&$kind) -> &str = $space;
                space(self)
            }
            fn name(&self) -> &str {
                &self.name
            }
            $(fn folded(name: &str) -> String {
                let folded: fn(&str) -> String = $folded;
                folded(name)
            })?
            fn record(&self) -> $record {
                $record::of(self)
            }
            fn from_record(id: $id, record: $record) -> $kind {
                record.$from(id)
            }
        }
    };
}

entity!(Domain, DomainId, "domain", DomainRecord, into_domain, "domains-1", "domain-names-1", space: |_| "");
entity!(Project, ProjectId, "project", ProjectRecord, into_project, "projects-1", "project-names-1",
    space: |project| project.domain.as_str());
entity!(User, UserId, "user", UserRecord, into_user, "users-1", "user-names-1",
    space: |user| user.domain.as_str());
entity!(Group, GroupId, "group", GroupRecord, into_group, "groups-1", "group-names-1",
    space: |group| group.domain.as_str());
// Roles name the ones they depend on, as people write names.
entity!(Policy, PolicyId, "policy", PolicyRecord, into_policy, "policies-1", "policy-names-1",
    space: |_| "", folded: str::to_lowercase);
// Rights go by role names without regard to case, so `Admin` beside `admin` would be a trap.
entity!(Role, RoleId, "role", RoleRecord, into_role, "roles-1", "role-names-1",
    space: |role| role.domain.as_ref().map_or("", |domain| domain.as_str()), folded: str::to_lowercase);

/// Removes a user with its assignments, memberships, tokens, access keys and credentials of all kinds; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_user(txn: &WriteTxn, id: &UserId) -> Result<bool, Error> {
    let Some(user) = entity::get::<User>(txn, id)? else { return Ok(false) };
    assignments::remove_of_user(txn, id)?;
    for group in members::groups_of(txn, id)? {
        members::remove_member(txn, &group, id)?;
    }
    tokens::delete_of_user(txn, id, None)?;
    access_keys::delete_of_user(txn, id)?;
    application_credentials::delete_of_user(txn, id)?;
    credentials::delete_of_user(txn, id)?;
    passwords::delete(txn, id)?;
    entity::remove(txn, &user)?;
    Ok(true)
}

/// Removes a group with what it was given and who was in it; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_group(txn: &WriteTxn, id: &GroupId) -> Result<bool, Error> {
    let Some(group) = entity::get::<Group>(txn, id)? else { return Ok(false) };
    for assignment in group_assignments::assigned_to_group(txn, id, None)? {
        group_assignments::remove_group_assignment(txn, &assignment)?;
    }
    for attachment in attachments::attached_to(txn, id, None)? {
        attachments::detach(txn, &attachment)?;
    }
    for user in members::members_of(txn, id)? {
        members::remove_member(txn, id, &user)?;
    }
    entity::remove(txn, &group)?;
    Ok(true)
}

/// Removes a project with the assignments, policies, tokens, access keys, credentials of all kinds and limits on it;
/// says whether there was one.
/// Images it owns stay.
///
/// # Errors
/// When the database fails.
pub fn delete_project(txn: &WriteTxn, id: &ProjectId) -> Result<bool, Error> {
    let Some(project) = entity::get::<Project>(txn, id)? else { return Ok(false) };
    let scope = Scope::Project(id.clone());
    // Policies for all projects stay attached, and hold here no more.
    holdings::end_tokens_at(txn, &scope)?;
    remove_at(txn, &scope)?;
    for attachment in attachments::attachments(txn)? {
        if attachment.reach == Reach::Project(id.clone()) {
            attachments::detach(txn, &attachment)?;
        }
    }
    access_keys::delete_of_project(txn, id)?;
    application_credentials::delete_of_project(txn, id)?;
    credentials::delete_of_project(txn, id)?;
    quotas::delete_of_project(txn, id)?;
    entity::remove(txn, &project)?;
    Ok(true)
}

/// Removes a domain with its users, groups, projects, roles and the assignments on it; says whether
/// there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_domain(txn: &WriteTxn, id: &DomainId) -> Result<bool, Error> {
    let Some(domain) = entity::get::<Domain>(txn, id)? else { return Ok(false) };
    for user in entity::list_in::<User>(txn, id.as_str())? {
        delete_user(txn, &user.id)?;
    }
    for group in entity::list_in::<Group>(txn, id.as_str())? {
        delete_group(txn, &group.id)?;
    }
    for project in entity::list_in::<Project>(txn, id.as_str())? {
        delete_project(txn, &project.id)?;
    }
    for role in entity::list_in::<Role>(txn, id.as_str())? {
        delete_role(txn, &role.id)?;
    }
    remove_at(txn, &Scope::Domain(id.clone()))?;
    entity::remove(txn, &domain)?;
    Ok(true)
}

/// Removes a role, every assignment of it, and what it brings along or comes with; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete_role(txn: &WriteTxn, id: &RoleId) -> Result<bool, Error> {
    let Some(role) = entity::get::<Role>(txn, id)? else { return Ok(false) };
    for assignment in assignments::assignments(txn)? {
        if assignment.role == *id {
            assignments::remove_assignment(txn, &assignment)?;
        }
    }
    for assignment in group_assignments::group_assignments(txn)? {
        if assignment.role == *id {
            group_assignments::remove_group_assignment(txn, &assignment)?;
        }
    }
    implied::forget(txn, id)?;
    entity::remove(txn, &role)?;
    Ok(true)
}

/// Removes every role that anyone or any group was given on a scope.
fn remove_at(txn: &WriteTxn, scope: &Scope) -> Result<(), Error> {
    for assignment in group_assignments::groups_assigned_at(txn, scope)? {
        group_assignments::remove_group_assignment(txn, &assignment)?;
    }
    assignments::remove_at(txn, scope)
}
