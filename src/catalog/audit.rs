//! The audit chain: records by number, each with the hash of the one before; the anchor that takes the place of
//! what was pruned from its front; and how far it was forwarded.
//!
//! Facts, so that a rebuilt catalog goes on with the same chain. Invariant: numbers have no gap, and the first
//! record that is kept follows the anchor. Must not know who may read them, nor what any operation means.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::trace::{AnchorRecord, TraceRecord};
use crate::base::Time;
use crate::db::codec;
use crate::db::{self, ReadTxn, Rows, Table, WriteTxn};
use crate::model::trace::{Trace, TraceContent, TraceHead};

/// Records by number.
const AUDIT: Table = Table::facts("audit-1");
/// One row: the last record that was pruned.
const ANCHOR: Table = Table::facts("audit-anchor-1");
/// The tables that hold facts.
pub(super) const FACTS: [Table; 2] = [AUDIT, ANCHOR];
/// One row: the last record that was forwarded. It ends with the file: who has no place to go on from sends all again.
pub(super) const CURSOR: Table = Table::derived("audit-cursor-1");

const ONE: &[u8] = b"one";

/// Appends a record in the caller's transaction. Its moment of recording is set so that it is never before that
/// of the record in front.
///
/// # Errors
/// When the database fails.
pub fn append(txn: &WriteTxn, mut content: TraceContent) -> Result<TraceHead, Error> {
    let (before, at) = tail(txn)?;
    content.recorded_at = content.recorded_at.max(at);
    let (head, record) = TraceRecord::after(before, &content);
    txn.put_record(&AUDIT, &head.seq.to_be_bytes(), &record)?;
    Ok(head)
}

