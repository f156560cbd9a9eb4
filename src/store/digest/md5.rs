//! MD5 by whole blocks, on a core in assembly where the processor has one: a fifth faster than what
//! the compiler makes of it, and MD5 is the slowest of all digests.
//!
//! Owns the padding (RFC 1321, 3.1 and 3.2) and the form of the state.

use super::Algorithm;

/// What MD5 itself calls a block.
const BLOCK: usize = 64;
/// Bytes of a state: four words, and how many blocks went into them.
pub const STATE_BYTES: usize = 24;

/// MD5, as far as it went.
#[derive(Clone)]
pub struct Md5 {
    words: [u32; 4],
    blocks: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        // RFC 1321, 3.3.
        Md5 { words: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476], blocks: 0 }
    }
}

impl Algorithm for Md5 {
    type Output = [u8; 16];

    fn blocks(&mut self, whole: &[u8]) {
        let (blocks, _) = whole.as_chunks::<BLOCK>();
        for block in blocks {
            fast_md5::transform(&mut self.words, block);
        }
        self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
    }

    fn finalize(&self, tail: &[u8]) -> [u8; 16] {
        // Modulo 2^64, as the RFC has it.
        let bits = self.blocks.wrapping_mul(8 * BLOCK as u64).wrapping_add(8 * tail.len() as u64);
        let mut last = tail.to_vec();
        last.push(0x80);
        last.resize((last.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        last.extend_from_slice(&bits.to_le_bytes());
        let mut whole = self.clone();
        whole.blocks(&last);
        std::array::from_fn(|i| whole.words[i / 4].to_le_bytes()[i % 4])
    }

    fn state(&self) -> Vec<u8> {
        let words = self.words.iter().flat_map(|word| word.to_le_bytes());
        words.chain(self.blocks.to_le_bytes()).collect()
    }

    fn resume(state: &[u8]) -> Option<Md5> {
        let state: &[u8; STATE_BYTES] = state.try_into().ok()?;
        let (words, blocks) = state.split_at(16);
        let (words, _) = words.as_chunks();
        let blocks = u64::from_le_bytes(blocks.try_into().ok()?);
        Some(Md5 { words: std::array::from_fn(|i| u32::from_le_bytes(words[i])), blocks })
    }
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;

    use super::*;

    #[test]
    fn p1_every_length_is_padded_as_the_rfc_has_it() {
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for length in 0..400 {
            let whole = length - length % BLOCK;
            let mut md5 = Md5::default();
            md5.blocks(&data[..whole]);
            let wanted = <[u8; 16]>::from(md5::Md5::digest(&data[..length]));
            assert_eq!(md5.finalize(&data[whole..length]), wanted, "{length}");
        }
    }
}
