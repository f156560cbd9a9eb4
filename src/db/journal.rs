//! The journal: each commit's logical changes to fact tables, kept until they are in the store.
//!
//! A commit that changes facts appends one entry in the same transaction. Whoever ships entries
//! to the store ([`crate::store`]) removes them once they are durable there.

use serde::{Deserialize, Serialize};

use super::codec::Record;
use super::table::Table;

/// One changed row of a fact table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The table's name.
    pub table: String,
    /// The row's key.
    pub key: Vec<u8>,
    /// The row's new value; `None` when it was removed.
    pub value: Option<Vec<u8>>,
}

/// The changes of one commit, in the order they were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Rows changed.
    pub changes: Vec<Change>,
}

impl Record for JournalEntry {
    const VERSION: u8 = 1;
    const NAME: &'static str = "journal entry";
}

/// Entries by sequence number.
pub(super) const JOURNAL: Table = Table::derived("journal-1");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_entry_form_is_golden() {
        let entry = JournalEntry {
            changes: vec![Change { table: "t-1".into(), key: vec![7], value: Some(vec![8, 9]) }],
        };
        let bytes = encode(&entry);
        assert_eq!(
            hex::encode(&bytes),
            "01010000000000000003000000000000007\
             42d3101000000000000000701020000000000000\
             00809"
                .replace(' ', "")
        );
        assert_eq!(decode::<JournalEntry>(&bytes).unwrap(), entry);
    }
}
