//! The rows of parity, and what a parity object says of itself.
//!
//! Invariant: a parity object has a row only after it is durable, and the row goes in the commit
//! after which both objects are gone. Its name follows from the object it protects, so it is found without the row as well.

use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::object::Written;
use super::code::Shape;
use crate::db::codec::{self, Record, Unreadable};
use crate::db::{Rows, Table, WriteTxn};

/// Parity objects, by the id of the object each protects.
pub const PARITY: Table = Table::derived("parity-1");
/// What all of them take: one row with an empty key.
pub const PARITY_TOTALS: Table = Table::derived("parity-totals-1");

/// A parity object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityRow {
    /// Its length, and where its footer lies in it.
    pub stored: Written,
}

impl Record for ParityRow {
    const VERSION: u8 = 2;
    const NAME: &'static str = "parity";

    fn decode_other(version: u8, body: &[u8]) -> Result<ParityRow, Unreadable> {
        match version {
            1 => codec::decode_body(&Written::add_unknown_sum(body, 0)),
            _ => Err(Unreadable { name: Self::NAME, reason: format!("version {version} is unknown") }),
        }
    }
}

/// What all parity takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityTotals {
    /// Parity objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Record for ParityTotals {
    const VERSION: u8 = 1;
    const NAME: &'static str = "parity totals";
}

/// The footer of a parity object. Its sections are the parity shards, group after group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityFooter {
    /// The kind of the object it protects.
    pub kind: u8,
    /// The length of that object.
    pub bytes: u64,
    /// Bytes of a shard.
    pub shard_bytes: u32,
    /// Groups; shard `i` of the object is in group `i mod groups`.
    pub groups: u32,
    /// Parity shards of each group.
    pub parity: u32,
    /// BLAKE3 of each shard of the object, the last one filled up with zeros.
    pub shards: Vec<[u8; 32]>,
    /// BLAKE3 of each parity shard.
    pub parity_shards: Vec<[u8; 32]>,
}

impl Record for ParityFooter {
    const VERSION: u8 = 1;
    const NAME: &'static str = "parity footer";
}

impl ParityFooter {
    /// The shape of the object, when what is said here can be.
    pub fn shape(&self) -> Option<Shape> {
        let shards = u32::try_from(self.shards.len()).ok()?;
        let shape = Shape { shard_bytes: self.shard_bytes, shards, groups: self.groups, parity: self.parity };
        let complete = || self.parity_shards.len() as u64 == u64::from(self.groups) * u64::from(self.parity);
        (shape.is_possible(self.bytes) && complete()).then_some(shape)
    }
}

/// Gives a parity object its row.
pub fn put(txn: &WriteTxn, object: &[u8; 16], row: &ParityRow) -> Result<(), Error> {
    forget(txn, object)?;
    let mut totals: ParityTotals = txn.record(&PARITY_TOTALS, &[])?.unwrap_or_default();
    totals.objects += 1;
    totals.bytes += row.stored.object_bytes;
    txn.put_record(&PARITY_TOTALS, &[], &totals)?;
    Ok(txn.put_record(&PARITY, object, row)?)
}

/// Takes the row of what protected an object away.
pub fn forget(txn: &WriteTxn, object: &[u8]) -> Result<(), Error> {
    if let Some(row) = txn.record::<ParityRow>(&PARITY, object)? {
        let mut totals: ParityTotals = txn.record(&PARITY_TOTALS, &[])?.unwrap_or_default();
        totals.objects = totals.objects.saturating_sub(1);
        totals.bytes = totals.bytes.saturating_sub(row.stored.object_bytes);
        txn.put_record(&PARITY_TOTALS, &[], &totals)?;
        txn.remove(&PARITY, object)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::object::Section;
    use super::*;
    use crate::db::codec::encode;

    #[test]
    fn records_are_golden() {
        let row = ParityRow {
            stored: Written {
                object_bytes: 1,
                footer: Section { offset: 2, bytes: 3, counter: 4 },
                sum: [8; 32],
            },
        };
        let start = "01000000000000000200000000000000030000000400000000000000";
        assert_eq!(hex::encode(encode(&row)), format!("02{start}{}", "08".repeat(32)));
        let first_form = codec::decode::<ParityRow>(&hex::decode(format!("01{start}")).unwrap()).unwrap();
        assert_eq!(first_form, ParityRow { stored: Written { sum: [0; 32], ..row.stored } });
        let footer = ParityFooter {
            kind: 1,
            bytes: 2,
            shard_bytes: 3,
            groups: 4,
            parity: 5,
            shards: vec![[6; 32]],
            parity_shards: vec![[7; 32]],
        };
        assert_eq!(
            hex::encode(encode(&footer)),
            format!(
                "01010200000000000000030000000400000005000000{one}{}{one}{}",
                "06".repeat(32),
                "07".repeat(32),
                one = "0100000000000000"
            )
        );
        assert_eq!(footer.shape(), None);
        assert_eq!(
            hex::encode(encode(&ParityTotals { objects: 1, bytes: 2 })),
            "0101000000000000000200000000000000"
        );
    }
}
