//! What is known of a byte stream once it is stored.

use std::fmt;

/// The store's name for one stored byte stream (its manifest). Random, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 16]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests of a whole stream, computed as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digests {
    /// MD5, the Image API's `checksum`; `None` where none was asked for.
    pub md5: Option<[u8; 16]>,
    /// The Image API's `os_hash_value`; `None` where none was asked for.
    pub secure: Option<SecureHash>,
    /// BLAKE3 root of the whole stream.
    pub blake3: [u8; 32],
}

/// A digest that tells one stream from any other, by an algorithm that clients know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecureHash {
    /// SHA-512.
    Sha512([u8; 64]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl SecureHash {
    /// These bytes as a hash; `None` when the algorithm makes another number of them.
    pub fn new(algorithm: HashAlgorithm, value: &[u8]) -> Option<SecureHash> {
        Some(match algorithm {
            HashAlgorithm::Sha512 => SecureHash::Sha512(value.try_into().ok()?),
            HashAlgorithm::Sha256 => SecureHash::Sha256(value.try_into().ok()?),
        })
    }

    /// How it was computed.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self {
            SecureHash::Sha512(_) => HashAlgorithm::Sha512,
            SecureHash::Sha256(_) => HashAlgorithm::Sha256,
        }
    }

    /// Its bytes.
    pub fn value(&self) -> &[u8] {
        match self {
            SecureHash::Sha512(value) => value,
            SecureHash::Sha256(value) => value,
        }
    }
}

/// How a [`SecureHash`] is computed.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashAlgorithm {
    Sha512,
    Sha256,
}

impl HashAlgorithm {
    /// The one of this word.
    pub fn parse(word: &str) -> Option<HashAlgorithm> {
        [HashAlgorithm::Sha512, HashAlgorithm::Sha256].into_iter().find(|known| known.as_str() == word)
    }

    /// The Image API's word for it, which is also that of Python's hashlib.
    pub fn as_str(self) -> &'static str {
        match self {
            HashAlgorithm::Sha512 => "sha512",
            HashAlgorithm::Sha256 => "sha256",
        }
    }
}

/// What is computed of a new stream beside its BLAKE3. A stream keeps to what it began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestChoice {
    /// Whether MD5 is.
    pub md5: bool,
    /// Which hash is, if any. Clients of the Image API expect one.
    pub secure: Option<HashAlgorithm>,
}

impl DigestChoice {
    /// BLAKE3 alone.
    pub const NONE: DigestChoice = DigestChoice { md5: false, secure: None };
}

impl Default for DigestChoice {
    fn default() -> Self {
        DigestChoice { md5: true, secure: Some(HashAlgorithm::Sha512) }
    }
}
