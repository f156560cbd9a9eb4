//! Limits as the Keystone of a cloud told them last: of all projects, and of single ones.
//!
//! No facts: a box whose catalog is lost asks again. Invariant: what is told of a resource goes before what the box's own
//! limits say of it.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::Error;
use crate::catalog::records::quota::ToldLimitsRecord;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ProjectId;
use crate::model::quota::{Limit, Resource};

/// Project; nothing for what holds for all.
pub(in crate::catalog) const TOLD: Table = Table::derived("told-limits-1");

/// What was told of a project, or of all.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn told(rows: &impl Rows, of: Option<&ProjectId>) -> Result<BTreeMap<Resource, Limit>, Error> {
    let record = rows.record::<ToldLimitsRecord>(&TOLD, key(of))?;
    Ok(record.map(ToldLimitsRecord::into_limits).transpose()?.unwrap_or_default())
}

/// Keeps what was told in the place of what was told before.
///
/// # Errors
/// When the database fails.
pub fn put_told(
    txn: &WriteTxn,
    of: Option<&ProjectId>,
    limits: &BTreeMap<Resource, Limit>,
) -> Result<(), Error> {
    if limits.is_empty() {
        txn.remove(&TOLD, key(of))?;
        return Ok(());
    }
    Ok(txn.put_record(&TOLD, key(of), &ToldLimitsRecord::of(limits))?)
}

/// Whether anything was told.
///
/// # Errors
/// When the database fails.
pub fn has_told(rows: &impl Rows) -> Result<bool, Error> {
    Ok(rows.count(&TOLD)? > 0)
}

/// Forgets all that was told: for a box that has no such Keystone any more.
///
/// # Errors
/// When the database fails.
pub fn forget_told(txn: &WriteTxn) -> Result<(), Error> {
    let mut keys = Vec::new();
    txn.scan(&TOLD, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    for key in keys {
        txn.remove(&TOLD, &key)?;
    }
    Ok(())
}

fn key(of: Option<&ProjectId>) -> &[u8] {
    // No project has an empty id.
    of.map_or(&[], |project| project.as_str().as_bytes())
}
