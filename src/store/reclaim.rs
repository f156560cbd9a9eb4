//! Giving space back: mark from manifests, then delete packs with nothing live, then orphans.
//!
//! Invariant: the commit that takes a pack's row away comes before its object is deleted, and so
//! does the log object that tells of it; a pack that anyone uses, or may be about to use, is left
//! alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::PoisonError;

use roaring::RoaringTreemap;

use super::Store;
use super::error::Error;
use super::format::{Kind, object_key};
use super::rows::{self, CONTENTS, ContentRow, GRAVES, PACKS, PRESENT, PackRow, grave_key, pack_key};
use super::scrub;
use super::stale_hooks;
use super::totals;
use super::unlisted::{self, Withheld};
use super::unmarked;
use crate::db::{self, ReadTxn, Rows};
use crate::model::ContentId;
use crate::objects::{self, ObjectInfo, ObjectKey};

/// What a reclaim gave back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Packs that had nothing live.
    pub packs: u64,
    /// Objects that nothing named: unfinished uploads, manifests of deleted images.
    pub orphans: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Packs that no published stream names, and objects that nothing names, but that something
    /// under way uses: a later run decides.
    pub in_use: u64,
    /// Packs that no stream is known to name, and that one may which cannot be read
    /// ([`Store::unlisted`]).
    pub withheld: u64,
}

/// Packs that no published stream names.
struct Unnamed {
    /// Those that are dead, unless something under way uses them.
    dead: Vec<(u64, PackRow)>,
    /// How many others streams may name that cannot be read.
    withheld: u64,
}

/// How far a reclaim looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// At what has been released: costs a look at every stream's and every pack's row.
    Released,
    /// At every stored object too: finds what a crash left without a row.
    Everything,
}

impl Store {
    /// Removes what failed writers could not remove themselves; says how many objects that were. What a writer
    /// is at work on stays.
    ///
    /// # Errors
    /// The medium's failure: call again.
    pub fn sweep_unfinished(&self) -> Result<u64, Error> {
        Ok(self.inner.objects.sweep_unfinished()?)
    }

    /// Deletes what nothing needs any more. Safe beside uploads and reads.
    ///
    /// # Errors
    /// The medium's or the database's failure; what was decided by then is finished by the next.
    pub fn reclaim(&self, reach: Reach) -> Result<Reclaimed, Error> {
        // One at a time: a second mark would end the first one's protection.
        let _one = self.inner.reclaiming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = Reclaimed::default();
        let outcome = self.give_back(reach, &mut freed);
        self.inner.activity.reclaimed(&freed, outcome.is_ok());
        outcome.map(|()| freed)
    }

    fn give_back(&self, reach: Reach, freed: &mut Reclaimed) -> Result<(), Error> {
        // Also the proof that this catalog is the store's own: another one would name nothing of it.
        self.ship_deaths()?;
        self.bury_dead_packs(freed)?;
        self.empty_graves(freed)?;
        if reach == Reach::Everything {
            self.sweep_orphans(freed)?;
        }
        self.sweep_hooks(reach)
    }

    fn bury_dead_packs(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        let mark = self.inner.pins.mark();
        let Unnamed { dead, withheld } = self.unnamed_packs()?;
        freed.withheld = withheld;
        let candidates: Vec<u64> = dead.into_iter().map(|(number, _)| number).collect();
        let unnamed = candidates.len();
        let dead = mark.condemn(candidates);
        drop(mark);
        freed.in_use = (unnamed - dead.len()) as u64;
        for number in &dead {
            self.inner.index.remove(*number);
        }
        freed.packs += dead.len() as u64;
        if dead.is_empty() {
            return Ok(());
        }
        self.inner.db.write(move |txn| {
            stale_hooks::count(txn, dead.len() as u64)?;
            for number in &dead {
                if let Some(row) = txn.record::<PackRow>(&PACKS, &pack_key(*number))? {
                    txn.remove(&PACKS, &pack_key(*number))?;
                    txn.remove(&PRESENT, &pack_key(*number))?;
                    unmarked::forget(txn, *number)?;
                    totals::subtract_pack(txn, &row)?;
                    txn.put(&GRAVES, &grave_key(Kind::Pack, &row.object), &[])?;
                }
            }
            Ok(())
        })
    }

