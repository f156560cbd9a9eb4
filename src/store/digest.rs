//! Digests of a stream that can be put down and taken up again, by whole blocks.
//!
//! Owns what surrounds the algorithms: bytes that do not fill a block wait for the next ones.
//! Invariant: a saved state covers whole blocks only, so that no byte of a stream stands in it; the
//! bytes after the last whole block are to be given again.

mod md5;
mod sha2;

use md5::Md5;
pub use md5::STATE_BYTES as MD5_STATE_BYTES;
use sha2::Sha2;

use crate::model::{HashAlgorithm, SecureHash};

/// A multiple of the block of every digest.
pub const BLOCK: usize = 128;

/// An algorithm, as far as it went through a stream. It is fed with whole blocks.
pub trait Algorithm: Clone + Default + Send + 'static {
    /// What it gives.
    type Output;

    /// Takes the next bytes, a multiple of [`BLOCK`].
    fn blocks(&mut self, whole: &[u8]);

    /// What it gives if no more comes than `tail`.
    fn finalize(&self, tail: &[u8]) -> Self::Output;

    /// How far it went.
    fn state(&self) -> Vec<u8>;

    /// Goes on from there. `None` when the bytes are no such state.
    fn resume(state: &[u8]) -> Option<Self>;
}

/// A digest of the bytes of a stream so far.
#[derive(Clone, Default)]
pub struct Blocks<A> {
    algorithm: A,
    tail: Vec<u8>,
}

/// MD5 of a stream.
pub type Md5Blocks = Blocks<Md5>;
/// SHA-512 of a stream.
pub type Sha512Blocks = Blocks<Sha2<::sha2::Sha512, 64>>;
/// SHA-256 of a stream.
pub type Sha256Blocks = Blocks<Sha2<::sha2::Sha256, 32>>;

impl<A: Algorithm> Blocks<A> {
    /// Takes a digest up again; what follows the last whole block is to be given again. `None` when
    /// the bytes are no such state.
    pub fn resume(state: &[u8]) -> Option<Blocks<A>> {
        Some(Blocks { algorithm: A::resume(state)?, tail: Vec::new() })
    }

    /// The state after the last whole block.
    pub fn state(&self) -> Vec<u8> {
        self.algorithm.state()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        if !self.tail.is_empty() {
            let (now, later) = data.split_at(data.len().min(BLOCK - self.tail.len()));
            self.tail.extend_from_slice(now);
            if self.tail.len() < BLOCK {
                return;
            }
            self.algorithm.blocks(&self.tail);
            self.tail.clear();
            data = later;
        }
        let (whole, rest) = data.split_at(data.len() - data.len() % BLOCK);
        self.algorithm.blocks(whole);
        self.tail.extend_from_slice(rest);
    }

    /// The digest of all bytes so far.
    pub fn finalize(&self) -> A::Output {
        self.algorithm.finalize(&self.tail)
    }
}

/// The hash that clients are told, whichever it is.
#[derive(Clone)]
pub enum SecureBlocks {
    /// SHA-512.
    Sha512(Sha512Blocks),
    /// SHA-256.
    Sha256(Sha256Blocks),
}

impl SecureBlocks {
    /// Of no bytes yet.
    pub fn new(algorithm: HashAlgorithm) -> SecureBlocks {
        match algorithm {
            HashAlgorithm::Sha512 => SecureBlocks::Sha512(Blocks::default()),
            HashAlgorithm::Sha256 => SecureBlocks::Sha256(Blocks::default()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            SecureBlocks::Sha512(blocks) => blocks.update(data),
            SecureBlocks::Sha256(blocks) => blocks.update(data),
        }
    }

    /// The hash of all bytes so far.
    pub fn finalize(&self) -> SecureHash {
        match self {
            SecureBlocks::Sha512(blocks) => SecureHash::Sha512(blocks.finalize()),
            SecureBlocks::Sha256(blocks) => SecureHash::Sha256(blocks.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ::sha2::{Digest as _, Sha256, Sha512};

    use super::*;

    #[test]
    fn p1_digests_taken_up_again_are_those_of_the_whole() {
        let data: Vec<u8> = (0..1000u32).flat_map(|n| n.to_le_bytes()).collect();
        let wanted_md5 = |data: &[u8]| <[u8; 16]>::from(::md5::Md5::digest(data));
        for offset in [0, 1, 63, 64, 127, 128, 129, 256, 3000, data.len()] {
            let mut md5 = Md5Blocks::default();
            let (mut sha512, mut sha256) = (Sha512Blocks::default(), Sha256Blocks::default());
            for piece in data[..offset].chunks(77) {
                md5.update(piece);
                sha512.update(piece);
                sha256.update(piece);
            }
            assert_eq!(md5.finalize(), wanted_md5(&data[..offset]));
            assert_eq!(sha256.finalize()[..], Sha256::digest(&data[..offset])[..]);
            let mut md5 = Md5Blocks::resume(&md5.state()).unwrap();
            let mut sha512 = Sha512Blocks::resume(&sha512.state()).unwrap();
            let mut sha256 = Sha256Blocks::resume(&sha256.state()).unwrap();
            let rest = &data[offset - offset % BLOCK..];
            md5.update(rest);
            sha512.update(rest);
            sha256.update(rest);
            assert_eq!(md5.finalize(), wanted_md5(&data));
            assert_eq!(sha512.finalize()[..], Sha512::digest(&data)[..]);
            assert_eq!(sha256.finalize()[..], Sha256::digest(&data)[..]);
        }
    }

    #[test]
    fn p9_no_byte_of_the_stream_stands_in_a_state() {
        let mut md5 = Md5Blocks::default();
        let (mut sha512, mut sha256) = (Sha512Blocks::default(), Sha256Blocks::default());
        md5.update(&[0xa7; 1000]);
        sha512.update(&[0xa7; 1000]);
        sha256.update(&[0xa7; 1000]);
        for state in [md5.state(), sha512.state(), sha256.state()] {
            assert!(!state.windows(4).any(|bytes| bytes == [0xa7; 4]));
        }
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        let (md5, sha256) = (Md5Blocks::default().state(), Sha256Blocks::default().state());
        assert!(Md5Blocks::resume(&md5[1..]).is_none());
        assert!(Sha256Blocks::resume(&sha256[1..]).is_none());
        assert!(Sha512Blocks::resume(&sha256).is_none());
    }
}
