//! Giving a new pack its row and its hooks: from then on it exists.
//!
//! Invariant: only a pack whose object is durable gets here. All packs of a stream but the last get
//! their rows as soon as that is so, and others share them from then on; the last one gets its row in
//! the commit that publishes the stream, so that a small upload costs one commit less.

use std::sync::Arc;

use super::error::Error;
use super::index::hooks;
use super::object::Object;
use super::pack::{FinishedPack, Pack};
use super::rows::{self, HOOKS, PACKS, PackRow, pack_key};
use super::totals;
use super::{Store, damage, unmarked};
use crate::db::WriteTxn;

/// A durable pack that no row names yet.
pub struct NewPack {
    row: PackRow,
    hooks: Vec<Vec<u8>>,
    /// Keeps the object from being swept meanwhile.
    pack: Arc<Pack>,
}

impl NewPack {
    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.pack.number
    }
}

impl Store {
    /// What the rows of a durable pack will be.
    pub(super) fn describe(&self, finished: FinishedPack) -> Result<NewPack, Error> {
        let FinishedPack { header, written, footer, raw_bytes } = finished;
        self.inner.activity.written(written.object_bytes);
        let row = PackRow {
            object: header.id,
            generation: header.generation,
            key_version: header.key_version,
            domain: header.domain,
            scope: footer.scope,
            stored: written,
            chunks: footer.names.len() as u32,
            raw_bytes,
            created_at: self.inner.clock.now().0,
            level: self.inner.options.zstd_level.clamp(0, u8::MAX.into()) as u8,
        };
        let hooks = self.hook_keys(row.realm(), &hooks(footer.names.iter()))?;
        let object = Object::new(self.inner.objects.clone(), header, self.key_of(&header)?.as_deref());
        let lease = self.inner.pins.lease(header.id);
        let pack = Arc::new(Pack::new(header.number, footer, object, lease)?);
        Ok(NewPack { row, hooks, pack })
    }

    /// Gives a pack its row and hooks, inside the caller's transaction; what is in it is known to all
    /// streams once that is durable.
    pub(super) fn enrol(&self, txn: &WriteTxn, new: &NewPack) -> Result<(), Error> {
        let (number, realm) = (new.pack.number, new.row.realm());
        rows::raise_next_pack(txn, number)?;
        txn.put_record(&PACKS, &pack_key(number), &new.row)?;
        totals::add_pack(txn, &new.row)?;
        // Until a stream that names it is seen.
        unmarked::add(txn, number, &new.row.object)?;
        for key in &new.hooks {
            txn.put(&HOOKS, key, &pack_key(number))?;
        }
        damage::sources::note(txn, &self.found_again(txn, realm, number, &new.pack.footer.names)?)?;
        let (store, pack) = (self.clone(), new.pack.clone());
        txn.after_commit(move || {
            store.inner.pins.has_row(&pack.object_id());
            store.remember(realm, pack);
        });
        Ok(())
    }

    /// Gives a pack its row and hooks, in a commit of its own.
    pub(super) fn commit_pack(&self, finished: FinishedPack) -> Result<(), Error> {
        let (store, new) = (self.clone(), self.describe(finished)?);
        self.inner.db.write(move |txn| store.enrol(txn, &new))
    }
}
