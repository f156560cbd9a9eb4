//! Running totals of what is stored, in one row that changes in the commits that change them.
//!
//! Invariant: the row says what a count of all rows would say, so that neither a scrape nor
//! `stats` has to count. A catalog without the row (a new one, a rebuilt one) is counted once,
//! when the store opens.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use crate::db::codec::Record;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::StorePlace;

/// The one row's table.
pub const TOTALS: Table = Table::derived("totals-1");
/// Its key.
pub const ROW: &[u8] = b"totals";
/// What the keys of rows of places begin with; their numbers follow.
const PLACE_ROW: &[u8] = b"place-";

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Packs.
    pub packs: u64,
    /// Chunks in them, each once.
    pub chunks: u64,
    /// Bytes of these chunks before compression.
    pub chunk_bytes: u64,
    /// Streams.
    pub contents: u64,
    /// Bytes of all streams, as whoever reads them sees it.
    pub content_bytes: u64,
    /// Bytes of all objects: packs and manifests.
    pub stored_bytes: u64,
}

impl Record for Stats {
    const VERSION: u8 = 1;
    const NAME: &'static str = "totals";
}

impl Stats {
    /// A pack alone.
    pub(super) fn of_pack(row: &PackRow) -> Stats {
        Stats {
            packs: 1,
            chunks: row.chunks.into(),
            chunk_bytes: row.raw_bytes,
            stored_bytes: row.stored.object_bytes,
            ..Stats::default()
        }
    }

    /// A stream alone.
    pub(super) fn of_content(row: &ContentRow) -> Stats {
        Stats {
            contents: 1,
            content_bytes: row.size_bytes,
            stored_bytes: row.stored.object_bytes,
            ..Stats::default()
        }
    }

    fn with(self, other: Stats, sum: impl Fn(u64, u64) -> u64) -> Stats {
        Stats {
            packs: sum(self.packs, other.packs),
            chunks: sum(self.chunks, other.chunks),
            chunk_bytes: sum(self.chunk_bytes, other.chunk_bytes),
            contents: sum(self.contents, other.contents),
            content_bytes: sum(self.content_bytes, other.content_bytes),
            stored_bytes: sum(self.stored_bytes, other.stored_bytes),
        }
    }
}

/// What lies on one medium of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStats {
    /// Packs.
    pub packs: u64,
    /// Bytes of the chunks in them before compression.
    pub chunk_bytes: u64,
    /// Bytes of their objects.
    pub stored_bytes: u64,
}

impl Record for PlaceStats {
    const VERSION: u8 = 1;
    const NAME: &'static str = "totals of a place";
}

impl PlaceStats {
    fn of_pack(row: &PackRow) -> PlaceStats {
        PlaceStats { packs: 1, chunk_bytes: row.raw_bytes, stored_bytes: row.stored.object_bytes }
    }

    /// The same less `other`.
    pub(super) fn less(self, other: PlaceStats) -> PlaceStats {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: PlaceStats, sum: impl Fn(u64, u64) -> u64) -> PlaceStats {
        PlaceStats {
            packs: sum(self.packs, other.packs),
            chunk_bytes: sum(self.chunk_bytes, other.chunk_bytes),
            stored_bytes: sum(self.stored_bytes, other.stored_bytes),
        }
    }
}

fn place_key(place: StorePlace) -> Vec<u8> {
    [PLACE_ROW, &[place.0]].concat()
}

/// What lies at a place beside the home.
pub fn at_place(rows: &impl Rows, place: StorePlace) -> Result<PlaceStats, Error> {
    Ok(rows.record(&TOTALS, &place_key(place))?.unwrap_or_default())
}

/// Notes a pack that a transaction adds.
pub fn add_pack(txn: &WriteTxn, row: &PackRow) -> Result<(), Error> {
    change_place(txn, row, u64::saturating_add)?;
    add(txn, Stats::of_pack(row))
}

