//! Discs of ISO 9660, read only, under the names of Rock Ridge or Joliet where they have those.
//!
//! Sources: ECMA-119, IEEE P1281 (SUSP) and P1282 (Rock Ridge), Microsoft's Joliet specification. Invariants: a record is
//! read only where it lies in its directory, and an extent where it lies on the disc; names that continue elsewhere do so
//! a bounded number of times.

mod el_torito;
mod record;
mod rock_ridge;
#[cfg(test)]
mod tests;

use super::fault::Fault;
use super::part::Part;
use super::tree::{Entry, FileSystem, Listing, Node, NodeKind, Spot, Usage};
use crate::disk::fields::Fields;
pub use el_torito::{Starts, disc_starts};
use record::Record;

const SECTOR_BYTES: u64 = 2048;
const FIRST_DESCRIPTOR: u64 = 16;
/// Descriptors that are looked at: real discs have a handful.
const DESCRIPTORS_MAX: u64 = 64;
const MARK: &[u8] = b"CD001";
const PRIMARY: u8 = 1;
const SUPPLEMENTARY: u8 = 2;
const TERMINATOR: u8 = 255;
const ROOT_RECORD: std::ops::Range<usize> = 156..190;
/// Sequences that say a descriptor's names are of Joliet.
const JOLIET: [&[u8]; 3] = [b"%/@", b"%/C", b"%/E"];
/// A larger directory is not looked through.
const DIRECTORY_BYTES_MAX: u64 = 16 << 20;
/// Extents of one file, of up to 4 GiB each.
const EXTENTS_MAX: usize = 256;

/// Where a file's bytes lie on the disc: begin and length of each piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extents {
    pieces: Vec<(u64, u64)>,
    /// Where a link leads.
    link: Option<String>,
}

/// How names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// In a few capital letters, with a version.
    Plain,
    /// In UTF-16.
    Joliet,
    /// In the records' system use, after so many bytes of something else.
    RockRidge(usize),
}

/// An opened disc.
pub(super) struct Disc {
    part: Part,
    block_bytes: u64,
    size_bytes: u64,
    root: (u64, u64),
    names: Names,
}

impl Disc {
    /// Opens what lies in a part.
    pub(super) fn open(part: Part) -> Result<Disc, Fault> {
        let (mut primary, mut joliet) = (None, None);
        for sector in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + DESCRIPTORS_MAX {
            let bytes = part.bytes(sector * SECTOR_BYTES, SECTOR_BYTES as usize)?;
            let fields = Fields(&bytes);
            if fields.bytes(1, MARK.len()) != MARK {
                break;
            }
            match bytes.first() {
                Some(&PRIMARY) if primary.is_none() => primary = Some(bytes),
                Some(&SUPPLEMENTARY) if JOLIET.contains(&fields.bytes(88, 3)) => joliet = Some(bytes),
                Some(&TERMINATOR) => break,
                _ => {}
            }
        }
        let primary = primary.ok_or_else(|| Fault::broken("it has no primary volume descriptor"))?;
        let disc = Disc::of(part.clone(), &primary, Names::Plain)?;
        if let Some(skip) = disc.rock_ridge()? {
            return Ok(Disc { names: Names::RockRidge(skip), ..disc });
        }
        joliet.map_or(Ok(disc), |joliet| Disc::of(part, &joliet, Names::Joliet))
    }

    fn of(part: Part, descriptor: &[u8], names: Names) -> Result<Disc, Fault> {
        let fields = Fields(descriptor);
        let block_bytes = u64::from(fields.le16(128));
        if !matches!(block_bytes, 512 | 1024 | 2048) {
            return Err(Fault::broken("its blocks are of no possible size"));
        }
        let root = Record::of(descriptor.get(ROOT_RECORD).unwrap_or_default());
        let root = root.ok_or_else(|| Fault::broken("it has no topmost directory"))?;
        let size_bytes = u64::from(fields.le32(80)) * block_bytes;
        Ok(Disc { part, block_bytes, size_bytes, root: root.place(block_bytes), names })
    }

