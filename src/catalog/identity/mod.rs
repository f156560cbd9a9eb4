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
pub use entity::{Entity, find, get, insert, list, list_in, matching, update};
pub use kinds::{delete_domain, delete_project, delete_role, delete_user};

use super::error::Error;
use super::index::Comparison;
use crate::db::Table;
use crate::model::identity::{Domain, Project, Role, User};

/// The tables that everything else of identities follows from.
pub(super) const FACTS: [Table; 5] =
    [Domain::FACTS, Project::FACTS, User::FACTS, Role::FACTS, assignments::BY_USER];

/// Compares every index with what it follows from.
pub(super) fn compare_indexes(comparison: &mut Comparison<'_>) -> Result<(), Error> {
    entity::compare_names::<Domain>(comparison)?;
    entity::compare_names::<Project>(comparison)?;
    entity::compare_names::<User>(comparison)?;
    entity::compare_names::<Role>(comparison)?;
    assignments::compare_index(comparison)
}

#[cfg(test)]
mod tests;