    /// The packs that no published stream names, or whose stream nobody can read again.
    fn unnamed_packs(&self) -> Result<Unnamed, Error> {
        let read = self.inner.db.read()?;
        let (live, may_be_named) = self.mark(&read)?;
        let mut unnamed = Unnamed { dead: Vec::new(), withheld: 0 };
        rows::each(&read, &PACKS, |key, row: PackRow| {
            let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            if live.contains(number) {
                return Ok(());
            }
            match may_be_named.covers(number, &row) {
                true => unnamed.withheld += 1,
                false => unnamed.dead.push((number, row)),
            }
            Ok(())
        })?;
        Ok(unnamed)
    }

    /// The packs that would be deleted now.
    pub(super) fn dead_packs(&self) -> Result<Vec<(u64, PackRow)>, Error> {
        let mark = self.inner.pins.mark();
        let mut dead = self.unnamed_packs()?.dead;
        dead.retain(|(number, _)| mark.is_free(*number));
        Ok(dead)
    }

    /// The packs that published streams name, and those that streams may name which cannot be read.
    fn mark(&self, read: &ReadTxn) -> Result<(RoaringTreemap, Withheld), Error> {
        let (mut live, mut withheld) = (RoaringTreemap::new(), Withheld::default());
        rows::each(read, &CONTENTS, |key, row: ContentRow| {
            // What a revoked key sealed can be read by nobody, ever: it needs no packs.
            if self.is_revoked(row.domain) {
                return Ok(());
            }
            if let Some(packs) = rows::packs_of(read, key)? {
                live |= packs;
                return Ok(());
            }
            let content = ContentId(key.try_into().unwrap_or_default());
            match self.manifest_now(&content, &row) {
                Ok(manifest) => live |= manifest.packs(),
                // Let go of since.
                Err(Error::Missing(_)) => {}
                Err(error) if error.is_unreadable() => {
                    tracing::warn!(
                        %content, %error,
                        "space that this stream may need is not given back: put its manifest back, or delete the image"
                    );
                    withheld.add(row.domain, unlisted::end(read, key)?);
                }
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        Ok((live, withheld))
    }

    /// Deletes what was replaced or let go of; looks for nothing else.
    pub(super) fn drain_graves(&self) -> Result<Reclaimed, Error> {
        let _one = self.inner.reclaiming.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = Reclaimed::default();
        let outcome = self.empty_graves(&mut freed);
        self.inner.activity.gave_back(freed.bytes);
        outcome.map(|()| freed)
    }

    fn empty_graves(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        let mut graves = Vec::new();
        self.inner.db.read()?.scan_prefix(&GRAVES, &[], &mut |key, _| {
            graves.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        if graves.is_empty() {
            return Ok(());
        }
        // A rebuilt catalog must not name what is deleted now.
        self.ship_deaths()?;
        let mut empty = Vec::with_capacity(graves.len());
        for grave in graves {
            let named = grave
                .split_first()
                .and_then(|(kind, id)| Some((Kind::from_byte(*kind)?, <[u8; 16]>::try_from(id).ok()?)));
            if let Some((kind, id)) = named {
                if self.inner.pins.is_leased(&id) {
                    freed.in_use += 1;
                    continue;
                }
                let key = object_key(kind, &id);
                match self.bury(&key, &id) {
                    Ok(bytes) => freed.bytes += bytes,
                    // Those of other media need not wait for it.
                    Err(error) if self.is_away_beside(&error, &id) => {
                        tracing::warn!(%error, object = %key, "a dead object is not deleted now");
                        freed.in_use += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                freed.orphans += u64::from(kind == Kind::Manifest);
            }
            empty.push(grave);
        }
        self.inner.db.write(move |txn| {
            for grave in &empty {
                txn.remove(&GRAVES, grave)?;
                scrub::forget(txn, grave.get(1..).unwrap_or_default())?;
            }
            Ok(())
        })
    }

    /// Deletes a dead object and its parity; gives how many bytes they took.
    fn bury(&self, key: &ObjectKey, id: &[u8; 16]) -> Result<u64, Error> {
        let bytes = self.inner.objects.size(key).unwrap_or(0);
        self.inner.objects.delete(key)?;
        Ok(bytes + self.delete_parity(id)?)
    }

    /// Deletes objects without a row: left by crashes and abandoned uploads.
    pub(super) fn sweep_orphans(&self, freed: &mut Reclaimed) -> Result<(), Error> {
        let named = self.named_objects()?;
        let mut orphans = BTreeMap::new();
        for kind in [Kind::Pack, Kind::Manifest, Kind::Parity] {
            let listed = self.inner.objects.list(&format!("{}/", kind.prefix()), &mut |info| {
                if let Some(id) = object_id(&info)
                    && named.binary_search(&short(&id)).is_err()
                {
                    // Parity has the id of what it protects, so there may be two.
                    orphans.entry(id).or_insert_with(Vec::new).push(info);
                }
            });
            self.pass_over_away(listed)?;
        }
        // Writers before rows: an object leaves the writers' list only after its row is committed.
        orphans.retain(|id, _| !self.inner.pins.is_writing(id));
        if orphans.is_empty() {
            return Ok(());
        }
        // Writers leave the list after a failed commit too, and that one may turn out to have taken
        // effect: what it names is no orphan before a restart has told.
        if let Some(reason) = self.inner.db.poisoned() {
            return Err(db::Error::Poisoned(reason).into());
        }
        // What was committed since the listing began is none, nor what waits in a grave.
        let read = self.inner.db.read()?;
        rows::each(&read, &PACKS, |_, row: PackRow| {
            orphans.remove(&row.object);
            Ok(())
        })?;
        rows::each(&read, &CONTENTS, |_, row: ContentRow| {
            orphans.remove(&row.object);
            Ok(())
        })?;
        read.scan_prefix(&GRAVES, &[], &mut |grave, _| {
            if let Some(id) = grave.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()) {
                orphans.remove(&id);
            }
            ControlFlow::Continue(())
        })?;
        drop(read);
        for info in orphans.into_values().flatten() {
            self.inner.objects.delete(&info.key)?;
            freed.orphans += 1;
            freed.bytes += info.size_bytes;
        }
        Ok(())
    }

    /// What the listing of one place lacks is found when it answers again; of the home nothing may be lacking.
    fn pass_over_away(&self, listed: Result<(), objects::Error>) -> Result<(), Error> {
        match listed.map_err(Error::from) {
            Err(error) if error.is_absence() && self.trouble().is_none() => {
                tracing::warn!(%error, "a place does not answer; what nothing names there stays for now");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// The first halves of the ids of all objects that rows name, sorted: eight bytes a pack, where
    /// two equal halves only keep an orphan for longer.
    pub(super) fn named_objects(&self) -> Result<Vec<u64>, Error> {
        let read = self.inner.db.read()?;
        let mut named = Vec::new();
        rows::each(&read, &PACKS, |_, row: PackRow| {
            named.push(short(&row.object));
            Ok(())
        })?;
        rows::each(&read, &CONTENTS, |_, row: ContentRow| {
            named.push(short(&row.object));
            Ok(())
        })?;
        named.sort_unstable();
        Ok(named)
    }
}

pub(super) fn object_id(info: &ObjectInfo) -> Option<[u8; 16]> {
    hex::decode(info.key.as_str().rsplit('/').next()?).ok()?.try_into().ok()
}

pub(super) fn short(id: &[u8; 16]) -> u64 {
    id[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
