//! VirtualBox's VDI 1.1, dynamic and static: a disk of one file that needs no other.
//!
//! Source: the header as VirtualBox 1.1 files have it. All numbers are little-endian.

use super::budgets::Budgets;
use super::fields::Fields;
use super::guest::{Guest, Place, Run};
use super::notes::Note;
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};

const HEADER_BYTES: usize = 512;
const MAGIC: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// Bytes that the header says it has, at least, from its own length on.
const LENGTH_MIN: u32 = 0x180;
const SECTOR: u32 = 512;
/// A block that is not there, and one that is known to be zeros.
const HOLE: u32 = u32::MAX;
const ZEROS: u32 = u32::MAX - 1;

/// A VDI file.
pub struct Vdi<S> {
    source: S,
    size_bytes: u64,
    block_bytes: u64,
    data_at: u64,
    /// Entries of the blocks that the disk has, as they stand in the file.
    map: Vec<u8>,
}

impl<S: Source> Vdi<S> {
    /// Reads the header and the map of blocks.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: S, budgets: &Budgets) -> Result<Vdi<S>, Error> {
        let file = Structures::new(&source, Format::Vdi);
        let bytes = file.bytes("header", 0, HEADER_BYTES)?;
        let header = Fields(&bytes);
        expect_readable(&file, &header)?;
        let (size_bytes, block_bytes) = (header.le64(368), u64::from(header.le32(376)));
        let refuse = |code, field, why: String| Err(file.refuse(code, field, why));
        if size_bytes > budgets.virtual_bytes_max {
            let why =
                format!("it is {size_bytes}, and disks.virtual_bytes_max is {}", budgets.virtual_bytes_max);
            return refuse(Code::OverBudget, "disk size", why);
        }
        if !block_bytes.is_power_of_two() || block_bytes < u64::from(SECTOR) {
            let why = format!("it is {block_bytes}, no power of two from 512 on");
            return refuse(Code::BadField, "block size", why);
        }
        let (blocks, needed) = (u64::from(header.le32(384)), size_bytes.div_ceil(block_bytes));
        if blocks < needed {
            let why = format!("there are {blocks}, and the disk needs {needed}");
            return refuse(Code::BadTable, "blocks in image", why);
        }
        let (map_at, data_at) = (u64::from(header.le32(340)), u64::from(header.le32(344)));
        let map = file.table("block map", map_at, needed * 4, budgets.table_bytes_max)?;
        if map_at < HEADER_BYTES as u64 || data_at < map_at + blocks * 4 {
            let why = format!("the map is at byte {map_at} and the data at {data_at}: they overlap");
            return refuse(Code::BadTable, "offset of data", why);
        }
        let vdi = Vdi { source: &source, size_bytes, block_bytes, data_at, map };
        vdi.check(&file)?;
        let Vdi { map, .. } = vdi;
        Ok(Vdi { source, size_bytes, block_bytes, data_at, map })
    }

    /// No block of the file is two of the disk's, and what the disk has of each is there.
    fn check(&self, file: &Structures) -> Result<(), Error> {
        let wrong = |why: String| Err(file.refuse(Code::BadTable, "block map", why));
        let count = self.map.len() as u64 / 4;
        let mut numbers = Vec::new();
        for block in 0..count {
            let number = self.entry(block);
            if number >= ZEROS {
                continue;
            }
            let bytes = self.block_bytes.min(self.size_bytes - block * self.block_bytes);
            let start = self.data_at + u64::from(number) * self.block_bytes;
            if start + bytes > self.source.size_bytes() {
                return wrong(format!("block {block} reaches past the end of the file"));
            }
            numbers.push(number);
        }
        numbers.sort_unstable();
        match numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => wrong(format!("block {} of the file is two of the disk's", pair[0])),
            None => Ok(()),
        }
    }

    fn entry(&self, block: u64) -> u32 {
        let at = usize::try_from(block).ok().and_then(|block| block.checked_mul(4));
        at.and_then(|at| self.map.get(at..)).map_or(HOLE, |entry| Fields(entry).le32(0))
    }
}

impl<S: Source> Guest for Vdi<S> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error> {
        let (mut block, within) = (at / self.block_bytes, at % self.block_bytes);
        let (left, first) = (self.size_bytes.saturating_sub(at), self.entry(block));
        let most = left.min(wanted);
        let mut bytes = self.block_bytes - within;
        if first >= ZEROS {
            while bytes < most && self.entry(block + 1) >= ZEROS {
                (block, bytes) = (block + 1, bytes + self.block_bytes);
            }
            return Ok(Run { bytes: bytes.min(left), place: Place::Zeros });
        }
        let mut number = first;
        while bytes < most && number < ZEROS - 1 && self.entry(block + 1) == number + 1 {
            (block, number, bytes) = (block + 1, number + 1, bytes + self.block_bytes);
        }
        let start = self.data_at + u64::from(first) * self.block_bytes;
        Ok(Run { bytes: bytes.min(left), place: Place::Plain(start + within) })
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        // All that leads there is in memory.
        self.run_at(at, wanted).ok()
    }

    fn kept_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    fn source(&self) -> &dyn Source {
        &self.source
    }

    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }
}

fn expect_readable(file: &Structures, header: &Fields) -> Result<(), Error> {
    let refuse = |code, field, why: String| Err(file.refuse(code, field, why));
    if header.le32(64) != MAGIC {
        return refuse(Code::BadField, "signature", "it is another".into());
    }
    let version = header.le32(68);
    if version != VERSION {
        return refuse(Code::Unsupported, "version", format!("it is {version:#x}, and 1.1 is read"));
    }
    let length = header.le32(72);
    if !(LENGTH_MIN..=HEADER_BYTES as u32).contains(&length) {
        return refuse(Code::BadField, "header size", format!("it is {length}"));
    }
    match header.le32(76) {
        1 | 2 => {}
        3 | 4 => {
            let why = "the disk is what changed since another file";
            return refuse(Code::NeedsAnotherFile, "image type", why.into());
        }
        kind => return refuse(Code::Unsupported, "image type", format!("it is {kind}")),
    }
    if !header.is_zero(424, 16) || !header.is_zero(440, 16) {
        return refuse(Code::NeedsAnotherFile, "parent uuid", "it names another disk".into());
    }
    let sector = header.le32(360);
    if sector != SECTOR {
        return refuse(Code::Unsupported, "sector size", format!("it is {sector}, not 512"));
    }
    match header.le32(380) {
        0 => Ok(()),
        extra => refuse(Code::Unsupported, "block extra data", format!("it has {extra} bytes a block")),
    }
}

#[cfg(test)]
#[path = "vdi_tests.rs"]
mod tests;