/// The oldest record that is kept and can be read.
///
/// # Errors
/// When the database fails.
pub fn first(rows: &impl Rows) -> Result<Option<Trace>, Error> {
    let mut found = None;
    visit(rows, (0, u64::MAX), false, &mut |trace| {
        found = Some(trace);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Where the chain ends: the newest record, or where the next one goes.
///
/// # Errors
/// When the database fails.
pub fn head(rows: &impl Rows) -> Result<TraceHead, Error> {
    Ok(tail(rows)?.0)
}

/// What the next record follows, and when that was recorded. A newest record that is unreadable must not stop the
/// box: the chain goes on from its bytes, and whoever verifies it is told.
fn tail(rows: &impl Rows) -> Result<(TraceHead, Time), Error> {
    let mut newest: Option<(Vec<u8>, Vec<u8>)> = None;
    rows.scan(&AUDIT, (Bound::Unbounded, Bound::Unbounded), true, &mut |key, value| {
        newest = Some((key.to_vec(), value.to_vec()));
        ControlFlow::Break(())
    })?;
    let Some((key, value)) = newest else {
        return Ok((anchor(rows)?.unwrap_or(TraceHead::START), Time(i64::MIN)));
    };
    let seq = key.try_into().map(u64::from_be_bytes);
    let seq = seq.map_err(|_| db::Error::Corrupt("an audit record's number".into()))?;
    if let Some((hash, at)) = codec::decode::<TraceRecord>(&value).ok().and_then(|record| record.place()) {
        return Ok((TraceHead { seq, hash }, at));
    }
    Ok((TraceHead { seq, hash: *blake3::hash(&value).as_bytes() }, Time(i64::MIN)))
}

/// The record with this number.
///
/// # Errors
/// When the database fails, or it is unreadable.
pub fn get(rows: &impl Rows, seq: u64) -> Result<Option<Trace>, Error> {
    let record = rows.record::<TraceRecord>(&AUDIT, &seq.to_be_bytes())?;
    Ok(record.map(|record| record.into_trace(seq)).transpose()?)
}

/// Records that are kept.
///
/// # Errors
/// When the database fails.
pub fn count(rows: &impl Rows) -> Result<u64, Error> {
    Ok(rows.count(&AUDIT)?)
}

/// Visits records between two numbers, both included, the oldest or the newest first, until it is told to stop. One
/// that is unreadable is left out, and the log says so: the rest must stay in reach, and whoever verifies the chain
/// is told.
///
/// # Errors
/// When the database fails.
pub fn visit(
    rows: &impl Rows,
    (from, to): (u64, u64),
    newest_first: bool,
    visit: &mut dyn FnMut(Trace) -> ControlFlow<()>,
) -> Result<(), Error> {
    if from > to {
        return Ok(());
    }
    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
    rows.scan(&AUDIT, (Bound::Included(&from), Bound::Included(&to)), newest_first, &mut |key, value| {
        match read(key, value) {
            Ok(trace) => visit(trace),
            Err(error) => {
                tracing::error!(%error, key = hex::encode(key), "an audit record is unreadable");
                ControlFlow::Continue(())
            }
        }
    })?;
    Ok(())
}

/// What a look at the rows as they lie says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It is what was written, and says which record is before it.
    Whole {
        /// The hash it has for the record before.
        before: [u8; 32],
        /// What it says.
        trace: Box<Trace>,
    },
    /// It is not what was written.
    Broken {
        /// Why.
        reason: String,
    },
}

/// Visits every row as it lies, in order: its number, and whether it is what was written. For a look that must
/// not end at the first flaw.
///
/// # Errors
/// When the database fails.
pub fn each_link(read: &ReadTxn, visit: &mut dyn FnMut(u64, Link)) -> Result<(), Error> {
    for row in read.rows(&AUDIT, (Bound::Unbounded, Bound::Unbounded))? {
        let (key, value) = row?;
        let Ok(seq) = <[u8; 8]>::try_from(&key[..]).map(u64::from_be_bytes) else {
            visit(0, Link::Broken { reason: "its number is unreadable".into() });
            continue;
        };
        visit(seq, link(seq, &value));
    }
    Ok(())
}

fn link(seq: u64, value: &[u8]) -> Link {
    let record = match codec::decode::<TraceRecord>(value) {
        Ok(record) => record,
        Err(error) => return Link::Broken { reason: error.to_string() },
    };
    if !record.is_whole(seq) {
        return Link::Broken { reason: "its content is not what its hash was taken of".into() };
    }
    match record.into_trace(seq) {
        Ok(trace) => Link::Whole { before: trace.before, trace: Box::new(trace) },
        Err(error) => Link::Broken { reason: error.to_string() },
    }
}

/// The last record that was pruned; `None` when none was.
///
/// # Errors
/// When the database fails.
pub fn anchor(rows: &impl Rows) -> Result<Option<TraceHead>, Error> {
    Ok(rows.record::<AnchorRecord>(&ANCHOR, ONE)?.map(TraceHead::from))
}

/// Removes the oldest records, `count` at most, of those that were recorded before `before` or whose number is up
/// to `up_to`; the newest of all always stays. Leaves the anchor, and gives it back when it moved.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn prune(txn: &WriteTxn, before: Time, up_to: u64, count: usize) -> Result<Option<TraceHead>, Error> {
    let newest = tail(txn)?.0.seq;
    let (mut pruned, mut visited) = (None, 0);
    visit(txn, (0, newest.saturating_sub(1)), false, &mut |trace| {
        let goes = trace.content.recorded_at < before || trace.seq <= up_to;
        if !goes || visited >= count {
            return ControlFlow::Break(());
        }
        visited += 1;
        pruned = Some(trace.head());
        ControlFlow::Continue(())
    })?;
    let Some(anchor) = pruned else { return Ok(None) };
    let mut keys = Vec::new();
    let end = anchor.seq.to_be_bytes();
    txn.scan(&AUDIT, (Bound::Unbounded, Bound::Included(&end)), false, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    for key in keys {
        txn.remove(&AUDIT, &key)?;
    }
    txn.put_record(&ANCHOR, ONE, &AnchorRecord::from(anchor))?;
    Ok(Some(anchor))
}

/// The number of the last record that was forwarded; 0 when none was.
///
/// # Errors
/// When the database fails.
pub fn forwarded(rows: &impl Rows) -> Result<u64, Error> {
    let Some(bytes) = rows.get(&CURSOR, ONE)? else { return Ok(0) };
    let seq = bytes.try_into().map(u64::from_be_bytes);
    seq.map_err(|_| db::Error::Corrupt("the audit cursor".into()).into())
}

/// Notes that records up to this one were forwarded.
///
/// # Errors
/// When the database fails.
pub fn set_forwarded(txn: &WriteTxn, seq: u64) -> Result<(), Error> {
    Ok(txn.put(&CURSOR, ONE, &seq.to_be_bytes())?)
}

fn read(key: &[u8], value: &[u8]) -> Result<Trace, codec::Unreadable> {
    let seq = <[u8; 8]>::try_from(key)
        .map(u64::from_be_bytes)
        .map_err(|_| codec::Unreadable { name: "audit record", reason: "its number is no number".into() })?;
    codec::decode::<TraceRecord>(value)?.into_trace(seq)
}
