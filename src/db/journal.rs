//! The journal: each commit's logical changes to fact tables, kept until they are in the store.
//!
//! A commit that changes facts appends one entry in the same transaction, under the next number.
//! Whoever ships entries elsewhere removes them once they are durable there. Invariant: numbers
//! have no gap, and removing entries makes none.

use std::ops::{Bound, ControlFlow};

use serde::{Deserialize, Serialize};

use super::codec::Record;
use super::error::Error;
use super::open::{Db, JOURNAL_NEXT, META};
use super::table::Table;
use super::txn::{ReadTxn, Rows};

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

/// Entries by number.
pub(super) const JOURNAL: Table = Table::derived("journal-1");

impl ReadTxn {
    /// The number the next entry gets: the snapshot holds the changes of all entries below it.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn journal_next(&self) -> Result<u64, Error> {
        let value = self.get(&META, JOURNAL_NEXT)?;
        Ok(value.and_then(|v| v.try_into().ok().map(u64::from_be_bytes)).unwrap_or(0))
    }

    /// The entries that were not removed yet, in order, each with its number and as it is stored:
    /// a [`JournalEntry`] record.
    ///
    /// # Errors
    /// When the medium fails; each item can fail likewise.
    pub fn journal(&self) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>), Error>> + use<>, Error> {
        let rows = self.rows(&JOURNAL, (Bound::Unbounded, Bound::Unbounded))?;
        Ok(rows.map(|row| {
            let (key, entry) = row?;
            let number = key.try_into().map_err(|_| Error::Corrupt("a journal key".into()))?;
            Ok((u64::from_be_bytes(number), entry))
        }))
    }

    /// How many entries were not removed yet; costs no scan.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn journal_len(&self) -> Result<u64, Error> {
        self.count(&JOURNAL)
    }
}

impl Db {
    /// Lets the next entry have number `next`: this file goes on where a lost one ended.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn continue_journal(&self, next: u64) -> Result<(), Error> {
        self.write(move |txn| txn.put(&META, JOURNAL_NEXT, &next.to_be_bytes()))
    }

    /// Removes the journal's entries below `next`: they are durable elsewhere.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn forget_journal(&self, next: u64) -> Result<(), Error> {
        self.write(move |txn| {
            let mut keys = Vec::new();
            let end = next.to_be_bytes();
            txn.scan(&JOURNAL, (Bound::Unbounded, Bound::Excluded(&end)), false, &mut |key, _| {
                keys.push(key.to_vec());
                ControlFlow::Continue(())
            })?;
            for key in keys {
                txn.remove(&JOURNAL, &key)?;
            }
            Ok::<_, Error>(())
        })
    }
}

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
