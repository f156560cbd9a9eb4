//! The threads of a stream: MD5 where it is wanted, the other digests, and the chunks. Each takes every
//! piece, in order, and says where it stands when it is asked.
//!
//! Invariant: all are asked at the same place of the stream, so their answers fit together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::super::assemble::{Assembler, Standing};
use super::super::cutter::CutterParams;
use super::super::digest::Md5Blocks;
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::thread;
use super::digesting::{Digesting, Others};

/// Pieces a stream may have waiting before each of its threads: more than a batch of look-ups,
/// since the thread that works a batch off takes none meanwhile and the digests must not wait.
const QUEUE: usize = 32;

/// Bytes of a stream, and their part of the memory that all streams share.
pub type Piece = Arc<(Bytes, OwnedSemaphorePermit)>;

/// What the chunks' thread says of itself.
pub type Cut = (CutterParams, Vec<Extent>, Standing);

/// Where all stand.
pub struct Mark {
    /// The digests so far.
    pub digesting: Digesting,
    /// The chunks so far, all durable.
    pub cut: Cut,
}

/// What a thread is sent: bytes, or the question where it stands.
enum Work<M> {
    Piece(Piece),
    Mark(oneshot::Sender<M>),
}

struct Lane<M, T> {
    queue: mpsc::Sender<Work<M>>,
    result: oneshot::Receiver<T>,
}

/// The threads of one stream. Dropping it ends them.
pub struct Lanes {
    /// MD5 alone is as slow as the other digests together, so it has a thread of its own.
    md5: Option<Lane<Md5Blocks, Md5Blocks>>,
    others: Lane<Others, Others>,
    chunks: Lane<Cut, Result<Assembler, Error>>,
}

impl Lanes {
    /// Starts the threads where these stand.
    pub fn start(digesting: Digesting, assembler: Assembler) -> Result<Lanes, Error> {
        let Digesting { md5, others } = digesting;
        let md5 = md5.map(|md5| digest("md5", md5, Md5Blocks::update)).transpose()?;
        let others = digest("digests", others, Others::update)?;
        let chunks = lane("chunks", |queue| assemble(assembler, queue))?;
        Ok(Lanes { md5, others, chunks })
    }

    /// Gives every thread the next piece; waits while one of them is busy.
    pub async fn send(&mut self, piece: Piece) -> Result<(), Error> {
        let md5 = match &self.md5 {
            Some(lane) => lane.send(Work::Piece(piece.clone())).await,
            None => true,
        };
        let sent = md5
            && self.others.send(Work::Piece(piece.clone())).await
            && self.chunks.send(Work::Piece(piece)).await;
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    /// Asks every thread where it stands after all pieces so far; those are durable then.
    pub async fn mark(&mut self) -> Result<Mark, Error> {
        match self.answers().await {
            Some(mark) => Ok(mark),
            None => Err(self.failure().await),
        }
    }

    /// `None` when a thread has ended.
    async fn answers(&self) -> Option<Mark> {
        // All are asked before any is waited for.
        let md5 = match &self.md5 {
            Some(lane) => Some(lane.ask().await?),
            None => None,
        };
        let (others, cut) = (self.others.ask().await?, self.chunks.ask().await?);
        let md5 = match md5 {
            Some(answer) => Some(answer.await.ok()?),
            None => None,
        };
        Some(Mark { digesting: Digesting { md5, others: others.await.ok()? }, cut: cut.await.ok()? })
    }

    /// Ends the stream.
    pub async fn finish(self) -> Result<(Digesting, Assembler), Error> {
        let Lanes { md5, others, chunks } = self;
        let md5 = md5.map(Lane::end);
        let (others, chunks) = (others.end(), chunks.end());
        let assembler = chunks.await.map_err(|_| Error::Broken)??;
        let md5 = match md5 {
            Some(md5) => Some(md5.await.map_err(|_| Error::Broken)?),
            None => None,
        };
        let others = others.await.map_err(|_| Error::Broken)?;
        Ok((Digesting { md5, others }, assembler))
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.chunks.result).await {
            Ok(Err(error)) => error,
            _ => Error::Broken,
        }
    }
}

impl<M, T> Lane<M, T> {
    /// Whether the thread took it.
    async fn send(&self, work: Work<M>) -> bool {
        self.queue.send(work).await.is_ok()
    }

    async fn ask(&self) -> Option<oneshot::Receiver<M>> {
        let (answer, receive) = oneshot::channel();
        self.send(Work::Mark(answer)).await.then_some(receive)
    }

    /// No more comes; gives where the result goes.
    fn end(self) -> oneshot::Receiver<T> {
        self.result
    }
}

/// Starts a thread that feeds a digest.
fn digest<D: Clone + Send + 'static>(
    name: &str,
    mut digest: D,
    update: fn(&mut D, &[u8]),
) -> Result<Lane<D, D>, Error> {
    lane(name, move |mut queue| {
        while let Some(work) = queue.blocking_recv() {
            match work {
                Work::Piece(piece) => update(&mut digest, &piece.0),
                Work::Mark(answer) => tell(answer, digest.clone()),
            }
        }
        digest
    })
}

/// Starts a thread that takes every piece of the stream; gives its queue and where its result goes.
fn lane<M: Send + 'static, T: Send + 'static>(
    name: &str,
    work: impl FnOnce(mpsc::Receiver<Work<M>>) -> T + Send + 'static,
) -> Result<Lane<M, T>, Error> {
    let (queue, receive) = mpsc::channel(QUEUE);
    let (report, result) = oneshot::channel();
    thread::spawn(name, move || tell(report, work(receive)))?;
    Ok(Lane { queue, result })
}

/// Answers whoever still listens: nobody does when the stream was abandoned.
fn tell<T>(answer: oneshot::Sender<T>, what: T) {
    let _ = answer.send(what);
}

fn assemble(mut assembler: Assembler, mut queue: mpsc::Receiver<Work<Cut>>) -> Result<Assembler, Error> {
    while let Some(work) = queue.blocking_recv() {
        match work {
            Work::Piece(piece) => assembler.push(&piece.0)?,
            Work::Mark(answer) => tell(answer, assembler.put_down()?),
        }
    }
    assembler.finish()?;
    Ok(assembler)
}
