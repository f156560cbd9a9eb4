//! Giving space back: mark from manifests, then delete packs with nothing live, then orphans.
//!
//! Invariant: the commit that takes a pack's row away comes before its object is deleted, and a
//! pack that anyone uses, or may be about to use, is left alone.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::Store;
use super::error::Error;
use super::format::{Kind, object_key};
use super::rows::{self, CONTENTS, ContentRow, GRAVES, PACKS, PackRow, grave_key, pack_key};
use crate::db::Rows;

/// What a reclaim gave back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Packs that had nothing live.
    pub packs: u64,
    /// Objects that nothing named: unfinished uploads, manifests of deleted images.
    pub orphans: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Store {
    /// Deletes what nothing needs any more. Safe beside uploads and reads.
    ///
    /// # Errors
    /// The medium's or the database's failure; what was decided by then is finished by the next.
    pub fn reclaim(&self) -> Result<Reclaimed, Error> {
        // One at a time: a second mark would end the first one's protection.
        let _one = self.inner.reclaiming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = Reclaimed::default();
        self.bury_dead_packs(&mut freed)?;
        self.empty_graves(&mut freed)?;
        self.sweep_orphans(&mut freed)?;
        Ok(freed)
    }

    fn bury_dead_packs(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        self.inner.pins.begin_mark();
        let read = self.inner.db.read()?;
        let mut live = HashSet::new();
        for (_, row) in rows::all::<ContentRow>(&read, &CONTENTS)? {
            live.extend(self.manifest(&row)?.packs());
        }
        let mut candidates = Vec::new();
        for (key, _) in rows::all::<PackRow>(&read, &PACKS)? {
            let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            if !live.contains(&number) {
                candidates.push(number);
            }
        }
        let dead = self.inner.pins.condemn(candidates);
        for number in &dead {
            self.inner.index.remove(*number);
        }
        freed.packs += dead.len() as u64;
        if dead.is_empty() {
            return Ok(());
        }
        self.inner.db.write(move |txn| {
            for number in &dead {
                if let Some(row) = txn.record::<PackRow>(&PACKS, &pack_key(*number))? {
                    txn.remove(&PACKS, &pack_key(*number))?;
                    txn.put(&GRAVES, &grave_key(Kind::Pack, &row.object), &[])?;
                }
            }
            Ok(())
        })
    }

    fn empty_graves(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        let mut graves = Vec::new();
        self.inner.db.read()?.scan_prefix(&GRAVES, &[], &mut |key, _| {
            graves.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        })?;
        for grave in &graves {
            let named = grave
                .split_first()
                .and_then(|(kind, id)| Some((Kind::from_byte(*kind)?, <[u8; 16]>::try_from(id).ok()?)));
            if let Some((kind, id)) = named {
                let key = object_key(kind, &id);
                freed.bytes += self.inner.objects.size(&key).unwrap_or(0);
                freed.orphans += u64::from(kind == Kind::Manifest);
                self.inner.objects.delete(&key)?;
            }
        }
        self.inner.db.write(move |txn| {
            for grave in &graves {
                txn.remove(&GRAVES, grave)?;
            }
            Ok(())
        })
    }

    /// Deletes objects without a row: left by crashes and abandoned uploads.
    fn sweep_orphans(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        let mut found = Vec::new();
        for kind in [Kind::Pack, Kind::Manifest] {
            self.inner.objects.list(&format!("{}/", kind.prefix()), &mut |info| found.push(info))?;
        }
        let id_of =
            |name: &str| -> Option<[u8; 16]> { hex::decode(name.rsplit('/').next()?).ok()?.try_into().ok() };
        // Writers before rows: an object leaves the writers' list only after its row is committed.
        found.retain(|info| id_of(info.key.as_str()).is_some_and(|id| !self.inner.pins.is_writing(&id)));
        let read = self.inner.db.read()?;
        let mut named: HashSet<[u8; 16]> = HashSet::new();
        named.extend(rows::all::<PackRow>(&read, &PACKS)?.iter().map(|(_, row)| row.object));
        named.extend(rows::all::<ContentRow>(&read, &CONTENTS)?.iter().map(|(_, row)| row.object));
        for info in found {
            if id_of(info.key.as_str()).is_some_and(|id| !named.contains(&id)) {
                self.inner.objects.delete(&info.key)?;
                freed.orphans += 1;
                freed.bytes += info.size_bytes;
            }
        }
        Ok(())
    }
}
