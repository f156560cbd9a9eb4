//! Shipping: journal entries become log objects, in order, and then leave the journal.
//!
//! Invariant: nothing is forgotten before it is durable elsewhere. Whatever fails here is tried
//! again from the start; the worst of it is an object that repeats another.

use super::super::Store;
use super::super::error::Error;
use super::super::format::Kind;
use super::super::object::{Builder, read_header};
use super::records::{LogRecord, UNKNOWN};
use super::shelf::Shelf;
use super::{LOG_BYTES, LOG_OBJECTS_MAX, lock};
use crate::db::{self, ReadTxn, codec};

/// What is known of the medium while nobody else writes to it.
pub struct Standing {
    /// Length of the newest snapshot; `None` when there must be a new one before anything else can
    /// be relied on.
    pub snapshot_bytes: Option<u64>,
    /// Log objects since.
    pub log_objects: u64,
    /// Their length together.
    pub log_bytes: u64,
}

impl Standing {
    /// Whether the log has grown past `log_bytes` and past the last snapshot: so snapshots at most
    /// double what the log writes.
    fn wants_snapshot(&self, log_bytes: u64) -> bool {
        self.snapshot_bytes.is_none_or(|snapshot_bytes| {
            self.log_objects >= LOG_OBJECTS_MAX || self.log_bytes >= log_bytes.max(snapshot_bytes)
        })
    }
}

impl Store {
    /// Makes the store describe everything that was committed before the call. Writes nothing when
    /// it does already. One caller works, others wait.
    ///
    /// # Errors
    /// The medium's or the database's failure: nothing is lost, call again. [`Error::Foreign`] when
    /// the store describes another history than this catalog's.
    pub fn ship(&self) -> Result<(), Error> {
        let log_bytes = self.inner.options.snapshot_log_bytes;
        self.ship_until(|standing| standing.wants_snapshot(log_bytes))
    }

    /// The least that must be durable before anything is deleted: it has to fit on a medium that
    /// is nearly full.
    pub(in super::super) fn ship_deaths(&self) -> Result<(), Error> {
        self.ship_until(|standing| standing.snapshot_bytes.is_none())
    }

    /// Sees to it that no log object or snapshot is there which a key before `version` sealed; says
    /// whether that is so. Another try may be needed while somebody reads them.
    pub(in super::super) fn describe_anew(&self, version: u32) -> Result<bool, Error> {
        // The older of two snapshots stays as a spare: the second makes that a new one too.
        for _ in 0..2 {
            if !self.is_under_older_key(version)? {
                return Ok(true);
            }
            self.ship_until(|_| true)?;
        }
        Ok(!self.is_under_older_key(version)?)
    }

