//! An object on its way into the pipeline of uploads: read on a thread of its own, a few pieces ahead.
//!
//! Invariants: memory holds a few pieces of it, whatever its length; the last piece passes only when the
//! object is still what it was; holes cost no read. The job hears of every piece, and can end it there.

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::objects::exchange::{self, PIECE_BYTES, Piece, Source};
use crate::service::images::BodyBroken;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;

/// What a hole is made of.
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];
/// Pieces that may wait for the pipeline.
const AHEAD: usize = 2;

/// An object that is being read, and its job.
pub(super) struct Reading {
    pub source: Box<dyn Source>,
    pub job: JobAtWork,
    /// What is read next.
    pub at: u64,
    /// Zeros that come next and are not read.
    pub hole: u64,
}

/// What became of it: the job comes back either way.
pub(super) struct Read {
    pub job: JobAtWork,
    pub outcome: Result<(), exchange::Error>,
}

impl Reading {
    /// Starts to read; the stream ends with the object, or with the reason why not.
    pub(super) fn start(
        self,
    ) -> (impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static, JoinHandle<Read>) {
        let (send, receive) = mpsc::channel(AHEAD);
        let reader = tokio::task::spawn_blocking(move || self.run(&send));
        let pieces = futures::stream::unfold(receive, |mut receive| async {
            let piece = receive.recv().await?;
            Some((piece, receive))
        });
        (Box::pin(pieces), reader)
    }

    fn run(mut self, send: &mpsc::Sender<Result<Bytes, BodyBroken>>) -> Read {
        let outcome = self.read_all(send);
        if let Err(error) = &outcome {
            // Nobody listens any more when this fails, and the outcome says as much.
            let _ = send.blocking_send(Err(BodyBroken(error.to_string())));
        }
        Read { job: self.job, outcome }
    }

    fn read_all(&mut self, send: &mpsc::Sender<Result<Bytes, BodyBroken>>) -> Result<(), exchange::Error> {
        let size = self.source.size_bytes();
        while self.at < size {
            let step = Step { phase: "reading", done: self.at, total: Some(size) };
            if self.job.step(&step).is_break() {
                let _ = send.blocking_send(Err(BodyBroken("the job was ended".to_owned())));
                return Ok(());
            }
            let bytes = self.next(size)?;
            self.pass(send, bytes)?;
        }
        Ok(())
    }

    fn next(&mut self, size: u64) -> Result<Bytes, exchange::Error> {
        if self.hole == 0 {
            match self.source.read(self.at)? {
                Piece::Hole(zeros) => self.hole = zeros.min(size - self.at),
                Piece::Bytes(bytes) if bytes.is_empty() => {
                    return Err(exchange::Error::Unavailable("the object ended early".to_owned()));
                }
                Piece::Bytes(bytes) => return Ok(bytes),
            }
        }
        let length = self.hole.min(PIECE_BYTES as u64);
        self.hole -= length;
        Ok(Bytes::from_static(&ZEROS[..length as usize]))
    }

    fn pass(
        &mut self,
        send: &mpsc::Sender<Result<Bytes, BodyBroken>>,
        bytes: Bytes,
    ) -> Result<(), exchange::Error> {
        self.at += bytes.len() as u64;
        if self.at >= self.source.size_bytes() {
            // With the last piece the image becomes active.
            self.source.expect_unchanged()?;
        }
        // A pipeline that gave up says why itself.
        let _ = send.blocking_send(Ok(bytes));
        if send.is_closed() {
            self.at = self.source.size_bytes();
        }
        Ok(())
    }
}

/// Exactly `length` bytes from `offset` on.
pub(super) fn read_exactly(
    source: &mut dyn Source,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, exchange::Error> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(length.min(PIECE_BYTES));
    while bytes.len() < length {
        let left = length - bytes.len();
        match source.read(offset + bytes.len() as u64)? {
            Piece::Hole(zeros) => {
                bytes.resize(bytes.len() + left.min(usize::try_from(zeros).unwrap_or(left)), 0);
            }
            Piece::Bytes(piece) if piece.is_empty() => {
                return Err(exchange::Error::Unavailable("the object ended early".to_owned()));
            }
            Piece::Bytes(piece) => bytes.extend_from_slice(&piece[..left.min(piece.len())]),
        }
    }
    Ok(bytes)
}
