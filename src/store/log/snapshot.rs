//! Snapshots: every row of every fact table as of one moment, written section by section.
//!
//! Invariant: what a snapshot makes unnecessary is deleted only after it is durable.

use std::ops::Bound;

use super::super::Store;
use super::super::error::Error;
use super::super::format::Kind;
use super::super::object::Builder;
use super::records::{SectionEntry, SnapshotFooter, SnapshotRows};
use super::shelf::Shelf;
use super::ship::Standing;
use super::{SECTION_BYTES, lock};
use crate::db::{Table, codec};

impl Store {
    /// Writes a snapshot, then deletes what it makes unnecessary, and what a check found broken.
    pub(super) fn renew_snapshot(&self, standing: &mut Standing) -> Result<(), Error> {
        let bytes = self.write_snapshot()?;
        lock(&self.inner.log.repair).needs_snapshot = false;
        *standing = Standing { snapshot_bytes: Some(bytes), log_objects: 0, log_bytes: 0 };
        // Left-overs do no harm: the next snapshot finds them again.
        if let Err(error) = self.delete_unneeded() {
            tracing::warn!(%error, "cannot delete old snapshots and log objects");
        }
        Ok(())
    }

    fn write_snapshot(&self) -> Result<u64, Error> {
        // The time first: whatever was acknowledged before it is in the snapshot.
        let written_at = self.inner.clock.now().0;
        let read = self.inner.db.read()?;
        let next = read.journal_next()?;
        let (header, key) = self.described(Kind::Snapshot, next)?;
        let mut sections = Sections {
            builder: Builder::start(&*self.inner.objects, &header, key.as_deref())?,
            level: self.inner.options.zstd_level,
            written: Vec::new(),
        };
        let mut tables = self.inner.db.facts().to_vec();
        tables.sort_unstable_by_key(|table| table.name);
        for table in &tables {
            let (mut open, mut open_bytes) = (SnapshotRows::default(), 0);
            for row in read.rows(table, (Bound::Unbounded, Bound::Unbounded))? {
                let (key, value) = row?;
                let bytes = key.len() + value.len();
                if open_bytes > 0 && open_bytes + bytes > SECTION_BYTES {
                    sections.append(table, &std::mem::take(&mut open))?;
                    open_bytes = 0;
                }
                open_bytes += bytes;
                open.rows.push((key, value));
            }
            if !open.rows.is_empty() {
                sections.append(table, &open)?;
            }
        }
        let footer = SnapshotFooter { next, written_at, sections: sections.written };
        Ok(sections.builder.finish(codec::encode(&footer))?.object_bytes)
    }

    fn delete_unneeded(&self) -> Result<(), Error> {
        // Whoever is reading needs what was there when it began; the next snapshot comes soon enough.
        let Ok(_reading) = self.inner.log.reading.try_lock() else { return Ok(()) };
        let mut repair = lock(&self.inner.log.repair);
        while let Some(key) = repair.broken.last() {
            self.inner.objects.delete(key)?;
            repair.broken.pop();
        }
        drop(repair);
        for object in Shelf::list(&*self.inner.objects)?.unneeded() {
            self.inner.objects.delete(&object.key)?;
        }
        Ok(())
    }
}

/// The sections of a snapshot on its way out.
struct Sections {
    builder: Builder,
    level: i32,
    written: Vec<SectionEntry>,
}

impl Sections {
    fn append(&mut self, table: &Table, rows: &SnapshotRows) -> Result<(), Error> {
        let raw = codec::encode(rows);
        let mut packed =
            zstd::bulk::compress(&raw, self.level).map_err(|e| Error::Unavailable(format!("zstd: {e}")))?;
        let raw_bytes = u32::try_from(raw.len())
            .map_err(|_| Error::damaged(table.name, "a row is longer than a section"))?;
        let section = self.builder.append(&mut packed)?;
        self.written.push(SectionEntry {
            table: table.name.to_owned(),
            offset: section.offset,
            stored_bytes: section.bytes,
            raw_bytes,
        });
        Ok(())
    }
}
