//! VMware's hosted sparse VMDK, monolithicSparse and streamOptimized: a disk of one file that needs no other.

mod descriptor;
mod header;
mod passing;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use std::sync::Arc;

use self::header::{Header, SECTOR, TABLE_ENTRIES};
pub use self::passing::{Passed, Passing};
use super::budgets::Budgets;
use super::fields::Fields;
use super::guest::{Guest, Place, Run};
use super::kept::{Kept, Reach};
use super::notes::{Note, NoteCode};
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};
use super::units::{Codec, Unit};

const TABLE_BYTES: u64 = TABLE_ENTRIES * 4;
/// A compressed grain begins with its sector of the disk, eight bytes, and the length of its data, four.
const GRAIN_MARKER_BYTES: usize = 12;
const ZERO_GRAIN: u32 = 1;

/// A VMDK file.
pub struct Vmdk<S> {
    source: S,
    header: Header,
    /// Where the grain tables are, as it stands in the file.
    directory: Vec<u8>,
    tables: Kept,
    unit_bytes_max: u64,
}

impl<S: Source> Vmdk<S> {
    /// Reads the header, the descriptor and the directory.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: S, budgets: &Budgets) -> Result<Vmdk<S>, Error> {
        let header = Header::read(&source, budgets)?;
        let file = Structures::new(&source, Format::Vmdk);
        let (at, bytes) = header.descriptor;
        if at < SECTOR || bytes == 0 {
            return Err(file.refuse(Code::BadField, "descriptorOffset", "there is no descriptor"));
        }
        let text = file.table("descriptor", at, bytes, budgets.text_bytes_max)?;
        descriptor::check(&text).map_err(|(code, field, why)| file.refuse(code, field, why))?;
        let directory_bytes = header.tables() * 4;
        let directory =
            file.table("grain directory", header.directory_at, directory_bytes, budgets.table_bytes_max)?;
        let named = directory.chunks_exact(4).filter(|entry| Fields(entry).le32(0) != 0).count();
        file.expect_room("grain directory", named as u64, TABLE_BYTES)?;
        Ok(Vmdk {
            source,
            header,
            directory,
            tables: budgets.pieces.of_one(),
            unit_bytes_max: budgets.unit_bytes_max,
        })
    }

    fn file(&self) -> Structures<'_> {
        Structures::new(&self.source, Format::Vmdk)
    }

    /// Where a grain table is, in bytes; 0 where the directory has none.
    fn table_at(&self, index: u64) -> u64 {
        let place = usize::try_from(index * 4).unwrap_or(usize::MAX);
        u64::from(Fields(&self.directory).le32(place)) * SECTOR
    }

    /// A grain table that the directory has.
    fn table(&self, at: u64, reach: Reach) -> Result<Arc<Vec<u8>>, Error> {
        self.tables.get(at, reach, || self.file().table("grain table", at, TABLE_BYTES, TABLE_BYTES))
    }

    fn place(&self, grain: u64, entry: u32, reach: Reach) -> Result<Place, Error> {
        match entry {
            0 => return Ok(Place::Zeros),
            ZERO_GRAIN if self.header.has_zero_grains => return Ok(Place::Zeros),
            ZERO_GRAIN => {
                let why = format!("grain {grain} is marked as zeros, which the flags do not allow");
                return Err(self.file().refuse(Code::BadTable, "grain table", why));
            }
            _ => {}
        }
        let at = u64::from(entry) * SECTOR;
        if self.header.is_compressed {
            reach.expect_medium()?;
            return Ok(Place::Packed { unit: self.unit(grain, at)?, skip: 0 });
        }
        // Of the last grain, what the disk has.
        let bytes = self.header.grain_bytes.min(self.header.size_bytes - grain * self.header.grain_bytes);
        self.file().expect_inside("grain table", at, bytes)?;
        Ok(Place::Plain(at))
    }

    fn run(&self, at: u64, wanted: u64, reach: Reach) -> Result<Run, Error> {
        let (each, left) = (self.header.grain_bytes, self.header.size_bytes.saturating_sub(at));
        let (grain, within) = (at / each, at % each);
        let most = left.min(wanted);
        let table_at = self.table_at(grain / TABLE_ENTRIES);
        if table_at == 0 {
            return Ok(Run { bytes: self.hole(at, most).min(left), place: Place::Zeros });
        }
        let table = self.table(table_at, reach)?;
        let entry = |grain: u64| Fields(&table).le32((grain % TABLE_ENTRIES) as usize * 4);
        let place = match self.place(grain, entry(grain), reach)? {
            Place::Zeros => Place::Zeros,
            Place::Plain(from) => Place::Plain(from + within),
            Place::Packed { unit, .. } => Place::Packed { unit, skip: within },
        };
        let (mut bytes, mut next) = (each - within, grain + 1);
        // As far as the table goes: the next one may be read anew.
        while bytes < most && !next.is_multiple_of(TABLE_ENTRIES) {
            let continues = match (place, entry(next)) {
                (Place::Zeros, 0) => true,
                (Place::Zeros, ZERO_GRAIN) => self.header.has_zero_grains,
                (Place::Plain(from), entry) => from + bytes == u64::from(entry) * SECTOR,
                _ => false,
            };
            if !continues {
                break;
            }
            self.place(next, entry(next), reach)?;
            (bytes, next) = (bytes + each, next + 1);
        }
        Ok(Run { bytes: bytes.min(left), place })
    }

    /// How far nothing lies from a byte on whose grain has no table: as far as the directory has none, which costs a step for
    /// all grains of one, as tables may be few and the disk large.
    fn hole(&self, at: u64, most: u64) -> u64 {
        let each = self.header.grain_bytes * TABLE_ENTRIES;
        let mut end = (at / each + 1) * each;
        while end - at < most && self.table_at(end / each) == 0 {
            end += each;
        }
        end - at
    }

    fn unit(&self, grain: u64, at: u64) -> Result<Unit, Error> {
        let marker = self.file().bytes("grain marker", at, GRAIN_MARKER_BYTES)?;
        let marker = Fields(&marker);
        let wrong = |code, why: String| Err(self.file().refuse(code, "grain marker", why));
        let sector = grain * self.header.grain_bytes / SECTOR;
        if marker.le64(0) != sector {
            return wrong(Code::BadTable, format!("it is of sector {}, not of {sector}", marker.le64(0)));
        }
        let packed_bytes = u64::from(marker.le32(8));
        if packed_bytes == 0 || packed_bytes > self.unit_bytes_max {
            return wrong(Code::BadField, format!("{packed_bytes} bytes are no compressed grain"));
        }
        let at = at + GRAIN_MARKER_BYTES as u64;
        self.file().expect_inside("grain marker", at, packed_bytes)?;
        let bytes = self.header.grain_bytes;
        // Of the last grain, some write only what the disk has.
        let bytes_min = bytes.min(self.header.size_bytes - grain * bytes);
        Ok(Unit { format: Format::Vmdk, at, packed_bytes, bytes, bytes_min, codec: Codec::Zlib })
    }
}

impl<S: Source> Guest for Vmdk<S> {
    fn size_bytes(&self) -> u64 {
        self.header.size_bytes
    }

    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error> {
        self.run(at, wanted, Reach::Medium)
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        self.run(at, wanted, Reach::Memory).ok()
    }

    fn kept_bytes(&self) -> u64 {
        self.directory.len() as u64
    }

    fn source(&self) -> &dyn Source {
        &self.source
    }

    fn notes(&self) -> Vec<Note> {
        let unclean = self.header.is_unclean.then(|| Note::new(NoteCode::UncleanShutdown, "uncleanShutdown"));
        unclean.into_iter().collect()
    }
}
