//! Credentials that are kept for others, by id, and by user.
//!
//! Invariant: none outlives its user or its project. Must not know what one says, nor how that is sealed.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::credential::CredentialRecord;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::credential::Credential;
use crate::model::{ProjectId, UserId};

/// Id.
pub(super) const CREDENTIALS: Table = Table::facts("credentials-1");
/// User, id.
const BY_USER: Table = Table::derived("credentials-by-user-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: CREDENTIALS, derived: BY_USER, follow: user_rows };

fn user_key(user: &UserId) -> Key {
    Key::new().text(user.as_str())
}

/// The credential with this id.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: &str) -> Result<Option<Credential>, Error> {
    let record = rows.record::<CredentialRecord>(&CREDENTIALS, id.as_bytes())?;
    Ok(record.map(|record| record.into_credential(id.to_owned())))
}

/// Adds a credential, or changes all of it but its user.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, credential: &Credential) -> Result<(), Error> {
    txn.put_record(&CREDENTIALS, credential.id.as_bytes(), &CredentialRecord::of(credential))?;
    Ok(txn.put(&BY_USER, user_key(&credential.user).text(&credential.id).bytes(), &[])?)
}

/// Removes a credential; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, id: &str) -> Result<bool, Error> {
    let Some(credential) = get(txn, id)? else { return Ok(false) };
    txn.remove(&BY_USER, user_key(&credential.user).text(id).bytes())?;
    Ok(txn.remove(&CREDENTIALS, id.as_bytes())?)
}

/// Every credential, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<Credential>, Error> {
    let mut found = Vec::new();
    rows.scan(&CREDENTIALS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

/// A user's credentials, by id.
///
/// # Errors
/// When the database fails.
pub fn list_of_user(rows: &impl Rows, user: &UserId) -> Result<Vec<Credential>, Error> {
    let mut ids = Vec::new();
    rows.scan_prefix(&BY_USER, user_key(user).bytes(), &mut |key, _| {
        let mut reader = KeyReader::new(key);
        ids.push(reader.text().and_then(|_| reader.text()));
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.ok_or_else(|| db::Error::Corrupt("a credential's index key".into()))?;
        found.extend(get(rows, &id)?);
    }
    Ok(found)
}

/// Removes a user's credentials.
pub(super) fn delete_of_user(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    list_of_user(txn, user)?.iter().try_for_each(|one| delete(txn, &one.id).map(drop))
}

/// Removes the credentials for a project.
pub(super) fn delete_of_project(txn: &WriteTxn, project: &ProjectId) -> Result<(), Error> {
    let all = list(txn)?;
    let of_it = all.iter().filter(|one| one.project.as_ref() == Some(project));
    of_it.into_iter().try_for_each(|one| delete(txn, &one.id).map(drop))
}

fn user_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let credential = read(key, value)?;
    Ok(vec![(user_key(&credential.user).text(&credential.id).into_bytes(), Vec::new())])
}

fn read(key: &[u8], value: &[u8]) -> Result<Credential, Unreadable> {
    let id = String::from_utf8(key.to_vec());
    let id = id.map_err(|_| Unreadable { name: "credential", reason: "its id is not text".into() })?;
    Ok(codec::decode::<CredentialRecord>(value)?.into_credential(id))
}
