//! The ring of an open store, and every change of it.
//!
//! Invariants: one change at a time, each a new version: what is left of others is deleted first, then
//! three copies are written, then read back, then used, and at last the old version is deleted. A
//! change that failed before "used" left everything in force as it was. Whoever opens a store whose
//! change was cut off finishes it when the new version opens with the master key, and undoes it
//! when only the old one does; nothing can have been sealed with the new one by then.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::copies::{self, Found};
use super::record::{self, RingRecord};
use super::{DomainStatus, KeyError, Keyring, MasterKey};
use crate::base::Entropy;
use crate::db::SealKey;
use crate::objects::{self, ObjectKey, Objects};
use crate::store::seal::DomainKey;
use crate::store::tend::Incident;

/// The keys of an open store.
pub struct Keys {
    /// Held while the ring is changed.
    master: Mutex<MasterKey>,
    ring: RwLock<Arc<Saved>>,
    /// The version right after the one in force, which another master key opens.
    other: Option<u32>,
    at_open: AtOpen,
    /// Copies that were written again when the ring was opened, each with the reason.
    mended: Vec<(ObjectKey, String)>,
}

/// The key that seals a domain's new data.
pub(in crate::store) struct Newest {
    /// Which of the domain's keys it is.
    pub version: u32,
    /// The key.
    pub key: Arc<DomainKey>,
}

/// A ring, and the bytes of its copies.
struct Saved {
    ring: Keyring,
    bytes: Vec<u8>,
}

/// What opening found of changes that were cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtOpen {
    /// Nothing.
    Settled,
    /// A change of which the new ring opened; it was finished.
    Finished,
    /// A change to another master key than the one given; it was undone.
    Undone,
}

/// How the ring is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingStatus {
    /// Its version.
    pub version: u32,
    /// Copies of it that are whole, of three.
    pub copies: usize,
    /// Other versions that are still on the medium.
    pub others: Vec<u32>,
    /// What opening it found.
    pub at_open: AtOpen,
    /// Its domains, by number. Numbers between them were revoked.
    pub domains: Vec<DomainStatus>,
}

impl Keys {
    /// Makes the ring of a new store. Deletes what a set-up left which was cut off before the store
    /// had a header: one that never held anything.
    pub(in crate::store) fn create(
        objects: &dyn Objects,
        master: &MasterKey,
        entropy: &dyn Entropy,
        store_id: [u8; 16],
    ) -> Result<Keys, KeyError> {
        copies::delete_others(objects, None)?;
        let ring = Keyring::create(entropy, store_id);
        let bytes = record::to_bytes(&ring, master, entropy.id());
        copies::put(objects, ring.version, &bytes)?;
        copies::read_back(objects, ring.version, &bytes)?;
        Ok(Keys::new(Saved { ring, bytes }, master, None))
    }

    /// Opens the newest version that has a whole copy, or the one before it, when only that opens
    /// with `master` because a change to another key was cut off. Changes nothing: whoever knows that the
    /// ring is its own has to settle it before anything is sealed or opened with it.
    ///
    /// # Errors
    /// [`KeyError`]. An older version is used only when all copies of newer ones were read and none
    /// was whole.
    pub(in crate::store) fn open(
        objects: &dyn Objects,
        master: &MasterKey,
        store_id: [u8; 16],
    ) -> Result<Keys, KeyError> {
        let (saved, other) = load(objects, master, store_id)?;
        Ok(Keys::new(saved, master, other))
    }

    /// Finishes or undoes a change that was cut off, and writes copies that are missing or damaged again.
    pub(in crate::store) fn settle(&mut self, objects: &dyn Objects) {
        (self.at_open, self.mended) = settle(objects, &self.saved(), self.other.take());
    }

    fn new(saved: Saved, master: &MasterKey, other: Option<u32>) -> Keys {
        let (master, ring) = (Mutex::new(master.clone()), RwLock::new(Arc::new(saved)));
        Keys { master, ring, other, at_open: AtOpen::Settled, mended: Vec::new() }
    }

    /// What was written again when the ring was opened.
    pub(in crate::store) fn mended_at_open(&self) -> Vec<Incident> {
        self.mended.iter().cloned().map(incident).collect()
    }

    /// Compares the copies with the ring that is in force, and writes again what differs.
    pub(in crate::store) fn tend(&self, objects: &dyn Objects) -> Result<Vec<Incident>, KeyError> {
        // Nobody changes the ring meanwhile.
        let _master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = self.saved();
        let mended = copies::mend(objects, saved.ring.version, &saved.bytes)?;
        Ok(mended.into_iter().map(incident).collect())
    }

    /// One of a domain's keys.
    pub(in crate::store) fn key(&self, domain: u32, version: u32) -> Result<Arc<DomainKey>, KeyError> {
        self.saved().ring.key(domain, version)
    }

