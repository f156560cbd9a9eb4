//! Keeping a client fed: the next batches are fetched, several at once, while it takes the present one.
//!
//! The first is one frame, so that the first byte comes early and a small range costs little; each one
//! taken lets the next be longer and more of them be under way, as a client that stays will want them.
//! Invariant: no thread waits for a client, no more fetch than can decode at once, and what is fetched
//! ahead comes out of one budget for all of them. A client for which the budget has no room gets its
//! bytes frame by frame, so slow clients cannot keep others from being served.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use super::super::error::Error;
use super::super::format::FRAME_BYTES;
use super::super::ingest::BUDGET_UNIT;
use super::plan::Batch;
use super::{BATCH_BYTES, Reader};
use crate::model::ByteRange;

/// Batches under way at most, beside the one the client is taking.
const BATCHES_AHEAD: usize = 3;

/// See [`Reader::stream`].
pub fn stream(reader: Reader, range: ByteRange) -> BoxStream<'static, Result<Bytes, Error>> {
    let (coming, present) = (VecDeque::new(), Fetched::default());
    let ahead = Ahead { reader, rest: range, reach: 1, batch_bytes: FRAME_BYTES as u64, coming, present };
    futures::stream::unfold(ahead, |mut ahead| async move { ahead.next().await.map(|item| (item, ahead)) })
        .boxed()
}

struct Ahead {
    reader: Reader,
    /// What is not yet being fetched.
    rest: ByteRange,
    /// Batches that may be under way now.
    reach: usize,
    /// How long the next one is.
    batch_bytes: u64,
    /// Those that have not had their turn end with the client.
    coming: VecDeque<AbortOnDropHandle<Result<Fetched, Error>>>,
    present: Fetched,
}

#[derive(Default)]
struct Fetched {
    pieces: std::vec::IntoIter<Bytes>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            if let Some(piece) = self.present.pieces.next() {
                return Some(Ok(piece));
            }
            // Its room goes back before more is asked for.
            self.present = Fetched::default();
            let outcome = match self.reach() {
                Ok(()) => self.coming.pop_front()?.await.unwrap_or(Err(Error::Broken)),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(fetched) => self.present = fetched,
                Err(error) => {
                    tracing::error!(%error, "a read failed");
                    self.rest.start = self.rest.end;
                    self.coming.clear();
                    return Some(Err(error));
                }
            }
        }
    }

    /// Starts fetching as far ahead as the budget allows; one batch at least.
    fn reach(&mut self) -> Result<(), Error> {
        while !self.rest.is_empty() && self.coming.len() < self.reach {
            let budget = self.reader.store.inner.read_budget.clone();
            let room = budget.try_acquire_many_owned((self.batch_bytes as usize / BUDGET_UNIT) as u32).ok();
            if room.is_none() && !self.coming.is_empty() {
                return Ok(());
            }
            let bytes = if room.is_some() { self.batch_bytes } else { FRAME_BYTES as u64 };
            let batch = self.reader.layout.plan(self.rest, bytes)?;
            self.rest.start = batch.end;
            let fetch = tokio::spawn(fetch(self.reader.clone(), batch, room));
            self.coming.push_back(AbortOnDropHandle::new(fetch));
            self.batch_bytes = (self.batch_bytes * 2).min(BATCH_BYTES);
        }
        self.reach = (self.reach + 1).min(BATCHES_AHEAD + 1);
        Ok(())
    }
}

async fn fetch(reader: Reader, batch: Batch, room: Option<OwnedSemaphorePermit>) -> Result<Fetched, Error> {
    let turn = reader.store.inner.fetchers.clone().acquire_owned().await.map_err(|_| Error::Broken)?;
    let fetched = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let pieces = reader.store.fetch(&batch.parts)?.into_iter();
        Ok(Fetched { pieces, _room: room.filter(|_| batch.data_bytes > 0) })
    });
    fetched.await.unwrap_or(Err(Error::Broken))
}
