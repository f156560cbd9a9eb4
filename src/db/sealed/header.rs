//! The clear header of a sealed file: which file it is, and whether a key is its own.
//!
//! Invariant: written once, before any page, and never again; kept twice, as who loses it loses the
//! file.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::pages::{KEY_BYTES, Pages};
use super::{Error, SealKey};

/// Bytes before the first page.
pub const HEADER_BYTES: u64 = 4096;
/// First bytes of a sealed file.
pub const MAGIC: [u8; 8] = *b"ttsealed";
/// Version of the layout; a reader refuses a greater one.
pub const VERSION: u16 = 1;
/// Where the two copies begin: in sectors of their own.
const COPIES: [usize; 2] = [0, 2048];
const HASHED_BYTES: usize = 64;
const HASH_BYTES: usize = 32;
const ID_AT: usize = 16;
const CHECK_AT: usize = 32;
const CHECK_BYTES: usize = 32;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Random: two files sealed with one key share no page keys.
    id: [u8; 16],
    /// Tells the right key.
    check: [u8; CHECK_BYTES],
}

/// Whether these bytes begin a sealed file.
pub fn is_header(bytes: &[u8]) -> bool {
    COPIES.iter().any(|at| bytes.get(*at..).is_some_and(|copy| copy.starts_with(&MAGIC)))
}

impl Header {
    /// The header of a new file.
    pub fn new(id: [u8; 16], key: &SealKey) -> Header {
        Header { id, check: check(key, &id) }
    }

    /// The bytes before the first page.
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = [0; HASHED_BYTES + HASH_BYTES];
        copy[..8].copy_from_slice(&MAGIC);
        copy[8..10].copy_from_slice(&VERSION.to_le_bytes());
        copy[ID_AT..CHECK_AT].copy_from_slice(&self.id);
        copy[CHECK_AT..HASHED_BYTES].copy_from_slice(&self.check);
        let hash = blake3::hash(&copy[..HASHED_BYTES]);
        copy[HASHED_BYTES..].copy_from_slice(hash.as_bytes());
        let mut bytes = vec![0; HEADER_BYTES as usize];
        for at in COPIES {
            bytes[at..at + copy.len()].copy_from_slice(&copy);
        }
        bytes
    }

    /// Reads the first whole copy.
    ///
    /// # Errors
    /// [`Error::NewerFormat`], or [`Error::Corrupt`] when neither copy is whole.
    pub fn decode(bytes: &[u8]) -> Result<Header, Error> {
        let whole = COPIES.iter().find_map(|at| {
            let copy = bytes.get(*at..at + HASHED_BYTES + HASH_BYTES)?;
            let (fields, hash) = copy.split_at(HASHED_BYTES);
            (fields.starts_with(&MAGIC) && blake3::hash(fields).as_bytes() == hash).then_some(fields)
        });
        let fields = whole.ok_or_else(|| Error::Corrupt("no copy of its sealed header is whole".into()))?;
        let version = u16::from_le_bytes([fields[8], fields[9]]);
        if version > VERSION {
            return Err(Error::NewerFormat { found: version.into(), supported: VERSION.into() });
        }
        let (mut id, mut check) = ([0; 16], [0; CHECK_BYTES]);
        id.copy_from_slice(&fields[ID_AT..CHECK_AT]);
        check.copy_from_slice(&fields[CHECK_AT..HASHED_BYTES]);
        Ok(Header { id, check })
    }

    /// The file's pages under `key`.
    ///
    /// # Errors
    /// [`Error::OtherKey`] when it is not the file's own.
    pub fn pages(&self, key: &SealKey) -> Result<Pages, Error> {
        if !bool::from(check(key, &self.id).ct_eq(&self.check)) {
            return Err(Error::OtherKey);
        }
        let mut keys = Zeroizing::new([[0; KEY_BYTES]; 2]);
        derive(key, &self.id, b"tintype catalog pages v1", keys.as_flattened_mut());
        Ok(Pages::new(&keys))
    }
}

fn check(key: &SealKey, id: &[u8; 16]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    derive(key, id, b"tintype catalog check v1", &mut check);
    check
}

/// HKDF-SHA256 of the key, salted with the file's id.
#[allow(clippy::expect_used)]
fn derive(key: &SealKey, id: &[u8; 16], info: &[u8], out: &mut [u8]) {
    let kdf = Hkdf::<Sha256>::new(Some(id), &*key.0);
    kdf.expand(info, out).expect("two keys are short enough for HKDF");
}
