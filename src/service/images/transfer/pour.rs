//! The bytes of one stream on their way into another, piece by piece, for a job.

use std::sync::Arc;

use bytes::Bytes;

use super::formats::Outgoing;
use crate::objects::exchange::PIECE_BYTES;
use crate::service::Error;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::store::{Ingest, Reader};

/// Reads a stream, verified, into another. Gives the job back, and whether all went in: not where the job is to end.
pub(super) async fn pour(
    job: JobAtWork,
    reader: Reader,
    ingest: &mut Ingest,
    phase: &'static str,
) -> (JobAtWork, Result<bool, Error>) {
    let (mut job, reader, mut at) = (job, Arc::new(reader), 0);
    while at < Outgoing::size_bytes(&*reader) {
        let from = reader.clone();
        let next = tokio::task::spawn_blocking(move || {
            let mut job = job;
            let piece = next_piece(&mut job, &from, at, phase);
            (job, piece)
        });
        let piece = match next.await {
            Ok((back, piece)) => {
                job = back;
                piece
            }
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        let written = match piece {
            Ok(Some(bytes)) => {
                at += bytes.len() as u64;
                ingest.write(bytes).await.map_err(Error::from)
            }
            Ok(None) => return (job, Ok(false)),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            return (job, Err(error));
        }
    }
    (job, Ok(true))
}

/// The piece at `at`; `None` when the job is to end.
fn next_piece(
    job: &mut JobAtWork,
    reader: &Reader,
    at: u64,
    phase: &'static str,
) -> Result<Option<Bytes>, Error> {
    let size = Outgoing::size_bytes(reader);
    if job.step(&Step { phase, done: at, total: Some(size) }).is_break() {
        return Ok(None);
    }
    let mut bytes = vec![0; (size - at).min(PIECE_BYTES as u64) as usize];
    Outgoing::read_at(reader, at, &mut bytes)?;
    Ok(Some(bytes.into()))
}
