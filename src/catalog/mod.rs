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

use crate::db::Table;

/// Every table of the catalog that holds facts: what a lost catalog is rebuilt from.
pub fn fact_tables() -> Vec<Table> {
    [&images::FACTS[..], &[members::MEMBERS], &identity::FACTS].concat()
}
