//! The header of a hosted sparse extent, and its copy at the end of a stream.
//!
//! Source: VMware's Virtual Disk Format 5.0. All numbers are little-endian; a sector has 512 bytes.

use crate::disk::budgets::Budgets;
use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

pub(super) const SECTOR: u64 = 512;
const HEADER_BYTES: usize = 512;
const MAGIC: &[u8] = b"KDMV";
const NEWLINES_VALID: u32 = 1 << 0;
/// Set while a machine has the disk open.
const UNCLEAN_AT: usize = 72;
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// What line ends look like when no transfer changed them.
const NEWLINES: &[u8] = b"\n \r\n";
/// Where the directory is that only the copy at the end knows of.
const AT_END: u64 = u64::MAX;
/// The end of a stream: a marker, the copy of the header, and a marker again, a sector each.
const END_BYTES: u64 = 3 * SECTOR;
const MARKER_FOOTER: u32 = 3;
pub(super) const TABLE_ENTRIES: u64 = 512;
const GRAIN_SECTORS: std::ops::RangeInclusive<u64> = 8..=2048;

/// What the header says, found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) size_bytes: u64,
    pub(super) grain_bytes: u64,
    /// Where the descriptor is, and how long, in bytes.
    pub(super) descriptor: (u64, u64),
    /// Where the directory of grain tables is, in bytes.
    pub(super) directory_at: u64,
    /// Whether an entry may say that a grain is zeros.
    pub(super) has_zero_grains: bool,
    pub(super) is_compressed: bool,
    /// Whether it was not closed.
    pub(super) is_unclean: bool,
}

impl Header {
    pub(super) fn read(source: &dyn Source, budgets: &Budgets) -> Result<Header, Error> {
        let file = Structures::new(source, Format::Vmdk);
        let first = file.bytes("header", 0, HEADER_BYTES)?;
        let mut header = checked(&file, &first, budgets)?;
        if Fields(&first).le64(56) == AT_END {
            header.directory_at = at_end(&file, source.size_bytes(), &first, budgets)?.directory_at;
        }
        if header.directory_at < HEADER_BYTES as u64 {
            let why = format!("byte {} is in the header", header.directory_at);
            return Err(file.refuse(Code::BadTable, "gdOffset", why));
        }
        Ok(header)
    }

    /// Grain tables that the disk needs.
    pub(super) fn tables(&self) -> u64 {
        self.size_bytes.div_ceil(self.grain_bytes * TABLE_ENTRIES)
    }
}

/// Where the first marker of a stream begins, by a header that need not be in order; `None` of what is no stream.
pub(super) fn first_marker_at(header: Fields<'_>) -> Option<u64> {
    let is_stream = header.bytes(0, MAGIC.len()) == MAGIC
        && header.le32(8) & (COMPRESSED | MARKERS) == COMPRESSED | MARKERS;
    header.le64(64).checked_mul(SECTOR).filter(|at| is_stream && *at >= HEADER_BYTES as u64)
}

fn checked(file: &Structures, bytes: &[u8], budgets: &Budgets) -> Result<Header, Error> {
    let (header, refuse) = (Fields(bytes), |code, field, why: String| Err(file.refuse(code, field, why)));
    if !bytes.starts_with(MAGIC) {
        return refuse(Code::BadField, "magicNumber", "it is not that of a sparse extent".into());
    }
    let (version, flags) = (header.le32(4), header.le32(8));
    if !(1..=3).contains(&version) {
        return refuse(Code::Unsupported, "version", format!("it is {version}, not from 1 to 3"));
    }
    if flags & NEWLINES_VALID != 0 && header.bytes(73, 4) != NEWLINES {
        let why = "a transfer as text changed the file";
        return refuse(Code::BadField, "newline characters", why.into());
    }
    let grain_sectors = header.le64(20);
    if !grain_sectors.is_power_of_two() || !GRAIN_SECTORS.contains(&grain_sectors) {
        let why = format!("it is {grain_sectors} sectors, no power of two from 8 to 2048");
        return refuse(Code::BadField, "grainSize", why);
    }
    let entries = header.le32(44);
    if u64::from(entries) != TABLE_ENTRIES {
        return refuse(Code::Unsupported, "numGTEsPerGT", format!("it is {entries}, not 512"));
    }
    let sectors = |field: &'static str, at: usize| {
        let bytes = header.le64(at).checked_mul(SECTOR);
        bytes.ok_or_else(|| file.refuse(Code::BadField, field, "it is past what a file can have"))
    };
    let size_bytes = sectors("capacity", 12)?;
    if size_bytes > budgets.virtual_bytes_max {
        let why =
            format!("it is {size_bytes} bytes, and disks.virtual_bytes_max is {}", budgets.virtual_bytes_max);
        return refuse(Code::OverBudget, "capacity", why);
    }
    let directory_at = if header.le64(56) == AT_END { 0 } else { sectors("gdOffset", 56)? };
    Ok(Header {
        size_bytes,
        grain_bytes: grain_sectors * SECTOR,
        descriptor: (sectors("descriptorOffset", 28)?, sectors("descriptorSize", 36)?),
        directory_at,
        has_zero_grains: flags & ZERO_GRAINS != 0,
        is_compressed: is_compressed(file, flags, header.le16(77))?,
        is_unclean: !header.is_zero(UNCLEAN_AT, 1),
    })
}

fn is_compressed(file: &Structures, flags: u32, algorithm: u16) -> Result<bool, Error> {
    match (flags & COMPRESSED != 0, flags & MARKERS != 0, algorithm) {
        (false, _, 0) => Ok(false),
        (true, true, 1) => Ok(true),
        (true, false, 1) => {
            let why = "its grains are compressed and do not say how long they are";
            Err(file.refuse(Code::Unsupported, "flags", why))
        }
        _ => {
            let why = format!("it is {algorithm}, which the flags {flags:#x} do not go with");
            Err(file.refuse(Code::BadField, "compressAlgorithm", why))
        }
    }
}

/// The copy of the header at the end of a stream, which knows where the directory is.
fn at_end(file: &Structures, size: u64, first: &[u8], budgets: &Budgets) -> Result<Header, Error> {
    let wrong = |code, why: &str| Err(file.refuse(code, "footer", why));
    let Some(start) = size.checked_sub(END_BYTES) else { return wrong(Code::CutShort, "there is none") };
    let end = file.bytes("footer", start, END_BYTES as usize)?;
    let (marker, rest) = end.split_at(SECTOR as usize);
    let (footer, last) = rest.split_at(SECTOR as usize);
    let marker = Fields(marker);
    if (marker.le64(0), marker.le32(8), marker.le32(12)) != (1, 0, MARKER_FOOTER) {
        return wrong(Code::CutShort, "no marker of a footer is where it should be");
    }
    if last.iter().any(|byte| *byte != 0) {
        return wrong(Code::CutShort, "no mark of the end follows it");
    }
    // What may differ is where the directories are.
    let (theirs, ours) = (Fields(footer), Fields(first));
    let agree = [(0, 12), (12, 8), (20, 8), (28, 8), (36, 8), (44, 4), (77, 2)]
        .into_iter()
        .all(|(at, count)| theirs.bytes(at, count) == ours.bytes(at, count));
    if !agree {
        return wrong(Code::Disagreement, "it says other than the header");
    }
    if theirs.le64(56) == AT_END {
        return wrong(Code::BadField, "it names another one");
    }
    checked(file, footer, budgets)
}
