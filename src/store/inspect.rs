//! Reading a stream that is durable and not yet visible, so that what becomes of it is decided before it is.
//!
//! Invariant: nothing of the stream becomes visible by that. Its last pack gets its row, as those before it have: as long as
//! the receipt is held it stays, and without a stream that names it, it is reclaimed like any other.

use std::sync::Arc;

use super::Store;
use super::error::Error;
use super::ingest::Receipt;
use super::read::{Layout, Reader};
use super::rows::{PACKS, pack_key};
use crate::db::{Rows, WriteTxn};

impl Store {
    /// Opens the stream of a receipt. Blocks on the medium.
    ///
    /// # Errors
    /// When the database fails; [`Error::Reclaimed`] when a pack of it is gone.
    pub fn inspect(&self, receipt: &Receipt) -> Result<Reader, Error> {
        if receipt.0.last_pack.is_some() {
            let (store, receipt) = (self.clone(), receipt.clone());
            self.inner.db.write(move |txn| store.enrol_last(txn, &receipt))?;
        }
        let mut held = self.inner.pins.hold();
        if let Some(gone) = receipt.0.manifest.packs().iter().find(|pack| !held.pack(*pack)) {
            return Err(Error::Reclaimed(gone));
        }
        let layout = Layout::new(receipt.0.manifest.clone());
        Ok(Reader::new(self.clone(), Arc::new(layout), held))
    }

    /// Gives a stream's last pack its row, unless it has one.
    pub(super) fn enrol_last(&self, txn: &WriteTxn, receipt: &Receipt) -> Result<(), Error> {
        match &receipt.0.last_pack {
            Some(last) if txn.get(&PACKS, &pack_key(last.number()))?.is_none() => self.enrol(txn, last),
            _ => Ok(()),
        }
    }
}
