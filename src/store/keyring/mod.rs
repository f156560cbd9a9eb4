//! The key ring: the keys of all key domains, wrapped under the master key.
//!
//! Owns: the ring's objects, changing them, and telling a wrong master key from a missing or damaged
//! ring. Invariants: each version is kept three times, as losing it loses every image; a version is
//! used only when all its copies read back, and the one before is deleted only then; so there are
//! never more than two, and after any crash a master key opens one of them or is refused.
//! Must not know where the master key comes from.

mod copies;
mod keys;
mod master;
mod record;
#[cfg(test)]
mod tests;
mod wrapped;

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::seal::DomainKey;
use crate::base::Entropy;
use crate::db::SealKey;
use crate::objects;

pub(super) use keys::Newest;
pub(super) use keys::restore;
pub use keys::{AtOpen, Keys, RingStatus};
pub use master::{MasterKey, NotAKey};
#[cfg(test)]
pub(super) use record::RingRecord;

/// Each change writes the whole ring three times; a domain takes some 300 bytes of it.
const DOMAINS_MAX: usize = 10_000;

/// The domain of everything that has no key of its own, and of the store's own records.
pub const STORE_DOMAIN: u32 = 1;

/// What is wrong with keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The ring is whole, and the master key is another one.
    #[error(
        "this master key does not open the store's key ring (version {version}); give the store's own key"
    )]
    Wrong {
        /// The version of the ring.
        version: u32,
    },
    /// There is a ring, and nothing to open it with.
    #[error("the store is sealed, and no master key was given")]
    Absent,
    /// There is no ring.
    #[error(
        "the store has no key ring: no object {0}*; \"tintype key restore FILE\" puts it back from a backup"
    )]
    Missing(String),
    /// No copy of any version is whole.
    #[error("no copy of the key ring is whole: {0}; \"tintype key restore FILE\" puts it back from a backup")]
    Damaged(String),
    /// A domain that the ring never had, or has no more after an older ring was put back.
    #[error("the key ring has no key for domain {0}: was an older backup of it restored?")]
    Unknown(u32),
    /// A key of a domain that the ring has no more, or does not have yet.
    #[error(
        "the key ring has no key {version} of domain {domain}: was an older backup of it restored, or an object from \
         before the domain was sealed anew?"
    )]
    UnknownVersion {
        /// The domain.
        domain: u32,
        /// Which of its keys.
        version: u32,
    },
    /// A domain whose key was deleted, and with it what it sealed.
    #[error(
        "the key of domain {0} was revoked: what it sealed cannot be read by anyone any more, only deleted"
    )]
    Revoked(u32),
    /// The store's own domain cannot be taken from it.
    #[error("domain 1 is the store's own, and seals its catalog too: it cannot be erased alone")]
    StoreDomain,
    /// The ring has grown to its bound.
    #[error("the key ring has {0} domains already, which is the most")]
    TooMany(usize),
    /// A plain store has no keys.
    #[error("the store is plain: it has no keys")]
    Plain,
    /// The master key is the one in force.
    #[error("the new master key is the one that is in force already; nothing was changed")]
    Same,
    /// The new ring is in force, and something of the old one is still there.
    #[error(
        "the new key ring (version {version}) is in force, but an older one could not be deleted ({cause}) and \
         still opens with what opened it; the next start deletes it, or the next change of keys"
    )]
    OlderRemains {
        /// The version that is in force.
        version: u32,
        /// The medium's complaint.
        cause: objects::Error,
    },
    /// Bytes that are no backup of this store's ring.
    #[error("this is no backup of this store's key ring: {0}")]
    NotABackup(String),
    /// There is a whole ring, which a backup would only make older.
    #[error("the store has a whole key ring (version {0}); nothing was restored")]
    NotLost(u32),
    /// The medium failed.
    #[error("cannot reach the key ring: {0}")]
    Objects(#[from] objects::Error),
}

/// The keys of all key domains.
#[derive(Debug, Clone)]
pub struct Keyring {
    store_id: [u8; 16],
    version: u32,
    domains: BTreeMap<u32, Domain>,
    /// The number of the next domain: none is given out twice, so one below it that is not there was
    /// revoked.
    next_domain: u32,
}

/// One key domain.
#[derive(Debug, Clone)]
struct Domain {
    /// Whose it is; zeros for the store's own. Of several of one owner the newest takes new data.
    owner: [u8; 16],
    /// What its owner wrote beside it.
    note: Vec<u8>,
    /// Its keys by version, at least one. The last seals what is new; others are there as long as
    /// something they sealed is. All name chunks alike.
    keys: BTreeMap<u32, Arc<DomainKey>>,
}

/// A key domain, as far as anyone may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainStatus {
    /// Its number.
    pub domain: u32,
    /// Whose it is; `None` for the store's own.
    pub owner: Option<[u8; 16]>,
    /// What its owner wrote beside it.
    pub note: Vec<u8>,
    /// The versions of its keys: the last seals what is new, and more than one means that the domain
    /// is being sealed anew. At least one.
    pub key_versions: Vec<u32>,
}

