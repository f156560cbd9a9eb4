//! Which packs may have chunks that no stream names: those whose live chunks must be counted (again).
//!
//! Invariant: a pack that is not on the list was counted, and no stream that names it was let go of
//! since. The list is derived: where it is not known to be whole, it is made of all packs.

use std::ops::{Bound, ControlFlow};

use super::Store;
use super::error::Error;
use super::rows::{self, PACKS, PackRow, pack_key};
use crate::db::{Rows, Table, WriteTxn};

/// Packs by number; the value is what put them there, so that a later one is told from an earlier.
pub const UNMARKED: Table = Table::derived("unmarked-packs-1");
/// Single values about what is derived.
pub const UPKEEP: Table = Table::derived("upkeep-1");

/// Whether the list is whole: [`WHOLE`], or the id of an attempt to make it so.
const STATE: &[u8] = b"unmarked-packs";
const WHOLE: &[u8] = b"whole";
/// Packs added to the list in one commit.
const PACKS_A_COMMIT: usize = 4096;

/// A pack on the list, and what put it there.
pub type Unmarked = (u64, Vec<u8>);

/// Puts a pack on the list; `cause` differs from the cause before.
pub fn add(txn: &WriteTxn, pack: u64, cause: &[u8]) -> Result<(), Error> {
    Ok(txn.put(&UNMARKED, &pack_key(pack), cause)?)
}

/// Takes a pack off the list for good: it is gone.
pub fn forget(txn: &WriteTxn, pack: u64) -> Result<(), Error> {
    txn.remove(&UNMARKED, &pack_key(pack))?;
    Ok(())
}

/// Takes packs off the list that were counted, but for those that were put there again meanwhile.
pub fn settle(txn: &WriteTxn, counted: &[Unmarked]) -> Result<(), Error> {
    for (pack, cause) in counted {
        if txn.get(&UNMARKED, &pack_key(*pack))?.as_ref() == Some(cause) {
            txn.remove(&UNMARKED, &pack_key(*pack))?;
        }
    }
    Ok(())
}

/// Some stream was let go of, and nobody knows which packs it named: all are to be counted.
pub fn lose(txn: &WriteTxn) -> Result<(), Error> {
    txn.remove(&UPKEEP, STATE)?;
    Ok(())
}

/// The first `count` packs of the list after `after`.
pub fn page(rows: &impl Rows, after: Option<u64>, count: usize) -> Result<Vec<Unmarked>, Error> {
    let after = after.map(pack_key);
    let start = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
    let mut packs = Vec::new();
    rows.scan(&UNMARKED, (start, Bound::Unbounded), false, &mut |key, cause| {
        packs.extend(key.try_into().ok().map(|key| (u64::from_be_bytes(key), cause.to_vec())));
        if packs.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(packs)
}

impl Store {
    /// Whether some packs may have dead chunks that a look would find.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_unmarked_packs(&self) -> Result<bool, Error> {
        let read = self.inner.db.read()?;
        Ok(read.get(&UPKEEP, STATE)?.as_deref() != Some(WHOLE) || !page(&read, None, 1)?.is_empty())
    }

    /// Makes the list whole where it is not: in a catalog that was rebuilt, or is of an older release.
    pub(super) fn complete_unmarked(&self) -> Result<(), Error> {
        if self.inner.db.read()?.get(&UPKEEP, STATE)?.as_deref() == Some(WHOLE) {
            return Ok(());
        }
        let attempt = self.inner.entropy.id();
        self.inner.db.write(move |txn| Ok::<_, Error>(txn.put(&UPKEEP, STATE, &attempt)?))?;
        self.add_all_packs()?;
        self.inner.db.write(move |txn| {
            // Not when a stream whose packs nobody knows was let go of meanwhile.
            if txn.get(&UPKEEP, STATE)?.as_deref() == Some(&attempt) {
                txn.put(&UPKEEP, STATE, WHOLE)?;
            }
            Ok(())
        })
    }

    fn add_all_packs(&self) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let packs =
                rows::page::<PackRow>(&self.inner.db.read()?, &PACKS, after.as_deref(), PACKS_A_COMMIT)?;
            let Some((last, _)) = packs.last() else { return Ok(()) };
            after = Some(last.clone());
            let cause = self.inner.entropy.id();
            self.inner.db.write(move |txn| {
                for (pack, _) in &packs {
                    txn.put(&UNMARKED, pack, &cause)?;
                }
                Ok::<_, Error>(())
            })?;
        }
    }
}
