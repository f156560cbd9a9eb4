//! Noticing that a lost chunk was stored again.
//!
//! Invariant: the source of a chunk that was known to be lost is noted in the commit that makes its
//! pack exist; whether it still holds is asked when it is used.

use std::ops::ControlFlow;

use super::super::Store;
use super::super::error::Error;
use super::super::realm::Realm;
use super::records::{LOST, lost_prefix, source};
use crate::db::{Rows, WriteTxn};

/// The row of a lost chunk, and what to note in it.
pub struct FoundAgain {
    key: Vec<u8>,
    source: Vec<u8>,
}

impl Store {
    /// The lost chunks that a new pack has.
    pub(in crate::store) fn found_again(
        &self,
        rows: &impl Rows,
        realm: Realm,
        number: u64,
        names: &[[u8; 32]],
    ) -> Result<Vec<FoundAgain>, Error> {
        if self.inner.damage.is_none() {
            return Ok(Vec::new());
        }
        if rows.count(&LOST)? == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (ordinal, name) in (0..).zip(names) {
            let prefix = lost_prefix(realm.domain, &self.public_name(realm, name)?);
            rows.scan_prefix(&LOST, &prefix, &mut |key, _| {
                found.push(FoundAgain { key: key.to_vec(), source: source(number, ordinal) });
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }
}

/// Notes where lost chunks are again, unless they are lost no more.
pub fn note(txn: &WriteTxn, found: &[FoundAgain]) -> Result<(), Error> {
    for FoundAgain { key, source } in found {
        if txn.get(&LOST, key)?.is_some() {
            txn.put(&LOST, key, source)?;
        }
    }
    Ok(())
}
