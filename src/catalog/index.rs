//! Rebuilding of derived tables, a page at a time so that memory does not grow with the catalog.
//!
//! Must not know what any table means.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use crate::db::{Rows, Table, WriteTxn};

/// Rows held in memory at once.
const PAGE_ROWS: usize = 1024;

type Row = (Vec<u8>, Vec<u8>);

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

fn page(rows: &impl Rows, table: &Table, after: Option<&[u8]>) -> Result<Vec<Row>, Error> {
    let mut page = Vec::new();
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    rows.scan(table, (start, Bound::Unbounded), false, &mut |key, value| {
        page.push((key.to_vec(), value.to_vec()));
        if page.len() < PAGE_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(page)
}
