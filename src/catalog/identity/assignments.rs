//! Who holds which role where: one row per user, scope and role, and the same turned around.
//!
//! Invariant: when the last that a user holds on a scope goes, so do the user's tokens for that scope;
//! a role given again later does not bring them back.

use super::holdings;
use super::keys::{keys_below, unreadable};
use crate::catalog::Error;
use crate::catalog::index::{Index, Row};
use crate::db::{Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::identity::{Assignment, Scope};
use crate::model::{DomainId, ProjectId, RoleId, UserId};

/// User, scope, role. The key says everything; values are empty.
pub(super) const BY_USER: Table = Table::facts("assignments-1");
/// Scope, user, role.
const BY_SCOPE: Table = Table::derived("assignments-by-scope-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: BY_USER, derived: BY_SCOPE, follow: turned_around };

pub(super) fn with_scope(key: Key, scope: &Scope) -> Key {
    match scope {
        Scope::Project(project) => key.byte(0).text(project.as_str()),
        Scope::Domain(domain) => key.byte(1).text(domain.as_str()),
        Scope::System => key.byte(2).text(""),
    }
}

pub(super) fn read_scope(reader: &mut KeyReader) -> Option<Scope> {
    let (kind, id) = (reader.byte()?, reader.text()?);
    match kind {
        0 => Some(Scope::Project(ProjectId(id))),
        1 => Some(Scope::Domain(DomainId(id))),
        2 => Some(Scope::System),
        _ => None,
    }
}

fn user_key(user: &UserId, scope: &Scope) -> Key {
    with_scope(Key::new().text(user.as_str()), scope)
}

fn scope_key(user: &UserId, scope: &Scope, role: &RoleId) -> Key {
    with_scope(Key::new(), scope).text(user.as_str()).text(role.as_str())
}

fn by_user(key: &[u8]) -> Option<Assignment> {
    let mut reader = KeyReader::new(key);
    let user = UserId(reader.text()?);
    let scope = read_scope(&mut reader)?;
    Some(Assignment { user, scope, role: RoleId(reader.text()?) })
}

fn by_scope(key: &[u8]) -> Option<Assignment> {
    let mut reader = KeyReader::new(key);
    let scope = read_scope(&mut reader)?;
    let user = UserId(reader.text()?);
    Some(Assignment { user, scope, role: RoleId(reader.text()?) })
}

/// Every assignment, in user order.
///
/// # Errors
/// When the database fails.
pub fn assignments(rows: &impl Rows) -> Result<Vec<Assignment>, Error> {
    keys_below(rows, &BY_USER, &Key::new(), by_user)
}

/// What a user holds: everywhere, or on one scope.
///
/// # Errors
/// When the database fails.
pub fn assigned_to(rows: &impl Rows, user: &UserId, scope: Option<&Scope>) -> Result<Vec<Assignment>, Error> {
    let prefix = match scope {
        Some(scope) => user_key(user, scope),
        None => Key::new().text(user.as_str()),
    };
    keys_below(rows, &BY_USER, &prefix, by_user)
}

/// Who holds what on a scope.
///
/// # Errors
/// When the database fails.
pub fn assigned_at(rows: &impl Rows, scope: &Scope) -> Result<Vec<Assignment>, Error> {
    keys_below(rows, &BY_SCOPE, &with_scope(Key::new(), scope), by_scope)
}

/// Whether exactly this assignment is there.
///
/// # Errors
/// When the database fails.
pub fn is_assigned(rows: &impl Rows, assignment: &Assignment) -> Result<bool, Error> {
    let key = user_key(&assignment.user, &assignment.scope).text(assignment.role.as_str());
    Ok(rows.get(&BY_USER, key.bytes())?.is_some())
}

/// Adds an assignment; one that is there already stays.
///
/// # Errors
/// When the database fails.
pub fn put_assignment(txn: &WriteTxn, assignment: &Assignment) -> Result<(), Error> {
    let Assignment { user, scope, role } = assignment;
    txn.put(&BY_USER, user_key(user, scope).text(role.as_str()).bytes(), &[])?;
    Ok(txn.put(&BY_SCOPE, scope_key(user, scope, role).bytes(), &[])?)
}

/// Removes an assignment, and the tokens that stood on it alone; says whether it was there.
///
/// # Errors
/// When the database fails.
pub fn remove_assignment(txn: &WriteTxn, assignment: &Assignment) -> Result<bool, Error> {
    let Assignment { user, scope, role } = assignment;
    let there = txn.remove(&BY_USER, user_key(user, scope).text(role.as_str()).bytes())?;
    txn.remove(&BY_SCOPE, scope_key(user, scope, role).bytes())?;
    if there {
        holdings::end_idle_tokens(txn, user)?;
    }
    Ok(there)
}

fn turned_around(key: &[u8], _: &[u8]) -> Result<Vec<Row>, Error> {
    let Some(Assignment { user, scope, role }) = by_user(key) else {
        return Err(unreadable(&BY_USER));
    };
    Ok(vec![(scope_key(&user, &scope, &role).into_bytes(), Vec::new())])
}

/// Removes everything a user holds.
pub(super) fn remove_of_user(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    for assignment in assigned_to(txn, user, None)? {
        remove_assignment(txn, &assignment)?;
    }
    Ok(())
}

/// Removes everything anyone holds on a scope.
pub(super) fn remove_at(txn: &WriteTxn, scope: &Scope) -> Result<(), Error> {
    for assignment in assigned_at(txn, scope)? {
        remove_assignment(txn, &assignment)?;
    }
    Ok(())
}
