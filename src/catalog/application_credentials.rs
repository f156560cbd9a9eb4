//! Application credentials by id, and by name among those of their user; and the users' access rules.
//!
//! Invariants: a name belongs to one credential of a user; a credential that goes takes its tokens along; a rule
//! that a credential names stays. Must not know who may make or use one.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::application_credential::{AccessRuleRecord, ApplicationCredentialRecord};
use super::tokens;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::{AccessRule, ApplicationCredential, ApplicationCredentialId, ProjectId, UserId};

/// Id.
const CREDENTIALS: Table = Table::facts("application-credentials-1");
/// User, id of the rule.
const ACCESS_RULES: Table = Table::facts("access-rules-1");
/// User, name: its id.
const BY_USER: Table = Table::derived("application-credentials-by-user-1");
/// The tables that the index follows from.
pub(super) const FACTS: [Table; 2] = [CREDENTIALS, ACCESS_RULES];
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: CREDENTIALS, derived: BY_USER, follow: user_rows };

fn name_key(user: &UserId, name: &str) -> Key {
    Key::new().text(user.as_str()).text(name)
}

fn rule_key(user: &UserId, id: &str) -> Key {
    Key::new().text(user.as_str()).text(id)
}

/// The credential with this id.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: &ApplicationCredentialId) -> Result<Option<ApplicationCredential>, Error> {
    let record = rows.record::<ApplicationCredentialRecord>(&CREDENTIALS, id.as_str().as_bytes())?;
    Ok(record.map(|record| record.into_credential(id.clone())))
}

/// The credential of a user with this name.
///
/// # Errors
/// When the database fails.
pub fn find(rows: &impl Rows, user: &UserId, name: &str) -> Result<Option<ApplicationCredential>, Error> {
    match rows.get(&BY_USER, name_key(user, name).bytes())? {
        Some(id) => get(rows, &id_from(&id)?),
        None => Ok(None),
    }
}

/// A user's credentials, by name.
///
/// # Errors
/// When the database fails.
pub fn list_of_user(rows: &impl Rows, user: &UserId) -> Result<Vec<ApplicationCredential>, Error> {
    let mut ids = Vec::new();
    rows.scan_prefix(&BY_USER, Key::new().text(user.as_str()).bytes(), &mut |_, id| {
        ids.push(id.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(get(rows, &id_from(&id)?)?);
    }
    Ok(found)
}

/// Adds a credential.
///
/// # Errors
/// [`Error::Exists`] when its user has one of this name.
pub fn insert(txn: &WriteTxn, credential: &ApplicationCredential) -> Result<(), Error> {
    let name = name_key(&credential.user, &credential.name);
    if txn.get(&BY_USER, name.bytes())?.is_some() {
        return Err(Error::Exists(format!(
            "Conflict occurred attempting to store application_credential - the user has one with name {} already.",
            credential.name
        )));
    }
    let id = credential.id.as_str().as_bytes();
    txn.put(&BY_USER, name.bytes(), id)?;
    Ok(txn.put_record(&CREDENTIALS, id, &ApplicationCredentialRecord::of(credential))?)
}

/// Removes a credential and the tokens that were made with it; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, id: &ApplicationCredentialId) -> Result<bool, Error> {
    let Some(credential) = get(txn, id)? else { return Ok(false) };
    tokens::retain_of_user(txn, &credential.user, |token| {
        Ok(token.application_credential.as_ref() != Some(id))
    })?;
    txn.remove(&BY_USER, name_key(&credential.user, &credential.name).bytes())?;
    Ok(txn.remove(&CREDENTIALS, id.as_str().as_bytes())?)
}

/// Removes a user's credentials and access rules.
pub(super) fn delete_of_user(txn: &WriteTxn, user: &UserId) -> Result<(), Error> {
    for credential in list_of_user(txn, user)? {
        delete(txn, &credential.id)?;
    }
    for rule in access_rules(txn, user)? {
        delete_access_rule(txn, user, &rule.id)?;
    }
    Ok(())
}

/// Removes the credentials for a project.
pub(super) fn delete_of_project(txn: &WriteTxn, project: &ProjectId) -> Result<(), Error> {
    let mut found = Vec::new();
    txn.scan(&CREDENTIALS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    for credential in found {
        let credential = credential?;
        if credential.project == *project {
            delete(txn, &credential.id)?;
        }
    }
    Ok(())
}

/// An access rule of a user.
///
/// # Errors
/// When the database fails.
pub fn access_rule(rows: &impl Rows, user: &UserId, id: &str) -> Result<Option<AccessRule>, Error> {
    let record = rows.record::<AccessRuleRecord>(&ACCESS_RULES, rule_key(user, id).bytes())?;
    Ok(record.map(|record| record.into_rule(id.to_owned())))
}

/// A user's access rules, by id.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn access_rules(rows: &impl Rows, user: &UserId) -> Result<Vec<AccessRule>, Error> {
    let mut found = Vec::new();
    rows.scan_prefix(&ACCESS_RULES, Key::new().text(user.as_str()).bytes(), &mut |key, value| {
        let mut reader = KeyReader::new(key);
        let id = reader.text().and_then(|_| reader.text());
        found.push((id, codec::decode::<AccessRuleRecord>(value)));
        ControlFlow::Continue(())
    })?;
    let mut rules = Vec::with_capacity(found.len());
    for (id, record) in found {
        let id = id.ok_or_else(|| db::Error::Corrupt("an access rule's key".into()))?;
        rules.push(record?.into_rule(id));
    }
    Ok(rules)
}

/// Adds an access rule.
///
/// # Errors
/// When the database fails.
pub fn put_access_rule(txn: &WriteTxn, user: &UserId, rule: &AccessRule) -> Result<(), Error> {
    Ok(txn.put_record(&ACCESS_RULES, rule_key(user, &rule.id).bytes(), &AccessRuleRecord::of(rule))?)
}

/// Removes an access rule; says whether there was one. That no credential names it is the caller's to see to.
///
/// # Errors
/// When the database fails.
pub fn delete_access_rule(txn: &WriteTxn, user: &UserId, id: &str) -> Result<bool, Error> {
    Ok(txn.remove(&ACCESS_RULES, rule_key(user, id).bytes())?)
}

fn user_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let credential = read(key, value)?;
    Ok(vec![(name_key(&credential.user, &credential.name).into_bytes(), key.to_vec())])
}

fn id_from(bytes: &[u8]) -> Result<ApplicationCredentialId, Unreadable> {
    let wrong = |_| Unreadable { name: "application credential", reason: "its id is not text".into() };
    Ok(ApplicationCredentialId(String::from_utf8(bytes.to_vec()).map_err(wrong)?))
}

fn read(key: &[u8], value: &[u8]) -> Result<ApplicationCredential, Unreadable> {
    Ok(codec::decode::<ApplicationCredentialRecord>(value)?.into_credential(id_from(key)?))
}
