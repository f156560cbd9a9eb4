//! Access keys by their public half, and the root that their secrets follow from in a sealed box.
//!
//! Facts, so that they outlive a lost catalog. Invariant: no secret is in a record; the root is kept
//! here only where the catalog and the store's log are sealed, which the caller sees to.

use std::ops::{Bound, ControlFlow};

use zeroize::Zeroizing;

use super::error::Error;
use super::index::{Index, Row};
use super::records::access_key::AccessKeyRecord;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::{AccessId, AccessKey, ProjectId, UserId};

/// Bytes of a root.
pub const ROOT_BYTES: usize = 32;

/// Public half.
const ACCESS_KEYS: Table = Table::facts("access-keys-1");
/// One row: the root of a sealed box.
const ROOT: Table = Table::facts("access-root-1");
/// User, public half.
const BY_USER: Table = Table::derived("access-keys-by-user-1");
/// The tables that the index follows from.
pub(super) const FACTS: [Table; 2] = [ACCESS_KEYS, ROOT];
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: ACCESS_KEYS, derived: BY_USER, follow: user_rows };

/// The root's key in its table.
const ROOT_KEY: &[u8] = b"root";

fn user_key(user: &UserId) -> Key {
    Key::new().text(user.as_str())
}

/// The access key with this public half.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, access: &AccessId) -> Result<Option<AccessKey>, Error> {
    let record = rows.record::<AccessKeyRecord>(&ACCESS_KEYS, access.as_str().as_bytes())?;
    Ok(record.map(|record| record.into_key(access.clone())))
}

/// Adds an access key, or changes all but its user and project.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, key: &AccessKey) -> Result<(), Error> {
    txn.put_record(&ACCESS_KEYS, key.access.as_str().as_bytes(), &AccessKeyRecord::of(key))?;
    Ok(txn.put(&BY_USER, user_key(&key.user).text(key.access.as_str()).bytes(), &[])?)
}

/// Removes an access key; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, access: &AccessId) -> Result<bool, Error> {
    let Some(key) = get(txn, access)? else { return Ok(false) };
    txn.remove(&BY_USER, user_key(&key.user).text(access.as_str()).bytes())?;
    Ok(txn.remove(&ACCESS_KEYS, access.as_str().as_bytes())?)
}

/// Every access key, by its public half.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<AccessKey>, Error> {
    let mut found = Vec::new();
    rows.scan(&ACCESS_KEYS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

/// A user's access keys, by their public half.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list_of_user(rows: &impl Rows, user: &UserId) -> Result<Vec<AccessKey>, Error> {
    let mut ids = Vec::new();
    rows.scan_prefix(&BY_USER, user_key(user).bytes(), &mut |key, _| {
        let mut reader = KeyReader::new(key);
        ids.push(reader.text().and_then(|_| reader.text()));
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.ok_or_else(|| db::Error::Corrupt("an access key's index key".into()))?;
        found.extend(get(rows, &AccessId(id))?);
    }
    Ok(found)
}

/// Removes a user's access keys.
pub(super) fn delete_of_user(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    list_of_user(txn, user)?.iter().try_for_each(|key| delete(txn, &key.access).map(drop))
}

/// Removes the access keys for a project.
pub(super) fn delete_of_project(txn: &WriteTxn, project: &ProjectId) -> Result<(), Error> {
    let keys = list(txn)?;
    let of_it = keys.iter().filter(|key| key.project == *project);
    of_it.into_iter().try_for_each(|key| delete(txn, &key.access).map(drop))
}

/// Switches a user's access keys off.
///
/// # Errors
/// When the database fails.
pub fn disable_of_user(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    list_of_user(txn, user)?.into_iter().try_for_each(|key| disable(txn, key))
}

/// Switches the access keys for a project off.
///
/// # Errors
/// When the database fails.
pub fn disable_of_project(txn: &WriteTxn, project: &ProjectId) -> Result<(), Error> {
    let keys = list(txn)?;
    keys.into_iter().filter(|key| key.project == *project).try_for_each(|key| disable(txn, key))
}

fn disable(txn: &WriteTxn, key: AccessKey) -> Result<(), Error> {
    put(txn, &AccessKey { enabled: false, ..key })
}

/// The root that a sealed box keeps; `None` before its first access key.
///
/// # Errors
/// When the database fails.
pub fn root(rows: &impl Rows) -> Result<Option<Zeroizing<[u8; ROOT_BYTES]>>, Error> {
    let Some(bytes) = rows.get(&ROOT, ROOT_KEY)?.map(Zeroizing::new) else { return Ok(None) };
    match <[u8; ROOT_BYTES]>::try_from(bytes.as_slice()) {
        Ok(root) => Ok(Some(Zeroizing::new(root))),
        Err(_) => Err(db::Error::Corrupt("the root of access keys".into()).into()),
    }
}

/// Keeps the root of a sealed box.
///
/// # Errors
/// When the database fails.
pub fn put_root(txn: &WriteTxn, root: &[u8; ROOT_BYTES]) -> Result<(), Error> {
    Ok(txn.put(&ROOT, ROOT_KEY, root)?)
}

fn user_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let key = read(key, value)?;
    Ok(vec![(user_key(&key.user).text(key.access.as_str()).into_bytes(), Vec::new())])
}

fn read(key: &[u8], value: &[u8]) -> Result<AccessKey, Unreadable> {
    let access = String::from_utf8(key.to_vec());
    let access =
        access.map_err(|_| Unreadable { name: "access key", reason: "its id is not text".into() })?;
    Ok(codec::decode::<AccessKeyRecord>(value)?.into_key(AccessId(access)))
}