impl Keyring {
    /// A new ring: version 1 with one domain, number 1.
    fn create(entropy: &dyn Entropy, store_id: [u8; 16]) -> Keyring {
        let domains = Domain::new([0; 16], &[], entropy).map(|domain| (STORE_DOMAIN, domain));
        let domains = domains.into_iter().collect();
        Keyring { store_id, version: 1, domains, next_domain: STORE_DOMAIN + 1 }
    }

    fn domain(&self, id: u32) -> Result<&Domain, KeyError> {
        self.domains.get(&id).ok_or(if (STORE_DOMAIN..self.next_domain).contains(&id) {
            KeyError::Revoked(id)
        } else {
            KeyError::Unknown(id)
        })
    }

    /// One of a domain's keys.
    fn key(&self, domain: u32, version: u32) -> Result<Arc<DomainKey>, KeyError> {
        let found = self.domain(domain)?.keys.get(&version).cloned();
        found.ok_or(KeyError::UnknownVersion { domain, version })
    }

    /// The key that seals a domain's new data.
    fn newest(&self, domain: u32) -> Result<Newest, KeyError> {
        let newest = self.domain(domain)?.keys.last_key_value();
        let (version, key) = newest.ok_or(KeyError::Unknown(domain))?;
        Ok(Newest { version: *version, key: key.clone() })
    }

    /// The domain that takes an owner's new data.
    fn domain_of(&self, owner: &[u8; 16]) -> Option<u32> {
        self.domains.iter().rev().find(|(_, domain)| domain.owner == *owner).map(|(id, _)| *id)
    }

    /// The ring that follows this one, with one more domain.
    fn with_domain(
        &self,
        owner: [u8; 16],
        note: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<(u32, Keyring), KeyError> {
        let mut next = self.next();
        let id = next.next_domain;
        if next.domains.len() >= DOMAINS_MAX || id == u32::MAX {
            return Err(KeyError::TooMany(DOMAINS_MAX));
        }
        next.domains.extend(Domain::new(owner, note, entropy).map(|domain| (id, domain)));
        next.next_domain = id + 1;
        Ok((id, next))
    }

    /// The ring that follows this one, with one more key of a domain.
    fn with_key(&self, id: u32, entropy: &dyn Entropy) -> Result<(u32, Keyring), KeyError> {
        let newest = self.newest(id)?;
        let version = newest.version.checked_add(1).ok_or(KeyError::TooMany(DOMAINS_MAX))?;
        let mut next = self.next();
        if let Some(domain) = next.domains.get_mut(&id) {
            domain.keys.insert(version, Arc::new(newest.key.successor(entropy)));
        }
        Ok((version, next))
    }

    /// The ring that follows this one, without a domain's keys before its newest.
    fn without_older_keys(&self, id: u32) -> Result<Keyring, KeyError> {
        let newest = self.newest(id)?.version;
        let mut next = self.next();
        if let Some(domain) = next.domains.get_mut(&id) {
            domain.keys.retain(|version, _| *version == newest);
        }
        Ok(next)
    }

    /// The ring that follows this one, without a domain's keys.
    fn without(&self, id: u32) -> Result<Keyring, KeyError> {
        let mut next = self.next();
        if id == STORE_DOMAIN {
            return Err(KeyError::StoreDomain);
        }
        self.domain(id)?;
        next.domains.remove(&id);
        Ok(next)
    }

    fn domains(&self) -> Vec<DomainStatus> {
        let status = |(id, domain): (&u32, &Domain)| DomainStatus {
            domain: *id,
            owner: Some(domain.owner).filter(|owner| *owner != [0; 16]),
            note: domain.note.clone(),
            key_versions: domain.keys.keys().copied().collect(),
        };
        self.domains.iter().map(status).collect()
    }

    /// What the catalog may be sealed with, the newest first; each with the version of the key it
    /// follows from.
    fn catalog_keys(&self) -> Result<Vec<(u32, SealKey)>, KeyError> {
        let keys = &self.domain(STORE_DOMAIN)?.keys;
        Ok(keys.iter().rev().map(|(version, key)| (*version, key.catalog())).collect())
    }

    /// The ring that follows this one.
    fn next(&self) -> Keyring {
        Keyring { version: self.version + 1, ..self.clone() }
    }
}

impl Domain {
    /// Fresh keys for a domain of `owner`.
    fn new(owner: [u8; 16], note: &[u8], entropy: &dyn Entropy) -> Option<Domain> {
        let mut bytes = Zeroizing::new([0; DomainKey::BYTES]);
        entropy.fill(&mut *bytes);
        let key = Arc::new(DomainKey::from_bytes(&*bytes)?);
        Some(Domain { owner, note: note.to_vec(), keys: [(0, key)].into() })
    }
}