    fn is_under_older_key(&self, version: u32) -> Result<bool, Error> {
        // Whoever is writing one has the standing, and takes the newest key after this.
        let _standing = lock(&self.inner.log.standing);
        let objects = &*self.inner.objects;
        let Shelf { snapshots, logs } = Shelf::list(objects)?;
        for shelved in snapshots.iter().chain(&logs) {
            match read_header(objects, &shelved.key) {
                Ok(header) if header.is_under_older(self.inner.domain, version) => return Ok(true),
                // One that cannot be read at all needs no key.
                Ok(_) | Err(Error::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn ship_until(&self, wants_snapshot: impl FnOnce(&Standing) -> bool) -> Result<(), Error> {
        if self.inner.db.facts().is_empty() {
            // Without a journal there is nothing to tell.
            return Ok(());
        }
        let mut place = lock(&self.inner.log.standing);
        let began = self.inner.clock.now();
        // Taken, and put back on success only: a write that failed may have taken effect, so that
        // the medium has to be looked at again.
        let shipped = place.take().map_or_else(|| self.look(), Ok).and_then(|mut standing| {
            self.ship_journal(&mut standing)?;
            if wants_snapshot(&standing) || lock(&self.inner.log.repair).needs_snapshot {
                self.renew_snapshot(&mut standing)?;
            }
            Ok(standing)
        });
        let waiting = self.inner.db.read().and_then(|read| read.journal_len());
        let mut progress = lock(&self.inner.log.progress);
        if let Ok(entries) = waiting {
            progress.entries = entries;
        }
        if shipped.is_ok() {
            progress.complete_at = began;
        }
        drop(progress);
        *place = Some(shipped?);
        Ok(())
    }

    /// Looks at the medium for the first time, or again.
    fn look(&self) -> Result<Standing, Error> {
        let shelf = Shelf::list(&*self.inner.objects)?;
        let read = self.inner.db.read()?;
        self.refuse_other_history(&shelf, &read)?;
        let newest = shelf.snapshots.first();
        let logs = shelf.logs_since(newest.map_or(0, |snapshot| snapshot.number));
        // Entries that are in neither place can only be had from the catalog as it is.
        let whole = shelf.reaches() >= unshipped(&read)?;
        Ok(Standing {
            snapshot_bytes: newest.filter(|_| whole).map(|snapshot| snapshot.bytes),
            log_objects: logs.len() as u64,
            log_bytes: logs.iter().map(|log| log.bytes).sum(),
        })
    }

    /// The store may know entries that are still in the journal: after a crash before they were
    /// forgotten. Then they are the same, else an older or another catalog is at work, and what it
    /// writes or deletes would make both histories worthless.
    fn refuse_other_history(&self, shelf: &Shelf, read: &ReadTxn) -> Result<(), Error> {
        let (first, next) = (unshipped(read)?, read.journal_next()?);
        let reaches = shelf.reaches();
        if reaches > next {
            return Err(Error::Foreign(format!(
                "the store describes {reaches} commits and the catalog has only {next}: it is an older copy of \
                 the catalog; put the newest back"
            )));
        }
        for log in shelf.logs_since(first) {
            let record = match self.read_log(log) {
                Ok(record) => record,
                // No home for its entries, then: they are shipped again.
                Err(Error::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            let told = (record.first..).zip(&record.entries).skip_while(|(number, _)| *number < first);
            let from = record.first.max(first);
            let mut journal =
                read.journal()?.skip_while(|e| e.as_ref().is_ok_and(|(number, _)| *number < from));
            for (number, entry) in told {
                if journal.next().transpose()?.is_none_or(|here| here != (number, entry.clone())) {
                    return Err(Error::Foreign(format!(
                        "commit {number} is another in {} than in the catalog: the catalog went on from an older \
                         copy; put the newest back",
                        log.key
                    )));
                }
            }
        }
        Ok(())
    }

    fn ship_journal(&self, standing: &mut Standing) -> Result<(), Error> {
        // What is committed from here on is the next call's, so that this one ends.
        let end = self.inner.db.read()?.journal_next()?;
        while let Some(record) = self.next_record()?
            && record.first < end
        {
            let (header, key) = self.described(Kind::Log, record.next())?;
            let builder = Builder::start(&*self.inner.objects, &header, key.as_deref())?;
            let written = builder.finish(codec::encode(&record))?;
            standing.log_objects += 1;
            standing.log_bytes += written.object_bytes;
            self.inner.db.forget_journal(record.next())?;
        }
        Ok(())
    }

    /// As many of the journal's oldest entries as one log object takes.
    fn next_record(&self) -> Result<Option<LogRecord>, Error> {
        let written_at = self.inner.clock.now().0;
        let mut record: Option<LogRecord> = None;
        let mut bytes = 0;
        for entry in self.inner.db.read()?.journal()? {
            let (number, entry) = entry?;
            bytes += entry.len();
            match &mut record {
                None => record = Some(LogRecord { first: number, written_at, entries: vec![entry] }),
                Some(record) if bytes > LOG_BYTES => {
                    record.written_at = UNKNOWN;
                    break;
                }
                Some(record) if record.next() == number => record.entries.push(entry),
                Some(record) => {
                    return Err(
                        db::Error::Corrupt(format!("journal entry {} is missing", record.next())).into()
                    );
                }
            }
        }
        Ok(record)
    }
}

/// The number of the oldest entry that was not shipped, or of the next one.
pub fn unshipped(read: &ReadTxn) -> Result<u64, Error> {
    match read.journal()?.next() {
        Some(entry) => Ok(entry?.0),
        None => Ok(read.journal_next()?),
    }
}
