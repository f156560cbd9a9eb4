//! What is fetched ahead for one client, and the threads that do it.
//!
//! A thread that has fetched a batch goes on with the next one, so that nothing is handed over between
//! threads while a client takes bytes faster than they are decoded. Batches end where frames end, as far
//! as that is known, so that no two of them need the same frame. The first batch is one frame, so that the
//! first byte comes early and a small range costs little; each one taken lets the next be longer and more
//! of them be under way, as a client that stays will want them.
//!
//! Invariant: no thread waits for a client, and what is fetched ahead comes out of one budget for all of
//! them. A client for which the budget has no room gets its bytes frame by frame, so slow clients cannot
//! keep others from being served; a thread gives its turn to another client's after each batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::super::error::Error;
use super::super::format::FRAME_BYTES;
use super::super::ingest::BUDGET_UNIT;
use super::fetchers::Turn;
use super::plan::Batch;
use super::{BATCH_BYTES, Reader};
use crate::model::ByteRange;

/// Batches under way at most, and fetched but not taken, beside the one the client is taking.
const REACH_MAX: usize = 4;

/// One client's stretch of a stream, on its way.
pub struct Course {
    reader: Reader,
    state: Mutex<State>,
    /// A batch was fetched.
    arrived: Notify,
}

struct State {
    /// What is not yet being fetched.
    rest: ByteRange,
    /// Batches that may be under way now.
    reach: usize,
    /// How long the next one is.
    batch_bytes: u64,
    /// Batches the client has taken.
    taken: u64,
    /// Those it has not, in order; `None` while one is being fetched.
    coming: VecDeque<Option<Result<Fetched, Error>>>,
    /// Threads at work, or on their way to it.
    threads: usize,
    /// Whether the client has nothing and waits.
    is_waiting: bool,
}

/// A batch in memory, and its room in the budget.
#[derive(Default)]
pub struct Fetched {
    pieces: std::vec::IntoIter<Bytes>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Iterator for Fetched {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.pieces.next()
    }
}

impl Course {
    /// Nothing is fetched before it is asked for.
    pub fn new(reader: Reader, range: ByteRange) -> Arc<Course> {
        let state = State {
            rest: range,
            reach: 1,
            batch_bytes: FRAME_BYTES as u64,
            taken: 0,
            coming: VecDeque::new(),
            threads: 0,
            is_waiting: false,
        };
        Arc::new(Course { reader, state: Mutex::new(state), arrived: Notify::new() })
    }

    /// The next batch; `None` at the end, which an error is too.
    pub async fn take(self: &Arc<Self>) -> Option<Result<Fetched, Error>> {
        loop {
            let arrived = self.arrived.notified();
            self.start_threads();
            if let Some(outcome) = self.lock().take()? {
                return Some(outcome);
            }
            arrived.await;
        }
    }

    /// The client will take no more.
    pub fn leave(&self) {
        self.lock().end();
    }

    /// As many threads as there are batches to begin, for a client that waits.
    fn start_threads(self: &Arc<Self>) {
        let more = self.lock().call_threads();
        for _ in 0..more {
            let thread = Thread { course: self.clone() };
            self.reader.store.inner.fetchers.start(move |turn| thread.work(turn));
        }
    }

    /// The next batch to fetch, its number, and its room in the budget. Without room there is one only
    /// for a client that has nothing, and waits for it.
    fn begin(&self) -> Option<(u64, Batch, Option<OwnedSemaphorePermit>)> {
        let mut state = self.lock();
        if !state.has_work() {
            return None;
        }
        let budget = self.reader.store.inner.read_budget.clone();
        let room = budget.try_acquire_many_owned((state.batch_bytes as usize / BUDGET_UNIT) as u32).ok();
        if room.is_none() && !(state.is_waiting && state.coming.is_empty()) {
            return None;
        }
        let bytes = if room.is_some() { state.batch_bytes } else { FRAME_BYTES as u64 };
        match self.reader.plan(state.rest, bytes) {
            Ok(batch) => {
                state.rest.start = batch.end;
                state.batch_bytes = (state.batch_bytes * 2).min(BATCH_BYTES);
                state.coming.push_back(None);
                Some((state.taken + state.coming.len() as u64 - 1, batch, room))
            }
            Err(error) => {
                state.rest.start = state.rest.end;
                state.coming.push_back(Some(Err(error)));
                self.arrived.notify_one();
                None
            }
        }
    }

    fn fetch(&self, batch: &Batch, room: Option<OwnedSemaphorePermit>) -> Result<Fetched, Error> {
        let pieces = self.reader.fetch(batch)?.into_iter();
        Ok(Fetched { pieces, _room: room.filter(|_| batch.data_bytes > 0) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.rest.is_empty() && self.coming.len() < self.reach
    }

    /// The client waits: how many threads what may be begun takes, beside those there are; they count
    /// from now on.
    fn call_threads(&mut self) -> usize {
        self.is_waiting = true;
        if !self.has_work() {
            return 0;
        }
        let fetching = self.coming.iter().filter(|batch| batch.is_none()).count();
        let more = (fetching + self.reach - self.coming.len()).saturating_sub(self.threads);
        self.threads += more;
        more
    }

    /// The next batch, when it is there; the outer `None` at the end.
    fn take(&mut self) -> Option<Option<Result<Fetched, Error>>> {
        match self.coming.front_mut() {
            Some(first) => {
                let Some(outcome) = first.take() else { return Some(None) };
                self.coming.pop_front();
                self.taken += 1;
                self.is_waiting = false;
                self.reach = (self.reach + 1).min(REACH_MAX);
                if outcome.is_err() {
                    self.end();
                }
                Some(Some(outcome))
            }
            None if self.rest.is_empty() => None,
            None => Some(None),
        }
    }

    fn end(&mut self) {
        self.rest.start = self.rest.end;
        self.taken += self.coming.len() as u64;
        self.coming.clear();
    }

    fn put(&mut self, number: u64, outcome: Result<Fetched, Error>) {
        // A batch that was being fetched when the client left has no place any more.
        let place = number.checked_sub(self.taken).and_then(|at| self.coming.get_mut(at as usize));
        if let Some(place) = place {
            *place = Some(outcome);
        }
    }
}

/// A thread of the runtime's pool that fetches for a client.
struct Thread {
    course: Arc<Course>,
}

impl Thread {
    /// Fetches as long as there is something to fetch and nobody else waits for the turn.
    fn work(self, turn: Turn) {
        while let Some((number, batch, room)) = self.course.begin() {
            let place = Place { course: &self.course, number };
            place.fill(self.course.fetch(&batch, room));
            if turn.is_wanted() {
                break;
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.course.lock().threads -= 1;
        // A client that waits sees to it that its next batch is being fetched.
        self.course.arrived.notify_one();
    }
}

/// The place of a batch that is being fetched. What leaves it empty has broken.
struct Place<'c> {
    course: &'c Course,
    number: u64,
}

impl Place<'_> {
    fn fill(self, outcome: Result<Fetched, Error>) {
        self.course.lock().put(self.number, outcome);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.course.lock();
        let at = self.number.checked_sub(state.taken);
        if let Some(place) = at.and_then(|at| state.coming.get_mut(at as usize)).filter(|p| p.is_none()) {
            *place = Some(Err(Error::Broken));
        }
        drop(state);
        self.course.arrived.notify_one();
    }
}
