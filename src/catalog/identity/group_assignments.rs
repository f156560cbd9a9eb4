//! Which role the members of a group hold where: one row per group, scope and role, and the same
//! turned around.
//!
//! Invariant: a role that is taken from a group takes along the tokens of its members that stood on it alone.

use super::assignments::{read_scope, with_scope};
use super::holdings;
use super::keys::{has_below, keys_below, unreadable};
use crate::catalog::Error;
use crate::catalog::index::{Index, Row};
use crate::db::{Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::identity::{GroupAssignment, Scope};
use crate::model::{GroupId, RoleId};

/// Group, scope, role. The key says everything; values are empty.
pub(super) const BY_GROUP: Table = Table::facts("group-assignments-1");
/// Scope, group, role.
const BY_SCOPE: Table = Table::derived("group-assignments-by-scope-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: BY_GROUP, derived: BY_SCOPE, follow: turned_around };

fn group_key(group: &GroupId, scope: &Scope) -> Key {
    with_scope(Key::new().text(group.as_str()), scope)
}

fn fact_key(GroupAssignment { group, scope, role }: &GroupAssignment) -> Key {
    group_key(group, scope).text(role.as_str())
}

fn scope_key(GroupAssignment { group, scope, role }: &GroupAssignment) -> Key {
    with_scope(Key::new(), scope).text(group.as_str()).text(role.as_str())
}

fn by_group(key: &[u8]) -> Option<GroupAssignment> {
    let mut reader = KeyReader::new(key);
    let group = GroupId(reader.text()?);
    let scope = read_scope(&mut reader)?;
    Some(GroupAssignment { group, scope, role: RoleId(reader.text()?) })
}

fn by_scope(key: &[u8]) -> Option<GroupAssignment> {
    let mut reader = KeyReader::new(key);
    let scope = read_scope(&mut reader)?;
    let group = GroupId(reader.text()?);
    Some(GroupAssignment { group, scope, role: RoleId(reader.text()?) })
}

/// Every role that was given to a group, in group order.
///
/// # Errors
/// When the database fails.
pub fn group_assignments(rows: &impl Rows) -> Result<Vec<GroupAssignment>, Error> {
    keys_below(rows, &BY_GROUP, &Key::new(), by_group)
}

/// What a group was given: everywhere, or on one scope.
///
/// # Errors
/// When the database fails.
pub fn assigned_to_group(
    rows: &impl Rows,
    group: &GroupId,
    scope: Option<&Scope>,
) -> Result<Vec<GroupAssignment>, Error> {
    let prefix = scope.map_or_else(|| Key::new().text(group.as_str()), |scope| group_key(group, scope));
    keys_below(rows, &BY_GROUP, &prefix, by_group)
}

/// Which groups were given what on a scope.
///
/// # Errors
/// When the database fails.
pub fn groups_assigned_at(rows: &impl Rows, scope: &Scope) -> Result<Vec<GroupAssignment>, Error> {
    keys_below(rows, &BY_SCOPE, &with_scope(Key::new(), scope), by_scope)
}

/// Whether exactly this was given.
///
/// # Errors
/// When the database fails.
pub fn is_group_assigned(rows: &impl Rows, assignment: &GroupAssignment) -> Result<bool, Error> {
    has_below(rows, &BY_GROUP, &fact_key(assignment))
}

/// Gives a role to a group; one that was given already stays.
///
/// # Errors
/// When the database fails.
pub fn put_group_assignment(txn: &WriteTxn, assignment: &GroupAssignment) -> Result<(), Error> {
    txn.put(&BY_GROUP, fact_key(assignment).bytes(), &[])?;
    Ok(txn.put(&BY_SCOPE, scope_key(assignment).bytes(), &[])?)
}

/// Takes a role from a group, and the tokens of its members that stood on it alone; says whether it
/// was given.
///
/// # Errors
/// When the database fails.
pub fn remove_group_assignment(txn: &WriteTxn, assignment: &GroupAssignment) -> Result<bool, Error> {
    let was_given = txn.remove(&BY_GROUP, fact_key(assignment).bytes())?;
    txn.remove(&BY_SCOPE, scope_key(assignment).bytes())?;
    if was_given {
        holdings::end_idle_tokens_of_members(txn, &assignment.group)?;
    }
    Ok(was_given)
}

fn turned_around(key: &[u8], _: &[u8]) -> Result<Vec<Row>, Error> {
    let assignment = by_group(key).ok_or_else(|| unreadable(&BY_GROUP))?;
    Ok(vec![(scope_key(&assignment).into_bytes(), Vec::new())])
}
