//! Domains, projects, users, groups, roles, policies, and who holds which of these where.
//!
//! Invariant: within its space (a domain, or the whole installation) a name belongs to one thing
//! only, and nothing refers to a user, group, project, domain or role that was deleted. Must not know
//! who may do any of this.

mod assignments;
mod attachments;
mod entity;
mod group_assignments;
mod holdings;
mod implied;
mod keys;
mod kinds;
mod members;
mod policies;
mod revision;

pub use assignments::{
    assigned_at, assigned_to, assignments, is_assigned, put_assignment, remove_assignment,
};
pub use attachments::{attach, attached_to, attachments, attachments_of, detach, is_attached};
pub use entity::{Entity, count, find, get, insert, list, list_in, matching, update};
pub use group_assignments::{
    assigned_to_group, group_assignments, groups_assigned_at, is_group_assigned, put_group_assignment,
    remove_group_assignment,
};
pub use holdings::{end_tokens_at, has_policy, held_roles, holds_anything, shares_domain};
pub use implied::{
    BUILT_IN as BUILT_IN_IMPLICATIONS, implications, implied_by, imply, is_built_in, is_implied,
    no_longer_imply, with_implied,
};
pub use kinds::{delete_domain, delete_group, delete_project, delete_role, delete_user};
pub use members::{add_member, groups_of, is_member, members_of, remove_member};
pub use policies::{delete_policy, insert_policy, update_policy};
pub use revision::rights_revision;

use super::index::Index;
use crate::db::Table;
use crate::model::identity::{Domain, Group, Project, Role, User};
use crate::model::policy::Policy;

/// The tables that everything else of identities follows from.
pub(super) const FACTS: [Table; 11] = [
    Domain::FACTS,
    Project::FACTS,
    User::FACTS,
    Group::FACTS,
    Role::FACTS,
    Policy::FACTS,
    assignments::BY_USER,
    group_assignments::BY_GROUP,
    members::BY_GROUP,
    attachments::BY_GROUP,
    implied::IMPLIED,
];

/// The tables that follow from them.
pub(super) const INDEXES: [Index; 10] = [
    entity::names::<Domain>(),
    entity::names::<Project>(),
    entity::names::<User>(),
    entity::names::<Group>(),
    entity::names::<Role>(),
    entity::names::<Policy>(),
    assignments::INDEX,
    group_assignments::INDEX,
    members::INDEX,
    attachments::INDEX,
];

/// What follows from nothing and ends with the file.
pub(super) const REVISION: Table = revision::REVISION;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;