    /// Visits the records of a directory but for itself, its parent and what goes with its files, until `visit` says no.
    fn each_record(
        &self,
        (at, size): (u64, u64),
        visit: &mut dyn FnMut(&Record<'_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        if size > DIRECTORY_BYTES_MAX {
            return Err(Fault::TooLarge("a directory is too large"));
        }
        for sector in 0..size.div_ceil(SECTOR_BYTES) {
            // No record leaves its sector.
            let count = (size - sector * SECTOR_BYTES).min(SECTOR_BYTES) as usize;
            let bytes = self.part.bytes(at + sector * SECTOR_BYTES, count)?;
            let mut rest = bytes.as_slice();
            while let Some(record) = Record::of(rest) {
                self.part.effort().steps(1)?;
                let is_passed_over = record.is_self_or_parent() || record.is_associated();
                if !is_passed_over && !visit(&record)? {
                    return Ok(());
                }
                rest = rest.get(record.bytes()..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Visits what is in a directory, until `visit` says no.
    fn each_entry(&self, directory: (u64, u64), visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), Fault> {
        // Extents of a file whose last record has not come yet.
        let mut pieces = Vec::new();
        self.each_record(directory, &mut |record| {
            if record.is_interleaved() {
                return Err(Fault::Unsupported("a file that is interleaved with another".into()));
            }
            if pieces.len() >= EXTENTS_MAX {
                return Err(Fault::TooLarge("a file has too many extents"));
            }
            pieces.push(record.place(self.block_bytes));
            if record.goes_on() {
                return Ok(true);
            }
            let entry = self.entry(record, std::mem::take(&mut pieces))?;
            Ok(entry.is_none_or(&mut *visit))
        })
    }

    fn entry(&self, record: &Record<'_>, pieces: Vec<(u64, u64)>) -> Result<Option<Entry>, Fault> {
        let Names::RockRidge(skip) = self.names else {
            let name = if self.names == Names::Joliet { record.wide_name() } else { record.plain_name() };
            let kind = if record.is_directory() { NodeKind::Directory } else { NodeKind::File };
            let node = Node { modified_s: record.recorded_s(), ..node(kind, None, pieces, None) };
            return Ok(Some(Entry { name, node }));
        };
        let more = self.more(record, skip)?;
        if more.is_moved_away {
            return Ok(None);
        }
        let name = more.name.unwrap_or_else(|| record.plain_name());
        let kind = match more.mode.map(|mode| mode >> 12) {
            _ if more.directory_at.is_some() || record.is_directory() => NodeKind::Directory,
            Some(0xa) => NodeKind::Link,
            Some(0x8) | None => NodeKind::File,
            Some(_) => NodeKind::Other,
        };
        let pieces = match more.directory_at {
            None => pieces,
            Some(block) => vec![self.directory_at(block)?],
        };
        let mode = more.mode.map(|mode| (mode & 0o7777) as u16);
        let link = (kind == NodeKind::Link).then_some(more.link);
        let node = Node { modified_s: record.recorded_s(), ..node(kind, mode, pieces, link) };
        Ok(Some(Entry { name, node }))
    }

    /// A directory that was moved: its first record is its own.
    fn directory_at(&self, block: u32) -> Result<(u64, u64), Fault> {
        let bytes = self.part.bytes(u64::from(block) * self.block_bytes, 255)?;
        let own = Record::of(&bytes).filter(Record::is_directory);
        own.map(|own| own.place(self.block_bytes)).ok_or_else(|| Fault::broken("a directory is none"))
    }
}

fn node(kind: NodeKind, mode: Option<u16>, pieces: Vec<(u64, u64)>, link: Option<String>) -> Node {
    let size_bytes = match &link {
        Some(link) => link.len() as u64,
        None => pieces.iter().map(|(_, bytes)| bytes).sum(),
    };
    Node { kind, size_bytes, mode, modified_s: None, spot: Spot::Iso(Extents { pieces, link }) }
}

fn extents_of(node: &Node) -> Result<&Extents, Fault> {
    match &node.spot {
        Spot::Iso(extents) => Ok(extents),
        _ => Err(Fault::broken("it is of another file system")),
    }
}

fn directory_of(node: &Node) -> Result<(u64, u64), Fault> {
    let extents = extents_of(node)?;
    extents.pieces.first().copied().ok_or_else(|| Fault::broken("a directory lies nowhere"))
}

impl FileSystem for Disc {
    fn usage(&self) -> Result<Usage, Fault> {
        Ok(Usage { size_bytes: Some(self.size_bytes), free_bytes: Some(0), remarks: Vec::new() })
    }

    fn root(&self) -> Result<Node, Fault> {
        Ok(node(NodeKind::Directory, None, vec![self.root], None))
    }

    /// Plain names are compared without case, as drivers show them in small letters.
    fn child(&self, directory: &Node, name: &str) -> Result<Option<Node>, Fault> {
        let mut wanted = None;
        self.each_entry(directory_of(directory)?, &mut |entry| {
            let is_it = match self.names {
                Names::Plain => entry.name.eq_ignore_ascii_case(name),
                _ => entry.name == name,
            };
            if is_it {
                wanted = Some(entry.node);
            }
            !is_it
        })?;
        Ok(wanted)
    }

    fn list(&self, directory: &Node, entries_max: usize) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        self.each_entry(directory_of(directory)?, &mut |entry| {
            listing.is_cut = listing.entries.len() >= entries_max;
            if !listing.is_cut {
                listing.entries.push(entry);
            }
            !listing.is_cut
        })?;
        Ok(listing)
    }

    fn link(&self, link: &Node) -> Result<String, Fault> {
        extents_of(link)?.link.clone().ok_or_else(|| Fault::broken("a link leads nowhere"))
    }

    fn read(&self, file: &Node, mut at: u64, mut out: &mut [u8]) -> Result<(), Fault> {
        for (from, bytes) in &extents_of(file)?.pieces {
            if at >= *bytes {
                at -= bytes;
                continue;
            }
            let here = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            self.part.read(from + at, now)?;
            (out, at) = (later, 0);
            if out.is_empty() {
                return Ok(());
            }
        }
        if out.is_empty() { Ok(()) } else { Err(Fault::broken("a file is shorter than its size")) }
    }
}
