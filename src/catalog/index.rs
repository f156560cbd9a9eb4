//! Rebuilding and checking of derived tables, row by row or a page at a time, so that memory does
//! not grow with the catalog.
//!
//! Must not know what any table means.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use crate::db::{Db, ReadTxn, RowSum, Rows, Table, row_hash};

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 256;
/// Rows removed in one transaction.
const REMOVED_ROWS: usize = 4096;
/// Rows written in one transaction take at most about this much memory, but for those of the last
/// page. They go in sorted, and the more there are at once the fewer pages are written twice.
const BATCH_BYTES: usize = 16 << 20;
/// What a row takes beside its bytes.
const ROW_BYTES: usize = 64;

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
        clear(db, &self.derived)?;
        let mut after = None;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let facts = page(&db.read()?, &self.facts, after.as_deref(), PAGE_ROWS)?;
            for (key, value) in &facts {
                let more = (self.follow)(key, value)?;
                bytes += more.iter().map(|(key, value)| key.len() + value.len() + ROW_BYTES).sum::<usize>();
                rows.extend(more);
            }
            let Some((last, _)) = facts.into_iter().next_back() else { return self.put(db, rows) };
            after = Some(last);
            if bytes > BATCH_BYTES {
                self.put(db, std::mem::take(&mut rows))?;
                bytes = 0;
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
}

/// Removes every row of a derived table, some at a time.
pub(super) fn clear(db: &Db, table: &Table) -> Result<(), Error> {
    let table = *table;
    loop {
        let rows = page(&db.read()?, &table, None, REMOVED_ROWS)?;
        if rows.is_empty() {
            return Ok(());
        }
        db.write(move |txn| {
            Ok::<_, Error>(rows.iter().try_for_each(|(key, _)| txn.remove(&table, key).map(drop))?)
        })?;
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