/// Notes a pack that a transaction takes away.
pub fn subtract_pack(txn: &WriteTxn, row: &PackRow) -> Result<(), Error> {
    change_place(txn, row, u64::saturating_sub)?;
    subtract(txn, Stats::of_pack(row))
}

fn change_place(txn: &WriteTxn, row: &PackRow, sum: impl Fn(u64, u64) -> u64) -> Result<(), Error> {
    let place = row.realm().place;
    if place.is_home() {
        return Ok(());
    }
    let totals = at_place(txn, place)?.with(PlaceStats::of_pack(row), sum);
    Ok(txn.put_record(&TOTALS, &place_key(place), &totals)?)
}

/// The totals, where they have been counted.
pub fn read(rows: &impl Rows) -> Result<Option<Stats>, Error> {
    Ok(rows.record(&TOTALS, ROW)?)
}

/// Notes what a transaction adds.
pub fn add(txn: &WriteTxn, more: Stats) -> Result<(), Error> {
    change(txn, |totals| totals.with(more, u64::saturating_add))
}

/// Notes what a transaction takes away.
pub fn subtract(txn: &WriteTxn, less: Stats) -> Result<(), Error> {
    change(txn, |totals| totals.with(less, u64::saturating_sub))
}

/// Counts every row, and keeps the result.
pub fn recount(txn: &WriteTxn) -> Result<(), Error> {
    let mut stale = Vec::new();
    txn.scan_prefix(&TOTALS, PLACE_ROW, &mut |key, _| {
        stale.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    stale.iter().try_for_each(|key| txn.remove(&TOTALS, key).map(drop))?;
    for (place, totals) in count_places(txn)? {
        txn.put_record(&TOTALS, &place_key(place), &totals)?;
    }
    let totals = count(txn)?;
    Ok(txn.put_record(&TOTALS, ROW, &totals)?)
}

fn change(txn: &WriteTxn, by: impl FnOnce(Stats) -> Stats) -> Result<(), Error> {
    let totals = read(txn)?.unwrap_or_default();
    Ok(txn.put_record(&TOTALS, ROW, &by(totals))?)
}

/// Counts the packs of each place beside the home.
pub fn count_places(rows: &impl Rows) -> Result<BTreeMap<StorePlace, PlaceStats>, Error> {
    let mut places: BTreeMap<StorePlace, PlaceStats> = BTreeMap::new();
    rows::each(rows, &PACKS, |_, row: PackRow| {
        let place = row.realm().place;
        if !place.is_home() {
            let totals = places.entry(place).or_default();
            *totals = totals.with(PlaceStats::of_pack(&row), u64::saturating_add);
        }
        Ok(())
    })?;
    Ok(places)
}

/// Counts every row.
pub fn count(rows: &impl Rows) -> Result<Stats, Error> {
    let mut totals = Stats::default();
    rows::each(rows, &PACKS, |_, row: PackRow| {
        totals = totals.with(Stats::of_pack(&row), u64::saturating_add);
        Ok(())
    })?;
    rows::each(rows, &CONTENTS, |_, row: ContentRow| {
        totals = totals.with(Stats::of_content(&row), u64::saturating_add);
        Ok(())
    })?;
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::codec::encode;

    #[test]
    fn the_row_is_golden() {
        let totals =
            Stats { packs: 1, chunks: 2, chunk_bytes: 3, contents: 4, content_bytes: 5, stored_bytes: 6 };
        let numbers = (1..=6).map(|n| format!("0{n}00000000000000")).collect::<String>();
        assert_eq!(hex::encode(encode(&totals)), format!("01{numbers}"));
        let place = PlaceStats { packs: 1, chunk_bytes: 2, stored_bytes: 3 };
        let numbers = (1..=3).map(|n| format!("0{n}00000000000000")).collect::<String>();
        assert_eq!(hex::encode(encode(&place)), format!("01{numbers}"));
        assert_eq!(place_key(StorePlace(7)), b"place-\x07");
    }
}
