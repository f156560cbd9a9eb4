//! A ring as it is stored: a record and the BLAKE3 hash of it, so that damage shows before any key
//! is tried.
//!
//! Invariant: no wrapping key serves twice, as each record draws an id of its own.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Domain, Keyring, MasterKey, STORE_DOMAIN, wrapped};
use crate::db::codec::{self, Record, Unreadable};
use crate::store::seal::{Aead, KEY_BYTES, derive, nonce};

const HASH_BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct RingRecord {
    pub(super) store_id: [u8; 16],
    pub(super) version: u32,
    /// Random, drawn for each save.
    pub(super) id: [u8; 16],
    /// Tells the right master key: a wrapped key alone does not, as GCM does not commit to its key.
    master_check: [u8; KEY_BYTES],
    pub(super) domains: Vec<WrappedDomain>,
    /// The number of the next domain.
    next_domain: u32,
}

/// A ring of version 2 of the record: a domain had one key and no note.
#[derive(Serialize, Deserialize)]
struct SecondRing {
    store_id: [u8; 16],
    version: u32,
    id: [u8; 16],
    master_check: [u8; KEY_BYTES],
    domains: Vec<WrappedDomain>,
    revoked: Vec<u32>,
}

/// A ring of version 1 of the record: each domain was the store's own, none was revoked.
#[derive(Serialize, Deserialize)]
struct FirstRing {
    store_id: [u8; 16],
    version: u32,
    id: [u8; 16],
    master_check: [u8; KEY_BYTES],
    domains: Vec<WrappedDomain>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WrappedDomain {
    id: u32,
    /// What the domain is: who has domains is nobody's business, nor how many keys one has.
    wrapped: Vec<u8>,
    pub(super) check: [u8; KEY_BYTES],
}

impl Record for RingRecord {
    const VERSION: u8 = 3;
    const NAME: &'static str = "key ring";

    fn decode_other(form: u8, bytes: &[u8]) -> Result<RingRecord, Unreadable> {
        let whole = [&[form], bytes].concat();
        if form == SecondRing::VERSION {
            let SecondRing { store_id, version, id, master_check, domains, revoked } = codec::decode(&whole)?;
            // Numbers were given out in order, and each is among one or the other.
            let last = domains.iter().map(|domain| domain.id).chain(revoked).max().unwrap_or_default();
            return Ok(RingRecord {
                store_id,
                version,
                id,
                master_check,
                domains,
                next_domain: last.saturating_add(1),
            });
        }
        let FirstRing { store_id, version, id, master_check, domains } = codec::decode(&whole)?;
        let last = domains.iter().map(|domain| domain.id).max().unwrap_or_default();
        Ok(RingRecord { store_id, version, id, master_check, domains, next_domain: last.saturating_add(1) })
    }
}

impl Record for SecondRing {
    const VERSION: u8 = 2;
    const NAME: &'static str = "key ring";
}

impl Record for FirstRing {
    const VERSION: u8 = 1;
    const NAME: &'static str = "key ring";
}

/// Why one copy did not open.
pub(super) enum Fault {
    Wrong,
    Damaged(String),
}

impl RingRecord {
    /// Reads a copy, which no key is needed for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<RingRecord, String> {
        let (body, hash) =
            bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(|| "it is too short".to_owned())?;
        if blake3::hash(body) != *hash {
            return Err("its hash does not match".into());
        }
        codec::decode(body).map_err(|error| error.to_string())
    }

    /// The ring, if it is this store's.
    pub(super) fn open(self, master: &MasterKey, store_id: [u8; 16]) -> Result<Keyring, Fault> {
        if self.store_id != store_id {
            return Err(Fault::Damaged("it belongs to another store".into()));
        }
        if !same(&self.master_check, &master_check(master, &store_id)) {
            return Err(Fault::Wrong);
        }
        self.unwrap_domains(master)
    }

    /// The ring; the master key is known to be the right one.
    pub(super) fn unwrap_domains(self, master: &MasterKey) -> Result<Keyring, Fault> {
        let wrapping = Aead::new(&wrapping_key(master, &self.store_id, self.version, &self.id));
        let unwrap = |domain: WrappedDomain| {
            let bound = associated_data(&self.store_id, self.version, &self.id, domain.id);
            let mut bytes = Zeroizing::new(domain.wrapped);
            wrapping.open(&nonce(domain.id.into()), &bound, &mut bytes).ok()?;
            let is_right = same(&domain.check, &domain_check(&bytes, &self.store_id, domain.id));
            Some((domain.id, wrapped::read(&bytes).filter(|_| is_right)?))
        };
        let domains = self
            .domains
            .into_iter()
            .map(|domain| {
                let id = domain.id;
                unwrap(domain).ok_or_else(|| Fault::Damaged(format!("the key of domain {id} does not open")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Keyring {
            store_id: self.store_id,
            version: self.version,
            domains,
            next_domain: self.next_domain.max(STORE_DOMAIN + 1),
        })
    }
}

/// The bytes of a ring's copies, wrapped under `master`.
pub(super) fn to_bytes(ring: &Keyring, master: &MasterKey, id: [u8; 16]) -> Vec<u8> {
    let wrapping = Aead::new(&wrapping_key(master, &ring.store_id, ring.version, &id));
    let wrap = |(&domain, held): (&u32, &Domain)| {
        let mut bytes = wrapped::write(held);
        let check = domain_check(&bytes, &ring.store_id, domain);
        let bound = associated_data(&ring.store_id, ring.version, &id, domain);
        wrapping.seal(&nonce(domain.into()), &bound, &mut bytes);
        WrappedDomain { id: domain, wrapped: bytes.to_vec(), check }
    };
    let mut bytes = codec::encode(&RingRecord {
        store_id: ring.store_id,
        version: ring.version,
        id,
        master_check: master_check(master, &ring.store_id),
        domains: ring.domains.iter().map(wrap).collect(),
        next_domain: ring.next_domain,
    });
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

pub(super) fn wrapping_key(
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
