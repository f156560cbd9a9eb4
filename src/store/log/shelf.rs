//! Which log objects and snapshots there are, and reading them back, verified.

use std::collections::HashSet;

use super::super::Store;
use super::super::error::Error;
use super::super::format::{Kind, number_in_name};
use super::super::keyring::KeyError;
use super::super::object::{Object, Section, read_header, verify_stored};
use super::records::{LogRecord, SnapshotFooter, SnapshotRows};
use crate::db::codec::{self, RECORD_BYTES_MAX, Record};
use crate::objects::{CopySource, ObjectKey, Objects};

/// What is called with each row of a snapshot: table, key, value.
pub type RowVisit<'a> = dyn FnMut(&str, &[u8], &[u8]) -> Result<(), Error> + 'a;

/// One object of the description, by its name alone.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// Its name.
    pub key: ObjectKey,
    /// The number it reaches.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
    /// Where to read it instead of the store's own medium.
    pub elsewhere: Option<CopySource>,
    /// Whether the store's own medium does not list it.
    pub is_lost: bool,
}

impl Shelved {
    /// The same object in each copy of the store that has one.
    pub fn copies(&self, objects: &dyn Objects) -> Vec<(String, Shelved)> {
        let found = |source: &CopySource| {
            let bytes = source.objects().size(&self.key).ok()?;
            let elsewhere = Some(source.clone());
            Some((source.name().to_owned(), Shelved { bytes, elsewhere, ..self.clone() }))
        };
        objects.copies().iter().filter_map(found).collect()
    }
}

/// What the medium lists.
#[derive(Default)]
pub struct Shelf {
    /// Snapshots, newest first.
    pub snapshots: Vec<Shelved>,
    /// Log objects in the order of their numbers.
    pub logs: Vec<Shelved>,
}

impl Shelf {
    /// Lists the medium. Foreign names are passed over.
    pub fn list(objects: &dyn Objects) -> Result<Shelf, Error> {
        let mut shelf = Shelf::default();
        for (kind, found) in [(Kind::Snapshot, &mut shelf.snapshots), (Kind::Log, &mut shelf.logs)] {
            objects.list(&format!("{}/", kind.prefix()), &mut |info| {
                if let Some(number) = number_in_name(kind, info.key.as_str()) {
                    let bytes = info.size_bytes;
                    found.push(Shelved { key: info.key, number, bytes, elsewhere: None, is_lost: false });
                }
            })?;
        }
        shelf.sort();
        Ok(shelf)
    }

    fn sort(&mut self) {
        for found in [&mut self.snapshots, &mut self.logs] {
            found.sort_unstable_by(|a, b| (a.number, &a.key).cmp(&(b.number, &b.key)));
        }
        self.snapshots.reverse();
    }

    /// Adds what a copy of the store has and the medium does not list: it was made unnecessary since the
    /// copy was made, or is lost.
    pub fn add_lost(&mut self, source: &CopySource) -> Result<(), Error> {
        let Shelf { snapshots, logs } = Shelf::list(&**source.objects())?;
        for (own, found) in [(&mut self.snapshots, snapshots), (&mut self.logs, logs)] {
            let known: HashSet<ObjectKey> = own.iter().map(|shelved| shelved.key.clone()).collect();
            let lost = found.into_iter().filter(|shelved| !known.contains(&shelved.key));
            own.extend(lost.map(|shelved| Shelved {
                elsewhere: Some(source.clone()),
                is_lost: true,
                ..shelved
            }));
        }
        self.sort();
        Ok(())
    }

    /// The number that everything together reaches.
    pub fn reaches(&self) -> u64 {
        let ends = [self.snapshots.first(), self.logs.last()];
        ends.into_iter().flatten().map(|object| object.number).max().unwrap_or(0)
    }

    /// Log objects that a snapshot of this number does not make unnecessary.
    pub fn logs_since(&self, number: u64) -> &[Shelved] {
        &self.logs[self.logs.partition_point(|log| log.number <= number)..]
    }

