//! Whose turn it is: which scrub works, and which objects it takes next.
//!
//! Invariant: whoever rests hears at once of a stop, and of someone who cannot wait. The choice of
//! objects holds a bounded number of them in memory, however many are stored.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::error::Error;
use super::super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow};
use super::super::stored::Stored;
use super::records::{ROUND, Round, VERIFIED, Verified};
use crate::base::Time;
use crate::db::codec::Record;
use crate::db::{Db, ReadTxn, Rows, Table};
use crate::model::ContentId;

/// Rows looked at in one snapshot.
const PAGE_ROWS: usize = 1024;

/// Lets one scrub work at a time.
pub struct Turns {
    working: Mutex<()>,
    bell: Mutex<Bell>,
    rung: Condvar,
    /// When the last complete round ended, in microseconds since the epoch; 0 for never.
    completed_at: AtomicI64,
}

#[derive(Default)]
struct Bell {
    stopped: bool,
    /// Those who cannot wait.
    urgent: usize,
}

impl Turns {
    /// The turns of a store that was just opened.
    pub fn load(db: &Db) -> Result<Turns, Error> {
        let round: Round = db.read()?.record(&ROUND, &[])?.unwrap_or_default();
        Ok(Turns {
            working: Mutex::default(),
            bell: Mutex::default(),
            rung: Condvar::new(),
            completed_at: AtomicI64::new(round.completed_at),
        })
    }

    /// When the last complete round ended.
    pub fn completed_at(&self) -> Option<Time> {
        let at = self.completed_at.load(Ordering::Relaxed);
        (at != 0).then_some(Time(at))
    }

    /// Remembers that a round was completed.
    pub fn completed(&self, at: Time) {
        self.completed_at.store(at.0, Ordering::Relaxed);
    }

    /// Waits for the turn.
    pub fn take(&self) -> MutexGuard<'_, ()> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn, and has whoever works in the background give way.
    pub fn take_now(&self) -> MutexGuard<'_, ()> {
        self.bell().urgent += 1;
        self.rung.notify_all();
        let turn = self.take();
        self.bell().urgent -= 1;
        turn
    }

    /// Ends every scrub.
    pub fn stop(&self) {
        self.bell().stopped = true;
        self.rung.notify_all();
    }

    /// Whether to go on, for one that somebody waits for.
    pub fn look(&self) -> ControlFlow<()> {
        if self.bell().stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Rests so long, or until it is time to end; says whether to go on.
    pub fn rest(&self, length: Duration) -> ControlFlow<()> {
        let undisturbed = |bell: &mut Bell| !bell.stopped && bell.urgent == 0;
        let waited = self.rung.wait_timeout_while(self.bell(), length, undisturbed);
        let (mut bell, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if undisturbed(&mut bell) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn bell(&self) -> MutexGuard<'_, Bell> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `count` stored objects with the smallest rank. `rank` is given an object's id, when it was compared
/// last and when it was written (0 where no row says), and gives nothing for one that is not due.
pub fn oldest(
    db: &Db,
    count: usize,
    rank: impl Fn(&Stored, &[u8; 16], Option<Verified>, i64) -> Option<i64>,
) -> Result<Vec<Stored>, Error> {
    let mut heap: BinaryHeap<(i64, Stored)> = BinaryHeap::with_capacity(count + 1);
    let mut offer = |read: &ReadTxn, stored: Stored, object: [u8; 16], written_at| {
        if let Some(rank) = rank(&stored, &object, read.record(&VERIFIED, &object)?, written_at) {
            heap.push((rank, stored));
            if heap.len() > count {
                heap.pop();
            }
        }
        Ok(())
    };
    each(db, &PACKS, |read, key, row: PackRow| {
        let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
        offer(read, Stored::Pack(number), row.object, row.created_at)
    })?;
    each(db, &CONTENTS, |read, key, row: ContentRow| {
        let content = ContentId(key.try_into().unwrap_or_default());
        offer(read, Stored::Manifest(content), row.object, 0)
    })?;
    Ok(heap.into_sorted_vec().into_iter().map(|(_, stored)| stored).collect())
}

/// Visits every record of a table, a page a snapshot.
fn each<R: Record>(
    db: &Db,
    table: &Table,
    mut visit: impl FnMut(&ReadTxn, &[u8], R) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let read = db.read()?;
        let page = rows::page(&read, table, after.as_deref(), PAGE_ROWS)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, row) in page {
            visit(&read, &key, row)?;
        }
    }
}
