//! What is known to be damaged: which objects, and which of their chunks are lost.
//!
//! Owns: the rows that say so, which survive a restart, and the same in memory, where every
//! look-up asks. Invariants: a chunk that is known to be lost is a miss, so that its data is
//! stored again; damage leaves the record only after a look at the object found nothing of it,
//! or with the object.
//!
//! The rows are derived: a rebuilt catalog finds damage again with its first scrub.

mod affected;
mod copied;
#[cfg(test)]
mod copied_tests;
mod examine;
mod heal;
pub(super) mod records;
mod rewrite;
pub(super) mod sources;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

pub use affected::DamagedObject;
pub(super) use examine::{Examined, Suspicion};
pub use heal::Mended;
use records::{DAMAGE, DamageRow, LOST, lost_keys};

use super::Store;
use super::error::Error;
use super::events::{self, Event, EventKind};
use super::manifest::Extent;
use super::rows;
use super::stored::Stored;
use crate::db::{Db, Rows};

/// The damage in memory.
#[derive(Default)]
pub(super) struct Damage {
    known: RwLock<Known>,
    /// Streams that lost something, when it was counted last.
    contents: AtomicU64,
    /// Held while a read's suspicion is looked into: the next one then finds what is known.
    examining: Mutex<()>,
    /// One heals at a time.
    mending: Mutex<()>,
}

#[derive(Default)]
struct Known {
    packs: BTreeMap<u64, Lost>,
    manifests: HashSet<[u8; 16]>,
}

/// Which chunks of a pack are lost.
enum Lost {
    All,
    Chunks(HashSet<u32>),
}

impl Lost {
    fn of(row: &DamageRow) -> Lost {
        if row.all { Lost::All } else { Lost::Chunks(row.lost.iter().map(|chunk| chunk.ordinal).collect()) }
    }

    fn has(&self, first: u32, count: u32) -> bool {
        match self {
            Lost::All => true,
            Lost::Chunks(ordinals) if ordinals.len() < count as usize => {
                ordinals.iter().any(|ordinal| ordinal.checked_sub(first).is_some_and(|at| at < count))
            }
            Lost::Chunks(ordinals) => (0..count).any(|at| ordinals.contains(&first.saturating_add(at))),
        }
    }
}

/// How much damage there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DamageCounts {
    /// Damaged packs.
    pub packs: u64,
    /// Damaged manifests.
    pub manifests: u64,
    /// Streams that lost something, when it was counted last.
    pub contents: u64,
}

impl Damage {
    /// What the catalog has of it.
    pub(super) fn load(db: &Db) -> Result<Damage, Error> {
        let damage = Damage::default();
        rows::each(&db.read()?, &DAMAGE, |key, row: DamageRow| {
            if let Some(stored) = Stored::from_key(key) {
                damage.learn(stored, Some(&row));
            }
            Ok(())
        })?;
        Ok(damage)
    }

    pub(in crate::store) fn learn(&self, stored: Stored, row: Option<&DamageRow>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match (stored, row) {
            (Stored::Pack(number), Some(row)) => drop(known.packs.insert(number, Lost::of(row))),
            (Stored::Pack(number), None) => drop(known.packs.remove(&number)),
            (Stored::Manifest(content), Some(_)) => drop(known.manifests.insert(content.0)),
            (Stored::Manifest(content), None) => drop(known.manifests.remove(&content.0)),
        }
    }

    /// Whether some of these chunks are known to be lost.
    pub(super) fn has_lost(&self, pack: u64, first: u32, count: u32) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.packs.get(&pack).is_some_and(|lost| lost.has(first, count))
    }

    /// Whether nothing is known to be damaged.
    pub(super) fn is_none(&self) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.packs.is_empty() && known.manifests.is_empty()
    }
}

impl Store {
    /// How much damage is known. Asks neither the database nor the medium.
    pub fn damage_counts(&self) -> DamageCounts {
        let damage = &self.inner.damage;
        let known = damage.known.read().unwrap_or_else(PoisonError::into_inner);
        DamageCounts {
            packs: known.packs.len() as u64,
            manifests: known.manifests.len() as u64,
            contents: damage.contents.load(Ordering::Relaxed),
        }
    }

    /// The first pack of these extents that lost a chunk they need.
    pub(super) fn lost_under(&self, extents: &[Extent]) -> Option<u64> {
        if self.inner.damage.is_none() {
            return None;
        }
        extents.iter().find_map(|extent| match *extent {
            Extent::Run { pack, first, count, .. } => {
                self.inner.damage.has_lost(pack, first, count).then_some(pack)
            }
            Extent::Zeros { .. } => None,
        })
    }

