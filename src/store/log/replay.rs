//! Replaying the description: the rows of a snapshot, and the log after it, into an empty catalog.
//!
//! Invariant: the rows are those of one moment, the last one up to which the description tells of
//! every commit. Memory holds one section or log object, however long the description is. Nothing
//! on the medium is changed.

use super::super::error::Error;
use super::super::rows;
use super::super::{Store, vault};
use super::shelf::{Shelf, Shelved, damaged};
use crate::base::Time;
use crate::db::codec;
use crate::db::{self, Change, JournalEntry, WriteTxn};

/// Rows of one transaction are at least one, and together no longer than this.
const BATCH_BYTES: usize = 1 << 20;

/// Histories begin at multiples of this. A catalog that cannot simply go on, because something of
/// the description is damaged or lost, starts the next one: were the lost catalog put back after
/// all, no number of the commits it had not shipped yet could be taken for one of the new history.
const HISTORY: u64 = 1 << 32;

/// What the description told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Commits it tells of: their rows are in the catalog now.
    pub commits: u64,
    /// Whatever was acknowledged before this moment is among them.
    pub complete_until: Option<Time>,
    /// Whether something of the description tells of later commits, and nothing of those before
    /// them: without these they mean nothing.
    pub has_gap: bool,
    /// Objects of it that are damaged.
    pub damage: Vec<String>,
}

impl Replayed {
    /// The number of the rebuilt catalog's first commit.
    fn goes_on_at(&self, reaches: u64) -> u64 {
        let whole = self.damage.is_empty() && !self.has_gap;
        if whole { self.commits } else { (reaches.max(self.commits) / HISTORY + 1) * HISTORY }
    }
}

/// What one log object adds.
struct Told {
    entries: Vec<JournalEntry>,
    complete_until: Option<Time>,
}

/// Changes on their way into the catalog.
struct Batch<'a> {
    db: &'a db::Db,
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch<'_> {
    fn push(&mut self, change: Change) -> Result<(), Error> {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        self.changes.push(change);
        if self.bytes < BATCH_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        self.db.write(move |txn: &WriteTxn| changes.iter().try_for_each(|change| Ok(txn.replay(change)?)))
    }
}

impl Store {
    /// Fills the empty catalog with what the store tells of, and lets its journal go on from there.
    /// `tell` hears of each object that was read.
    ///
    /// # Errors
    /// [`Error::Damaged`] when nothing can be told at all; the medium's or the database's failure.
    pub(in super::super) fn replay(&self, tell: &mut dyn FnMut(u64)) -> Result<Replayed, Error> {
        let db = &self.inner.db;
        let shelf = self.whole_shelf()?;
        let mut replayed = Replayed { commits: 0, complete_until: None, has_gap: false, damage: Vec::new() };
        let mut batch = Batch { db, changes: Vec::new(), bytes: 0 };
        let mut objects = 0;
        if let Some(base) = self.readable_snapshot(&shelf, &mut replayed.damage)? {
            let footer = self.read_snapshot(&base, &mut |table, key, value| {
                let value = Some(value.to_vec());
                batch.push(Change { table: table.to_owned(), key: key.to_vec(), value })
            })?;
            (replayed.commits, replayed.complete_until) = (base.number, Some(Time(footer.written_at)));
            replayed.damage.extend(lost(&base));
            objects = 1;
        }
        tell(objects);
        for log in shelf.logs_since(replayed.commits) {
            // A later object may repeat what this one would have told.
            match self.anywhere(log, |log| self.read_entries(log, replayed.commits)) {
                Ok(None) => {}
                Ok(Some(told)) => {
                    told.entries
                        .into_iter()
                        .flat_map(|entry| entry.changes)
                        .try_for_each(|c| batch.push(c))?;
                    // Nobody knows what else was lost, so that its numbers are not gone on with.
                    replayed.damage.extend(lost(log));
                    replayed.commits = log.number;
                    replayed.complete_until = told.complete_until.or(replayed.complete_until);
                }
                Err(error @ Error::Damaged { .. }) => replayed.damage.push(error.to_string()),
                Err(error) => return Err(error),
            }
            objects += 1;
            tell(objects);
        }
        batch.write()?;
        let reaches = shelf.reaches();
        replayed.has_gap = reaches > replayed.commits;
        self.expect_own_history(&replayed)?;
        db.continue_journal(replayed.goes_on_at(reaches))?;
        Ok(replayed)
    }