    /// What neither the newest snapshot nor its spare needs.
    pub fn unneeded(&self) -> Vec<&Shelved> {
        let Some(spare) = self.snapshots.get(1) else { return Vec::new() };
        let needed = self.logs_since(spare.number).len();
        self.snapshots[2..].iter().chain(&self.logs[..self.logs.len() - needed]).collect()
    }
}

impl Store {
    /// What the medium lists, but for left-overs of a key that the ring has dropped: two snapshots
    /// took their place before that, and only a delete that failed, or that a power cut undid, leaves
    /// one. The next snapshot deletes it.
    pub(super) fn shelf(&self) -> Result<Shelf, Error> {
        let mut shelf = Shelf::list(&*self.inner.objects)?;
        // The first key is the newest one until it is replaced.
        if self.newest_key(self.inner.domain)?.0 > 0 {
            shelf.snapshots.retain(|shelved| !self.is_left_over(shelved));
            shelf.logs.retain(|shelved| !self.is_left_over(shelved));
        }
        Ok(shelf)
    }

    /// Whether an object needs a key before the newest that is there no more.
    fn is_left_over(&self, shelved: &Shelved) -> bool {
        let Ok(header) = read_header(&*self.inner.objects, &shelved.key) else { return false };
        let is_older = self.newest_key(header.domain).is_ok_and(|(newest, _)| header.key_version < newest);
        is_older && matches!(self.key_of(&header), Err(Error::Key(KeyError::UnknownVersion { .. })))
    }

    /// A log object's content.
    pub(super) fn read_log(&self, shelved: &Shelved) -> Result<LogRecord, Error> {
        let record: LogRecord = decode(shelved, &self.open_shelved(shelved)?.footer()?)?;
        if record.entries.is_empty() || record.next() != shelved.number {
            return Err(damaged(shelved, "its entries are not those its name says"));
        }
        Ok(record)
    }

    /// A snapshot's footer, after every row of it was visited.
    pub(super) fn read_snapshot(
        &self,
        shelved: &Shelved,
        visit: &mut RowVisit<'_>,
    ) -> Result<SnapshotFooter, Error> {
        let object = self.open_shelved(shelved)?;
        let footer: SnapshotFooter = decode(shelved, &object.footer()?)?;
        if footer.next != shelved.number {
            return Err(damaged(shelved, "it is of another moment than its name says"));
        }
        for (counter, entry) in footer.sections.iter().enumerate() {
            let section =
                Section { offset: entry.offset, bytes: entry.stored_bytes, counter: counter as u64 };
            let stored = object.section(section)?;
            if u64::from(entry.raw_bytes) > RECORD_BYTES_MAX {
                return Err(damaged(shelved, format!("section {counter} claims {} bytes", entry.raw_bytes)));
            }
            let raw = zstd::bulk::decompress(&stored, entry.raw_bytes as usize)
                .map_err(|e| damaged(shelved, format!("section {counter} does not decompress: {e}")))?;
            let rows: SnapshotRows = decode(shelved, &raw)?;
            for (key, value) in &rows.rows {
                visit(&entry.table, key, value)?;
            }
        }
        Ok(footer)
    }

    /// The object, compared with its trailer.
    fn open_shelved(&self, shelved: &Shelved) -> Result<Object, Error> {
        let objects = shelved.elsewhere.as_ref().map_or(&self.inner.objects, CopySource::objects);
        let header = read_header(&**objects, &shelved.key)?;
        if header.domain != self.inner.domain {
            return Err(damaged(shelved, "it is not sealed as the store is"));
        }
        verify_stored(&**objects, &header, shelved.bytes)?;
        let key = match self.key_of(&header) {
            Err(error @ Error::Key(KeyError::UnknownVersion { .. })) => return Err(damaged(shelved, error)),
            key => key?,
        };
        Ok(Object::new(objects.clone(), header, key.as_deref()))
    }
}

fn decode<R: Record>(shelved: &Shelved, bytes: &[u8]) -> Result<R, Error> {
    codec::decode(bytes).map_err(|error| damaged(shelved, error))
}

/// Damage of one object of the description.
pub fn damaged(shelved: &Shelved, reason: impl std::fmt::Display) -> Error {
    Error::damaged(shelved.key.to_string(), reason)
}
