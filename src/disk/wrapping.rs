//! Files inside a compressed wrapper: which one it is, and what is in it, as a stream.
//!
//! One level is unwrapped, and what comes out is whatever it is. Invariants: memory is bounded by [`WINDOW_BYTES_MAX`] and
//! some buffers, whatever the file asks for; a wrapper that is cut short, or followed by anything else, is an error, never
//! a shorter file; output that is out of all proportion to what was read ends with an error soon.

use std::io::{BufReader, Error, ErrorKind, Read, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// What a decoder may look back on, in bytes: `xz -9` and `zstd --long=26` are the last that fit.
pub const WINDOW_BYTES_MAX: u32 = 64 << 20;
/// Besides its window, what a decoder of xz counts, in KiB.
const XZ_BESIDE_KIB: u32 = 4096;
/// Bytes of a wrapper that are read at once.
const READ_BYTES: usize = 128 << 10;
/// Output that needs no proportion, in bytes: small files of zeros are small indeed.
const FREE_BYTES: u64 = 256 << 20;
/// Output for each byte that was read, at most. gz reaches 1032 with zeros, xz some 7000; a zstd of more is a bomb.
const RATIO_MAX: u64 = 10_000;

/// A kind of wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    /// gzip (RFC 1952), of any number of members.
    Gz,
    /// xz, of any number of streams.
    Xz,
    /// Zstandard (RFC 8878), of any number of frames.
    Zst,
}

impl Wrapper {
    /// Bytes of a file's start that tell its wrapper.
    pub const HEAD_BYTES: usize = 6;

    /// The wrapper that a file begins with.
    pub fn of(head: &[u8]) -> Option<Wrapper> {
        let magics: [(&[u8], Wrapper); 3] = [
            (&[0x1f, 0x8b, 8], Wrapper::Gz),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Wrapper::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Wrapper::Zst),
        ];
        magics.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, wrapper)| *wrapper)
    }

    /// Its name, as files end in it.
    pub fn as_str(self) -> &'static str {
        match self {
            Wrapper::Gz => "gz",
            Wrapper::Xz => "xz",
            Wrapper::Zst => "zst",
        }
    }
}

/// What is in a wrapper, read from `R`.
pub struct Unwrapped<'a> {
    wrapper: Wrapper,
    decoder: Box<dyn Read + 'a>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<'a> Unwrapped<'a> {
    /// Begins at the wrapper's first byte.
    ///
    /// # Errors
    /// When a decoder cannot be made.
    pub fn new(wrapper: Wrapper, source: impl Read + 'a) -> Result<Unwrapped<'a>> {
        let taken = Arc::new(AtomicU64::new(0));
        let source = BufReader::with_capacity(READ_BYTES, Counted { source, taken: taken.clone() });
        let decoder: Box<dyn Read> = match wrapper {
            Wrapper::Gz => Box::new(MultiGzDecoder::new(source)),
            Wrapper::Xz => {
                Box::new(XzReader::new_mem_limit(source, true, WINDOW_BYTES_MAX / 1024 + XZ_BESIDE_KIB))
            }
            Wrapper::Zst => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(WINDOW_BYTES_MAX.ilog2())?;
                Box::new(decoder)
            }
        };
        Ok(Unwrapped { wrapper, decoder, taken, given: 0 })
    }
}

