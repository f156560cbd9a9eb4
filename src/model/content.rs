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
    /// MD5, the Image API's `checksum`.
    pub md5: [u8; 16],
    /// SHA-512, the Image API's `os_hash_value`.
    pub sha512: [u8; 64],
    /// BLAKE3 root of the whole stream.
    pub blake3: [u8; 32],
}
