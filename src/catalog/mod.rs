//! Records: images, members, identities, tokens. Has never heard of a chunk.
//!
//! An interface of operations in domain types; redb (behind [`crate::db`]) is its one
//! implementation. Writing operations take the caller's transaction, so that several layers
//! commit together. Invariant: every index row follows from a fact row, and changes with it in
//! the same transaction.

mod error;
pub mod identity;
pub mod images;
mod index;
pub mod members;
mod records;
pub mod tokens;

pub use error::Error;

use crate::db::{ReadTxn, Table};

/// Every table of the catalog that holds facts: what a lost catalog is rebuilt from.
pub fn fact_tables() -> Vec<Table> {
    [&images::FACTS[..], &[members::MEMBERS], &identity::FACTS].concat()
}

/// Names of derived tables whose rows are not those that follow from the facts. There are none but
/// for a fault of the program. Memory does not grow with the catalog.
///
/// # Errors
/// When the database fails, or a fact is unreadable.
pub fn differing_indexes(read: &ReadTxn) -> Result<Vec<&'static str>, Error> {
    let mut comparison = index::Comparison::new(read);
    images::compare_index(&mut comparison)?;
    members::compare_index(&mut comparison)?;
    identity::compare_indexes(&mut comparison)?;
    tokens::compare_indexes(&mut comparison)?;
    Ok(comparison.differing())
}
