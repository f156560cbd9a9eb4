//! Sealing of stored objects: AES-256-GCM under a key per object, and names that tell nothing.
//!
//! Owns: the keys of one domain, the key of each object, nonces, what a seal binds. Invariant: a
//! key and nonce never meet twice, as every object, in every attempt and generation, has a random
//! id of its own and counts its seals with one counter. Must not know where keys come from or
//! what is sealed.

mod aead;
#[cfg(test)]
mod tests;

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::Entropy;
use crate::db::SealKey;
pub(super) use aead::Aead;
#[cfg(test)]
pub(super) use aead::recorded::nonces_of;

/// What a seal adds to the bytes it seals.
pub const TAG_BYTES: usize = 16;
/// The length of every key.
pub(super) const KEY_BYTES: usize = 32;

/// Sealed bytes that do not open: altered, or of another place, object or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open: they were altered, moved, or sealed with another key")]
pub struct Unsealable;

/// The keys of one key domain: one seals its objects, one names its chunks. Who loses them loses
/// the domain's images, and only those.
pub struct DomainKey {
    sealing: Zeroizing<[u8; KEY_BYTES]>,
    naming: Zeroizing<[u8; KEY_BYTES]>,
}

impl DomainKey {
    /// The length of both keys, one after the other.
    pub(super) const BYTES: usize = 2 * KEY_BYTES;

    /// Takes the keys as [`DomainKey::to_bytes`] gave them; `None` when the length is not theirs.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<DomainKey> {
        let (sealing, naming) = bytes.split_first_chunk()?;
        let naming = naming.try_into().ok()?;
        Some(DomainKey { sealing: Zeroizing::new(*sealing), naming: Zeroizing::new(naming) })
    }

    /// Both keys and what is kept with them, to be wrapped.
    pub(super) fn to_bytes(&self, with: &[u8]) -> Zeroizing<Vec<u8>> {
        // One allocation of the final length (wrapping appends a tag), so that no copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::BYTES + with.len() + TAG_BYTES));
        bytes.extend_from_slice(&*self.sealing);
        bytes.extend_from_slice(&*self.naming);
        bytes.extend_from_slice(with);
        bytes
    }

    /// The half that seals objects.
    pub(super) fn sealing(&self) -> &[u8; KEY_BYTES] {
        &self.sealing
    }

    /// Another key of the same domain: it seals with this half, and names chunks alike.
    pub(super) fn with_sealing(&self, sealing: &[u8; KEY_BYTES]) -> DomainKey {
        DomainKey { sealing: Zeroizing::new(*sealing), naming: self.naming.clone() }
    }

    /// A fresh key of the same domain.
    pub(super) fn successor(&self, entropy: &dyn Entropy) -> DomainKey {
        let mut sealing = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(&mut *sealing);
        self.with_sealing(&sealing)
    }

    /// The key of one object.
    pub(super) fn object(&self, context: &SealContext) -> Zeroizing<[u8; KEY_BYTES]> {
        let SealContext { kind, object, number, generation, .. } = context;
        if context.has_short_id {
            let info: [&[u8]; 5] = [
                b"tintype placed object v1",
                &[*kind],
                object,
                &number.to_le_bytes(),
                &generation.to_le_bytes(),
            ];
            return derive(&*self.sealing, None, &info);
        }
        derive(&*self.sealing, None, &[b"tintype object v1", &[*kind], object])
    }

    /// What a catalog is sealed with that belongs to this domain.
    pub(super) fn catalog(&self) -> SealKey {
        SealKey::new(derive(&*self.sealing, None, &[b"tintype catalog v1"]))
    }

    /// The name of a chunk outside sealed bytes. Equal chunks of one domain have equal names, and
    /// without the key nobody can tell whose name it is.
    pub fn name(&self, chunk_hash: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(&self.naming, chunk_hash).as_bytes()
    }
}

impl fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DomainKey(..)")
    }
}

/// What the seals of one object are bound to: sealed bytes open in this place only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext {
    /// What sort of object it is.
    pub kind: u8,
    /// The object's random id.
    pub object: [u8; 16],
    /// The number in its header.
    pub number: u64,
    /// Which writing of the pack it is.
    pub generation: u32,
    /// The key domain.
    pub domain: u32,
    /// The version of the object's format.
    pub format: u16,
    /// Whether only half of the id is random: then the number and the generation, which no two writings of
    /// different packs share, go into the object's key beside it.
    pub has_short_id: bool,
}

impl SealContext {
    /// The associated data of one seal: every field and the counter, fixed-width, little-endian.
    fn associated_data(&self, counter: u64) -> [u8; 43] {
        let mut out = [0; 43];
        out[0] = self.kind;
        out[1..17].copy_from_slice(&self.object);
        out[17..25].copy_from_slice(&self.number.to_le_bytes());
        out[25..29].copy_from_slice(&self.generation.to_le_bytes());
        out[29..33].copy_from_slice(&self.domain.to_le_bytes());
        out[33..41].copy_from_slice(&counter.to_le_bytes());
        out[41..43].copy_from_slice(&self.format.to_le_bytes());
        out
    }
}

/// Seals and opens the parts of one object, under a key of its own.
pub struct ObjectCipher {
    aead: Aead,
    context: SealContext,
}

impl ObjectCipher {
    /// The cipher of the object that `context` describes.
    pub fn new(key: &DomainKey, context: SealContext) -> ObjectCipher {
        ObjectCipher { aead: Aead::new(&key.object(&context)), context }
    }

    /// Seals `data` in place and appends its tag of [`TAG_BYTES`]. A `counter` serves one seal of
    /// the object, ever; sealing other bytes with it again would give both away.
    pub fn seal(&self, counter: u64, data: &mut Vec<u8>) {
        self.aead.seal(&nonce(counter), &self.context.associated_data(counter), data);
    }

    /// Opens `data` in place and removes the tag.
    ///
    /// # Errors
    /// [`Unsealable`], with `data` emptied, when it is not what was sealed here with this counter.
    pub fn open(&self, counter: u64, data: &mut Vec<u8>) -> Result<(), Unsealable> {
        self.aead.open(&nonce(counter), &self.context.associated_data(counter), data)
    }
}

/// A counter as a nonce of 96 bits, big-endian.
pub(super) fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// HKDF-SHA256 with the parts of `info` joined; all but the last must have a fixed length.
///
/// # Panics
/// Never: it fails only for outputs far longer than a key.
#[allow(clippy::expect_used)]
pub(super) fn derive(secret: &[u8], salt: Option<&[u8]>, info: &[&[u8]]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let kdf = Hkdf::<Sha256>::new(salt, secret);
    kdf.expand_multi_info(info, &mut *key).expect("a key is short enough for HKDF");
    key
}
