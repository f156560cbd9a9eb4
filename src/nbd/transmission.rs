//! What follows an agreed export: requests in, replies out, many at once and in any order.
//!
//! Invariants: requests in flight of one client are bounded in number and memory; a reply is written whole before the next one
//! begins; nothing is read from a disk on the runtime's own threads; a request that makes no sense is answered with its error,
//! and only what cannot be understood ends the connection. Must not know what a disk is made of.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exports::Disk;
use super::near::Together;
use super::negotiation::{Agreed, REQUEST_BYTES_MAX};
use super::objections;
use super::pages::{PIECE_BYTES, Pages, Ration};
use super::replies::{self, Span};
use super::wire::{self, Errno, REQUEST_BYTES, Request, command, command_flag};
use crate::model::disk_traffic::Traffic;

/// Requests of one client that are worked on at once.
const IN_FLIGHT_MAX: usize = 64;
/// How long the last answers may take to be written.
const LINGER: Duration = Duration::from_secs(10);
/// Requests that are read from the connection at once, in bytes.
const READ_BYTES: usize = 16 << 10;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client said that it leaves, and what it had asked for was answered.
    Left,
    /// The connection broke, or the client could not be understood, or did not take its answers.
    Broken,
    /// The server wanted it.
    Stopped,
}

/// What a request needs to be answered.
pub(super) struct Line<W, D> {
    pub(super) disk: Arc<D>,
    is_structured: bool,
    has_allocation: bool,
    pub(super) pen: Mutex<Pen<W>>,
    pub(super) ration: Ration,
    pub(super) traffic: Arc<Traffic>,
    /// Set once nothing can be written any more.
    broken: CancellationToken,
}

/// Who holds it may write.
pub(super) struct Pen<W> {
    pub(super) writer: W,
    /// For long simple replies, which have to be written in one go.
    pub(super) piece: Vec<u8>,
}

/// Answers requests until the client leaves, the connection breaks, or `stopped` ends; those in flight are answered first,
/// as far as the client takes the answers.
pub async fn run<R, W, D>(
    reader: R,
    writer: W,
    agreed: Agreed<D>,
    pages: &Pages,
    traffic: Arc<Traffic>,
    stopped: impl Future<Output = ()>,
) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
    D: Disk + 'static,
{
    run_and_linger(reader, writer, agreed, pages, traffic, stopped, LINGER).await
}

