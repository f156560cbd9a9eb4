//! Disks that are open to whoever has their names, by the hashes of those. The names themselves are never kept.
//!
//! Not journaled: like tokens they do not outlive the file they are in, so that a catalog that is made anew opens nothing.
//! Their number is bounded by who adds them, so that they are listed by looking at all.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::disk_export::DiskExportRecord;
use crate::db::codec::{self, Unreadable};
use crate::db::{Rows, Table, WriteTxn};
use crate::model::{DiskExport, ExportHash};

/// Hash.
pub(super) const EXPORTS: Table = Table::derived("disk-exports-1");

/// The export whose name has this hash, expired or not.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, hash: &ExportHash) -> Result<Option<DiskExport>, Error> {
    let record = rows.record::<DiskExportRecord>(&EXPORTS, hash)?;
    Ok(record.map(|record| record.into_export(*hash)))
}

/// Adds an export.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, export: &DiskExport) -> Result<(), Error> {
    Ok(txn.put_record(&EXPORTS, &export.hash, &DiskExportRecord::of(export))?)
}

/// Removes an export; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, hash: &ExportHash) -> Result<bool, Error> {
    Ok(txn.remove(&EXPORTS, hash)?)
}

/// All exports, expired or not.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<DiskExport>, Error> {
    let mut found = Vec::new();
    rows.scan(&EXPORTS, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

fn read(key: &[u8], value: &[u8]) -> Result<DiskExport, Unreadable> {
    let hash: ExportHash = key
        .try_into()
        .map_err(|_| Unreadable { name: "disk export", reason: "its key is no hash".into() })?;
    Ok(codec::decode::<DiskExportRecord>(value)?.into_export(hash))
}
