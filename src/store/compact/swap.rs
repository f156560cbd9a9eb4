//! Putting a generation in the place of the one before, in one commit.
//!
//! Invariant: nothing changes when the pack is not what was written anew any more. Once the commit
//! is durable memory knows the new generation before anyone may rely on what it lacks.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::super::format::Kind;
use super::super::index::hooks;
use super::super::object::Object;
use super::super::pack::Pack;
use super::super::rows::{self, GRAVES, HOOKS, PACKS, PackRow, grave_key, pack_key};
use super::super::totals;
use super::super::unmarked::{self, Unmarked};
use super::super::{Error, Store};
use super::rewrite::Generation;
use crate::db::{Rows, WriteTxn};

/// What takes the place of what.
pub struct Swap<'a> {
    /// The generation before.
    pub old: &'a Pack,
    /// Its row.
    pub row: &'a PackRow,
    /// The one after.
    pub new: Generation,
    /// The level all of its frames have, where that is known.
    pub level: u8,
    /// The ordinals that stay; `None` where all do.
    pub live: Option<&'a RoaringBitmap>,
    /// The pack's place on the list of unmarked packs, to be taken off it.
    pub counted: Option<&'a Unmarked>,
}

/// The names by which a pack is found, before and after.
struct Hooks {
    gone: Vec<Vec<u8>>,
    there: Vec<Vec<u8>>,
}

impl Hooks {
    fn put(&self, txn: &WriteTxn, pack: u64) -> Result<(), Error> {
        for key in &self.gone {
            // Another pack may have the chunk too, and the hook since.
            if txn.get(&HOOKS, key)?.as_deref() == Some(&pack_key(pack)) {
                txn.remove(&HOOKS, key)?;
            }
        }
        for key in &self.there {
            txn.put(&HOOKS, key, &pack_key(pack))?;
        }
        Ok(())
    }
}

impl Store {
    /// Makes the swap; gives the new object's length, or `None` when the pack was reclaimed meanwhile.
    pub(super) fn swap(&self, swap: Swap<'_>) -> Result<Option<u64>, Error> {
        let Swap { old, row, new: Generation { finished, held }, level, live, counted } = swap;
        let number = old.number;
        let before = row.object;
        let lease = self.inner.pins.lease(finished.header.id);
        let after = PackRow {
            object: finished.header.id,
            generation: finished.header.generation,
            key_version: finished.header.key_version,
            stored: finished.written,
            chunks: finished.footer.names.len() as u32,
            raw_bytes: finished.raw_bytes,
            level,
            ..row.clone()
        };
        let hooks = self.changed_hooks(old, &finished.footer.names, row)?;
        let (present, counted) = (live.cloned(), counted.cloned());
        let (realm, object_bytes) = (row.realm(), finished.written.object_bytes);
        let named = after.clone();
        let swapped = self.inner.db.write(move |txn| {
            let key = pack_key(number);
            match txn.record::<PackRow>(&PACKS, &key)? {
                Some(now) if now.object == before => totals::subtract_pack(txn, &now)?,
                _ => return Ok::<_, Error>(false),
            }
            totals::add_pack(txn, &named)?;
            txn.put_record(&PACKS, &key, &named)?;
            if let Some(present) = &present {
                rows::put_present(txn, number, present)?;
            }
            hooks.put(txn, number)?;
            if let Some(counted) = &counted {
                unmarked::settle(txn, std::slice::from_ref(counted))?;
            }
            txn.put(&GRAVES, &grave_key(Kind::Pack, &before), &[])?;
            Ok(true)
        })?;
        let header = after.header(number);
        if !swapped {
            self.inner.objects.delete(&header.key())?;
            return Ok(None);
        }
        let object = Object::new(self.inner.objects.clone(), header, self.key_of(&header)?.as_deref());
        self.remember(realm, Arc::new(Pack::new(number, finished.footer, object, lease)?));
        drop(held);
        Ok(Some(object_bytes))
    }

    /// Remembers that a pack is not worth recompressing.
    pub(super) fn note_level(&self, number: u64, row: &PackRow, level: u8) -> Result<(), Error> {
        let before = row.object;
        self.inner.db.write(move |txn| {
            let key = pack_key(number);
            match txn.record::<PackRow>(&PACKS, &key)? {
                Some(now) if now.object == before => {
                    Ok(txn.put_record(&PACKS, &key, &PackRow { level, ..now })?)
                }
                _ => Ok(()),
            }
        })
    }

    fn changed_hooks(&self, old: &Pack, names: &[[u8; 32]], row: &PackRow) -> Result<Hooks, Error> {
        let (before, after) = (hooks(old.footer.names.iter()), hooks(names.iter()));
        Ok(Hooks {
            gone: self.hook_keys(row.realm(), before.difference(&after))?,
            there: self.hook_keys(row.realm(), after.difference(&before))?,
        })
    }
}
