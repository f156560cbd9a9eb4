//! QEMU's qcow2, versions 2 and 3: the active disk of one file that needs no other.
//!
//! Invariants: an image that names another file, or is encrypted, is refused before a byte of it is read as a disk's;
//! the first-level table is in memory, of the second level only what is used.

mod entries;
mod header;
mod notes;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use std::sync::Arc;

use self::entries::Cluster;
use self::header::Header;
use super::budgets::Budgets;
use super::fields::Fields;
use super::guest::{Guest, Place, Run};
use super::kept::{Kept, Reach};
use super::notes::Note;
use super::probe::Format;
use super::refusal::{Code, Error};
use super::source::{Source, Structures};
use super::units::Unit;

/// A qcow2 file.
pub struct Qcow2<S> {
    source: S,
    header: Header,
    /// Entries that the disk needs, as they stand in the file.
    l1: Vec<u8>,
    tables: Kept,
}

impl<S: Source> Qcow2<S> {
    /// Reads the header and the first-level table.
    ///
    /// # Errors
    /// A refusal, or what reading fails with.
    pub fn open(source: S, budgets: &Budgets) -> Result<Qcow2<S>, Error> {
        let header = Header::read(&source, budgets)?;
        let file = Structures::new(&source, Format::Qcow2);
        let l1_bytes = header.l1_needed() * 8;
        let l1 = file.table("l1_table_offset", header.l1_at, l1_bytes, budgets.table_bytes_max)?;
        let named = l1.chunks_exact(8).filter(|entry| Fields(entry).be64(0) != 0).count();
        file.expect_room("l1 entry", named as u64, header.cluster_bytes())?;
        let tables = budgets.pieces.of_one();
        Ok(Qcow2 { source, header, l1, tables })
    }

    fn file(&self) -> Structures<'_> {
        Structures::new(&self.source, Format::Qcow2)
    }

    /// The second-level table of an entry of the first level.
    fn table(&self, index: u64, reach: Reach) -> Result<Option<Arc<Vec<u8>>>, Error> {
        let at = usize::try_from(index).ok().and_then(|index| index.checked_mul(8));
        let entry = at.map(|at| Fields(&self.l1).be64(at)).unwrap_or_default();
        let wrong =
            |why: &str| self.file().refuse(Code::BadTable, "l1 entry", format!("of index {index}: {why}"));
        let at = entries::l2_table(entry).map_err(wrong)?;
        if at == 0 {
            return Ok(None);
        }
        self.expect_cluster(at).map_err(wrong)?;
        let table = self.tables.get(at, reach, || {
            let bytes = self.header.cluster_bytes();
            self.file().table("l2 table", at, bytes, bytes)
        })?;
        Ok(Some(table))
    }

    /// A cluster of the file begins there, and is none of the first-level table.
    fn expect_cluster(&self, at: u64) -> Result<(), entries::Wrong> {
        let l1 = self.header.l1_at..self.header.l1_at + u64::from(self.header.l1_entries) * 8;
        if !at.is_multiple_of(self.header.cluster_bytes()) {
            return Err("it points into the middle of a cluster");
        }
        if at >= self.source.size_bytes() {
            return Err("it points past the end of the file");
        }
        if l1.contains(&at) {
            return Err("it points into the first-level table");
        }
        Ok(())
    }

    /// What the cluster of this number is, whose table this is.
    fn cluster(&self, table: &[u8], number: u64) -> Result<Cluster, Error> {
        let index = number % self.header.l2_entries();
        let at = usize::try_from(index * self.header.entry_bytes()).unwrap_or(usize::MAX);
        let entry = Fields(table).be64(at);
        let bitmap = self.header.is_extended.then(|| Fields(table).be64(at + 8));
        let wrong = |why: &str| {
            self.file().refuse(Code::BadTable, "l2 entry", format!("of the disk's cluster {number}: {why}"))
        };
        let (zeros, bits) = (self.header.has_zero_clusters, self.header.cluster_bits);
        let cluster = entries::cluster(entry, bitmap, zeros, bits).map_err(wrong)?;
        match cluster {
            Cluster::Zeros => {}
            Cluster::Plain(at) | Cluster::Parts { at, .. } => self.expect_cluster(at).map_err(wrong)?,
            Cluster::Packed { at, .. } if at < self.source.size_bytes() => {}
            Cluster::Packed { .. } => return Err(wrong("it points past the end of the file")),
        }
        Ok(cluster)
    }

    /// What begins `skip` bytes into a cluster.
    fn run_in(&self, cluster: Cluster, skip: u64) -> Run {
        let whole = self.header.cluster_bytes();
        let rest = whole - skip;
        match cluster {
            Cluster::Zeros => Run { bytes: rest, place: Place::Zeros },
            Cluster::Plain(at) => self.plain(at + skip, rest),
            Cluster::Parts { at, data } => {
                let each = whole / entries::subclusters();
                let (alike, is_data) = entries::alike(data, (skip / each) as u32);
                let bytes = (u64::from(*alike.end()) + 1) * each - skip;
                if is_data { self.plain(at + skip, bytes) } else { Run { bytes, place: Place::Zeros } }
            }
            Cluster::Packed { at, bytes } => {
                let packed_bytes = bytes.min(self.source.size_bytes() - at);
                let (format, codec) = (Format::Qcow2, self.header.codec);
                let unit = Unit { format, at, packed_bytes, bytes: whole, bytes_min: whole, codec };
                Run { bytes: rest, place: Place::Packed { unit, skip } }
            }
        }
    }

    fn run(&self, at: u64, wanted: u64, reach: Reach) -> Result<Run, Error> {
        let (bits, per_table) = (self.header.cluster_bits, self.header.l2_entries());
        let left = self.header.size_bytes.saturating_sub(at);
        let first = at >> bits;
        let mut index = first / per_table;
        let Some(table) = self.table(index, reach)? else {
            // As far as the first level has nothing: tables may be few and the disk large.
            while ((index + 1) * per_table) << bits < self.header.size_bytes.min(at.saturating_add(wanted))
                && self.table(index + 1, reach)?.is_none()
            {
                index += 1;
            }
            let end = (index + 1).saturating_mul(per_table) << bits;
            return Ok(Run { bytes: left.min(end - at), place: Place::Zeros });
        };
        let mut run = self.run_in(self.cluster(&table, first)?, at % self.header.cluster_bytes());
        let mut next = first + 1;
        while run.bytes < left.min(wanted) && !next.is_multiple_of(per_table) {
            // A run that ends within its cluster goes on with something else.
            if at + run.bytes != next << bits {
                break;
            }
            let following = self.run_in(self.cluster(&table, next)?, 0);
            let continues = match (run.place, following.place) {
                (Place::Zeros, Place::Zeros) => true,
                (Place::Plain(from), Place::Plain(then)) => from + run.bytes == then,
                _ => false,
            };
            if !continues {
                break;
            }
            run.bytes += following.bytes;
            next += 1;
        }
        Ok(Run { bytes: run.bytes.min(left), ..run })
    }

    /// Bytes of the file; what a last cluster lacks reads as zeros.
    fn plain(&self, at: u64, bytes: u64) -> Run {
        match self.source.size_bytes().saturating_sub(at) {
            0 => Run { bytes, place: Place::Zeros },
            there => Run { bytes: bytes.min(there), place: Place::Plain(at) },
        }
    }
}

impl<S: Source> Guest for Qcow2<S> {
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
        self.l1.len() as u64
    }

    fn source(&self) -> &dyn Source {
        &self.source
    }

    fn notes(&self) -> Vec<Note> {
        self.header.notes.clone()
    }
}
