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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::seal::DomainKey;
use crate::base::Entropy;
use crate::db::SealKey;
use crate::objects;

pub(super) use keys::restore;
pub use keys::{AtOpen, Keys, RingStatus};
pub use master::{MasterKey, NotAKey};
#[cfg(test)]
pub(super) use record::RingRecord;

/// Each change writes the whole ring three times; a domain takes some 150 bytes of it.
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
    /// Domains whose keys are gone for good. Their numbers are never given out again.
    revoked: BTreeSet<u32>,
}

/// One key domain.
#[derive(Debug, Clone)]
struct Domain {
    /// Whose it is; zeros for the store's own. Of several of one owner the newest takes new data.
    owner: [u8; 16],
    key: Arc<DomainKey>,
}

/// A key domain, as far as anyone may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainStatus {
    /// Its number.
    pub domain: u32,
    /// Whose it is; `None` for the store's own and for a revoked one.
    pub owner: Option<[u8; 16]>,
    /// Whether its key is gone.
    pub revoked: bool,
}

impl Keyring {
    /// A new ring: version 1 with one domain, number 1.
    fn create(entropy: &dyn Entropy, store_id: [u8; 16]) -> Keyring {
        let domains = Domain::new([0; 16], entropy).map(|domain| (STORE_DOMAIN, domain));
        Keyring { store_id, version: 1, domains: domains.into_iter().collect(), revoked: BTreeSet::new() }
    }

    /// The keys of a domain.
    fn domain(&self, id: u32) -> Result<Arc<DomainKey>, KeyError> {
        if self.revoked.contains(&id) {
            return Err(KeyError::Revoked(id));
        }
        self.domains.get(&id).map(|domain| domain.key.clone()).ok_or(KeyError::Unknown(id))
    }

    /// The domain that takes an owner's new data.
    fn domain_of(&self, owner: &[u8; 16]) -> Option<u32> {
        self.domains.iter().rev().find(|(_, domain)| domain.owner == *owner).map(|(id, _)| *id)
    }

    /// The ring that follows this one, with one more domain.
    fn with_domain(&self, owner: [u8; 16], entropy: &dyn Entropy) -> Result<(u32, Keyring), KeyError> {
        let mut next = self.next();
        let last = next.domains.keys().chain(&next.revoked).max().copied().unwrap_or(STORE_DOMAIN);
        if next.domains.len() + next.revoked.len() >= DOMAINS_MAX {
            return Err(KeyError::TooMany(DOMAINS_MAX));
        }
        next.domains.extend(Domain::new(owner, entropy).map(|domain| (last + 1, domain)));
        Ok((last + 1, next))
    }

    /// The ring that follows this one, without a domain's keys.
    fn without(&self, id: u32) -> Result<Keyring, KeyError> {
        let mut next = self.next();
        if id == STORE_DOMAIN {
            return Err(KeyError::StoreDomain);
        }
        next.domains.remove(&id).ok_or(KeyError::Unknown(id))?;
        next.revoked.insert(id);
        Ok(next)
    }

    fn domains(&self) -> Vec<DomainStatus> {
        let kept = self.domains.iter().map(|(id, domain)| DomainStatus {
            domain: *id,
            owner: Some(domain.owner).filter(|owner| *owner != [0; 16]),
            revoked: false,
        });
        let gone = self.revoked.iter().map(|id| DomainStatus { domain: *id, owner: None, revoked: true });
        let mut all: Vec<_> = kept.chain(gone).collect();
        all.sort_unstable_by_key(|status| status.domain);
        all
    }

    /// What the catalog is sealed with.
    fn catalog_key(&self) -> Result<SealKey, KeyError> {
        self.domain(STORE_DOMAIN).map(|key| key.catalog())
    }

    /// The ring that follows this one.
    fn next(&self) -> Keyring {
        Keyring { version: self.version + 1, ..self.clone() }
    }
}

impl Domain {
    /// Fresh keys for a domain of `owner`.
    fn new(owner: [u8; 16], entropy: &dyn Entropy) -> Option<Domain> {
        let mut bytes = Zeroizing::new([0; DomainKey::BYTES]);
        entropy.fill(&mut *bytes);
        DomainKey::from_bytes(&*bytes).map(|key| Domain { owner, key: Arc::new(key) })
    }
}
