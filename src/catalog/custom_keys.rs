//! Custom keys by id, and by alias within their project.
//!
//! Invariant: of the keys of a project that are not deleted no two have one alias. Deleted ones stay, so
//! that an image can tell what became of its key. Must not know who may use a key.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::custom_key::CustomKeyRecord;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, Rows, Table, WriteTxn};
use crate::model::ProjectId;
use crate::model::custom_key::{CustomKey, KeyId, KeyState};

/// Id.
pub(super) const CUSTOM_KEYS: Table = Table::facts("custom-keys-1");
/// Project, alias: its id.
const BY_ALIAS: Table = Table::derived("custom-keys-by-alias-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: CUSTOM_KEYS, derived: BY_ALIAS, follow: alias_rows };

fn project_key(project: &ProjectId) -> Key {
    Key::new().text(project.as_str())
}

/// The key with this id.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: KeyId) -> Result<Option<CustomKey>, Error> {
    Ok(rows.record::<CustomKeyRecord>(&CUSTOM_KEYS, id.bytes())?.map(|record| record.into_key(id)))
}

/// The key of a project with this alias, unless it is deleted.
///
/// # Errors
/// When the database fails.
pub fn find(rows: &impl Rows, project: &ProjectId, alias: &str) -> Result<Option<CustomKey>, Error> {
    match rows.get(&BY_ALIAS, project_key(project).text(alias).bytes())? {
        Some(id) => get(rows, key_id(&id)?),
        None => Ok(None),
    }
}

/// Adds a key, or changes it.
///
/// # Errors
/// [`Error::Exists`] when another key of its project has the alias.
pub fn put(txn: &WriteTxn, key: &CustomKey) -> Result<(), Error> {
    if let Some(before) = get(txn, key.id)? {
        txn.remove(&BY_ALIAS, project_key(&before.project).text(&before.alias).bytes())?;
    }
    if !matches!(key.state, KeyState::Deleted(_)) {
        if find(txn, &key.project, &key.alias)?.is_some() {
            return Err(Error::Exists(format!("the project has a custom key {:?} already", key.alias)));
        }
        let row = project_key(&key.project).text(&key.alias);
        txn.put(&BY_ALIAS, row.bytes(), key.id.bytes())?;
    }
    Ok(txn.put_record(&CUSTOM_KEYS, key.id.bytes(), &CustomKeyRecord::of(key))?)
}

/// Every key, deleted ones too, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<CustomKey>, Error> {
    let mut found = Vec::new();
    rows.scan(&CUSTOM_KEYS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

/// How many keys a project has that are not deleted.
///
/// # Errors
/// When the database fails.
pub fn count(rows: &impl Rows, project: &ProjectId) -> Result<usize, Error> {
    let mut count = 0;
    rows.scan_prefix(&BY_ALIAS, project_key(project).bytes(), &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

fn alias_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let key = read(key, value)?;
    if matches!(key.state, KeyState::Deleted(_)) {
        return Ok(Vec::new());
    }
    Ok(vec![(project_key(&key.project).text(&key.alias).into_bytes(), key.id.bytes().to_vec())])
}

fn read(key: &[u8], value: &[u8]) -> Result<CustomKey, Unreadable> {
    let id = key_id(key).map_err(|error| Unreadable { name: "custom key", reason: error.to_string() })?;
    Ok(codec::decode::<CustomKeyRecord>(value)?.into_key(id))
}

fn key_id(bytes: &[u8]) -> Result<KeyId, db::Error> {
    let id = uuid::Uuid::from_slice(bytes);
    id.map(KeyId).map_err(|_| db::Error::Corrupt("a custom key's id".into()))
}

#[cfg(test)]
#[path = "custom_keys_tests.rs"]
mod tests;