    /// Writes down what a look at an object found, damage or none any more, and the event, which waits
    /// until it is told. An object that has been replaced meanwhile is left alone.
    pub(super) fn note(
        &self,
        stored: Stored,
        object: [u8; 16],
        found: Option<&DamageRow>,
    ) -> Result<(), Error> {
        let read = self.inner.db.read()?;
        let before: Option<DamageRow> = read.record(&DAMAGE, &stored.key())?;
        drop(read);
        if before.as_ref() == found {
            return Ok(());
        }
        let Some(event) = self.event_of(stored, before.as_ref(), found) else { return Ok(()) };
        let now = found.cloned();
        let (old_keys, new_keys) = (self.lost_keys(stored, &before)?, self.lost_keys(stored, &now)?);
        let (written, event_written) = (now.clone(), event.clone());
        let noted = self.inner.db.write(move |txn| {
            if written.is_some() && stored.object(txn)?.is_none_or(|now| now.header.id != object) {
                return Ok(None);
            }
            for key in old_keys.iter().filter(|key| new_keys.binary_search(key).is_err()) {
                txn.remove(&LOST, key)?;
            }
            match &written {
                Some(row) => txn.put_record(&DAMAGE, &stored.key(), row)?,
                None => drop(txn.remove(&DAMAGE, &stored.key())?),
            }
            for key in &new_keys {
                // One that has a source keeps it.
                if txn.get(&LOST, key)?.is_none() {
                    txn.put(&LOST, key, &[])?;
                }
            }
            events::put(txn, &event_written).map(Some)
        })?;
        if let Some(number) = noted {
            self.inner.damage.learn(stored, now.as_ref());
            self.inner.events.wait(number, event, stored);
        }
        Ok(())
    }

    /// The event: damage was found, has changed, or is over. Whom it hits is found out when it is told,
    /// by a look at all streams that nobody who reads should wait for.
    fn event_of(&self, stored: Stored, before: Option<&DamageRow>, now: Option<&DamageRow>) -> Option<Event> {
        let (kind, detail) = match (before, now) {
            (_, Some(row)) => {
                let is_lost = row.all || !row.lost.is_empty();
                let kind = if is_lost { EventKind::Lost } else { EventKind::Damaged };
                let detail = match (row.all, row.lost.len()) {
                    (true, _) => format!("{}; nothing of it can be used", row.reason),
                    (false, 0) => format!("{}; nothing is lost by it", row.reason),
                    (false, chunks) => format!("{}; {chunks} chunks are lost", row.reason),
                };
                (kind, detail)
            }
            (Some(row), None) => (EventKind::Over, format!("{}; whole again, or needed no more", row.reason)),
            (None, None) => return None,
        };
        let (at, object) = (self.inner.clock.now(), stored.to_string());
        Some(Event { at, kind, object, detail, contents: Vec::new() })
    }

    fn lost_keys(&self, stored: Stored, row: &Option<DamageRow>) -> Result<Vec<Vec<u8>>, Error> {
        let (Stored::Pack(number), Some(row)) = (stored, row) else { return Ok(Vec::new()) };
        Ok(lost_keys(number, row))
    }

    /// What a read that failed leads to: the object is looked at, and what is found written down.
    /// Says whether to read again: the object was repaired, or another has taken its place.
    pub(super) fn suspect(&self, stored: Stored, read: Option<[u8; 16]>, chunks: (u32, u32)) -> bool {
        let outcome = self.look_into(stored, read, chunks);
        outcome.unwrap_or_else(|error| {
            tracing::warn!(%error, object = %stored, "a read failed, and what it met cannot be looked at");
            false
        })
    }

    fn look_into(
        &self,
        stored: Stored,
        read: Option<[u8; 16]>,
        (first, count): (u32, u32),
    ) -> Result<bool, Error> {
        let _one = self.inner.damage.examining.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(object) = self.stored_object(stored)? else { return Ok(false) };
        if read.is_some_and(|read| read != object.header.id) {
            return Ok(true);
        }
        let known = match stored {
            Stored::Pack(number) => self.inner.damage.has_lost(number, first, count),
            Stored::Manifest(content) => self
                .inner
                .damage
                .known
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .manifests
                .contains(&content.0),
        };
        if known {
            return Ok(false);
        }
        let found = self.look_at(stored, Suspicion::ReadFailed, &mut |_| ControlFlow::Continue(()))?;
        self.tell_damage_soon();
        Ok(matches!(found, Examined::Whole { .. } | Examined::Replaced))
    }

    /// Looks at an object, repairs it where it has parity or a copy elsewhere, and writes down what is found.
    pub(super) fn look_at(
        &self,
        stored: Stored,
        suspicion: Suspicion,
        watch: &mut super::survey::Watch<'_>,
    ) -> Result<Examined, Error> {
        let mut examined = self.examine(stored, suspicion, watch)?;
        if let Examined::Damaged(row) = &examined
            && (self.repair(stored, row.object, &row.reason)?
                || self.repair_from_copy(stored, row.object, &row.reason)?)
        {
            examined = self.examine(stored, Suspicion::None, watch)?;
        }
        match &examined {
            Examined::Whole { object, .. } => self.note(stored, *object, None)?,
            Examined::Damaged(row) => self.note(stored, row.object, Some(row))?,
            Examined::Gone => self.note(stored, [0; 16], None)?,
            Examined::Replaced | Examined::Stopped => {}
        }
        Ok(examined)
    }
}
