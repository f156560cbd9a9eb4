//! The metadata of a VHDX: how large the disk and its blocks are.
//!
//! Source: MS-VHDX 2.6. All numbers are little-endian.

use uuid::{Uuid, uuid};

use super::format::{DISK_ID, DISK_SIZE, FILE_PARAMETERS, LOGICAL_SECTOR, PHYSICAL_SECTOR};
use super::header::{MIB, Region, name};
use crate::disk::budgets::Budgets;
use crate::disk::fields::Fields;
use crate::disk::probe::Format;
use crate::disk::refusal::{Code, Error};
use crate::disk::source::{Source, Structures};

const TABLE_BYTES: usize = 64 << 10;
const MAGIC: &[u8] = b"metadata";
const ENTRY_BYTES: usize = 32;
const ENTRIES_MAX: u16 = 2047;
const REQUIRED: u32 = 1 << 2;
const HAS_PARENT: u32 = 1 << 1;
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = MIB..=256 * MIB;

const PARENT_LOCATOR: Uuid = uuid!("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");

/// What the metadata says, found in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) size_bytes: u64,
    pub(super) block_bytes: u64,
    pub(super) sector_bytes: u64,
}

impl Metadata {
    pub(super) fn read(source: &dyn Source, region: Region, budgets: &Budgets) -> Result<Metadata, Error> {
        let file = Structures::new(source, Format::Vhdx);
        let table = file.bytes("metadata table", region.at, TABLE_BYTES)?;
        let wrong = |code, field, why: String| Err(file.refuse(code, field, why));
        let count = Fields(&table).le16(10);
        if !table.starts_with(MAGIC) || count > ENTRIES_MAX {
            return wrong(Code::BadField, "metadata table", "it does not begin as one".into());
        }
        let mut items = Items::default();
        for entry in table[ENTRY_BYTES..].chunks_exact(ENTRY_BYTES).take(usize::from(count)) {
            items.add(&file, region, entry)?;
        }
        let has = |field: &'static str, item: Option<Vec<u8>>| {
            item.ok_or_else(|| file.refuse(Code::BadField, field, "the metadata does not have it"))
        };
        let parameters = has("file parameters", items.parameters)?;
        let (block_bytes, flags) = (u64::from(Fields(&parameters).le32(0)), Fields(&parameters).le32(4));
        if flags & HAS_PARENT != 0 {
            let why = "the disk is what changed since another file";
            return wrong(Code::NeedsAnotherFile, "file parameters", why.into());
        }
        if !block_bytes.is_power_of_two() || !BLOCK_BYTES.contains(&block_bytes) {
            let why = format!("it is {block_bytes}, no power of two from 1 MiB to 256 MiB");
            return wrong(Code::BadField, "block size", why);
        }
        let sector_bytes = u64::from(Fields(&has("logical sector size", items.logical)?).le32(0));
        let physical = Fields(&has("physical sector size", items.physical)?).le32(0);
        if ![512, 4096].contains(&sector_bytes) || ![512, 4096].contains(&physical) {
            let why = format!("they are {sector_bytes} and {physical}, not 512 or 4096");
            return wrong(Code::BadField, "sector sizes", why);
        }
        let size_bytes = Fields(&has("virtual disk size", items.size)?).le64(0);
        if size_bytes > budgets.virtual_bytes_max {
            let why =
                format!("it is {size_bytes}, and disks.virtual_bytes_max is {}", budgets.virtual_bytes_max);
            return wrong(Code::OverBudget, "virtual disk size", why);
        }
        if !size_bytes.is_multiple_of(sector_bytes) {
            let why = format!("{size_bytes} is no multiple of a sector's {sector_bytes}");
            return wrong(Code::BadField, "virtual disk size", why);
        }
        Ok(Metadata { size_bytes, block_bytes, sector_bytes })
    }
}

/// The items that a disk needs.
#[derive(Default)]
struct Items {
    parameters: Option<Vec<u8>>,
    size: Option<Vec<u8>>,
    logical: Option<Vec<u8>>,
    physical: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
}

impl Items {
    fn add(&mut self, file: &Structures, region: Region, entry: &[u8]) -> Result<(), Error> {
        let wrong = |code, why: &str| Err(file.refuse(code, "metadata table", why));
        let (id, fields) = (name(entry, 0), Fields(entry));
        let (slot, bytes) = match id {
            FILE_PARAMETERS => (&mut self.parameters, 8),
            DISK_SIZE => (&mut self.size, 8),
            LOGICAL_SECTOR => (&mut self.logical, 4),
            PHYSICAL_SECTOR => (&mut self.physical, 4),
            DISK_ID => (&mut self.id, 16),
            PARENT_LOCATOR => return wrong(Code::NeedsAnotherFile, "it tells where another disk is"),
            _ if fields.le32(24) & REQUIRED == 0 => return Ok(()),
            _ => return wrong(Code::Unsupported, "it has an item that is needed and not known here"),
        };
        let (at, length) = (u64::from(fields.le32(16)), u64::from(fields.le32(20)));
        if at < TABLE_BYTES as u64 || length != bytes as u64 || at + length > region.bytes {
            return wrong(Code::BadTable, "an item does not lie in the region, or has another length");
        }
        match slot.replace(file.bytes("metadata item", region.at + at, bytes)?) {
            None => Ok(()),
            Some(_) => wrong(Code::BadTable, "it has an item twice"),
        }
    }
}
