//! Who is in which group.
//!
//! Invariant: whoever leaves a group loses the tokens that stood on it alone.

use super::keys::{has_below, keys_below, pair, pair_key, unreadable};
use super::{holdings, revision};
use crate::catalog::Error;
use crate::catalog::index::{Index, Row};
use crate::db::{Key, Rows, Table, WriteTxn};
use crate::model::{GroupId, UserId};

/// Group, user. The key says everything; values are empty.
pub(super) const BY_GROUP: Table = Table::facts("group-members-1");
/// User, group.
const BY_USER: Table = Table::derived("groups-of-user-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: BY_GROUP, derived: BY_USER, follow: turned_around };

/// The users in a group, by their ids.
///
/// # Errors
/// When the database fails.
pub fn members_of(rows: &impl Rows, group: &GroupId) -> Result<Vec<UserId>, Error> {
    let read = |key: &[u8]| pair(key).map(|(_, user)| UserId(user));
    keys_below(rows, &BY_GROUP, &Key::new().text(group.as_str()), read)
}

/// The groups that a user is in, by their ids.
///
/// # Errors
/// When the database fails.
pub fn groups_of(rows: &impl Rows, user: &UserId) -> Result<Vec<GroupId>, Error> {
    let read = |key: &[u8]| pair(key).map(|(_, group)| GroupId(group));
    keys_below(rows, &BY_USER, &Key::new().text(user.as_str()), read)
}

/// Whether a user is in a group.
///
/// # Errors
/// When the database fails.
pub fn is_member(rows: &impl Rows, group: &GroupId, user: &UserId) -> Result<bool, Error> {
    has_below(rows, &BY_GROUP, &pair_key(group.as_str(), user.as_str()))
}

/// Puts a user into a group; one that is in it already stays.
///
/// # Errors
/// When the database fails.
pub fn add_member(txn: &WriteTxn, group: &GroupId, user: &UserId) -> Result<(), Error> {
    txn.put(&BY_GROUP, pair_key(group.as_str(), user.as_str()).bytes(), &[])?;
    txn.put(&BY_USER, pair_key(user.as_str(), group.as_str()).bytes(), &[])?;
    revision::step(txn)
}

/// Takes a user out of a group; says whether it was in it.
///
/// # Errors
/// When the database fails.
pub fn remove_member(txn: &WriteTxn, group: &GroupId, user: &UserId) -> Result<bool, Error> {
    let was_in = txn.remove(&BY_GROUP, pair_key(group.as_str(), user.as_str()).bytes())?;
    txn.remove(&BY_USER, pair_key(user.as_str(), group.as_str()).bytes())?;
    if was_in {
        holdings::end_idle_tokens(txn, user)?;
        revision::step(txn)?;
    }
    Ok(was_in)
}

fn turned_around(key: &[u8], _: &[u8]) -> Result<Vec<Row>, Error> {
    let (group, user) = pair(key).ok_or_else(|| unreadable(&BY_GROUP))?;
    Ok(vec![(pair_key(&user, &group).into_bytes(), Vec::new())])
}
