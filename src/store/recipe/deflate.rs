//! Deflate streams (RFC 1951) taken apart into what they hold and corrections, and made again, to the bit.
//!
//! Owns the one use of `preflate-rs`, which tells how an encoder would have decided and notes where it did otherwise. What
//! corrections mean is decided by its release: `Cargo.toml` pins it, and a golden test notices what moves. Invariant: it may
//! fail on any input, and neither ends the process nor holds more memory than a unit calls for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use preflate_rs::{PreflateConfig, preflate_whole_deflate_stream, recreate_whole_deflate_stream};

/// Longest chain of candidates that is followed: what zlib's slowest level looks at.
const CHAIN_MAX: u32 = 4096;

/// A deflate stream taken apart.
pub struct Apart {
    /// What it holds.
    pub plain: Vec<u8>,
    /// What it takes to make it again.
    pub corrections: Vec<u8>,
    /// Its length.
    pub packed_bytes: usize,
}

/// Takes the stream at the start of `packed` apart that holds `plain_bytes`; `None` where that cannot be done, or would not
/// lead back to it.
pub fn take_apart(packed: &[u8], plain_bytes: usize) -> Option<Apart> {
    let config = PreflateConfig {
        max_chain_length: CHAIN_MAX,
        plain_text_limit: plain_bytes.saturating_add(1),
        verify_compression: false,
    };
    let apart = quietly(|| preflate_whole_deflate_stream(packed, &config).ok())?;
    let (chunk, plain) = apart;
    let plain = plain.text().to_vec();
    let apart = Apart { plain, corrections: chunk.corrections, packed_bytes: chunk.compressed_size };
    let again = make(&apart.plain, &apart.corrections)?;
    let is_whole = apart.plain.len() == plain_bytes && packed.get(..apart.packed_bytes) == Some(&again[..]);
    is_whole.then_some(apart)
}

/// Makes a stream again.
pub fn make(plain: &[u8], corrections: &[u8]) -> Option<Vec<u8>> {
    quietly(|| recreate_whole_deflate_stream(plain, corrections).ok())
}

/// What it gives; `None` where it panics, as it may on what no encoder makes.
fn quietly<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn text(bytes: usize) -> Vec<u8> {
        let words = ["image ", "chunk ", "frame ", "pack ", "manifest "];
        let mut state = 7_u32;
        let mut text = Vec::new();
        while text.len() < bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(words[state as usize >> 16 & 3].as_bytes());
            text.push((state >> 24) as u8 & 31);
        }
        text.truncate(bytes);
        text
    }

    #[test]
    fn a_stream_comes_back_to_the_bit_whatever_follows_it() {
        let data = text(65_536);
        for level in [1, 6, 9] {
            let stream = packed(&data, level);
            let padded = [&stream[..], &[0xee; 300]].concat();
            let apart = take_apart(&padded, data.len()).unwrap();
            assert_eq!((&apart.plain, apart.packed_bytes), (&data, stream.len()), "{level}");
            assert_eq!(make(&apart.plain, &apart.corrections).unwrap(), stream, "{level}");
            assert!(apart.corrections.len() * 4 < stream.len(), "{level}: {}", apart.corrections.len());
        }
    }

    #[test]
    fn what_is_no_stream_or_another_length_is_not_taken_apart() {
        let stream = packed(&text(4096), 6);
        assert!(take_apart(&stream, 4095).is_none());
        assert!(take_apart(&stream, 4097).is_none());
        assert!(take_apart(&stream[..stream.len() / 2], 4096).is_none());
        assert!(take_apart(&[0xff; 100], 4096).is_none());
        assert!(take_apart(&[], 4096).is_none());
        assert!(make(&[1, 2, 3], &[0xff; 9]).is_none_or(|made| made.len() < 1000));
    }

    /// Corrections that are stored somewhere must make the same stream for ever.
    #[test]
    fn corrections_are_golden() {
        let again = make(&text(8192), &hex::decode(CORRECTIONS).unwrap()).unwrap();
        assert_eq!(hex::encode(&blake3::hash(&again).as_bytes()[..8]), "cb7792fe1e807447");
    }

    const CORRECTIONS: &str = concat!(
        "0000040d00020201011400ff0701040000048104050300c80023b88ed97edfc86519bd4c90a4943f8f184db291b05de7",
        "5c461c2265a279369a262b9360d5c8b38edf801ff73b43b0dd91720267a0fd9b299bb6455c4969dc6f7369c902f73a71",
        "8ee54621ce05e2b72376702abc5dc449dd624d69334643e95996d81b9bce542e32e1f93fdeed0c3dc8775520222bdde1",
        "0acad0d8f965e8ac3b74f183c9d9f46acb8d5afacbf5aa2752605ae2caedf0cc2ff2787e467a1b7048a9373b62466eef",
        "90116515d759bb1dbdcc243358890de9f06ecd7f8af890bc9860da08d68d1963e0",
    );
}
