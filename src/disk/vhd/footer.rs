//! The footer of a VHD, which says what kind it is and how large its disk is.
//!
//! Source: Microsoft's Virtual Hard Disk Image Format Specification, 2006. All numbers are big-endian.

use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

/// A footer, and a sector.
pub(super) const FOOTER_BYTES: usize = 512;
/// One of Virtual PC before 2004, which lacks its last byte.
const OLD_FOOTER_BYTES: usize = 511;
pub(super) const COOKIE: &[u8] = b"conectix";
const VERSION: u32 = 0x0001_0000;
const CHECKSUM_AT: usize = 64;

/// Makers whose disks have the size that the footer calls current.
const BY_CURRENT_SIZE: [&[u8]; 6] = [b"win ", b"qem2", b"d2v ", b"tap\0", b"CTXS", b"vbox"];
/// Makers whose disks have the size that the geometry makes.
const BY_GEOMETRY: [&[u8]; 2] = [b"vpc ", b"qemu"];
/// The largest geometry there is, which larger disks have too.
const GEOMETRY_MAX: u64 = 65_535 * 16 * 255;

/// How the data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All of it, from the first byte on.
    Fixed,
    /// In blocks, found by a table whose header is at this byte.
    Dynamic {
        /// Where that header is.
        header_at: u64,
    },
}

/// What a footer says, found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) kind: Kind,
    /// Size of the guest's disk.
    pub(super) size_bytes: u64,
    /// The size by the geometry, which some readers take.
    pub(super) geometry_bytes: u64,
    /// Whether its maker rounds the geometry and goes by the size, as its readers know.
    is_by_size: bool,
    /// Bytes of the file before the footer.
    pub(super) before_bytes: u64,
}

impl Footer {
    /// The size by the geometry, where that is another, and some readers take it.
    pub(super) fn other_size(&self) -> Option<u64> {
        let is_capped = self.geometry_bytes >= GEOMETRY_MAX * FOOTER_BYTES as u64;
        let is_known = is_capped || self.is_by_size;
        Some(self.geometry_bytes).filter(|bytes| !is_known && *bytes != self.size_bytes)
    }

    pub(super) fn read(source: &dyn Source) -> Result<Footer, Error> {
        let file = Structures::new(source, Format::Vhd);
        let (bytes, before_bytes) = find(&file, source.size_bytes())?;
        let footer = Fields(&bytes);
        let refuse = |code, field, why: String| Err(file.refuse(code, field, why));
        if checksum(&bytes, CHECKSUM_AT) != footer.be32(CHECKSUM_AT) {
            return refuse(Code::BadChecksum, "footer checksum", "it is not that of the footer".into());
        }
        let version = footer.be32(12);
        if version != VERSION {
            return refuse(Code::Unsupported, "file format version", format!("it is {version:#x}"));
        }
        let kind = match footer.be32(60) {
            2 => Kind::Fixed,
            3 => Kind::Dynamic { header_at: footer.be64(16) },
            4 => {
                let why = "the disk is what changed since another file";
                return refuse(Code::NeedsAnotherFile, "disk type", why.into());
            }
            other => return refuse(Code::Unsupported, "disk type", format!("it is {other}")),
        };
        if let Kind::Dynamic { .. } = kind
            && file.bytes("footer copy", 0, FOOTER_BYTES)?[..bytes.len()] != bytes[..]
        {
            return refuse(Code::Disagreement, "footer copy", "the one at the start is another".into());
        }
        let geometry_bytes = geometry_bytes(&footer);
        let is_by_size = BY_CURRENT_SIZE.contains(&footer.bytes(28, 4));
        let size_bytes = size(&file, &footer, geometry_bytes)?;
        Ok(Footer { kind, size_bytes, geometry_bytes, is_by_size, before_bytes })
    }
}

/// The footer at the end, and the bytes before it.
fn find(file: &Structures, size: u64) -> Result<(Vec<u8>, u64), Error> {
    for bytes in [FOOTER_BYTES, OLD_FOOTER_BYTES] {
        let Some(at) = size.checked_sub(bytes as u64) else { continue };
        let found = file.bytes("footer", at, bytes)?;
        if found.starts_with(COOKIE) {
            return Ok((found, at));
        }
    }
    Err(file.refuse(Code::CutShort, "footer", "the file does not end with one"))
}

/// The size of the disk, which makers tell in one of two ways.
fn size(file: &Structures, footer: &Fields, geometry_bytes: u64) -> Result<u64, Error> {
    let (current, creator) = (footer.be64(48), footer.bytes(28, 4));
    if BY_CURRENT_SIZE.contains(&creator) || geometry_bytes >= GEOMETRY_MAX * FOOTER_BYTES as u64 {
        return Ok(current);
    }
    if BY_GEOMETRY.contains(&creator) {
        return Ok(geometry_bytes);
    }
    let cylinder = u64::from(footer.bytes(58, 1).first().copied().unwrap_or(0))
        * u64::from(footer.bytes(59, 1).first().copied().unwrap_or(0))
        * FOOTER_BYTES as u64;
    if current.abs_diff(geometry_bytes) > cylinder {
        let why = format!("it is {current}, and the geometry makes {geometry_bytes}: the maker is not known");
        return Err(file.refuse(Code::Disagreement, "current size", why));
    }
    Ok(current)
}

fn geometry_bytes(footer: &Fields) -> u64 {
    let [heads, sectors] = [58, 59].map(|at| u64::from(footer.bytes(at, 1).first().copied().unwrap_or(0)));
    u64::from(footer.be16(56)) * heads * sectors * FOOTER_BYTES as u64
}

/// The ones' complement of the sum of all bytes but the four of the checksum itself.
pub(in crate::disk) fn checksum(bytes: &[u8], at: usize) -> u32 {
    let counted = bytes.iter().enumerate().filter(|(place, _)| !(at..at + 4).contains(place));
    !counted.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}
