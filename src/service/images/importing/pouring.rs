//! Data on its way into the pipeline of uploads, out of its wrapper if it is in one: each piece is told to the job, which
//! can end it there.
//!
//! Invariant: memory holds a few pieces, and what a wrapper may look back on, whatever the length.

use std::io::Read;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::disk::wrapping::{Unwrapped, Wrapper};
use crate::service::images::BodyBroken;
use crate::service::jobs::JobAtWork;
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Hindrance, Reason};

/// Pieces that may wait for the pipeline.
const AHEAD: usize = 2;
/// Bytes that come out of a wrapper at once.
const PIECE_BYTES: usize = 1 << 20;

/// Data, or the reason why there is no more.
pub(super) type Body = BoxStream<'static, Result<Bytes, Error>>;
/// Where pieces go.
type Outlet = mpsc::Sender<Result<Bytes, BodyBroken>>;

/// Data that comes, and the job it comes for.
pub(super) struct Pouring {
    pub body: Body,
    /// What it is in.
    pub wrapper: Option<Wrapper>,
    pub job: JobAtWork,
    /// What the job says that it does.
    pub phase: &'static str,
    /// Bytes that came before.
    pub done_bytes: u64,
    /// Of how many, where that is known.
    pub total_bytes: Option<u64>,
}

/// What became of it: the job comes back either way.
pub(super) struct Poured {
    pub job: JobAtWork,
    pub outcome: Result<(), Error>,
}

impl Pouring {
    /// Starts to read; the stream ends with the data, or with the reason why not.
    pub(super) fn start(
        self,
    ) -> (impl Stream<Item = Result<Bytes, BodyBroken>> + Unpin + Send + 'static, JoinHandle<Poured>) {
        let (send, receive) = mpsc::channel(AHEAD);
        let runtime = Handle::current();
        // A job waits while it is held up: not a thing for the runtime's own threads.
        let reader = tokio::task::spawn_blocking(move || self.run(&runtime, &send));
        let pieces = futures::stream::unfold(receive, |mut receive| async {
            let piece = receive.recv().await?;
            Some((piece, receive))
        });
        (Box::pin(pieces), reader)
    }

    fn run(mut self, runtime: &Handle, send: &Outlet) -> Poured {
        let outcome = match self.wrapper {
            None => self.pour(runtime, send),
            Some(wrapper) => self.unwrap_into(wrapper, runtime, send),
        };
        if let Err(error) = &outcome {
            // Nobody listens any more when this fails, and the outcome says as much.
            let _ = send.blocking_send(Err(BodyBroken(error.to_string())));
        }
        Poured { job: self.job, outcome }
    }

    fn pour(&mut self, runtime: &Handle, send: &Outlet) -> Result<(), Error> {
        while self.goes_on(send) {
            let Some(piece) = runtime.block_on(self.body.next()) else { return Ok(()) };
            if !self.hand_on(piece?, send) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn unwrap_into(&mut self, wrapper: Wrapper, runtime: &Handle, send: &Outlet) -> Result<(), Error> {
        let body = std::mem::replace(&mut self.body, futures::stream::empty().boxed());
        let (tell, told) = std::sync::mpsc::channel();
        let inlet = Inlet { body, runtime: runtime.clone(), piece: Bytes::new(), tell };
        // What went wrong before the wrapper says more than what it made of that.
        let refusal = |error: std::io::Error| {
            told.try_recv().unwrap_or_else(|_| {
                Error::new(ErrorKind::UnsupportedContent, error.to_string())
                    .because(Reason::Transfer(Hindrance::BadContent))
            })
        };
        let mut unwrapped = Unwrapped::new(wrapper, inlet).map_err(refusal)?;
        while self.goes_on(send) {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            (&mut unwrapped).take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(refusal)?;
            if piece.is_empty() || !self.hand_on(piece.into(), send) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tells the job how far it is; says whether it may go on.
    fn goes_on(&mut self, send: &Outlet) -> bool {
        let step = Step { phase: self.phase, done: self.done_bytes, total: self.total_bytes };
        if self.job.step(&step).is_break() {
            let _ = send.blocking_send(Err(BodyBroken("the job was ended".to_owned())));
            return false;
        }
        true
    }

    /// Says whether the pipeline takes more; when it gave up, it says why itself.
    fn hand_on(&mut self, piece: Bytes, send: &Outlet) -> bool {
        self.done_bytes += piece.len() as u64;
        send.blocking_send(Ok(piece)).is_ok()
    }
}

/// A stream as a file, for decoders that want one.
struct Inlet {
    body: Body,
    runtime: Handle,
    piece: Bytes,
    /// Whom it tells why there is no more: the error of a file has no room for that.
    tell: std::sync::mpsc::Sender<Error>,
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.body.next()) {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    let broken = std::io::Error::other(error.to_string());
                    // Whoever listens is the one that reads.
                    let _ = self.tell.send(error);
                    return Err(broken);
                }
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
