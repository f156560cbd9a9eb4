//! The rows of damage: one a damaged object, and one a lost chunk, by its name.
//!
//! Invariant: every lost chunk of a damaged pack whose name is known has its row, so that whoever
//! stores the same chunk again is noticed. Names are those of the catalog, which tell nothing of a
//! sealed chunk.

use serde::{Deserialize, Serialize};

use crate::db::codec::Record;
use crate::db::{Key, KeyReader, Table};

/// Damaged objects, by what they are.
pub const DAMAGE: Table = Table::derived("damage-1");
/// Lost chunks, by domain, name, pack and ordinal: where the same chunk was stored again, once it
/// was.
pub const LOST: Table = Table::derived("lost-1");

/// A damaged object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageRow {
    /// Its object's id: a next generation has another.
    pub object: [u8; 16],
    /// When it was found, in microseconds since the epoch.
    pub found_at: i64,
    /// The first thing that was found.
    pub reason: String,
    /// Runs of damaged 1 MiB blocks: first, and how many. None where that cannot be told.
    pub blocks: Vec<(u32, u32)>,
    /// Whether nothing of it can be used: of a pack, because its list of chunks is lost.
    pub all: bool,
    /// The key domain of the lost chunks.
    pub domain: u32,
    /// A pack's chunks that cannot be read any more, as far as they are known, by ordinal.
    pub lost: Vec<LostChunk>,
}

/// A lost chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostChunk {
    /// Its ordinal in the pack.
    pub ordinal: u32,
    /// Its length.
    pub bytes: u32,
    /// Its name outside sealed objects.
    pub name: [u8; 32],
}

impl Record for DamageRow {
    const VERSION: u8 = 1;
    const NAME: &'static str = "damage";
}

/// What every lost chunk of this name has in common.
pub fn lost_prefix(domain: u32, name: &[u8; 32]) -> Vec<u8> {
    Key::new().number32(domain).fixed(name).into_bytes()
}

/// A lost chunk's key.
pub fn lost_key(domain: u32, name: &[u8; 32], (pack, ordinal): (u64, u32)) -> Vec<u8> {
    Key::new().number32(domain).fixed(name).number(pack).number32(ordinal).into_bytes()
}

/// The keys of a pack's lost chunks, sorted.
pub fn lost_keys(pack: u64, row: &DamageRow) -> Vec<Vec<u8>> {
    let key = |chunk: &LostChunk| lost_key(row.domain, &chunk.name, (pack, chunk.ordinal));
    let mut keys: Vec<Vec<u8>> = row.lost.iter().map(key).collect();
    keys.sort_unstable();
    keys
}

/// Where a lost chunk was stored again, as its row has it.
pub fn source(pack: u64, ordinal: u32) -> Vec<u8> {
    Key::new().number(pack).number32(ordinal).into_bytes()
}

/// Where a lost chunk was stored again, if it was.
pub fn read_source(value: &[u8]) -> Option<(u64, u32)> {
    let mut reader = KeyReader::new(value);
    Some((reader.number()?, reader.number32()?))
}

/// Numbers in ascending order, as runs.
pub fn runs(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, count)) if first.checked_add(*count) == Some(number) => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::encode;

    #[test]
    fn rows_are_golden() {
        let row = DamageRow {
            object: [1; 16],
            found_at: 2,
            reason: "ab".into(),
            blocks: vec![(3, 4)],
            all: true,
            domain: 5,
            lost: vec![LostChunk { ordinal: 6, bytes: 7, name: [8; 32] }],
        };
        assert_eq!(
            hex::encode(encode(&row)),
            format!(
                "01{}{}{}{}{}{}{}{}",
                "01".repeat(16),
                "0200000000000000",
                "02000000000000006162",
                "01000000000000000300000004000000",
                "01",
                "05000000",
                "01000000000000000600000007000000",
                "08".repeat(32)
            )
        );
        let key = lost_key(5, &[8; 32], (9, 10));
        assert!(key.starts_with(&lost_prefix(5, &[8; 32])));
        assert_eq!(lost_keys(9, &row), [lost_key(5, &[8; 32], (9, 6))]);
        assert_eq!(read_source(&source(9, 10)), Some((9, 10)));
        assert_eq!(read_source(&[]), None);
    }

    #[test]
    fn neighbours_are_one_run() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 1), (9, 2)]);
        assert_eq!(runs([u32::MAX]), [(u32::MAX, 1)]);
    }
}
