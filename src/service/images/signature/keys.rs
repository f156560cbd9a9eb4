//! Keys that sign images, and whether one signed a digest.
//!
//! Invariant: only public keys, and only what the reference signs with: RSA-PSS with MGF1 of the same hash and the longest
//! salt that fits, and ECDSA on the curves P-384 and P-521 as DER. Must not know where keys come from.

use p384::ecdsa as p384_ecdsa;
use p521::ecdsa as p521_ecdsa;
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use sha2::digest::{Digest, DynDigest, FixedOutputReset};
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// A way to hash data before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashMethod {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl HashMethod {
    const ALL: [(HashMethod, &str); 4] = [
        (HashMethod::Sha224, "SHA-224"),
        (HashMethod::Sha256, "SHA-256"),
        (HashMethod::Sha384, "SHA-384"),
        (HashMethod::Sha512, "SHA-512"),
    ];

    /// Reads the Image API's word.
    pub(super) fn parse(word: &str) -> Result<HashMethod, String> {
        let known = Self::ALL.iter().find(|(_, name)| *name == word);
        known.map(|(method, _)| *method).ok_or_else(|| {
            format!("img_signature_hash_method: {word:?} is none of SHA-224, SHA-256, SHA-384 and SHA-512")
        })
    }

    fn hasher(self) -> Box<dyn DynDigest + Send> {
        match self {
            HashMethod::Sha224 => Box::new(Sha224::new()),
            HashMethod::Sha256 => Box::new(Sha256::new()),
            HashMethod::Sha384 => Box::new(Sha384::new()),
            HashMethod::Sha512 => Box::new(Sha512::new()),
        }
    }
}

/// Data that is being hashed.
pub(super) struct Hashing {
    method: HashMethod,
    hasher: Box<dyn DynDigest + Send>,
}

impl Hashing {
    pub(super) fn new(method: HashMethod) -> Hashing {
        Hashing { method, hasher: method.hasher() }
    }

    /// The same from the beginning.
    pub(super) fn anew(&self) -> Hashing {
        Hashing::new(self.method)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }
}

/// A kind of key, as images name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    RsaPss,
    P384,
    P521,
}

impl KeyType {
    const ALL: [(KeyType, &str); 3] =
        [(KeyType::RsaPss, "RSA-PSS"), (KeyType::P384, "ECC_SECP384R1"), (KeyType::P521, "ECC_SECP521R1")];

    /// Reads the Image API's word.
    pub(super) fn parse(word: &str) -> Result<KeyType, String> {
        let known = Self::ALL.iter().find(|(_, name)| *name == word);
        known.map(|(kind, _)| *kind).ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            format!(
                "img_signature_key_type: {word:?} is not verified here (DSA and other curves are not); sign with one of: \
                 {names}"
            )
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A public key.
pub(super) enum Key {
    Rsa(Box<rsa::PublicKey>),
    P384(Box<p384_ecdsa::VerifyingKey>),
    P521(Box<p521_ecdsa::VerifyingKey>),
}

impl Key {
    /// Reads the key of a certificate, which is to be of this kind; `None` when it is not.
    pub(super) fn read(kind: KeyType, spki_der: &[u8]) -> Option<Key> {
        match kind {
            KeyType::RsaPss => {
                rsa::PublicKey::from_public_key_der(spki_der).ok().map(|key| Key::Rsa(Box::new(key)))
            }
            KeyType::P384 => {
                let key = p384_ecdsa::VerifyingKey::from_public_key_der(spki_der).ok()?;
                Some(Key::P384(Box::new(key)))
            }
            KeyType::P521 => {
                let key = p521_ecdsa::VerifyingKey::from_public_key_der(spki_der).ok()?;
                Some(Key::P521(Box::new(key)))
            }
        }
    }

    /// Whether its owner signed what was hashed.
    pub(super) fn signed(&self, hashing: Hashing, signature: &[u8]) -> bool {
        let Hashing { method, hasher } = hashing;
        let digest = hasher.finalize();
        match self {
            Key::Rsa(key) => match method {
                HashMethod::Sha224 => is_pss::<Sha224>(key, &digest, signature),
                HashMethod::Sha256 => is_pss::<Sha256>(key, &digest, signature),
                HashMethod::Sha384 => is_pss::<Sha384>(key, &digest, signature),
                HashMethod::Sha512 => is_pss::<Sha512>(key, &digest, signature),
            },
            Key::P384(key) => {
                let signature = p384_ecdsa::Signature::from_der(signature);
                signature.is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok())
            }
            Key::P521(key) => {
                let signature = p521_ecdsa::Signature::from_der(signature);
                signature.is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok())
            }
        }
    }
}

/// Whether this is a signature by RSASSA-PSS (RFC 8017, 8.1) with the longest salt that the key has room for.
fn is_pss<D: Digest + FixedOutputReset>(key: &rsa::PublicKey, digest: &[u8], signature: &[u8]) -> bool {
    let encoded_bytes = (key.n().bit_width_vartime() as usize).saturating_sub(1).div_ceil(8);
    let Some(salt_bytes) = encoded_bytes.checked_sub(<D as Digest>::output_size() + 2) else { return false };
    let key = rsa::pss::VerifyingKey::<D>::new_with_salt_len(key.clone(), salt_bytes);
    rsa::pss::Signature::try_from(signature)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
}
