//! Records of directories (ECMA-119, section 9.1).
//!
//! Invariant: a record and its name lie in the bytes that it was read from.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::disk::fields::Fields;

const BYTES_MIN: usize = 34;
const NAME_AT: usize = 33;
const DIRECTORY: u8 = 0x02;
const ASSOCIATED: u8 = 0x04;
const GOES_ON: u8 = 0x80;

/// A record.
pub(super) struct Record<'b>(&'b [u8]);

impl<'b> Record<'b> {
    /// The one that these bytes begin with; `None` where a sector has no further one.
    pub(super) fn of(bytes: &'b [u8]) -> Option<Record<'b>> {
        let length = usize::from(*bytes.first()?);
        let record = bytes.get(..length).filter(|record| record.len() >= BYTES_MIN)?;
        let record = Record(record);
        (NAME_AT + record.name_bytes() <= length && record.name_bytes() > 0).then_some(record)
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Where what it is of begins, and how long it is.
    pub(super) fn place(&self, block_bytes: u64) -> (u64, u64) {
        let fields = Fields(self.0);
        // Blocks of attributes lie in front.
        let block = u64::from(fields.le32(2)) + u64::from(self.byte(1));
        (block * block_bytes, u64::from(fields.le32(10)))
    }

    /// When it was recorded, in seconds since 1970, which is the time of the file for whoever makes a disc of files; `None` where
    /// nobody says, or it is no time (ECMA-119, section 9.1.5).
    pub(super) fn recorded_s(&self) -> Option<i64> {
        let part = |at| i8::try_from(self.byte(at)).ok();
        let year = 1900 + i16::from(self.byte(18));
        let at = DateTime::new(year, part(19)?, part(20)?, part(21)?, part(22)?, part(23)?, 0).ok()?;
        let quarters_of_an_hour = i32::from(self.byte(24).cast_signed());
        let zone = Offset::from_seconds(quarters_of_an_hour * 900).ok()?;
        zone.to_timestamp(at).ok().map(|stamp| stamp.as_second())
    }

    pub(super) fn is_directory(&self) -> bool {
        self.byte(25) & DIRECTORY != 0
    }

    /// Whether it is of something that goes with a file of the same name, and not of that file (section 9.1.6).
    pub(super) fn is_associated(&self) -> bool {
        self.byte(25) & ASSOCIATED != 0
    }

    /// Whether the next record is of more of the same file.
    pub(super) fn goes_on(&self) -> bool {
        self.byte(25) & GOES_ON != 0
    }

    pub(super) fn is_interleaved(&self) -> bool {
        self.byte(26) != 0
    }

    pub(super) fn is_self_or_parent(&self) -> bool {
        matches!(self.name(), [0] | [1])
    }

    /// Its name as drivers show it: in small letters, without a version or an empty ending.
    pub(super) fn plain_name(&self) -> String {
        let name = String::from_utf8_lossy(self.name()).to_ascii_lowercase();
        let name = name.split(';').next().unwrap_or_default();
        name.strip_suffix('.').unwrap_or(name).to_owned()
    }

    /// Its name in UTF-16.
    pub(super) fn wide_name(&self) -> String {
        let units: Vec<u16> = self.name().chunks_exact(2).map(|pair| Fields(pair).be16(0)).collect();
        let name = String::from_utf16_lossy(&units);
        name.split(';').next().unwrap_or_default().to_owned()
    }

    /// What follows the name: the system's own use of the record.
    pub(super) fn system_use(&self) -> &'b [u8] {
        // A name of an even length has a zero after it.
        let end = NAME_AT + self.name_bytes();
        self.0.get(end + usize::from(self.name_bytes().is_multiple_of(2))..).unwrap_or_default()
    }

    fn name(&self) -> &'b [u8] {
        self.0.get(NAME_AT..NAME_AT + self.name_bytes()).unwrap_or_default()
    }

    fn name_bytes(&self) -> usize {
        usize::from(self.byte(32))
    }

    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }
}
