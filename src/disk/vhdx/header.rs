//! The headers of a VHDX and its table of regions.
//!
//! Source: MS-VHDX 2.2. All numbers are little-endian.

use uuid::Uuid;

use super::format::{BAT, METADATA, checksum};
use crate::disk::fields::{Fields, array};
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

pub(super) const MIB: u64 = 1 << 20;
const FILE_MAGIC: &[u8] = b"vhdxfile";
const HEADERS_AT: [u64; 2] = [64 << 10, 128 << 10];
const HEADER_BYTES: usize = 4 << 10;
const HEADER_MAGIC: &[u8] = b"head";
const VERSION: u16 = 1;
const REGIONS_AT: [u64; 2] = [192 << 10, 256 << 10];
const REGIONS_BYTES: usize = 64 << 10;
const REGIONS_MAGIC: &[u8] = b"regi";
const REGIONS_MAX: u32 = 2047;
const CHECKSUM_AT: usize = 4;

/// Where the log is, and which entries in it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    /// The name that entries carry; nil where nothing is to be replayed.
    pub(super) name: Uuid,
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// A region of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// The two regions that a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Regions {
    pub(super) bat: Region,
    pub(super) metadata: Region,
}

/// A name as the format has it.
pub(super) fn name(bytes: &[u8], at: usize) -> Uuid {
    array::<16>(bytes, at).map(Uuid::from_bytes_le).unwrap_or_default()
}

/// The log that the current header names.
pub(super) fn log(source: &dyn Source) -> Result<Log, Error> {
    let file = Structures::new(source, Format::Vhdx);
    if file.bytes("file identifier", 0, FILE_MAGIC.len())? != FILE_MAGIC {
        return Err(file.refuse(Code::BadField, "file identifier", "it is another"));
    }
    let [first, second] = HEADERS_AT.map(|at| header(&file, at));
    let bytes = match (first?, second?) {
        (None, None) => return Err(file.refuse(Code::BadChecksum, "header", "neither of the two is whole")),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(first), Some(second)) => match sequence(&first).cmp(&sequence(&second)) {
            std::cmp::Ordering::Greater => first,
            std::cmp::Ordering::Less => second,
            std::cmp::Ordering::Equal if first == second => first,
            std::cmp::Ordering::Equal => {
                let why = "both have the same number and say different things";
                return Err(file.refuse(Code::Disagreement, "header sequence number", why));
            }
        },
    };
    let header = Fields(&bytes);
    let version = header.le16(66);
    if version != VERSION {
        return Err(file.refuse(Code::Unsupported, "header version", format!("it is {version}, not 1")));
    }
    let log = Log { name: name(&bytes, 48), at: header.le64(72), bytes: u64::from(header.le32(68)) };
    if !log.name.is_nil() {
        if header.le16(64) != 0 {
            return Err(file.refuse(Code::Unsupported, "log version", "it is not 0"));
        }
        if log.at < MIB || !log.at.is_multiple_of(MIB) || !log.bytes.is_multiple_of(MIB) || log.bytes == 0 {
            let why = format!("{} bytes from byte {} on do not lie on a grid of 1 MiB", log.bytes, log.at);
            return Err(file.refuse(Code::BadField, "log offset", why));
        }
        file.expect_inside("log offset", log.at, log.bytes)?;
    }
    Ok(log)
}

/// A header, where it is whole.
fn header(file: &Structures, at: u64) -> Result<Option<Vec<u8>>, Error> {
    let bytes = file.bytes("header", at, HEADER_BYTES)?;
    let is_whole =
        bytes.starts_with(HEADER_MAGIC) && Fields(&bytes).le32(CHECKSUM_AT) == checksum(&bytes, CHECKSUM_AT);
    Ok(is_whole.then_some(bytes))
}

fn sequence(header: &[u8]) -> u64 {
    Fields(header).le64(8)
}

/// The regions by the first table that is whole.
pub(super) fn regions(source: &dyn Source) -> Result<Regions, Error> {
    let file = Structures::new(source, Format::Vhdx);
    for at in REGIONS_AT {
        let bytes = file.bytes("region table", at, REGIONS_BYTES)?;
        let is_whole = bytes.starts_with(REGIONS_MAGIC)
            && Fields(&bytes).le32(CHECKSUM_AT) == checksum(&bytes, CHECKSUM_AT);
        if is_whole {
            return entries(&file, &bytes);
        }
    }
    Err(file.refuse(Code::BadChecksum, "region table", "neither of the two is whole"))
}

fn entries(file: &Structures, table: &[u8]) -> Result<Regions, Error> {
    let wrong = |code, why: String| Err(file.refuse(code, "region table", why));
    let count = Fields(table).le32(8);
    if count > REGIONS_MAX {
        return wrong(Code::BadField, format!("it has {count} entries, and {REGIONS_MAX} are the most"));
    }
    let mut taken: Vec<(u64, u64)> = vec![(0, MIB)];
    let (mut bat, mut metadata) = (None, None);
    for entry in table.get(16..).unwrap_or_default().chunks_exact(32).take(count as usize) {
        let (id, fields) = (name(entry, 0), Fields(entry));
        let region = Region { at: fields.le64(16), bytes: u64::from(fields.le32(24)) };
        if !region.at.is_multiple_of(MIB) || !region.bytes.is_multiple_of(MIB) || region.bytes == 0 {
            return wrong(
                Code::BadTable,
                format!("the region at byte {} is off the grid of 1 MiB", region.at),
            );
        }
        file.expect_inside("region table", region.at, region.bytes)?;
        if taken.iter().any(|(at, bytes)| region.at < at + bytes && *at < region.at + region.bytes) {
            return wrong(Code::BadTable, format!("the region at byte {} overlaps another", region.at));
        }
        taken.push((region.at, region.bytes));
        let slot = match id {
            BAT => &mut bat,
            METADATA => &mut metadata,
            _ if fields.le32(28) & 1 == 0 => continue,
            _ => return wrong(Code::Unsupported, "it has a region that is not known here".into()),
        };
        if slot.replace(region).is_some() {
            return wrong(Code::BadTable, "it has a region twice".into());
        }
    }
    match (bat, metadata) {
        (Some(bat), Some(metadata)) => Ok(Regions { bat, metadata }),
        _ => wrong(Code::BadTable, "a disk has a table of blocks and metadata, and one is missing".into()),
    }
}
