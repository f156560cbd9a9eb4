//! Opening the database: lock, format stamp, repair; reading and writing; closing.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use redb::ReadableDatabase;

use super::error::{Error, caught};
use super::file::CatalogFile;
use super::table::{Known, Table};
use super::txn::{ReadTxn, WriteTxn};
use super::writer::{Poison, Request, Writer};

/// Layout version of the whole file. Tables carry versions of their own; this one changes when
/// an older release must not touch the file at all.
const FORMAT: u32 = 1;

pub(super) const META: Table = Table::derived("meta-1");
pub(super) const JOURNAL_NEXT: &[u8] = b"journal-next";
const FORMAT_KEY: &[u8] = b"format";

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes redb may keep in memory, reads and unwritten changes together.
    pub cache_bytes: usize,
    /// Every fact table, if changes of facts are journaled; empty for no journal. Only whoever
    /// ships entries elsewhere may ask for it: entries that nobody ships fill the file.
    pub journal: Vec<Table>,
    /// Every derived table: each has a way back, or must not come back, when the file is lost. A
    /// write to one that is not here is refused; empty, none is.
    pub derived: Vec<Table>,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes: 16 << 20, journal: Vec::new(), derived: Vec::new() }
    }
}

/// The open database. Cheap to share; the last clone to go stops the writer.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    database: Arc<redb::Database>,
    writer: Writer,
    poison: Arc<Poison>,
    known: Arc<Known>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.stop();
    }
}

impl Db {
    /// Opens the plain file at `path`, creating it when there is none, and locks it for this
    /// process. [`CatalogFile`] opens sealed ones.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it, [`Error::Sealed`], [`Error::NewerFormat`],
    /// [`Error::Corrupt`], or the medium's own failure.
    pub fn open(path: &Path, options: Options) -> Result<Db, Error> {
        CatalogFile::claim(path)?.open_plain(options)
    }

    /// Opens a database on any medium: a sealed file, or a simulated disk.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_on(medium: impl redb::StorageBackend, options: Options) -> Result<Db, Error> {
        begin_again(&medium).map_err(|error| Error::from_io(&error))?;
        let mut builder = redb::Database::builder();
        builder.set_cache_size(options.cache_bytes);
        Db::start(caught(|| Ok(builder.create_with_backend(medium)?))?, options)
    }

    fn start(database: redb::Database, options: Options) -> Result<Db, Error> {
        caught(|| check_format(&database))?;
        let database = Arc::new(database);
        let poison = Arc::new(Poison::default());
        let known = Arc::new(Known { facts: options.journal, derived: options.derived });
        let writer = Writer::start(database.clone(), poison.clone(), known.clone())
            .map_err(|e| Error::Io(e.to_string()))?;
        Ok(Db { inner: Arc::new(Inner { database, writer, poison, known }) })
    }

    /// A snapshot of everything committed so far.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn read(&self) -> Result<ReadTxn, Error> {
        ReadTxn::begin(&self.inner.database)
    }

    /// Runs `change` in the writer's next transaction and waits until it is durable.
    ///
    /// `change` must be repeatable: it may run more than once, always on a fresh transaction.
    /// When it returns an error, nothing of it is kept. Blocks: never call it on an async worker,
    /// nor from inside another `change`.
    ///
    /// # Errors
    /// What `change` returned, or the database's own failure converted.
    pub fn write<T, E>(&self, change: impl FnMut(&WriteTxn) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (send, receive) = sync_channel(1);
        self.inner.writer.submit(Box::new(Pending { change, outcome: None, reply: send }));
        receive.recv().unwrap_or_else(|_| Err(E::from(Error::Closed)))
    }

    /// The fact tables, whose changes are journaled; empty where there is no journal.
    pub fn facts(&self) -> &[Table] {
        &self.inner.known.facts
    }

    /// Why writes are refused for good, if they are.
    pub fn poisoned(&self) -> Option<String> {
        self.inner.poison.get()
    }

    /// Finishes queued writes and closes the file, reporting what dropping it would hide.
    ///
    /// # Errors
    /// When the last flush fails.
    pub fn close(self) -> Result<(), Error> {
        self.inner.writer.stop();
        let Some(mut inner) = Arc::into_inner(self.inner) else { return Ok(()) };
        let placeholder = Arc::new(Poison::default());
        inner.poison = placeholder;
        let database = inner.database.clone();
        drop(inner);
        match Arc::into_inner(database) {
            Some(database) => caught(|| Ok(database.close()?)),
            None => Ok(()),
        }
    }
}

/// Empties a medium on which the making of a database was cut off, which redb takes for another
/// file: its magic number is written last, and nothing but its first page before.
fn begin_again(medium: &impl redb::StorageBackend) -> std::io::Result<()> {
    const FIRST_PAGE_BYTES: u64 = 4096;
    const PIECE_BYTES: u64 = 1 << 16;
    let length = medium.len()?;
    let mut magic = [0; 9];
    if length >= magic.len() as u64 {
        medium.read(0, &mut magic)?;
    }
    if length == 0 || magic != [0; 9] {
        return Ok(());
    }
    let mut piece = vec![0; PIECE_BYTES as usize];
    let mut at = FIRST_PAGE_BYTES;
    while at < length {
        let piece = &mut piece[..PIECE_BYTES.min(length - at) as usize];
        medium.read(at, piece)?;
        if piece.iter().any(|byte| *byte != 0) {
            return Ok(());
        }
        at += piece.len() as u64;
    }
    medium.set_len(0)
}

struct Pending<F, T, E> {
    change: F,
    outcome: Option<Result<T, E>>,
    reply: SyncSender<Result<T, E>>,
}

impl<F, T, E> Request for Pending<F, T, E>
where
    F: FnMut(&WriteTxn) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, txn: &WriteTxn) -> bool {
        self.outcome = None;
        let outcome = (self.change)(txn);
        let kept = outcome.is_ok();
        self.outcome = Some(outcome);
        kept
    }

    fn answer(self: Box<Self>, commit: Result<(), Error>) {
        let Pending { change, outcome, reply } = *self;
        // What it captured may hold the database. Once answered, the caller's handle must be the last
        // one where it thinks so, or its close would report nothing, and the database would end on
        // the writer's own thread, which cannot wait for itself.
        drop(change);
        let outcome = match (commit, outcome) {
            (_, Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(E::from(error)),
            (Ok(()), Some(done)) => done,
            (Ok(()), None) => Err(E::from(Error::Corrupt("a write request panicked".into()))),
        };
        // A caller that stopped waiting needs no answer.
        let _ = reply.send(outcome);
    }
}

fn check_format(database: &redb::Database) -> Result<(), Error> {
    let stamped = {
        let txn = database.begin_read()?;
        match txn.open_table(META.definition()) {
            Ok(meta) => meta
                .get(FORMAT_KEY)?
                .map(|v| v.value().try_into().map(u32::from_be_bytes))
                .transpose()
                .map_err(|_| Error::Corrupt("format stamp".into()))?,
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        }
    };
    match stamped {
        Some(found) if found > FORMAT => Err(Error::NewerFormat { found, supported: FORMAT }),
        Some(_) => Ok(()),
        None => {
            let mut txn = database.begin_write()?;
            txn.set_quick_repair(true);
            txn.open_table(META.definition())?.insert(FORMAT_KEY, FORMAT.to_be_bytes().as_slice())?;
            Ok(txn.commit()?)
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
