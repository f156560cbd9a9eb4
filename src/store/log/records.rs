//! What log objects and snapshots hold.
//!
//! Entries and rows are kept as the catalog's own bytes, each with its version, so that shipping
//! never has to read, and cannot change, what it carries.

use serde::{Deserialize, Serialize};

use crate::base::Time;
use crate::db::codec::Record;

/// A log object: its footer is all it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Number of the first entry.
    pub first: u64,
    /// When it was written, in microseconds since the epoch: the catalog of this moment is known
    /// once the object is read. [`UNKNOWN`] where more entries were waiting than one object takes.
    pub written_at: i64,
    /// The entries, as the journal had them.
    pub entries: Vec<Vec<u8>>,
}

impl Record for LogRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "log";
}

/// The time of no moment.
pub const UNKNOWN: i64 = 0;

impl LogRecord {
    /// Whatever was acknowledged before this moment is known once the object is read.
    pub fn complete_until(&self) -> Option<Time> {
        (self.written_at != UNKNOWN).then_some(Time(self.written_at))
    }

    /// The number after its last entry.
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.entries.len() as u64)
    }
}

/// The footer of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFooter {
    /// The number of the first entry it does not hold.
    pub next: u64,
    /// When it was written, in microseconds since the epoch.
    pub written_at: i64,
    /// Its sections: tables by name, rows by key.
    pub sections: Vec<SectionEntry>,
}

impl Record for SnapshotFooter {
    const VERSION: u8 = 1;
    const NAME: &'static str = "snapshot";
}

/// One section: rows of one table, compressed with zstd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionEntry {
    /// The table.
    pub table: String,
    /// Where the section lies.
    pub offset: u64,
    /// Stored bytes.
    pub stored_bytes: u32,
    /// Bytes before compression.
    pub raw_bytes: u32,
}

/// A section's rows, in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRows {
    /// Key and value of each.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Record for SnapshotRows {
    const VERSION: u8 = 1;
    const NAME: &'static str = "snapshot rows";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_forms_are_golden() {
        let log = LogRecord { first: 2, written_at: 3, entries: vec![vec![1, 9]] };
        let bytes = encode(&log);
        assert_eq!(
            hex::encode(&bytes),
            "010200000000000000030000000000000001000000000000000200000000000000\
             0109"
        );
        assert_eq!(decode::<LogRecord>(&bytes).unwrap(), log);
        assert_eq!(log.next(), 3);

        let section = SectionEntry { table: "t-1".into(), offset: 64, stored_bytes: 5, raw_bytes: 6 };
        let footer = SnapshotFooter { next: 2, written_at: 3, sections: vec![section] };
        let bytes = encode(&footer);
        assert_eq!(
            hex::encode(&bytes),
            "010200000000000000030000000000000001000000000000000300000000000000\
             742d3140000000000000000500000006000000"
        );
        assert_eq!(decode::<SnapshotFooter>(&bytes).unwrap(), footer);

        let rows = SnapshotRows { rows: vec![(vec![7], vec![8, 9])] };
        let bytes = encode(&rows);
        assert_eq!(hex::encode(&bytes), "01010000000000000001000000000000000702000000000000000809");
        assert_eq!(decode::<SnapshotRows>(&bytes).unwrap(), rows);
    }
}
