//! Whether a snapshot and the log after it tell the same rows as the catalog.
//!
//! Both sides become one sum of row hashes a table, so that neither has to be held or written
//! anywhere (a second catalog on disk would show a sealed store's names). Rows that the log changed
//! are kept as hashes while they are summed, at most [`CHANGES_MAX`] at a time: a longer log takes
//! several passes, each over another part of all keys.

use std::collections::HashMap;
use std::ops::Bound;

use super::super::Store;
use super::super::error::Error;
use super::shelf::{Shelved, damaged};
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Change, JournalEntry, ReadTxn, RowHash, RowSum, Table, row_hash};

/// Changed rows of one pass; some 100 bytes of memory each.
const CHANGES_MAX: u64 = 1 << 17;

/// One pass over a part of all keys.
struct Pass<'a> {
    facts: &'a [Table],
    part: u64,
    parts: u64,
    /// Table and present row of every key the log changed; `None` where it was removed.
    changed: HashMap<[u8; 16], Option<(usize, RowHash)>>,
    described: Vec<RowSum>,
    found: Vec<RowSum>,
}

impl<'a> Pass<'a> {
    fn new(facts: &'a [Table], part: u64, parts: u64) -> Pass<'a> {
        let sums = vec![RowSum::default(); facts.len()];
        Pass { facts, part, parts, changed: HashMap::new(), described: sums.clone(), found: sums }
    }

    fn table(&self, name: &str) -> Result<usize, Unreadable> {
        self.facts.iter().position(|table| table.name == name).ok_or_else(|| Unreadable {
            name: "log",
            reason: format!("this release knows no table {name:?}"),
        })
    }

    /// The key's short name, when it belongs to this part.
    fn key(&self, table: usize, key: &[u8]) -> Option<[u8; 16]> {
        let hash = blake3::Hasher::new().update(&(table as u64).to_le_bytes()).update(key).finalize();
        let short: [u8; 16] = *hash.as_bytes().first_chunk()?;
        (u128::from_le_bytes(short) % u128::from(self.parts) == u128::from(self.part)).then_some(short)
    }

    fn change(&mut self, change: &Change) -> Result<(), Unreadable> {
        let table = self.table(&change.table)?;
        if let Some(key) = self.key(table, &change.key) {
            let row = change.value.as_ref().map(|value| (table, row_hash(&change.key, value)));
            self.changed.insert(key, row);
        }
        Ok(())
    }

    fn snapshot_row(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        let table = self.table(table)?;
        if self.key(table, key).is_some_and(|short| !self.changed.contains_key(&short)) {
            self.described[table].add(&row_hash(key, value));
        }
        Ok(())
    }

    fn catalog_row(&mut self, table: usize, key: &[u8], value: &[u8]) {
        if self.key(table, key).is_some() {
            self.found[table].add(&row_hash(key, value));
        }
    }

    /// Tables whose rows differ.
    fn differing(mut self) -> Vec<Error> {
        for (table, row) in self.changed.values().flatten() {
            self.described[*table].add(row);
        }
        let tables = self.facts.iter().zip(self.described.iter().zip(&self.found));
        tables
            .filter(|(_, (described, found))| described != found)
            .map(|(table, (described, found))| {
                let reason = format!(
                    "of the rows looked at it tells {} and the catalog holds {}, or they differ in content",
                    described.rows, found.rows
                );
                Error::damaged(format!("table {} in the store's log", table.name), reason)
            })
            .collect()
    }
}

impl Store {
    /// Tables in which the catalog differs from what `base` and `logs` tell, with what the journal
    /// still has to tell. `logs` go on from `base` without a gap.
    pub(super) fn compare(
        &self,
        base: &Shelved,
        logs: &[Shelved],
        read: &ReadTxn,
    ) -> Result<Vec<Error>, Error> {
        let mut changes = 0;
        self.each_change(base, logs, read, &mut |_| {
            changes += 1;
            Ok(())
        })?;
        let facts = self.inner.db.facts();
        let parts = 1 + changes / CHANGES_MAX;
        let mut differing = Vec::new();
        for part in 0..parts {
            let mut pass = Pass::new(facts, part, parts);
            self.each_change(base, logs, read, &mut |change| pass.change(change))?;
            self.read_snapshot(base, &mut |table, key, value| {
                pass.snapshot_row(table, key, value).map_err(|error| damaged(base, error))
            })?;
            for (number, table) in facts.iter().enumerate() {
                for row in read.rows(table, (Bound::Unbounded, Bound::Unbounded))? {
                    let (key, value) = row?;
                    pass.catalog_row(number, &key, &value);
                }
            }
            differing.extend(pass.differing());
        }
        Ok(differing)
    }

    /// Visits every change after `base`, each once and in order.
    fn each_change(
        &self,
        base: &Shelved,
        logs: &[Shelved],
        read: &ReadTxn,
        visit: &mut dyn FnMut(&Change) -> Result<(), Unreadable>,
    ) -> Result<(), Error> {
        let end = read.journal_next()?;
        let mut at = base.number;
        let mut each = |number, entry: &[u8]| {
            if (at..end).contains(&number) {
                codec::decode::<JournalEntry>(entry)?.changes.iter().try_for_each(&mut *visit)?;
                at = number + 1;
            }
            Ok::<_, Unreadable>(())
        };
        for log in logs {
            let record = self.read_log(log)?;
            for (number, entry) in (record.first..).zip(&record.entries) {
                each(number, entry).map_err(|error| damaged(log, error))?;
            }
        }
        for entry in read.journal()? {
            let (number, entry) = entry?;
            each(number, &entry).map_err(db::Error::from)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: [Table; 2] = [Table::facts("a-1"), Table::facts("b-1")];

    fn change(table: &str, key: u8, value: Option<u8>) -> Change {
        Change { table: table.into(), key: vec![key], value: value.map(|v| vec![v]) }
    }

    /// Differences over all passes; the catalog has b-1 (key 3, value 9) and `wrong` instead of 9.
    fn differences(parts: u64, last: u8) -> usize {
        let passes = (0..parts).map(|part| {
            let mut pass = Pass::new(&FACTS, part, parts);
            pass.change(&change("a-1", 1, None)).unwrap();
            pass.change(&change("b-1", 3, Some(8))).unwrap();
            pass.change(&change("b-1", 3, Some(9))).unwrap();
            for key in 1..=100 {
                pass.snapshot_row("a-1", &[key], &[key]).unwrap();
            }
            for key in 2..=100 {
                pass.catalog_row(0, &[key], &[key]);
            }
            pass.catalog_row(1, &[3], &[last]);
            pass.differing().len()
        });
        passes.sum()
    }

    #[test]
    fn passes_together_see_every_row_once() {
        for parts in [1, 2, 7] {
            assert_eq!(differences(parts, 9), 0);
            assert_eq!(differences(parts, 8), 1);
        }
    }

    #[test]
    fn a_table_of_another_release_is_no_surprise() {
        let mut pass = Pass::new(&FACTS, 0, 1);
        assert!(pass.change(&change("c-1", 1, None)).unwrap_err().to_string().contains("c-1"));
    }
}
