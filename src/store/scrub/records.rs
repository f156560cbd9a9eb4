//! The scrub's rows: one for the round, and one a stored object for when it was compared last.
//!
//! Invariant: rows of objects go with the objects, so they never outnumber them for long.

use serde::{Deserialize, Serialize};

use crate::db::Table;
use crate::db::codec::Record;

/// The round: one row with an empty key.
pub const ROUND: Table = Table::derived("scrub-1");
/// When each object was compared with its trailer last, by object id.
pub const VERIFIED: Table = Table::derived("verified-1");

/// The round that is under way, or the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Rounds so far, this one included. Clocks may go back; this does not.
    pub number: u64,
    /// When it began, in microseconds since the epoch.
    pub started_at: i64,
    /// The number of the first pack that came after it began, and is the next one's.
    pub next_pack: u64,
    /// When the last complete one ended; 0 for never.
    pub completed_at: i64,
    /// Whether it is under way.
    pub is_under_way: bool,
    /// Objects compared in it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Record for Round {
    const VERSION: u8 = 1;
    const NAME: &'static str = "scrub round";
}

/// When an object was compared last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When, in microseconds since the epoch.
    pub at: i64,
    /// In which round.
    pub round: u64,
}

impl Record for Verified {
    const VERSION: u8 = 1;
    const NAME: &'static str = "verified object";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::encode;

    #[test]
    fn rows_are_golden() {
        let round = Round {
            number: 1,
            started_at: 2,
            next_pack: 3,
            completed_at: 4,
            is_under_way: true,
            objects: 5,
            bytes: 6,
        };
        assert_eq!(
            hex::encode(encode(&round)),
            "010100000000000000020000000000000003000000000000000400000000000000\
             0105000000000000000600000000000000"
        );
        assert_eq!(hex::encode(encode(&Verified { at: 1, round: 2 })), "0101000000000000000200000000000000");
    }
}