impl Read for Unwrapped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.decoder.read(buffer).map_err(|error| {
            let name = self.wrapper.as_str();
            let what = match error.kind() {
                ErrorKind::Interrupted => return error,
                ErrorKind::UnexpectedEof => "it ends before it should".to_owned(),
                ErrorKind::OutOfMemory => format!("it looks back on more than {WINDOW_BYTES_MAX} bytes"),
                _ => error.to_string(),
            };
            Error::new(ErrorKind::InvalidData, format!("the {name} wrapper cannot be undone: {what}"))
        })?;
        self.given += count as u64;
        let taken = self.taken.load(Ordering::Relaxed);
        if self.given > FREE_BYTES && self.given / RATIO_MAX > taken {
            let name = self.wrapper.as_str();
            let message = format!(
                "{taken} bytes of the {name} wrapper make {} or more: that is taken for a bomb",
                self.given
            );
            return Err(Error::new(ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lzma_rust2::{XzOptions, XzWriter};

    use super::*;

    fn wrapped(wrapper: Wrapper, data: &[u8]) -> Vec<u8> {
        match wrapper {
            Wrapper::Gz => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                out.write_all(data).unwrap();
                out.finish().unwrap()
            }
            Wrapper::Xz => {
                let mut out = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
                out.write_all(data).unwrap();
                out.finish().unwrap()
            }
            Wrapper::Zst => zstd::encode_all(data, 3).unwrap(),
        }
    }

    fn unwrapped(wrapper: Wrapper, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        Unwrapped::new(wrapper, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn data() -> Vec<u8> {
        (0..400_000_u32).flat_map(|at| (at / 3).to_le_bytes()).collect()
    }

    const ALL: [Wrapper; 3] = [Wrapper::Gz, Wrapper::Xz, Wrapper::Zst];

    #[test]
    fn what_was_wrapped_comes_out_of_one_member_or_many() {
        for wrapper in ALL {
            for data in [data(), Vec::new(), vec![7]] {
                let bytes = wrapped(wrapper, &data);
                assert_eq!(Wrapper::of(&bytes), Some(wrapper));
                assert!(unwrapped(wrapper, &bytes).unwrap() == data, "{wrapper:?}");
                let twice = [bytes.clone(), bytes].concat();
                assert!(unwrapped(wrapper, &twice).unwrap() == [data.clone(), data].concat(), "{wrapper:?}");
            }
        }
        assert_eq!(Wrapper::of(b"QFI\xfb\0\0"), None);
        assert_eq!(Wrapper::of(b"\x1f\x8b"), None);
    }

    #[test]
    fn what_is_cut_short_broken_or_followed_by_anything_is_refused() {
        for wrapper in ALL {
            let whole = wrapped(wrapper, &data());
            for length in [whole.len() - 1, whole.len() - 9, whole.len() / 2, 7] {
                let refused = unwrapped(wrapper, &whole[..length]).unwrap_err();
                assert!(refused.to_string().contains(wrapper.as_str()), "{wrapper:?} {length}: {refused}");
            }
            for after in [&b"garbage that is no member"[..], &whole[..9]] {
                let more = [&whole[..], after].concat();
                assert!(unwrapped(wrapper, &more).is_err(), "{wrapper:?} and {} bytes", after.len());
            }
            let mut broken = whole.clone();
            broken[whole.len() / 2] ^= 0x10;
            assert_ne!(unwrapped(wrapper, &broken).ok(), Some(data()), "{wrapper:?}");
        }
    }

    #[test]
    fn s31_a_bomb_ends_long_before_its_output_does() {
        // A frame of a few bytes repeats one byte 128 KiB long; so do many of them.
        let frame = zstd::encode_all(&vec![0; 64 << 20][..], 3).unwrap();
        assert!(frame.len() < 4096, "{}", frame.len());
        let bomb = frame.repeat(64);
        let mut reader = Unwrapped::new(Wrapper::Zst, &bomb[..]).unwrap();
        let mut given = 0_u64;
        let mut piece = vec![0; 1 << 20];
        let refused = loop {
            match reader.read(&mut piece) {
                Ok(0) => panic!("all of it came out"),
                Ok(count) => given += count as u64,
                Err(error) => break error,
            }
        };
        assert!(refused.to_string().contains("bomb"), "{refused}");
        assert!(given < 8 * FREE_BYTES, "{given}");
    }

    #[test]
    fn s31_no_wrapper_has_more_memory_than_the_bound() {
        let mut far = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        far.window_log(27).unwrap();
        far.write_all(&data()).unwrap();
        assert!(unwrapped(Wrapper::Zst, &far.finish().unwrap()).is_err());
        let mut options = XzOptions::with_preset(1);
        options.lzma_options.dict_size = 2 * WINDOW_BYTES_MAX;
        let mut far = XzWriter::new(Vec::new(), options).unwrap();
        far.write_all(&data()).unwrap();
        let refused = unwrapped(Wrapper::Xz, &far.finish().unwrap()).unwrap_err();
        assert!(refused.to_string().contains("looks back"), "{refused}");
    }
}
