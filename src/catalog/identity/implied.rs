//! Which roles bring others along: those that always do, and those that somebody said so of.
//!
//! Invariant: nothing refers to a role that was deleted. What brings itself along by a detour does no harm: each
//! role is looked at once.

use std::collections::BTreeSet;

use super::entity;
use super::keys::{has_below, keys_below, pair, pair_key};
use crate::catalog::Error;
use crate::db::{Key, Rows, Table, WriteTxn};
use crate::model::RoleId;
use crate::model::identity::Role;

/// Prior role, implied role. The key says everything; values are empty.
pub(super) const IMPLIED: Table = Table::facts("implied-roles-1");

/// Each built-in role and the one it brings along, by name.
pub const BUILT_IN: [(&str, &str); 3] = [("admin", "manager"), ("manager", "member"), ("member", "reader")];

/// Every rule that somebody made.
///
/// # Errors
/// When the database fails.
pub fn implications(rows: &impl Rows) -> Result<Vec<(RoleId, RoleId)>, Error> {
    let read = |key: &[u8]| pair(key).map(|(prior, implied)| (RoleId(prior), RoleId(implied)));
    keys_below(rows, &IMPLIED, &Key::new(), read)
}

/// Whether one role brings another along by itself, because it is built so.
pub fn is_built_in(prior: &Role, implied: &Role) -> bool {
    let (prior, implied) = (prior.name.to_lowercase(), implied.name.to_lowercase());
    BUILT_IN.contains(&(prior.as_str(), implied.as_str()))
}

/// Whether somebody said that one role brings another along.
///
/// # Errors
/// When the database fails.
pub fn is_implied(rows: &impl Rows, prior: &RoleId, implied: &RoleId) -> Result<bool, Error> {
    has_below(rows, &IMPLIED, &pair_key(prior.as_str(), implied.as_str()))
}

/// Has one role bring another along.
///
/// # Errors
/// When the database fails.
pub fn imply(txn: &WriteTxn, prior: &RoleId, implied: &RoleId) -> Result<(), Error> {
    Ok(txn.put(&IMPLIED, pair_key(prior.as_str(), implied.as_str()).bytes(), &[])?)
}

/// Ends that; says whether it was so.
///
/// # Errors
/// When the database fails.
pub fn no_longer_imply(txn: &WriteTxn, prior: &RoleId, implied: &RoleId) -> Result<bool, Error> {
    Ok(txn.remove(&IMPLIED, pair_key(prior.as_str(), implied.as_str()).bytes())?)
}

/// Forgets what a role brings along, and what brings it along.
pub(super) fn forget(txn: &WriteTxn, role: &RoleId) -> Result<(), Error> {
    for (prior, implied) in implications(txn)? {
        if prior == *role || implied == *role {
            no_longer_imply(txn, &prior, &implied)?;
        }
    }
    Ok(())
}

/// The roles that a role brings along at once.
///
/// # Errors
/// When the database fails.
pub fn implied_by(rows: &impl Rows, prior: &Role) -> Result<Vec<Role>, Error> {
    let mut found = Vec::new();
    let name = prior.name.to_lowercase();
    for (_, implied) in BUILT_IN.iter().filter(|(prior, _)| *prior == name) {
        found.extend(entity::find::<Role>(rows, "", implied)?);
    }
    let read = |key: &[u8]| pair(key).map(|(_, implied)| RoleId(implied));
    for implied in keys_below(rows, &IMPLIED, &Key::new().text(prior.id.as_str()), read)? {
        found.extend(entity::get::<Role>(rows, &implied)?);
    }
    Ok(found)
}

/// Roles with all that they bring along, each once, sorted by name.
///
/// # Errors
/// When the database fails.
pub fn with_implied(rows: &impl Rows, roles: Vec<Role>) -> Result<Vec<Role>, Error> {
    let mut seen = BTreeSet::new();
    let (mut found, mut ahead) = (Vec::new(), roles);
    while let Some(role) = ahead.pop() {
        if seen.insert(role.id.clone()) {
            ahead.extend(implied_by(rows, &role)?);
            found.push(role);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
