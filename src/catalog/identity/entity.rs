//! What domains, projects, users and roles have in common: an id, a name that is unique within
//! a space, and the two tables that keep both.

use std::ops::ControlFlow;

use crate::catalog::Error;
use crate::catalog::index::{Index, Row};
use crate::db::codec::{self, Record};
use crate::db::{Key, Rows, Table, WriteTxn};

/// A named thing with an id. Implemented in `kinds.rs` only.
pub trait Entity: Sized {
    /// Its id.
    type Id: Clone + std::fmt::Display;
    /// Its form on disk.
    type Record: Record;
    /// What it is called in messages.
    const KIND: &'static str;
    /// Id to record.
    const FACTS: Table;
    /// Space and name to id.
    const NAMES: Table;

    /// Its id.
    fn id(&self) -> &Self::Id;
    /// The id's text.
    fn id_text(id: &Self::Id) -> &str;
    /// An id out of its text.
    fn id_from(text: String) -> Self::Id;
    /// The space its name is unique in; empty for the whole installation.
    fn space(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// The name as it is compared; most kinds compare exactly.
    fn folded(name: &str) -> String {
        name.to_owned()
    }
    /// Its form on disk.
    fn record(&self) -> Self::Record;
    /// Itself, out of its form on disk.
    fn from_record(id: Self::Id, record: Self::Record) -> Self;
}

fn name_key<E: Entity>(space: &str, name: &str) -> Key {
    Key::new().text(space).text(&E::folded(name))
}

/// The thing with this id.
///
/// # Errors
/// When the database fails.
pub fn get<E: Entity>(rows: &impl Rows, id: &E::Id) -> Result<Option<E>, Error> {
    let record = rows.record::<E::Record>(&E::FACTS, E::id_text(id).as_bytes())?;
    Ok(record.map(|record| E::from_record(id.clone(), record)))
}

/// The thing with this name in this space.
///
/// # Errors
/// When the database fails.
pub fn find<E: Entity>(rows: &impl Rows, space: &str, name: &str) -> Result<Option<E>, Error> {
    match rows.get(&E::NAMES, name_key::<E>(space, name).bytes())? {
        Some(id) => get(rows, &E::id_from(text(id)?)),
        None => Ok(None),
    }
}

/// Every thing of the kind that `keep` wants, in id order.
///
/// # Errors
/// When the database fails.
pub fn list<E: Entity>(rows: &impl Rows, keep: impl Fn(&E) -> bool) -> Result<Vec<E>, Error> {
    let mut found = Vec::new();
    let mut failed = None;
    rows.scan_prefix(&E::FACTS, &[], &mut |key, value| match read::<E>(key, value) {
        Ok(entity) => {
            if keep(&entity) {
                found.push(entity);
            }
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(found), Err)
}

/// How many things of the kind there are; costs no scan.
///
/// # Errors
/// When the database fails.
pub fn count<E: Entity>(rows: &impl Rows) -> Result<u64, Error> {
    Ok(rows.count(&E::FACTS)?)
}

/// Every thing of the kind in one space, in name order.
///
/// # Errors
/// When the database fails.
pub fn list_in<E: Entity>(rows: &impl Rows, space: &str) -> Result<Vec<E>, Error> {
    let mut ids = Vec::new();
    rows.scan_prefix(&E::NAMES, Key::new().text(space).bytes(), &mut |_, id| {
        ids.push(id.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(get::<E>(rows, &E::id_from(text(id)?))?);
    }
    Ok(found)
}

/// The things of one space, or of all; with one name, or any.
///
/// # Errors
/// When the database fails.
pub fn matching<E: Entity>(
    rows: &impl Rows,
    space: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<E>, Error> {
    match (space, name) {
        (Some(space), Some(name)) => Ok(find(rows, space, name)?.into_iter().collect()),
        (Some(space), None) => list_in(rows, space),
        (None, Some(name)) => {
            let name = E::folded(name);
            list(rows, |entity: &E| E::folded(entity.name()) == name)
        }
        (None, None) => list(rows, |_| true),
    }
}

/// Adds a thing.
///
/// # Errors
/// [`Error::Exists`] when its id or name is taken.
pub fn insert<E: Entity>(txn: &WriteTxn, entity: &E) -> Result<(), Error> {
    if txn.get(&E::FACTS, E::id_text(entity.id()).as_bytes())?.is_some() {
        return Err(Error::Exists(format!("there is a {} with id {} already", E::KIND, entity.id())));
    }
    claim_name(txn, entity)?;
    Ok(txn.put_record(&E::FACTS, E::id_text(entity.id()).as_bytes(), &entity.record())?)
}

/// Replaces a thing's record, and its name where that changed.
///
/// # Errors
/// [`Error::Exists`] when its new name is taken.
pub fn update<E: Entity>(txn: &WriteTxn, entity: &E) -> Result<(), Error> {
    if let Some(old) = get::<E>(txn, entity.id())? {
        txn.remove(&E::NAMES, name_key::<E>(old.space(), old.name()).bytes())?;
    }
    claim_name(txn, entity)?;
    Ok(txn.put_record(&E::FACTS, E::id_text(entity.id()).as_bytes(), &entity.record())?)
}

/// Removes a thing's own rows; what refers to it is the caller's to remove.
pub(super) fn remove<E: Entity>(txn: &WriteTxn, entity: &E) -> Result<(), Error> {
    txn.remove(&E::NAMES, name_key::<E>(entity.space(), entity.name()).bytes())?;
    txn.remove(&E::FACTS, E::id_text(entity.id()).as_bytes())?;
    Ok(())
}

/// How the names follow from the records.
pub(super) const fn names<E: Entity>() -> Index {
    Index { facts: E::FACTS, derived: E::NAMES, follow: name_rows::<E> }
}

fn name_rows<E: Entity>(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let entity = read::<E>(key, value)?;
    Ok(vec![(name_key::<E>(entity.space(), entity.name()).into_bytes(), key.to_vec())])
}

fn claim_name<E: Entity>(txn: &WriteTxn, entity: &E) -> Result<(), Error> {
    let key = name_key::<E>(entity.space(), entity.name());
    if let Some(holder) = txn.get(&E::NAMES, key.bytes())? {
        let (kind, name) = (E::KIND, entity.name());
        let place = match entity.space() {
            "" => String::new(),
            space => format!(" in domain {space}"),
        };
        let holder = text(holder)?;
        return Err(Error::Exists(format!(
            "Conflict occurred attempting to store {kind} - the name {name} is taken{place} by {kind} {holder}."
        )));
    }
    Ok(txn.put(&E::NAMES, key.bytes(), E::id_text(entity.id()).as_bytes())?)
}

fn read<E: Entity>(key: &[u8], value: &[u8]) -> Result<E, Error> {
    let id = E::id_from(text(key.to_vec())?);
    Ok(E::from_record(id, codec::decode(value)?))
}

pub(super) fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| crate::db::Error::Corrupt("an id is not text".into()).into())
}
