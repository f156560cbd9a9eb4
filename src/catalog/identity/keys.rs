//! Reading of tables whose keys say everything.
//!
//! Must not know what any table means.

use std::ops::ControlFlow;

use crate::catalog::Error;
use crate::db::{self, Key, KeyReader, Rows, Table};

/// What the keys that begin with `prefix` say, in their order.
pub(super) fn keys_below<T>(
    rows: &impl Rows,
    table: &Table,
    prefix: &Key,
    read: fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut is_whole = true;
    rows.scan_prefix(table, prefix.bytes(), &mut |key, _| match read(key) {
        Some(said) => {
            found.push(said);
            ControlFlow::Continue(())
        }
        None => {
            is_whole = false;
            ControlFlow::Break(())
        }
    })?;
    if is_whole { Ok(found) } else { Err(unreadable(table)) }
}

/// Whether any key begins with `prefix`.
pub(super) fn has_below(rows: &impl Rows, table: &Table, prefix: &Key) -> Result<bool, Error> {
    let mut found = false;
    rows.scan_prefix(table, prefix.bytes(), &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// A key of two texts.
pub(super) fn pair_key(first: &str, second: &str) -> Key {
    Key::new().text(first).text(second)
}

/// What [`pair_key`] was made of.
pub(super) fn pair(key: &[u8]) -> Option<(String, String)> {
    let mut reader = KeyReader::new(key);
    Some((reader.text()?, reader.text()?))
}

/// What is wrong when a key of a table says nothing.
pub(super) fn unreadable(table: &Table) -> Error {
    db::Error::Corrupt(format!("a key of the table {}", table.name)).into()
}