async fn run_and_linger<R, W, D>(
    reader: R,
    writer: W,
    agreed: Agreed<D>,
    pages: &Pages,
    traffic: Arc<Traffic>,
    stopped: impl Future<Output = ()>,
    linger: Duration,
) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
    D: Disk + 'static,
{
    let line = Arc::new(Line {
        disk: agreed.disk,
        is_structured: agreed.is_structured,
        has_allocation: agreed.has_allocation,
        pen: Mutex::new(Pen { writer, piece: Vec::new() }),
        ration: pages.join(),
        traffic,
        broken: CancellationToken::new(),
    });
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let (slots, tasks) = (Arc::new(Semaphore::new(IN_FLIGHT_MAX)), TaskTracker::new());
    let broken = line.broken.clone();
    // Whoever is at work for a connection that is not waited for hears of it.
    let _given_up = broken.clone().drop_guard();
    let ended = tokio::select! {
        () = stopped => Ended::Stopped,
        () = broken.cancelled() => Ended::Broken,
        ended = line.clone().requests(&mut reader, &slots, &tasks) => ended,
    };
    tasks.close();
    let is_late = ended != Ended::Broken && timeout(linger, tasks.wait()).await.is_err();
    if ended == Ended::Broken || is_late {
        line.broken.cancel();
    }
    tasks.wait().await;
    // Fails where the client is gone already, and waits where it takes nothing: TLS has a last word to say.
    let _ = timeout(linger, async { line.pen.lock().await.writer.shutdown().await }).await;
    match ended {
        // What was not answered may not be done, and who did not get its answer does not know.
        Ended::Left if is_late || line.broken.is_cancelled() => Ended::Broken,
        ended => ended,
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static, D: Disk + 'static> Line<W, D> {
    async fn requests<R: AsyncRead + Unpin>(
        self: Arc<Self>,
        reader: &mut BufReader<R>,
        slots: &Arc<Semaphore>,
        tasks: &TaskTracker,
    ) -> Ended {
        let (mut payload, mut together) = (Vec::new(), Together::default());
        loop {
            // Who asks for more at once is answered for all of it at once.
            if (together.is_full() || reader.buffer().len() < REQUEST_BYTES)
                && self.write_together(&mut together).await.is_err()
            {
                return Ended::Broken;
            }
            let mut header = [0; REQUEST_BYTES];
            if reader.read_exact(&mut header).await.is_err() {
                return Ended::Broken;
            }
            let Some(request) = Request::parse(&header) else { return Ended::Broken };
            self.traffic.asked();
            if self.answers_near(&request, &mut together) {
                continue;
            }
            // What comes now may wait.
            if self.write_together(&mut together).await.is_err() {
                return Ended::Broken;
            }
            match request.command {
                command::DISCONNECT => return Ended::Left,
                // More than anybody is told to send.
                command::WRITE if request.length > REQUEST_BYTES_MAX => return Ended::Broken,
                command::WRITE => {
                    if self.take(request, reader, &mut payload).await.is_err() {
                        return Ended::Broken;
                    }
                }
                _ => {
                    // The semaphore is never closed.
                    let slot = slots.clone().acquire_owned().await;
                    let line = self.clone();
                    tasks.spawn(async move {
                        let answered = tokio::select! {
                            // First: nothing follows an answer that was cut off.
                            biased;
                            () = line.broken.cancelled() => {
                                line.give_up(request);
                                Ok(())
                            }
                            answered = line.answer(request) => answered,
                        };
                        if answered.is_err() {
                            line.broken.cancel();
                        }
                        drop(slot);
                    });
                }
            }
        }
    }

    /// Whether a request was answered from memory; its reply is still to be written.
    fn answers_near(&self, request: &Request, together: &mut Together) -> bool {
        let is_read = request.command == command::READ
            && objections::to(request, &*self.disk, self.is_structured, self.has_allocation).is_none();
        let is_answered = is_read && together.add(&*self.disk, request, self.is_structured);
        if is_answered {
            self.traffic.sent(request.length.into());
        }
        is_answered
    }

    async fn write_together(&self, together: &mut Together) -> io::Result<()> {
        if together.is_empty() {
            return Ok(());
        }
        let written = self.write(together.replies()).await;
        together.clear();
        written
    }

    async fn answer(self: &Arc<Self>, request: Request) -> io::Result<()> {
        let span = Span { start: request.offset, end: request.offset.saturating_add(request.length.into()) };
        let done = match request.command {
            _ if let Some(errno) =
                objections::to(&request, &*self.disk, self.is_structured, self.has_allocation) =>
            {
                Err(errno)
            }
            command::READ if self.is_structured => return self.read(request, span).await,
            command::READ if request.length as usize > PIECE_BYTES => {
                return self.read_long(request, span).await;
            }
            command::READ => return self.read_simple(request, span).await,
            command::BLOCK_STATUS => {
                let one = request.has(command_flag::REQUEST_ONE);
                match self.blocking(move |disk| replies::status(disk, request.cookie, span, one)).await {
                    Ok(answer) => return self.write(&answer).await,
                    Err(errno) => Err(errno),
                }
            }
            command::CACHE => self.bring_near(span).await,
            command::TRIM | command::WRITE_ZEROES => {
                match self.blocking(move |disk| disk.zero(span.start, span.end - span.start)).await {
                    // What nobody needs may as well stay as it is.
                    Err(Errno::NoSpace) if request.command == command::TRIM => Ok(()),
                    done => done,
                }
            }
            // Nothing that was answered waits to be done.
            _ => Ok(()),
        };
        self.conclude(request, done).await
    }

    /// Has the disk know where a write is not done. A trim is none: what is there after it is not told.
    fn give_up(&self, request: Request) {
        if [command::WRITE, command::WRITE_ZEROES].contains(&request.command) {
            self.disk.write_was_lost();
        }
    }

    /// Says whether a request without data was done.
    pub(super) async fn conclude(&self, request: Request, done: Result<(), Errno>) -> io::Result<()> {
        let told_by_chunks = [command::READ, command::BLOCK_STATUS].contains(&request.command);
        match done {
            Ok(()) => self.write(&wire::simple_reply(request.cookie, 0)).await,
            Err(errno) => {
                self.traffic.refused();
                self.give_up(request);
                match self.is_structured && told_by_chunks {
                    true => self.write(&replies::error_chunk(request.cookie, errno)).await,
                    false => self.write(&wire::simple_reply(request.cookie, errno as u32)).await,
                }
            }
        }
    }

    /// Takes a write and its payload, one piece after the other, and answers it.
    async fn take<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        request: Request,
        reader: &mut R,
        payload: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut done = objections::to(&request, &*self.disk, self.is_structured, self.has_allocation)
            .map_or(Ok(()), Err);
        let (mut at, mut rest) = (request.offset, request.length as usize);
        while rest > 0 {
            let bytes = rest.min(PIECE_BYTES);
            payload.resize(bytes.max(payload.len()), 0);
            reader.read_exact(&mut payload[..bytes]).await?;
            if done.is_ok() {
                let piece = std::mem::take(payload);
                let written =
                    self.blocking(move |disk| Ok((disk.write_at(at, &piece[..bytes]), piece))).await;
                match written {
                    Ok((outcome, piece)) => (done, *payload) = (outcome, piece),
                    Err(errno) => done = Err(errno),
                }
            }
            (at, rest) = (at.saturating_add(bytes as u64), rest - bytes);
        }
        if done.is_ok() {
            self.traffic.received(request.length.into());
        }
        self.conclude(request, done).await
    }

    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut pen = self.pen.lock().await;
        pen.writer.write_all(bytes).await?;
        pen.writer.flush().await
    }

    /// Does something with the disk where blocking is allowed.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&D) -> Result<T, Errno> + Send + 'static,
    ) -> Result<T, Errno> {
        let Some(turn) = self.ration.turn().await else { return Err(Errno::Shutdown) };
        let disk = self.disk.clone();
        let done = spawn_blocking(move || {
            let done = work(&disk);
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|died| {
            tracing::error!(%died, "work on a disk panicked");
            Err(Errno::Io)
        })
    }
}

#[cfg(test)]
#[path = "transmission_tests.rs"]
mod tests;
