//! A number that grows with every change of what policies are worth: of their documents, of where they are
//! attached, and of who is in which group.
//!
//! Whoever keeps something that follows from those keeps the number with it. It is no fact: it only has to grow
//! as long as one process has the file open.

use crate::catalog::Error;
use crate::db::{self, Rows, Table, WriteTxn};

/// One row.
pub(super) const REVISION: Table = Table::derived("rights-revision-1");
/// Its key.
const KEY: &[u8] = b"revision";

/// The number as of a snapshot.
///
/// # Errors
/// When the database fails.
pub fn rights_revision(rows: &impl Rows) -> Result<u64, Error> {
    let Some(bytes) = rows.get(&REVISION, KEY)? else { return Ok(0) };
    match <[u8; 8]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
        Err(_) => Err(db::Error::Corrupt("the revision of rights".into()).into()),
    }
}

/// Makes the number grow.
pub(super) fn step(txn: &WriteTxn) -> Result<(), Error> {
    let next = rights_revision(txn)?.wrapping_add(1);
    Ok(txn.put(&REVISION, KEY, &next.to_be_bytes())?)
}
