//! Digests of a stream that can be put down and taken up again: MD5 and SHA-512 by whole blocks.
//!
//! Invariant: a saved state covers whole blocks only, so that no byte of a stream stands in it; the
//! bytes after the last whole block are to be given again.

use md5::Md5;
use md5::digest::Digest;
use md5::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::Sha512;

/// A multiple of the block of either digest.
pub const BLOCK: usize = 128;

/// A digest that is fed with whole blocks.
#[derive(Clone, Default)]
pub struct Blocks<D> {
    digest: D,
    tail: Vec<u8>,
}

/// MD5 of a stream.
pub type Md5Blocks = Blocks<Md5>;
/// SHA-512 of a stream.
pub type Sha512Blocks = Blocks<Sha512>;

impl<D: Digest + SerializableState + Clone> Blocks<D> {
    /// Takes a digest up again; what follows the last whole block is to be given again. `None` when
    /// the bytes are no such state.
    pub fn resume(state: &[u8]) -> Option<Blocks<D>> {
        let state = <&SerializedState<D>>::try_from(state).ok()?;
        Some(Blocks { digest: D::deserialize(state).ok()?, tail: Vec::new() })
    }

    /// The state after the last whole block.
    pub fn state(&self) -> Vec<u8> {
        self.digest.serialize().to_vec()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        if !self.tail.is_empty() {
            let (now, later) = data.split_at(data.len().min(BLOCK - self.tail.len()));
            self.tail.extend_from_slice(now);
            if self.tail.len() < BLOCK {
                return;
            }
            self.digest.update(&self.tail);
            self.tail.clear();
            data = later;
        }
        let (whole, rest) = data.split_at(data.len() - data.len() % BLOCK);
        self.digest.update(whole);
        self.tail.extend_from_slice(rest);
    }

    /// The digest of all bytes so far.
    pub fn finalize<const N: usize>(&self) -> [u8; N]
    where
        [u8; N]: From<md5::digest::Output<D>>,
    {
        self.digest.clone().chain_update(&self.tail).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_digests_taken_up_again_are_those_of_the_whole() {
        let data: Vec<u8> = (0..1000u32).flat_map(|n| n.to_le_bytes()).collect();
        for offset in [0, 1, 127, 128, 129, 256, 3000, data.len()] {
            let (mut md5, mut sha512) = (Md5Blocks::default(), Sha512Blocks::default());
            for piece in data[..offset].chunks(77) {
                md5.update(piece);
                sha512.update(piece);
            }
            assert_eq!(md5.finalize::<16>(), <[u8; 16]>::from(Md5::digest(&data[..offset])));
            let mut md5 = Md5Blocks::resume(&md5.state()).unwrap();
            let mut sha512 = Sha512Blocks::resume(&sha512.state()).unwrap();
            let rest = &data[offset - offset % BLOCK..];
            md5.update(rest);
            sha512.update(rest);
            assert_eq!(md5.finalize::<16>(), <[u8; 16]>::from(Md5::digest(&data)));
            assert_eq!(sha512.finalize::<64>(), <[u8; 64]>::from(Sha512::digest(&data)));
        }
    }

    #[test]
    fn p9_no_byte_of_the_stream_stands_in_a_state() {
        let mut md5 = Md5Blocks::default();
        md5.update(&[0xa7; 1000]);
        assert!(!md5.state().windows(4).any(|bytes| bytes == [0xa7; 4]));
        assert!(Md5Blocks::resume(&md5.state()[1..]).is_none());
    }
}