    /// The key that seals a domain's new data.
    pub(in crate::store) fn newest(&self, domain: u32) -> Result<Newest, KeyError> {
        self.saved().ring.newest(domain)
    }

    /// Every domain, by number.
    pub(in crate::store) fn domains(&self) -> Vec<DomainStatus> {
        self.saved().ring.domains()
    }

    /// Gives a domain another key, which seals what is new from now on; says which it is. A domain
    /// that has more than one keeps them as they are: it is being sealed anew already.
    pub(in crate::store) fn add_key(
        &self,
        objects: &dyn Objects,
        domain: u32,
        entropy: &dyn Entropy,
    ) -> Result<u32, KeyError> {
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = &self.saved().ring;
        if ring.domain(domain)?.keys.len() > 1 {
            return Ok(ring.newest(domain)?.version);
        }
        let (version, next) = ring.with_key(domain, entropy)?;
        let ring_version = next.version;
        self.replace(objects, next, &master, entropy)?;
        // The older ring only lacks the key: the next change or start deletes it.
        if let Err(error) = retire(objects, ring_version) {
            tracing::warn!(%error, domain, "a key domain has another key");
        }
        Ok(version)
    }

    /// Deletes a domain's keys before its newest, from every copy of the ring there is. Nothing may
    /// be sealed with them any more. Can be repeated until it succeeds.
    pub(in crate::store) fn drop_older_keys(
        &self,
        objects: &dyn Objects,
        domain: u32,
        entropy: &dyn Entropy,
    ) -> Result<(), KeyError> {
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = &self.saved().ring;
        let mut version = ring.version;
        if ring.domain(domain)?.keys.len() > 1 {
            let next = ring.without_older_keys(domain)?;
            version = next.version;
            self.replace(objects, next, &master, entropy)?;
        }
        retire(objects, version)
    }

    /// The number of the domain that takes an owner's new data, where there is one.
    pub(in crate::store) fn domain_of(&self, owner: &[u8; 16]) -> Option<u32> {
        self.saved().ring.domain_of(owner)
    }