    /// What the medium lists, and what copies of this store have beside that.
    fn whole_shelf(&self) -> Result<Shelf, Error> {
        let mut shelf = self.shelf()?;
        let own = vault::store_id(&*self.inner.objects)?;
        for source in self.inner.objects.copies() {
            let added = vault::store_id(&**source.objects()).and_then(|id| match id == own {
                true => shelf.add_lost(source),
                false => Err(Error::Foreign(format!("it is a copy of another store, {}", hex::encode(id)))),
            });
            if let Err(error) = added {
                tracing::warn!(%error, copy = source.name(), "a copy of the store cannot be used");
            }
        }
        Ok(shelf)
    }

    /// The newest snapshot that is whole, read once to know it.
    fn readable_snapshot(&self, shelf: &Shelf, damage: &mut Vec<String>) -> Result<Option<Shelved>, Error> {
        let read = |snapshot: &Shelved| {
            self.read_snapshot(snapshot, &mut |_, _, _| Ok(())).map(|_| snapshot.clone())
        };
        for snapshot in &shelf.snapshots {
            match self.anywhere(snapshot, read) {
                Ok(readable) => return Ok(Some(readable)),
                Err(error @ Error::Damaged { .. }) => damage.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads an object of the description; where it is damaged, from the first copy of the store that
    /// has it whole. A copy that is away or damaged too changes nothing.
    fn anywhere<T>(
        &self,
        shelved: &Shelved,
        read: impl Fn(&Shelved) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let damaged = match read(shelved) {
            Err(error @ Error::Damaged { .. }) => error,
            outcome => return outcome,
        };
        for (name, copy) in shelved.copies(&*self.inner.objects) {
            match read(&copy) {
                Ok(told) => {
                    tracing::warn!(%damaged, copy = name, "a part of the store's log is read from a copy of the store");
                    return Ok(told);
                }
                Err(error) => tracing::warn!(%error, copy = name, "a copy cannot be used"),
            }
        }
        Err(damaged)
    }

    /// The entries of a log object from number `at` on; `None` when there is a gap before it.
    fn read_entries(&self, log: &Shelved, at: u64) -> Result<Option<Told>, Error> {
        let record = self.read_log(log)?;
        let Some(known) = at.checked_sub(record.first) else { return Ok(None) };
        let unknown = record.entries.iter().skip(known as usize);
        let entries: Result<_, _> = unknown.map(|entry| codec::decode(entry)).collect();
        let entries = entries.map_err(|error| damaged(log, error))?;
        Ok(Some(Told { entries, complete_until: record.complete_until() }))
    }

    /// The rows must be those of the store they were read from. A log without a snapshot before it
    /// must begin with the commit that bound the catalog to the store, which was the first of all.
    fn expect_own_history(&self, replayed: &Replayed) -> Result<(), Error> {
        let found = rows::store_id(&self.inner.db.read()?)?;
        if found.as_deref() == Some(&vault::store_id(&*self.inner.objects)?[..]) {
            return Ok(());
        }
        if let Some(other) = found {
            return Err(Error::Foreign(format!("its log is of store {}", hex::encode(other))));
        }
        let mut reason = "it has no snapshot that can be read".to_owned();
        for damage in &replayed.damage {
            reason = format!("{reason}; {damage}");
        }
        Err(Error::damaged("the store's log", reason))
    }
}

/// What to say of an object that is only in a copy of the store.
fn lost(shelved: &Shelved) -> Option<String> {
    let source = shelved.elsewhere.as_ref().filter(|_| shelved.is_lost)?;
    Some(format!("{} is not there; it was read from the copy in {}", shelved.key, source.name()))
}
