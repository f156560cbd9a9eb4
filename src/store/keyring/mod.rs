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

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::seal::DomainKey;
use crate::base::Entropy;
use crate::db::SealKey;
use crate::objects;

pub(super) use keys::restore;
pub use keys::{AtOpen, Keys, RingStatus};
pub use master::{MasterKey, NotAKey};

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
    domains: BTreeMap<u32, Arc<DomainKey>>,
}

impl Keyring {
    /// A new ring: version 1 with one domain, number 1.
    fn create(entropy: &dyn Entropy, store_id: [u8; 16]) -> Keyring {
        let domains = new_domain(entropy).map(|key| (STORE_DOMAIN, key)).into_iter().collect();
        Keyring { store_id, version: 1, domains }
    }

    /// The keys of a domain.
    fn domain(&self, id: u32) -> Result<Arc<DomainKey>, KeyError> {
        self.domains.get(&id).cloned().ok_or(KeyError::Unknown(id))
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

/// Fresh keys for a domain.
fn new_domain(entropy: &dyn Entropy) -> Option<Arc<DomainKey>> {
    let mut bytes = Zeroizing::new([0; DomainKey::BYTES]);
    entropy.fill(&mut *bytes);
    DomainKey::from_bytes(&*bytes).map(Arc::new)
}
