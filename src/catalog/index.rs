//! Rebuilding and checking of derived tables, row by row or a page at a time, so that memory does
//! not grow with the catalog.
//!
//! Must not know what any table means.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use crate::db::{ReadTxn, RowSum, Rows, Table, WriteTxn, row_hash};

/// Rows held in memory at once.
const PAGE_ROWS: usize = 1024;

/// A key and its value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Removes every row.
pub(super) fn clear(txn: &WriteTxn, table: &Table) -> Result<(), Error> {
    loop {
        let rows = page(txn, table, None)?;
        if rows.is_empty() {
            return Ok(());
        }
        for (key, _) in rows {
            txn.remove(table, &key)?;
        }
    }
}

/// Hands every row to `visit`, which may write to other tables of the same transaction.
pub(super) fn each_page(
    txn: &WriteTxn,
    table: &Table,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let rows = page(txn, table, after.as_deref())?;
        for (key, value) in &rows {
            visit(key, value)?;
        }
        match rows.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Compares derived tables with the facts they follow from, as of one snapshot.
pub(super) struct Comparison<'a> {
    read: &'a ReadTxn,
    differing: Vec<&'static str>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(read: &'a ReadTxn) -> Comparison<'a> {
        Comparison { read, differing: Vec::new() }
    }

    /// Notes whether `derived` has exactly the rows that `follow` makes of the rows of `facts`.
    pub(super) fn compare(
        &mut self,
        facts: &Table,
        derived: &Table,
        follow: impl Fn(&[u8], &[u8]) -> Result<Vec<Row>, Error>,
    ) -> Result<(), Error> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let (mut wanted, mut found) = (RowSum::default(), RowSum::default());
        for fact in self.read.rows(facts, all)? {
            let (key, value) = fact?;
            for (key, value) in follow(&key, &value)? {
                wanted.add(&row_hash(&key, &value));
            }
        }
        for row in self.read.rows(derived, all)? {
            let (key, value) = row?;
            found.add(&row_hash(&key, &value));
        }
        if wanted != found {
            self.differing.push(derived.name);
        }
        Ok(())
    }

    /// Names of the tables that differ.
    pub(super) fn differing(self) -> Vec<&'static str> {
        self.differing
    }
}

fn page(rows: &impl Rows, table: &Table, after: Option<&[u8]>) -> Result<Vec<Row>, Error> {
    let mut page = Vec::new();
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    rows.scan(table, (start, Bound::Unbounded), false, &mut |key, value| {
        page.push((key.to_vec(), value.to_vec()));
        if page.len() < PAGE_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(page)
}
