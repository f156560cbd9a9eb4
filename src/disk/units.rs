//! Compressed units of a container: each makes a known number of bytes, no more and no fewer.

use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};

use super::probe::Format;
use super::refusal::{Code, Error, Refusal};
use super::source::Source;

/// What is before the deflate stream in a zlib frame (RFC 1950).
const ZLIB_HEADER_BYTES: u64 = 2;

/// How a unit was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Deflate without a frame (RFC 1951), followed by whatever fills its last sector.
    Deflate,
    /// Deflate in a zlib frame (RFC 1950).
    Zlib,
    /// One Zstandard frame (RFC 8878), followed by whatever fills its last sector.
    Zstd,
}

/// A compressed unit of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// The container's format.
    pub format: Format,
    /// Where it begins in the container.
    pub at: u64,
    /// Bytes there that hold it; what follows it in them is padding.
    pub packed_bytes: u64,
    /// Bytes that come out of it, at most.
    pub bytes: u64,
    /// Bytes that come out of it, at least: fewer than `bytes` only where the disk ends within it.
    pub bytes_min: u64,
    /// How it was compressed.
    pub codec: Codec,
}

impl Unit {
    /// Reads and decodes it. Its reader found both sizes within the budget when it made the unit.
    ///
    /// # Errors
    /// `BadData` when it makes more or fewer bytes, or none.
    pub fn decode(&self, source: &dyn Source) -> Result<Vec<u8>, Error> {
        let bad = |why: String| {
            let why = format!("the unit at byte {}: {why}", self.at);
            Error::from(Refusal::new(self.format, Code::BadData, "compressed data", why))
        };
        let size = |bytes: u64| usize::try_from(bytes).map_err(|_| bad("it is too large".into()));
        let (least, wanted) = (size(self.bytes_min)?, size(self.bytes)?);
        if let Some(known) = self.known(source)?.filter(|known| (least..=wanted).contains(&known.len())) {
            return Ok(known);
        }
        let mut packed = vec![0; size(self.packed_bytes)?];
        source.read_exact_at(self.at, &mut packed)?;
        let mut decoded = Vec::with_capacity(wanted);
        // One more than wanted, so that a unit that makes more is told from one that ends there.
        let most = self.bytes.saturating_add(1);
        let outcome = match self.codec {
            Codec::Deflate => DeflateDecoder::new(&packed[..]).take(most).read_to_end(&mut decoded),
            Codec::Zlib => ZlibDecoder::new(&packed[..]).take(most).read_to_end(&mut decoded),
            Codec::Zstd => zstd::stream::read::Decoder::with_buffer(&packed[..])
                .and_then(|decoder| decoder.single_frame().take(most).read_to_end(&mut decoded)),
        };
        match outcome {
            Ok(count) if (least..=wanted).contains(&count) => Ok(decoded),
            Ok(count) if count < least => Err(bad(format!("it makes {count} bytes of {least}"))),
            Ok(_) => Err(bad(format!("it makes more than {wanted} bytes"))),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

impl Unit {
    /// Where its deflate stream begins in the container, if it has one.
    pub fn deflate_at(&self) -> Option<u64> {
        match self.codec {
            Codec::Deflate => Some(self.at),
            Codec::Zlib => self.at.checked_add(ZLIB_HEADER_BYTES),
            Codec::Zstd => None,
        }
    }

    /// What comes out of it, where the source knows.
    fn known(&self, source: &dyn Source) -> std::io::Result<Option<Vec<u8>>> {
        self.deflate_at().map_or(Ok(None), |at| source.unpacked_at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unit(codec: Codec, packed: &[u8], bytes: u64) -> Result<Vec<u8>, Error> {
        let source = [&[9; 7][..], packed].concat();
        let (format, packed_bytes) = (Format::Qcow2, packed.len() as u64);
        Unit { format, at: 7, packed_bytes, bytes, bytes_min: bytes, codec }.decode(&source)
    }

    fn packed(codec: Codec, data: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match codec {
            Codec::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zlib => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => zstd::bulk::compress(data, 1).unwrap(),
        }
    }

    #[test]
    fn a_unit_makes_exactly_its_bytes_whatever_fills_its_last_sector() {
        let data: Vec<u8> = (0..5000_u32).map(|n| (n / 7) as u8).collect();
        for codec in [Codec::Deflate, Codec::Zlib, Codec::Zstd] {
            let packed = packed(codec, &data);
            assert_eq!(unit(codec, &packed, 5000).unwrap(), data, "{codec:?}");
            assert_eq!(unit(codec, &[&packed[..], &[0xee; 300]].concat(), 5000).unwrap(), data, "{codec:?}");
            for (what, packed, bytes) in [
                ("more", &packed[..], 4999),
                ("fewer", &packed[..], 5001),
                ("cut", &packed[..packed.len() / 2], 5000),
            ] {
                let Err(Error::Refused(refusal)) = unit(codec, packed, bytes) else {
                    panic!("{codec:?} {what}")
                };
                assert_eq!(refusal.code, Code::BadData, "{codec:?} {what}");
            }
            assert!(unit(codec, &[0xff; 100], 5000).is_err(), "{codec:?}");
        }
    }
}