    /// The number of the domain that takes an owner's new data; made where there is none, with `note`
    /// beside it, which writes to the medium.
    pub(in crate::store) fn domain_for(
        &self,
        objects: &dyn Objects,
        owner: [u8; 16],
        note: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<u32, KeyError> {
        if let Some(id) = self.saved().ring.domain_of(&owner) {
            return Ok(id);
        }
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = &self.saved().ring;
        if let Some(id) = ring.domain_of(&owner) {
            return Ok(id);
        }
        let (id, next) = ring.with_domain(owner, note, entropy)?;
        let version = next.version;
        self.replace(objects, next, &master, entropy)?;
        // The older ring only lacks the domain: the next change or start deletes it.
        if let Err(error) = retire(objects, version) {
            tracing::warn!(%error, "a key domain was made");
        }
        Ok(id)
    }

    /// Deletes a domain's keys: what they sealed is lost. Can be repeated until it succeeds.
    pub(in crate::store) fn erase(
        &self,
        objects: &dyn Objects,
        id: u32,
        entropy: &dyn Entropy,
    ) -> Result<(), KeyError> {
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = &self.saved().ring;
        let version = match ring.domain(id) {
            Err(KeyError::Revoked(_)) => ring.version,
            _ => {
                let next = ring.without(id)?;
                let version = next.version;
                self.replace(objects, next, &master, entropy)?;
                version
            }
        };
        retire(objects, version)
    }

    /// What the catalog may be sealed with, the newest first; each with the version of the key it
    /// follows from.
    pub(in crate::store) fn catalog_keys(&self) -> Result<Vec<(u32, SealKey)>, KeyError> {
        self.saved().ring.catalog_keys()
    }

    /// The copies' bytes, for a backup: worth nothing without the master key.
    pub(in crate::store) fn backup(&self) -> Vec<u8> {
        self.saved().bytes.clone()
    }

    /// How the ring is kept now.
    pub(in crate::store) fn status(&self, objects: &dyn Objects) -> Result<RingStatus, KeyError> {
        let saved = self.saved();
        let version = saved.ring.version;
        let mut versions = copies::versions(objects)?;
        let own = versions.remove(&version).unwrap_or_default();
        Ok(RingStatus {
            version,
            copies: copies::count_whole(objects, version, &own),
            others: versions.into_keys().collect(),
            at_open: self.at_open,
            domains: saved.ring.domains(),
        })
    }

    /// Wraps all keys under another master key; gives the ring's new version. What is sealed stays
    /// as it is.
    pub(in crate::store) fn rotate(
        &self,
        objects: &dyn Objects,
        new: MasterKey,
        entropy: &dyn Entropy,
    ) -> Result<u32, KeyError> {
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        if master.is(&new) {
            return Err(KeyError::Same);
        }
        let next = self.saved().ring.next();
        let version = next.version;
        self.replace(objects, next, &new, entropy)?;
        *master = new;
        retire(objects, version)?;
        Ok(version)
    }

    /// Writes the next version and uses it. An error means that nothing changed but what the next
    /// change or start clears away.
    fn replace(
        &self,
        objects: &dyn Objects,
        next: Keyring,
        master: &MasterKey,
        entropy: &dyn Entropy,
    ) -> Result<(), KeyError> {
        // Were an older version still there beside the next one, its key could undo both.
        copies::delete_others(objects, Some(self.saved().ring.version))?;
        let bytes = record::to_bytes(&next, master, entropy.id());
        copies::put(objects, next.version, &bytes)?;
        copies::read_back(objects, next.version, &bytes)?;
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Arc::new(Saved { ring: next, bytes });
        Ok(())
    }

    fn saved(&self) -> Arc<Saved> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Deletes what came before the version that is in force.
fn retire(objects: &dyn Objects, version: u32) -> Result<(), KeyError> {
    copies::delete_others(objects, Some(version)).map_err(|cause| KeyError::OlderRemains { version, cause })
}

/// The ring that `master` opens, and the version under another key right after it, if there is one.
fn load(
    objects: &dyn Objects,
    master: &MasterKey,
    store_id: [u8; 16],
) -> Result<(Saved, Option<u32>), KeyError> {
    let (mut damage, mut other) = (Vec::new(), None);
    for (version, copies) in copies::versions(objects)?.iter().rev() {
        match copies::read(objects, (*version, copies), master, store_id, &mut damage)? {
            // With versions between, the newer ring may hold keys this one lacks.
            Found::Opened(ring, bytes) if other.is_none_or(|newer| newer == version + 1) => {
                return Ok((Saved { ring, bytes }, other));
            }
            Found::OtherKey if other.is_none() => other = Some(*version),
            Found::Opened(..) | Found::OtherKey => break,
            Found::Damaged if other.is_none() => {
                let found = copies::elsewhere(objects, *version, master, store_id)?;
                if let Some((ring, bytes)) = found {
                    return Ok((Saved { ring, bytes }, None));
                }
            }
            Found::Damaged => {}
        }
    }
    match other {
        Some(version) => Err(KeyError::Wrong { version }),
        None if damage.is_empty() => Err(KeyError::Missing(copies::PREFIX.to_owned())),
        None => Err(KeyError::Damaged(damage.join("; "))),
    }
}

/// Makes the version that opened the only one, with three copies. What cannot be done now, the next
/// change must do before anything else; the store can be read meanwhile.
fn settle(objects: &dyn Objects, saved: &Saved, other: Option<u32>) -> (AtOpen, Vec<(ObjectKey, String)>) {
    let version = saved.ring.version;
    let mut mended = Vec::new();
    let mut attempt = || -> Result<bool, objects::Error> {
        mended = copies::mend(objects, version, &saved.bytes)?;
        if !mended.is_empty() {
            let copies = mended.len();
            tracing::warn!(version, copies, "wrote missing or damaged copies of the key ring again");
        }
        let others = copies::versions(objects)?.into_keys().any(|found| found != version);
        copies::delete_others(objects, Some(version))?;
        Ok(others)
    };
    let at_open = match (attempt(), other) {
        (Ok(_), Some(_)) => {
            tracing::warn!(version, "undid a change to another master key that was cut off");
            AtOpen::Undone
        }
        (Ok(true), None) => {
            tracing::warn!(version, "finished a change of the key ring that was cut off");
            AtOpen::Finished
        }
        (Ok(false), None) => AtOpen::Settled,
        (Err(error), _) => {
            tracing::warn!(version, %error, "the key ring opened, but could not be put in order");
            AtOpen::Settled
        }
    };
    (at_open, mended)
}

fn incident((key, reason): (ObjectKey, String)) -> Incident {
    Incident { object: key.to_string(), reason, outcome: Ok("written again from another copy".to_owned()) }
}

/// Puts a lost ring back from a backup; gives its version. With a master key, only if it opens. A ring
/// that cannot be read at the moment is not lost.
pub(in crate::store) fn restore(
    objects: &dyn Objects,
    bytes: &[u8],
    store_id: [u8; 16],
    master: Option<&MasterKey>,
) -> Result<u32, KeyError> {
    let record = RingRecord::read(bytes).map_err(KeyError::NotABackup)?;
    if record.store_id != store_id {
        return Err(KeyError::NotABackup("it belongs to another store".into()));
    }
    let version = record.version;
    for (there, copies) in copies::versions(objects)? {
        if copies::has_whole(objects, there, &copies)? {
            return Err(KeyError::NotLost(there));
        }
    }
    if let Some(master) = master {
        record.open(master, store_id).map_err(|fault| match fault {
            record::Fault::Wrong => KeyError::Wrong { version },
            record::Fault::Damaged(reason) => KeyError::NotABackup(reason),
        })?;
    }
    copies::mend(objects, version, bytes)?;
    copies::read_back(objects, version, bytes)?;
    Ok(version)
}
