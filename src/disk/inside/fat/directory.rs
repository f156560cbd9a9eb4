//! Directories of FAT: entries of 32 bytes, with the long name in front of the short one.

use super::{Chain, Fat};
use crate::disk::fields::{Fields, array};
use crate::disk::inside::fault::Fault;
use crate::disk::inside::tree::{Node, NodeKind, Spot};

const ENTRY_BYTES: usize = 32;
const SHORT_NAME_BYTES: usize = 11;
/// The specification's bound of a directory.
const DIRECTORY_BYTES_MAX: u64 = 2 << 20;
const LONG_NAME: u8 = 0x0f;
const VOLUME: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const DELETED: u8 = 0xe5;
/// What a short name begins with whose first byte is that of a deleted entry.
const NOT_DELETED: u8 = 0x05;
const LAST_PART: u8 = 0x40;
/// Where the thirteen characters of a part of a long name stand.
const CHARACTERS: [std::ops::Range<usize>; 3] = [1..11, 14..26, 28..32];
/// Flags for short names that are written in small letters.
const SMALL_BASE: u8 = 0x08;
const SMALL_EXTENSION: u8 = 0x10;

/// Something in a directory.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) short_name: String,
    pub(super) node: Node,
}

/// A long name on its way: its parts come last to first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    sum: u8,
    /// The part that has to come next; 0 when all have come.
    next: u8,
}

impl Fat {
    /// Visits what is in a directory but for itself and its parent, until `visit` says no.
    pub(super) fn each_entry(
        &self,
        directory: Chain,
        visit: &mut dyn FnMut(Named) -> bool,
    ) -> Result<(), Fault> {
        let mut long = LongName::default();
        let mut seen = 0;
        let mut visit_piece = |bytes: &[u8]| -> Result<bool, Fault> {
            for entry in bytes.chunks_exact(ENTRY_BYTES) {
                self.part.effort().steps(1)?;
                if entry.first() == Some(&0) {
                    return Ok(false);
                }
                if let Some(named) = read_entry(entry, &mut long, self.table.is_fat32())
                    && !visit(named)
                {
                    return Ok(false);
                }
            }
            seen += bytes.len() as u64;
            if seen > DIRECTORY_BYTES_MAX {
                return Err(Fault::TooLarge("a directory is too large"));
            }
            Ok(true)
        };
        if let Some((at, count)) = self.fixed_root.filter(|_| directory.first == 0) {
            // Of at most 65,535 entries.
            visit_piece(&self.part.bytes(at, count as usize)?)?;
            return Ok(());
        }
        let mut cluster = Some(self.table.expect_cluster(directory.first)?);
        while let Some(here) = cluster {
            if !visit_piece(&self.part.bytes(self.place(here), self.cluster_bytes as usize)?)? {
                return Ok(());
            }
            cluster = self.table.next(&self.part, here)?;
        }
        Ok(())
    }
}

/// What an entry is of, where it is one of a file or directory.
fn read_entry(entry: &[u8], long: &mut LongName, is_fat32: bool) -> Option<Named> {
    let fields = Fields(entry);
    let byte = |at: usize| entry.get(at).copied().unwrap_or_default();
    if byte(0) == DELETED {
        *long = LongName::default();
        return None;
    }
    if byte(11) & 0x3f == LONG_NAME {
        long.add(entry);
        return None;
    }
    let long = std::mem::take(long);
    let attributes = byte(11);
    let short_name = short_name(entry);
    if attributes & VOLUME != 0 || matches!(short_name.as_str(), "." | "..") {
        return None;
    }
    let is_directory = attributes & DIRECTORY != 0;
    // Others than FAT32 have something else there.
    let high = if is_fat32 { u32::from(fields.le16(20)) << 16 } else { 0 };
    let first = high | u32::from(fields.le16(26));
    let node = Node {
        kind: if is_directory { NodeKind::Directory } else { NodeKind::File },
        size_bytes: if is_directory { 0 } else { fields.le32(28).into() },
        mode: None,
        modified_s: None,
        spot: Spot::Fat(Chain { first }),
    };
    Some(Named { name: long.of(entry).unwrap_or_else(|| short_name.clone()), short_name, node })
}

impl LongName {
    fn add(&mut self, entry: &[u8]) {
        let byte = |at: usize| entry.get(at).copied().unwrap_or_default();
        let (order, sum) = (byte(0), byte(13));
        if order & LAST_PART != 0 {
            *self = LongName { units: Vec::new(), sum, next: order & 0x1f };
        }
        if self.next == 0 || order & 0x1f != self.next || sum != self.sum {
            *self = LongName::default();
            return;
        }
        self.next -= 1;
        let bytes = CHARACTERS.into_iter().flat_map(|span| entry.get(span).unwrap_or_default());
        let bytes: Vec<u8> = bytes.copied().collect();
        let mut units: Vec<u16> = bytes.chunks_exact(2).map(|pair| Fields(pair).le16(0)).collect();
        units.append(&mut self.units);
        self.units = units;
    }

    /// The name, where all of it has come and it is that of this short entry.
    fn of(self, entry: &[u8]) -> Option<String> {
        let short = entry.get(..SHORT_NAME_BYTES)?;
        let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.units.is_empty() || self.next != 0 || sum != self.sum {
            return None;
        }
        let length = self.units.iter().position(|unit| *unit == 0).unwrap_or(self.units.len());
        Some(String::from_utf16_lossy(self.units.get(..length)?))
    }
}

fn short_name(entry: &[u8]) -> String {
    let mut name: [u8; SHORT_NAME_BYTES] = array(entry, 0).unwrap_or_default();
    if name[0] == NOT_DELETED {
        name[0] = DELETED;
    }
    let flags = entry.get(12).copied().unwrap_or_default();
    let text = |span: std::ops::Range<usize>, is_small: bool| {
        let text = String::from_utf8_lossy(name.get(span).unwrap_or_default()).trim_end().to_owned();
        if is_small { text.to_ascii_lowercase() } else { text }
    };
    let (base, extension) = (text(0..8, flags & SMALL_BASE != 0), text(8..11, flags & SMALL_EXTENSION != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}
