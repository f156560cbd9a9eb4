//! Domains, projects, users, roles, and who holds which role where.
//!
//! Invariant: within its space (a domain, or the whole installation) a name belongs to one thing
//! only, and nothing refers to a user, project, domain or role that was deleted. Must not know
//! who may do any of this.

mod assignments;
mod entity;
mod kinds;

pub use assignments::{
    assigned_at, assigned_to, assignments, end_tokens_at, is_assigned, put_assignment, remove_assignment,
};
pub use entity::{Entity, count, find, get, insert, list, list_in, matching, update};
pub use kinds::{delete_domain, delete_project, delete_role, delete_user};

use super::index::Index;
use crate::db::Table;
use crate::model::identity::{Domain, Project, Role, User};

/// The tables that everything else of identities follows from.
pub(super) const FACTS: [Table; 5] =
    [Domain::FACTS, Project::FACTS, User::FACTS, Role::FACTS, assignments::BY_USER];

/// The tables that follow from them.
pub(super) const INDEXES: [Index; 5] = [
    entity::names::<Domain>(),
    entity::names::<Project>(),
    entity::names::<User>(),
    entity::names::<Role>(),
    assignments::INDEX,
];

#[cfg(test)]
mod tests;
