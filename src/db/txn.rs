//! Transactions: rows in, rows out. A write transaction also notes what changed, for the journal.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::codec::{self, Record};
use super::error::{Error, caught};
use super::journal::Change;
use super::table::{Known, Table};

/// What reading a row range hands to its visitor: go on, or stop.
pub type Visit = ControlFlow<()>;

/// Rows that can be read: a snapshot, or a write transaction that sees its own changes.
pub trait Rows {
    /// The value at `key`.
    ///
    /// # Errors
    /// When the medium fails.
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits the rows of `range` in key order, or in reverse.
    ///
    /// # Errors
    /// When the medium fails.
    fn scan(
        &self,
        table: &Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error>;

    /// How many rows the table has; costs no scan.
    ///
    /// # Errors
    /// When the medium fails.
    fn count(&self, table: &Table) -> Result<u64, Error>;

    /// The record at `key`.
    ///
    /// # Errors
    /// When the medium fails or the bytes are no such record.
    fn record<R: Record>(&self, table: &Table, key: &[u8]) -> Result<Option<R>, Error>
    where
        Self: Sized,
    {
        self.get(table, key)?.map(|bytes| codec::decode(&bytes).map_err(Error::from)).transpose()
    }

    /// Visits every row whose key starts with `prefix`, in key order.
    ///
    /// # Errors
    /// When the medium fails.
    fn scan_prefix(
        &self,
        table: &Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        self.scan(table, (Bound::Included(prefix), Bound::Unbounded), false, &mut |key, value| {
            if key.starts_with(prefix) { visit(key, value) } else { ControlFlow::Break(()) }
        })
    }
}

type ReadTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A consistent snapshot. Never blocks the writer.
pub struct ReadTxn {
    inner: redb::ReadTransaction,
    // Opening a table costs as much as a cached look-up: keep those already open.
    open: RefCell<HashMap<&'static str, Option<std::rc::Rc<ReadTable>>>>,
}

impl ReadTxn {
    pub(super) fn begin(database: &redb::Database) -> Result<ReadTxn, Error> {
        caught(|| Ok(ReadTxn { inner: database.begin_read()?, open: RefCell::default() }))
    }

    fn table(&self, table: &Table) -> Result<Option<std::rc::Rc<ReadTable>>, Error> {
        if let Some(open) = self.open.borrow().get(table.name) {
            return Ok(open.clone());
        }
        let opened = match self.inner.open_table(table.definition()) {
            Ok(opened) => Some(std::rc::Rc::new(opened)),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        self.open.borrow_mut().insert(table.name, opened.clone());
        Ok(opened)
    }

    /// Pulls the rows of `range` one at a time, from either end. For merging several ranges.
    ///
    /// # Errors
    /// When the medium fails; each item can fail likewise.
    #[allow(clippy::type_complexity)]
    pub fn rows(
        &self,
        table: &Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), Error>> + use<>, Error> {
        let rows = match self.table(table)? {
            Some(open) => Some(open.range::<&[u8]>(range)?),
            None => None,
        };
        Ok(rows.into_iter().flatten().map(|row| {
            let (key, value) = row?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        }))
    }
}

type Guard<'t> = redb::AccessGuard<'t, &'static [u8]>;

fn visit_rows<'t>(
    rows: impl DoubleEndedIterator<Item = Result<(Guard<'t>, Guard<'t>), redb::StorageError>>,
    reverse: bool,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
) -> Result<(), Error> {
    let mut stops = |row: Result<(Guard<'t>, Guard<'t>), redb::StorageError>| {
        let (key, value) = row?;
        Ok::<_, Error>(visit(key.value(), value.value()).is_break())
    };
    if reverse {
        for row in rows.rev() {
            if stops(row)? {
                break;
            }
        }
    } else {
        for row in rows {
            if stops(row)? {
                break;
            }
        }
    }
    Ok(())
}

impl Rows for ReadTxn {
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        caught(|| match self.table(table)? {
            Some(open) => Ok(open.get(key)?.map(|value| value.value().to_vec())),
            None => Ok(None),
        })
    }

    fn scan(
        &self,
        table: &Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        caught(|| match self.table(table)? {
            Some(open) => visit_rows(open.range::<&[u8]>(range)?, reverse, visit),
            None => Ok(()),
        })
    }

    fn count(&self, table: &Table) -> Result<u64, Error> {
        caught(|| match self.table(table)? {
            Some(open) => Ok(open.len()?),
            None => Ok(0),
        })
    }
}

/// The one write transaction of the moment. Sees its own changes.
///
/// A group of callers shares it (see `writer.rs`): a closure given one must be repeatable, since
/// it runs again when a neighbour in the group fails.
pub struct WriteTxn {
    pub(super) inner: redb::WriteTransaction,
    pub(super) known: Arc<Known>,
    pub(super) changes: RefCell<Vec<Change>>,
    pub(super) after: RefCell<Vec<After>>,
}

/// What follows from a commit.
pub(super) type After = Box<dyn FnOnce()>;

impl WriteTxn {
    /// Does this once the commit is durable, before anyone hears of it and before the next one; never
    /// when it fails. For what memory holds of the rows: quick, and without a wish of its own to write.
    pub fn after_commit(&self, what: impl FnOnce() + 'static) {
        self.after.borrow_mut().push(Box::new(what));
    }

    /// Sets the row at `key`.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn put(&self, table: &Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.inner.open_table(table.definition())?.insert(key, value)?;
        self.note(table, key, Some(value))
    }

    /// Sets the record at `key`.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn put_record<R: Record>(&self, table: &Table, key: &[u8], record: &R) -> Result<(), Error> {
        self.put(table, key, &codec::encode(record))
    }

    /// Removes the row at `key`; says whether there was one.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn remove(&self, table: &Table, key: &[u8]) -> Result<bool, Error> {
        let removed = self.inner.open_table(table.definition())?.remove(key)?.is_some();
        if removed {
            self.note(table, key, None)?;
        }
        Ok(removed)
    }

    /// Makes a change that some journal has told of already: it is not journaled again.
    ///
    /// # Errors
    /// [`Error::UnknownTable`], or when the medium fails.
    pub fn replay(&self, change: &Change) -> Result<(), Error> {
        let known = self.known.facts.iter().find(|table| table.name == change.table);
        let definition = known.ok_or_else(|| Error::UnknownTable(change.table.clone()))?.definition();
        let mut open = self.inner.open_table(definition)?;
        match &change.value {
            Some(value) => open.insert(&change.key[..], &value[..])?,
            None => open.remove(&change.key[..])?,
        };
        Ok(())
    }

    fn note(&self, table: &Table, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        if !self.known.journals(table)? {
            return Ok(());
        }
        self.changes.borrow_mut().push(Change {
            table: table.name.to_owned(),
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
        });
        Ok(())
    }
}

impl Rows for WriteTxn {
    fn get(&self, table: &Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let open = self.inner.open_table(table.definition())?;
        let value = open.get(key)?.map(|value| value.value().to_vec());
        Ok(value)
    }

    fn scan(
        &self,
        table: &Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        let open = self.inner.open_table(table.definition())?;
        visit_rows(open.range::<&[u8]>(range)?, reverse, visit)
    }

    fn count(&self, table: &Table) -> Result<u64, Error> {
        Ok(self.inner.open_table(table.definition())?.len()?)
    }
}
