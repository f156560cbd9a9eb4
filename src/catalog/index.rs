//! Rebuilding and checking of derived tables, row by row or a page at a time, so that memory does
//! not grow with the catalog.
//!
//! Must not know what any table means.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use crate::db::{Db, ReadTxn, RowSum, Rows, Table, row_hash};

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 256;
/// Rows written or removed in one transaction, but for those of the last fact.
const BATCH_ROWS: usize = 4096;

/// A key and its value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// The rows that follow from a key and its value.
pub(super) type Follow = fn(&[u8], &[u8]) -> Result<Vec<Row>, Error>;

/// A derived table: which rows it has follows from each row of another table alone.
#[derive(Clone, Copy)]
pub(super) struct Index {
    /// What it follows from.
    pub(super) facts: Table,
    /// The table itself.
    pub(super) derived: Table,
    /// Its rows for one row of the other.
    pub(super) follow: Follow,
}

impl Index {
    /// Whether the table has exactly the rows that follow, as of one snapshot.
    pub(super) fn is_whole(&self, read: &ReadTxn) -> Result<bool, Error> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let (mut wanted, mut found) = (RowSum::default(), RowSum::default());
        for fact in read.rows(&self.facts, all)? {
            let (key, value) = fact?;
            for (key, value) in (self.follow)(&key, &value)? {
                wanted.add(&row_hash(&key, &value));
            }
        }
        for row in read.rows(&self.derived, all)? {
            let (key, value) = row?;
            found.add(&row_hash(&key, &value));
        }
        Ok(wanted == found)
    }

    /// Makes the table anew. For a catalog that nobody else writes to.
    pub(super) fn rebuild(&self, db: &Db) -> Result<(), Error> {
        self.clear(db)?;
        let mut after = None;
        loop {
            let facts = page(&db.read()?, &self.facts, after.as_deref(), PAGE_ROWS)?;
            let mut rows = Vec::new();
            for (key, value) in &facts {
                rows.extend((self.follow)(key, value)?);
                if rows.len() >= BATCH_ROWS {
                    self.put(db, std::mem::take(&mut rows))?;
                }
            }
            self.put(db, rows)?;
            match facts.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    fn put(&self, db: &Db, mut rows: Vec<Row>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        // Neighbours in the table share its pages.
        rows.sort_unstable();
        let table = self.derived;
        db.write(move |txn| Ok(rows.iter().try_for_each(|(key, value)| txn.put(&table, key, value))?))
    }

    fn clear(&self, db: &Db) -> Result<(), Error> {
        loop {
            let rows = page(&db.read()?, &self.derived, None, BATCH_ROWS)?;
            if rows.is_empty() {
                return Ok(());
            }
            let table = self.derived;
            db.write(move |txn| {
                Ok::<_, Error>(rows.iter().try_for_each(|(key, _)| txn.remove(&table, key).map(drop))?)
            })?;
        }
    }
}

fn page(rows: &impl Rows, table: &Table, after: Option<&[u8]>, count: usize) -> Result<Vec<Row>, Error> {
    let mut page = Vec::new();
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    rows.scan(table, (start, Bound::Unbounded), false, &mut |key, value| {
        page.push((key.to_vec(), value.to_vec()));
        if page.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(page)
}
