//! Metadata definitions by the names of their namespaces: each namespace, and beside it what it defines, so that a
//! listing of namespaces reads no definitions.
//!
//! Invariant: definitions are there only where their namespace is. Must not know who sees a namespace, nor any bound.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::metadef::{DefinitionsRecord, NamespaceRecord};
use crate::db::codec::{self, Unreadable};
use crate::db::{Rows, Table, WriteTxn};
use crate::model::metadef::{Definitions, Namespace};

/// Name.
const NAMESPACES: Table = Table::facts("metadef-namespaces-1");
/// Name of the namespace.
const DEFINITIONS: Table = Table::facts("metadef-definitions-1");
/// Nothing follows from them: there are few enough to be looked through.
pub(super) const FACTS: [Table; 2] = [NAMESPACES, DEFINITIONS];

/// The namespace with this name.
///
/// # Errors
/// When the database fails, or the record is unreadable.
pub fn get(rows: &impl Rows, name: &str) -> Result<Option<Namespace>, Error> {
    let record = rows.record::<NamespaceRecord>(&NAMESPACES, name.as_bytes())?;
    Ok(record.map(|record| record.into_namespace(name.to_owned())))
}

/// Every namespace, by name.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<Namespace>, Error> {
    let mut found = Vec::new();
    rows.scan(&NAMESPACES, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

/// How many namespaces there are.
///
/// # Errors
/// When the database fails.
pub fn count(rows: &impl Rows) -> Result<u64, Error> {
    Ok(rows.count(&NAMESPACES)?)
}

/// What a namespace defines; nothing where it defines nothing, or is not there.
///
/// # Errors
/// When the database fails, or the record is unreadable.
pub fn definitions(rows: &impl Rows, name: &str) -> Result<Definitions, Error> {
    let record = rows.record::<DefinitionsRecord>(&DEFINITIONS, name.as_bytes())?;
    Ok(record.map(Definitions::from).unwrap_or_default())
}

/// Adds a namespace.
///
/// # Errors
/// [`Error::Exists`] when there is one of its name.
pub fn insert(txn: &WriteTxn, namespace: &Namespace) -> Result<(), Error> {
    if txn.get(&NAMESPACES, namespace.name.as_bytes())?.is_some() {
        return Err(Error::Exists(format!("there is a namespace {:?} already", namespace.name)));
    }
    put(txn, namespace)
}

/// Replaces the namespace called `name`, which may get another name.
///
/// # Errors
/// [`Error::Exists`] when another namespace has the new name.
pub fn update(txn: &WriteTxn, name: &str, namespace: &Namespace) -> Result<(), Error> {
    if namespace.name == name {
        return put(txn, namespace);
    }
    insert(txn, namespace)?;
    let definitions = definitions(txn, name)?;
    put_definitions(txn, &namespace.name, &definitions)?;
    remove(txn, name)
}

/// Replaces what a namespace defines.
///
/// # Errors
/// [`Error::Missing`] when there is no such namespace.
pub fn put_definitions(txn: &WriteTxn, name: &str, definitions: &Definitions) -> Result<(), Error> {
    if txn.get(&NAMESPACES, name.as_bytes())?.is_none() {
        return Err(Error::Missing(format!("there is no namespace {name:?}")));
    }
    if definitions.is_empty() {
        txn.remove(&DEFINITIONS, name.as_bytes())?;
        return Ok(());
    }
    Ok(txn.put_record(&DEFINITIONS, name.as_bytes(), &DefinitionsRecord::from(definitions))?)
}

/// Removes a namespace and all that it defines.
///
/// # Errors
/// When the database fails.
pub fn remove(txn: &WriteTxn, name: &str) -> Result<(), Error> {
    txn.remove(&NAMESPACES, name.as_bytes())?;
    txn.remove(&DEFINITIONS, name.as_bytes())?;
    Ok(())
}

fn put(txn: &WriteTxn, namespace: &Namespace) -> Result<(), Error> {
    Ok(txn.put_record(&NAMESPACES, namespace.name.as_bytes(), &NamespaceRecord::of(namespace))?)
}

fn read(key: &[u8], value: &[u8]) -> Result<Namespace, Unreadable> {
    let name = String::from_utf8(key.to_vec());
    let name = name.map_err(|error| Unreadable { name: "namespace", reason: error.to_string() })?;
    Ok(codec::decode::<NamespaceRecord>(value)?.into_namespace(name))
}

#[cfg(test)]
#[path = "metadefs_tests.rs"]
mod tests;
