//! Keeping a client fed: the next batches are fetched, several at once, while it takes the present one.
//!
//! Invariant: a client gets its bytes in order, and what is fetched for one that left is let go. What is
//! fetched and when is the business of [`Course`].

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::super::error::Error;
use super::Reader;
use super::course::{Course, Fetched};
use crate::model::ByteRange;

/// See [`Reader::stream`].
pub fn stream(reader: Reader, range: ByteRange) -> BoxStream<'static, Result<Bytes, Error>> {
    let ahead = Ahead { course: Course::new(reader, range), present: Fetched::default() };
    futures::stream::unfold(ahead, |mut ahead| async move { ahead.next().await.map(|item| (item, ahead)) })
        .boxed()
}

struct Ahead {
    course: Arc<Course>,
    /// The batch the client is taking.
    present: Fetched,
}

impl Ahead {
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            if let Some(piece) = self.present.next() {
                return Some(Ok(piece));
            }
            // Its room goes back before more is asked for.
            self.present = Fetched::default();
            match self.course.take().await? {
                Ok(fetched) => self.present = fetched,
                Err(error) => {
                    tracing::error!(%error, "a read failed");
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.course.leave();
    }
}
