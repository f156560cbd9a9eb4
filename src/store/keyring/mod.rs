//! The key ring: the keys of all key domains, wrapped under the master key.
//!
//! Owns: the ring's objects `keyring/<version>-<a|b|c>`, and telling a wrong master key from a
//! missing or damaged ring. Invariant: an object of the ring is never overwritten, is deleted only
//! before anything was sealed, and each version is kept three times, as losing it loses every
//! image. Must not know where the master key comes from.
//!
//! An object is a record and the BLAKE3 hash of it, so that damage shows before any key is tried.

mod master;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::seal::{Aead, DomainKey, KEY_BYTES, derive, nonce};
use crate::base::Entropy;
use crate::db::SealKey;
use crate::db::codec::{self, Record};
use crate::objects::{self, ObjectKey, Objects};

pub use master::{MasterKey, NotAKey};

const PREFIX: &str = "keyring/";
const COPIES: [char; 3] = ['a', 'b', 'c'];
const HASH_BYTES: usize = 32;
/// The domain of everything that has no key of its own, and of the store's own records.
pub const STORE_DOMAIN: u32 = 1;

/// Why a key ring did not open.
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
    #[error("the store has no key ring: no object {0}*; restore one of its copies from a backup")]
    Missing(String),
    /// No copy of any version is whole.
    #[error("no copy of the key ring is whole: {0}; restore one from a backup")]
    Damaged(String),
    /// The medium failed.
    #[error("cannot read the key ring: {0}")]
    Objects(#[from] objects::Error),
}

/// The keys of all key domains.
#[derive(Debug)]
pub struct Keyring {
    store_id: [u8; 16],
    version: u32,
    domains: BTreeMap<u32, DomainKey>,
}

/// A ring as it is stored.
#[derive(Serialize, Deserialize)]
struct RingRecord {
    store_id: [u8; 16],
    version: u32,
    /// Random, drawn for each save: no wrapping key serves twice.
    id: [u8; 16],
    /// Tells the right master key: a wrapped key alone does not, as GCM does not commit to its key.
    master_check: [u8; KEY_BYTES],
    domains: Vec<WrappedDomain>,
}

#[derive(Serialize, Deserialize)]
struct WrappedDomain {
    id: u32,
    wrapped: Vec<u8>,
    check: [u8; KEY_BYTES],
}

impl Record for RingRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "key ring";
}

/// Why one copy did not open.
enum Fault {
    Wrong,
    Damaged(String),
}

impl Keyring {
    /// A new ring: version 1 with one domain, number 1.
    pub fn create(entropy: &dyn Entropy, store_id: [u8; 16]) -> Keyring {
        let mut bytes = Zeroizing::new([0; DomainKey::BYTES]);
        entropy.fill(&mut *bytes);
        let domains = DomainKey::from_bytes(&*bytes).map(|key| (STORE_DOMAIN, key)).into_iter().collect();
        Keyring { store_id, version: 1, domains }
    }

    /// The keys of a domain.
    pub fn domain(&self, id: u32) -> Option<&DomainKey> {
        self.domains.get(&id)
    }

    /// What the catalog is sealed with.
    pub fn catalog_key(&self) -> Option<SealKey> {
        self.domain(STORE_DOMAIN).map(DomainKey::catalog)
    }

    /// Writes the ring's three copies, wrapped under `master`.
    ///
    /// # Errors
    /// [`objects::Error::Exists`] when there is a copy of this version already, or the medium's
    /// failure. The ring may be used only after success.
    pub fn save(
        &self,
        objects: &dyn Objects,
        master: &MasterKey,
        entropy: &dyn Entropy,
    ) -> Result<(), objects::Error> {
        let keys = COPIES.map(|copy| ObjectKey::new(format!("{PREFIX}{:08x}-{copy}", self.version)));
        let bytes = self.to_bytes(master, entropy.id());
        for key in keys {
            objects.put(&key?, &bytes)?;
        }
        Ok(())
    }

    /// Deletes the copies that a set-up left which was cut off before the store had a header: a
    /// store that never held anything.
    ///
    /// # Errors
    /// The medium's failure.
    pub fn sweep_unused(objects: &dyn Objects) -> Result<(), objects::Error> {
        versions(objects)?.into_values().flatten().try_for_each(|key| objects.delete(&key))
    }

