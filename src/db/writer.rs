//! One writer thread with group commit: all requests that wait while a commit runs share the next.
//!
//! Invariant: a request is answered only after the commit that holds its changes is durable.
//! When a request in a group fails, the group's transaction is dropped and the others run again
//! without it, so nobody sees a neighbour's half.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use redb::{Durability, ReadableTable};

use super::codec;
use super::error::{Error, caught};
use super::journal::{JOURNAL, JournalEntry};
use super::table::Known;
use super::txn::WriteTxn;

/// Requests that share one commit at most; bounds the work redone when one of them fails.
const GROUP_MAX: usize = 64;

/// A request for the writer: a repeatable change, and where its outcome goes.
pub(super) trait Request: Send {
    /// Makes the changes; `false` when the request refuses, with nothing to be kept.
    fn run(&mut self, txn: &WriteTxn) -> bool;
    /// Hears how the commit went. Called exactly once.
    fn answer(self: Box<Self>, commit: Result<(), Error>);
}

/// The failure after which nothing is written any more, if there was one.
#[derive(Default)]
pub(super) struct Poison(Mutex<Option<String>>);

impl Poison {
    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
    }
}

/// The writer's end that callers hold.
pub(super) struct Writer {
    queue: Mutex<Option<SyncSender<Box<dyn Request>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        database: Arc<redb::Database>,
        poison: Arc<Poison>,
        known: Arc<Known>,
    ) -> std::io::Result<Writer> {
        let (send, receive) = sync_channel(GROUP_MAX * 4);
        let thread = std::thread::Builder::new()
            .name("catalog-writer".into())
            .spawn(move || serve(&database, &receive, &poison, &known))?;
        Ok(Writer { queue: Mutex::new(Some(send)), thread: Mutex::new(Some(thread)) })
    }

    /// Hands a request over. It is answered with [`Error::Closed`] when the writer has stopped.
    pub(super) fn submit(&self, request: Box<dyn Request>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match queue {
            Some(queue) => {
                if let Err(refused) = queue.send(request) {
                    refused.0.answer(Err(Error::Closed));
                }
            }
            None => request.answer(Err(Error::Closed)),
        }
    }

    /// Finishes what is queued, then stops.
    pub(super) fn stop(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panicking writer has already answered nobody; its waiters see a closed channel.
            let _ = thread.join();
        }
    }
}

fn serve(database: &redb::Database, queue: &Receiver<Box<dyn Request>>, poison: &Poison, known: &Arc<Known>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        let made = caught(|| {
            commit_group(database, &mut group, poison, known);
            Ok(())
        });
        if let Err(error) = made {
            // Nobody of the group was answered; what is durable of it, only a restart tells. They
            // hear of it when the group goes, which must not be before all others can know.
            tracing::error!(%error, "the writer panicked; refusing further writes");
            poison.set(&error);
        }
    }
}

fn commit_group(
    database: &redb::Database,
    group: &mut Vec<Box<dyn Request>>,
    poison: &Poison,
    known: &Arc<Known>,
) {
    while !group.is_empty() {
        if let Some(reason) = poison.get() {
            for request in group.drain(..) {
                request.answer(Err(Error::Poisoned(reason.clone())));
            }
            return;
        }
        let txn = match begin(database, known) {
            Ok(txn) => txn,
            Err(error) => {
                give_up(poison, &error);
                for request in group.drain(..) {
                    request.answer(Err(error.clone()));
                }
                return;
            }
        };
        let failed = group.iter_mut().position(|request| !run_caught(request.as_mut(), &txn));
        match failed {
            Some(index) => {
                let abort = txn.inner.abort().map_err(Error::from).inspect_err(|e| give_up(poison, e));
                let request = group.remove(index);
                // The request keeps its own refusal; `Ok` here means "nothing was committed for you".
                request.answer(abort);
            }
            None => {
                let outcome = commit(txn);
                if let Err(error) = &outcome {
                    give_up(poison, error);
                }
                for request in group.drain(..) {
                    request.answer(outcome.clone());
                }
                return;
            }
        }
    }
}

/// After a failed commit nobody knows what is durable; after a transaction that could not begin or
/// end the database has closed itself. In either case only a restart helps, and all must hear it.
fn give_up(poison: &Poison, error: &Error) {
    tracing::error!(%error, "the catalog's medium failed; refusing further writes");
    poison.set(error);
}

fn run_caught(request: &mut dyn Request, txn: &WriteTxn) -> bool {
    // A panic in a request must not take the writer, and with it everyone's writes, down.
    catch_unwind(AssertUnwindSafe(|| request.run(txn))).unwrap_or(false)
}

fn begin(database: &redb::Database, known: &Arc<Known>) -> Result<WriteTxn, Error> {
    let mut inner = database.begin_write()?;
    inner.set_durability(Durability::Immediate).map_err(|e| Error::Io(e.to_string()))?;
    // Implies two-phase commit: hostile values cannot pass off a torn primary as whole, and an
    // open after a crash takes milliseconds instead of a walk through the whole file.
    inner.set_quick_repair(true);
    Ok(WriteTxn { inner, known: known.clone(), changes: Default::default(), after: Default::default() })
}

fn commit(txn: WriteTxn) -> Result<(), Error> {
    let (changes, after) = (txn.changes.take(), txn.after.take());
    if !changes.is_empty() {
        let entry = codec::encode(&JournalEntry { changes });
        let mut meta = txn.inner.open_table(super::open::META.definition())?;
        let next = meta
            .get(super::open::JOURNAL_NEXT)?
            .and_then(|v| v.value().try_into().ok().map(u64::from_be_bytes))
            .unwrap_or(0);
        meta.insert(super::open::JOURNAL_NEXT, (next + 1).to_be_bytes().as_slice())?;
        let mut journal = txn.inner.open_table(JOURNAL.definition())?;
        journal.insert(next.to_be_bytes().as_slice(), entry.as_slice())?;
    }
    txn.inner.commit()?;
    for what in after {
        // What is durable stays so, whatever memory makes of it.
        if catch_unwind(AssertUnwindSafe(what)).is_err() {
            tracing::error!("what follows from a commit panicked");
        }
    }
    Ok(())
}
