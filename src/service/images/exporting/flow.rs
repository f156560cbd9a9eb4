//! Work on stretches of something, in order, a few ahead of whoever takes what comes of it.
//!
//! Invariants: what was made ahead, for all readers, stays within one budget, beside a small stretch that each may have without;
//! nothing waits for a reader that does not take; so many threads work as there are cores for, whoever they work for. A reader
//! that leaves ends its work. Must not know what is made.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::layouts::ExportRules;
use crate::model::ByteRange;
use crate::service::Error;
use crate::service::images::upload::in_background;
use crate::store::Store;

/// The first stretch, in bytes, and any without room in the budget. Stretches end on whole ones.
pub(super) const SMALL_BYTES: u64 = 64 << 10;
/// The longest, in bytes.
const LARGE_BYTES: u64 = 1 << 20;
/// Stretches under way for one reader, at most.
const REACH_MAX: usize = 4;
/// A unit of the budget.
const UNIT_BYTES: u64 = 1024;
/// Threads at least: some wait for the medium.
const THREADS_MIN: usize = 4;

/// Makes something of any stretch. Blocks.
pub(super) trait Work: Send + Sync + 'static {
    /// What comes of a stretch.
    type Out: Send + 'static;

    /// Makes it.
    fn make(&self, range: ByteRange) -> Result<Self::Out, Error>;
}

/// The threads and the memory that all flows share. A clone is the same.
#[derive(Clone)]
pub(super) struct Crew {
    threads: Arc<Semaphore>,
    room: Arc<Semaphore>,
    store: Store,
}

/// The right to have a thread work.
pub(super) struct Turn(#[expect(dead_code, reason = "held")] (OwnedSemaphorePermit, OwnedSemaphorePermit));

impl Crew {
    pub(super) fn new(rules: &ExportRules, store: Store) -> Crew {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let units = usize::try_from(rules.ahead_bytes / UNIT_BYTES).unwrap_or(usize::MAX);
        Crew {
            threads: Arc::new(Semaphore::new(cores.max(THREADS_MIN))),
            room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            store,
        }
    }

    /// A thread that may also wait for the medium.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let thread = self.threads.clone().acquire_owned().await;
        let thread = thread.map_err(|_| Error::from(crate::store::Error::Broken))?;
        Ok(Turn((thread, self.store.turn().await?)))
    }

    /// Bytes of the budget that are free.
    #[cfg(test)]
    pub(super) fn free_bytes(&self) -> u64 {
        self.room.available_permits() as u64 * UNIT_BYTES
    }

    fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        self.room.clone().try_acquire_many_owned(units).ok()
    }
}

/// What came of a stretch, and its room in the budget.
pub(super) struct Held<T> {
    pub(super) out: T,
    /// Of the bytes that are held.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// A reader's stretches.
pub(super) struct Flow<W: Work> {
    work: Arc<W>,
    crew: Crew,
    rest: ByteRange,
    /// How long the next one is.
    next_bytes: u64,
    reach: usize,
    coming: VecDeque<AbortOnDropHandle<Result<Held<W::Out>, Error>>>,
}

impl<W: Work> Flow<W> {
    /// Nothing is made before it is asked for.
    pub(super) fn new(crew: Crew, work: W, range: ByteRange) -> Flow<W> {
        let coming = VecDeque::new();
        Flow { work: Arc::new(work), crew, rest: range, next_bytes: SMALL_BYTES, reach: 1, coming }
    }

    /// What comes of the next stretch; `None` at the end, which an error is too.
    pub(super) async fn next(&mut self) -> Option<Result<Held<W::Out>, Error>> {
        self.begin();
        let first = self.coming.pop_front()?;
        // The place that it leaves is taken at once: the next ones are made while this one is taken.
        self.reach = (self.reach + 1).min(REACH_MAX);
        let made = first.await.unwrap_or_else(|died| {
            tracing::error!(%died, "making a part of a file failed");
            Err(crate::store::Error::Broken.into())
        });
        if made.is_err() {
            self.coming.clear();
            self.rest.start = self.rest.end;
        } else {
            self.begin();
        }
        Some(made)
    }

    /// Has as many stretches begun as may be under way.
    fn begin(&mut self) {
        while !self.rest.is_empty() && self.coming.len() < self.reach {
            let room = self.crew.room(self.next_bytes);
            if room.is_none() && !self.coming.is_empty() {
                return;
            }
            let bytes = if room.is_some() { self.next_bytes } else { SMALL_BYTES };
            let range = self.stretch(bytes);
            self.rest.start = range.end;
            self.next_bytes = (self.next_bytes * 2).min(LARGE_BYTES);
            let (crew, work) = (self.crew.clone(), self.work.clone());
            self.coming.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                let turn = crew.turn().await?;
                let out = in_background(move || work.make(range)).await?;
                drop(turn);
                Ok(Held { out, room })
            })));
        }
    }

    /// The next so many bytes, or fewer, so that what follows begins on a whole small stretch.
    fn stretch(&self, bytes: u64) -> ByteRange {
        let start = self.rest.start;
        let end = start.saturating_add(bytes).min(self.rest.end);
        let whole = end - end % SMALL_BYTES;
        ByteRange { start, end: if end < self.rest.end && whole > start { whole } else { end } }
    }
}

/// The bytes that are made of a range, in order.
pub(super) fn bytes<W: Work<Out = Vec<Bytes>>>(
    crew: Crew,
    work: W,
    range: ByteRange,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let flow = Flow::new(crew, work, range);
    pieces(flow, |mut flow| async { flow.next().await.map(|made| (made, flow)) })
}

/// The pieces of what comes, one by one; each room goes back when its last piece was taken.
pub(super) fn pieces<S, F>(
    state: S,
    next: impl Fn(S) -> F + Send + 'static,
) -> BoxStream<'static, Result<Bytes, Error>>
where
    S: Send + 'static,
    F: Future<Output = Option<(Result<Held<Vec<Bytes>>, Error>, S)>> + Send + 'static,
{
    futures::stream::unfold(state, next)
        .flat_map(|made| match made {
            Err(error) => futures::stream::iter(vec![Err(error)]).boxed(),
            Ok(Held { out, room }) => {
                let present = (out.into_iter(), room);
                futures::stream::unfold(present, |(mut pieces, room)| async move {
                    pieces.next().map(|piece| (Ok(piece), (pieces, room)))
                })
                .boxed()
            }
        })
        .boxed()
}