    /// Opens the newest version that has a whole copy.
    ///
    /// # Errors
    /// [`KeyError`]. A medium that fails is never taken for damage: an older version is used only
    /// when all copies of the newer ones were read and none was whole.
    pub fn load(objects: &dyn Objects, master: &MasterKey, store_id: [u8; 16]) -> Result<Keyring, KeyError> {
        let mut damage = Vec::new();
        for (version, copies) in versions(objects)?.into_iter().rev() {
            let mut failure = None;
            for key in copies {
                let opened = match objects.get(&key) {
                    Ok(bytes) => Keyring::from_bytes(&bytes, master, store_id, version),
                    Err(error) => {
                        failure = Some(error);
                        continue;
                    }
                };
                match opened {
                    Ok(ring) => return Ok(ring),
                    Err(Fault::Wrong) => return Err(KeyError::Wrong { version }),
                    Err(Fault::Damaged(reason)) => damage.push(format!("{key}: {reason}")),
                }
            }
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
        Err(if damage.is_empty() {
            KeyError::Missing(PREFIX.to_owned())
        } else {
            KeyError::Damaged(damage.join("; "))
        })
    }

    fn to_bytes(&self, master: &MasterKey, id: [u8; 16]) -> Vec<u8> {
        let wrapping = Aead::new(&wrapping_key(master, &self.store_id, self.version, &id));
        let wrap = |(&domain, key): (&u32, &DomainKey)| {
            let mut bytes = key.to_bytes();
            let check = domain_check(&bytes, &self.store_id, domain);
            let bound = associated_data(&self.store_id, self.version, &id, domain);
            wrapping.seal(&nonce(domain.into()), &bound, &mut bytes);
            WrappedDomain { id: domain, wrapped: bytes.to_vec(), check }
        };
        let mut bytes = codec::encode(&RingRecord {
            store_id: self.store_id,
            version: self.version,
            id,
            master_check: master_check(master, &self.store_id),
            domains: self.domains.iter().map(wrap).collect(),
        });
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    fn from_bytes(
        bytes: &[u8],
        master: &MasterKey,
        store_id: [u8; 16],
        version: u32,
    ) -> Result<Keyring, Fault> {
        let damaged = |reason: &str| Fault::Damaged(reason.to_owned());
        let (body, hash) =
            bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(|| damaged("it is too short"))?;
        if blake3::hash(body) != *hash {
            return Err(damaged("its hash does not match"));
        }
        let record: RingRecord = codec::decode(body).map_err(|e| Fault::Damaged(e.to_string()))?;
        if record.store_id != store_id {
            return Err(damaged("it belongs to another store"));
        }
        if record.version != version {
            return Err(Fault::Damaged(format!("it holds version {} instead", record.version)));
        }
        if !same(&record.master_check, &master_check(master, &store_id)) {
            return Err(Fault::Wrong);
        }
        let domains = record.unwrap_domains(master)?;
        Ok(Keyring { store_id, version, domains })
    }
}

impl RingRecord {
    /// The domains' keys; the master key is known to be the right one.
    fn unwrap_domains(self, master: &MasterKey) -> Result<BTreeMap<u32, DomainKey>, Fault> {
        let wrapping = Aead::new(&wrapping_key(master, &self.store_id, self.version, &self.id));
        let unwrap = |domain: WrappedDomain| {
            let bound = associated_data(&self.store_id, self.version, &self.id, domain.id);
            let mut bytes = Zeroizing::new(domain.wrapped);
            wrapping.open(&nonce(domain.id.into()), &bound, &mut bytes).ok()?;
            let is_right = same(&domain.check, &domain_check(&bytes, &self.store_id, domain.id));
            Some((domain.id, DomainKey::from_bytes(&bytes).filter(|_| is_right)?))
        };
        self.domains
            .into_iter()
            .map(|domain| {
                let id = domain.id;
                unwrap(domain).ok_or_else(|| Fault::Damaged(format!("the key of domain {id} does not open")))
            })
            .collect()
    }
}

/// The copies there are, by version. Foreign names below the prefix are passed over.
fn versions(objects: &dyn Objects) -> Result<BTreeMap<u32, Vec<ObjectKey>>, objects::Error> {
    let mut versions: BTreeMap<u32, Vec<ObjectKey>> = BTreeMap::new();
    objects.list(PREFIX, &mut |info| {
        if let Some(version) = version_of(info.key.as_str()) {
            versions.entry(version).or_default().push(info.key);
        }
    })?;
    Ok(versions)
}

fn version_of(key: &str) -> Option<u32> {
    let (version, copy) = key.strip_prefix(PREFIX)?.split_once('-')?;
    let is_copy = version.len() == 8 && COPIES.iter().any(|&letter| copy.chars().eq([letter]));
    is_copy.then(|| u32::from_str_radix(version, 16).ok())?
}

fn wrapping_key(
    master: &MasterKey,
    store_id: &[u8; 16],
    version: u32,
    id: &[u8; 16],
) -> Zeroizing<[u8; KEY_BYTES]> {
    let info: [&[u8]; 3] = [b"tintype keyring v1", &version.to_le_bytes(), id];
    derive(master.secret(), Some(store_id), &info)
}

fn associated_data(store_id: &[u8; 16], version: u32, id: &[u8; 16], domain: u32) -> Vec<u8> {
    [&store_id[..], &version.to_le_bytes(), id, &domain.to_le_bytes()].concat()
}

fn master_check(master: &MasterKey, store_id: &[u8; 16]) -> [u8; KEY_BYTES] {
    *derive(master.secret(), Some(store_id), &[b"tintype master check v1"])
}

fn domain_check(keys: &[u8], store_id: &[u8; 16], domain: u32) -> [u8; KEY_BYTES] {
    *derive(keys, Some(store_id), &[b"tintype domain check v1", &domain.to_le_bytes()])
}

fn same(left: &[u8; KEY_BYTES], right: &[u8; KEY_BYTES]) -> bool {
    left.ct_eq(right).into()
}
