//! The threads of a stream: one for each digest that was chosen, one for BLAKE3, one for the chunks. Each
//! takes every piece, in order, and says where it stands when it is asked. A digest is one long chain, so
//! the slowest of them is what a stream can reach: it shares its thread with nothing.
//!
//! Invariant: all are asked at the same place of the stream, so their answers fit together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::super::assemble::{Assembled, Assembler, Standing};
use super::super::cutter::CutterParams;
use super::super::digest::{Md5Blocks, SecureBlocks};
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::root::Root;
use super::super::{spare, thread};
use super::digesting::Digesting;

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

/// A thread that computes a digest.
type DigestLane<D> = Lane<D, D>;

/// The threads of one stream. Dropping it ends them.
pub struct Lanes {
    md5: Option<DigestLane<Md5Blocks>>,
    secure: Option<DigestLane<SecureBlocks>>,
    root: DigestLane<Root>,
    chunks: Lane<Cut, Result<Assembled, Error>>,
}

impl Lanes {
    /// Starts the threads where these stand.
    pub fn start(digesting: Digesting, assembler: Assembler) -> Result<Lanes, Error> {
        let Digesting { md5, secure, root } = digesting;
        Ok(Lanes {
            md5: md5.map(|md5| digest("md5", md5, Md5Blocks::update)).transpose()?,
            secure: secure.map(|secure| digest("sha", secure, SecureBlocks::update)).transpose()?,
            root: digest("blake3", root, Root::update)?,
            chunks: lane("chunks", |queue| assemble(assembler, queue))?,
        })
    }

    /// Gives every thread the next piece; waits while one of them is busy.
    pub async fn send(&mut self, piece: Piece) -> Result<(), Error> {
        let sent = sent_if(&self.md5, &piece).await
            && sent_if(&self.secure, &piece).await
            && self.root.send(Work::Piece(piece.clone())).await
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
        let (md5, secure) = (ask_if(&self.md5).await?, ask_if(&self.secure).await?);
        let (root, cut) = (self.root.ask().await?, self.chunks.ask().await?);
        let (md5, secure) = (result_if(md5).await.ok()?, result_if(secure).await.ok()?);
        let digesting = Digesting { md5, secure, root: root.await.ok()? };
        Some(Mark { digesting, cut: cut.await.ok()? })
    }

    /// Ends the stream.
    pub async fn finish(self) -> Result<(Digesting, Assembled), Error> {
        let Lanes { md5, secure, root, chunks } = self;
        // All hear that no more comes before any is waited for.
        let (md5, secure) = (md5.map(Lane::end), secure.map(Lane::end));
        let (root, chunks) = (root.end(), chunks.end());
        let assembled = chunks.await.map_err(|_| Error::Broken)??;
        let digesting = Digesting {
            md5: result_if(md5).await?,
            secure: result_if(secure).await?,
            root: root.await.map_err(|_| Error::Broken)?,
        };
        Ok((digesting, assembled))
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

/// Whether the thread took a piece, or there is none.
async fn sent_if<M, T>(lane: &Option<Lane<M, T>>, piece: &Piece) -> bool {
    match lane {
        Some(lane) => lane.send(Work::Piece(piece.clone())).await,
        None => true,
    }
}

/// Where the answer of a thread goes, if there is one; `None` when it has ended.
async fn ask_if<M, T>(lane: &Option<Lane<M, T>>) -> Option<Option<oneshot::Receiver<M>>> {
    match lane {
        Some(lane) => lane.ask().await.map(Some),
        None => Some(None),
    }
}

/// What a thread tells, if there is one.
async fn result_if<T>(receive: Option<oneshot::Receiver<T>>) -> Result<Option<T>, Error> {
    match receive {
        Some(receive) => Ok(Some(receive.await.map_err(|_| Error::Broken)?)),
        None => Ok(None),
    }
}

/// Starts a thread that feeds a digest.
fn digest<D: Clone + Send + 'static>(
    name: &str,
    mut digest: D,
    update: fn(&mut D, &[u8]),
) -> Result<DigestLane<D>, Error> {
    lane(name, move |mut queue| {
        while let Some(work) = queue.blocking_recv() {
            let _busy = spare::busy();
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

fn assemble(mut assembler: Assembler, mut queue: mpsc::Receiver<Work<Cut>>) -> Result<Assembled, Error> {
    while let Some(work) = queue.blocking_recv() {
        let _busy = spare::busy();
        match work {
            Work::Piece(piece) => assembler.push(&piece.0)?,
            Work::Mark(answer) => tell(answer, assembler.put_down()?),
        }
    }
    assembler.finish()
}
