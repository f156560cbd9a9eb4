//! How far packs have been compared with each other. One derived row, so that a pass goes on after a
//! restart; without it everything is compared again.
//!
//! Invariant: what the cursor passed was compared, and what was found there has been dealt with.

use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::unmarked::UPKEEP;
use super::super::{Store, rows};
use crate::base::Time;
use crate::db::Rows;
use crate::db::codec::Record;

const KEY: &[u8] = b"dedup-cursor";

/// Where a pass is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Packs up to this one were compared with each other.
    pub compared: u64,
    /// The last pack of the batch that is being compared with all before it; 0 between two batches.
    pub batch: u64,
    /// Packs up to this one were compared with the batch.
    pub scanned: u64,
    /// When the last pass got to the newest pack, in microseconds since the epoch; 0 for never.
    pub finished_at: i64,
}

impl Cursor {
    /// After the batch was compared with all before it.
    pub fn past_batch(self) -> Cursor {
        Cursor { compared: self.batch, batch: 0, scanned: 0, ..self }
    }
}

impl Record for Cursor {
    const VERSION: u8 = 1;
    const NAME: &'static str = "place of the comparison of packs";
}

impl Store {
    /// Where the present pass is, or the last one ended.
    pub(super) fn dedup_cursor(&self) -> Result<Cursor, Error> {
        Ok(self.inner.db.read()?.record(&UPKEEP, KEY)?.unwrap_or_default())
    }

    /// Remembers it.
    pub(super) fn keep_dedup_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        self.inner.db.write(move |txn| Ok(txn.put_record(&UPKEEP, KEY, &cursor)?))
    }

    /// Whether packs came in that were not compared with the others, and the last pass that had
    /// nothing left to compare is `interval_s` seconds ago.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_uncompared_packs(&self, interval_s: u64) -> Result<bool, Error> {
        let cursor = self.dedup_cursor()?;
        let due_at = Time(cursor.finished_at).plus_seconds(interval_s.try_into().unwrap_or(i64::MAX));
        let read = self.inner.db.read()?;
        Ok((cursor.finished_at == 0 || due_at <= self.inner.clock.now())
            && !rows::packs_after(&read, cursor.compared, 1)?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::{decode, encode};

    #[test]
    fn the_cursor_is_golden() {
        let cursor = Cursor { compared: 1, batch: 2, scanned: 3, finished_at: 4 };
        let bytes = "010100000000000000020000000000000003000000000000000400000000000000";
        assert_eq!(hex::encode(encode(&cursor)), bytes);
        assert_eq!(decode::<Cursor>(&hex::decode(bytes).unwrap()).unwrap(), cursor);
    }
}
