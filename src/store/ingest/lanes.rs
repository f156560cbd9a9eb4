//! The three threads of a stream: MD5, the other digests, and the chunks. Each takes every piece, in
//! order, and says where it stands when it is asked.
//!
//! Invariant: all three are asked at the same place of the stream, so their answers fit together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::super::assemble::{Assembler, Standing};
use super::super::cutter::CutterParams;
use super::super::digest::{Md5Blocks, Sha512Blocks};
use super::super::error::Error;
use super::super::manifest::Extent;
use super::super::root::Root;
use super::super::thread;
use crate::model::Digests;

/// Pieces a stream may have waiting before each of its threads: more than a batch of look-ups,
/// since the thread that works a batch off takes none meanwhile and the digests must not wait.
const QUEUE: usize = 32;

/// Bytes of a stream, and their part of the memory that all streams share.
pub type Piece = Arc<(Bytes, OwnedSemaphorePermit)>;

/// The digests that share a thread.
#[derive(Clone, Default)]
pub struct Others {
    /// SHA-512.
    pub sha512: Sha512Blocks,
    /// BLAKE3.
    pub root: Root,
}

/// What the chunks' thread says of itself.
pub type Cut = (CutterParams, Vec<Extent>, Standing);

/// Where all three stand.
pub struct Mark {
    /// MD5 so far.
    pub md5: Md5Blocks,
    /// The other digests so far.
    pub others: Others,
    /// The chunks so far, all durable.
    pub cut: Cut,
}

impl Mark {
    /// The digests so far.
    pub fn digests(&self) -> Digests {
        digests(&self.md5, &self.others)
    }
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
    md5: Lane<Md5Blocks, Md5Blocks>,
    others: Lane<Others, Others>,
    chunks: Lane<Cut, Result<Assembler, Error>>,
}

impl Lanes {
    /// Starts the threads where these stand.
    pub fn start(mut md5: Md5Blocks, mut others: Others, assembler: Assembler) -> Result<Lanes, Error> {
        // MD5 alone is as slow as the other digests together, so it has a thread of its own.
        let md5 = lane("md5", move |mut queue| {
            while let Some(work) = queue.blocking_recv() {
                match work {
                    Work::Piece(piece) => md5.update(&piece.0),
                    Work::Mark(answer) => tell(answer, md5.clone()),
                }
            }
            md5
        })?;
        let others = lane("sha512", move |mut queue| {
            while let Some(work) = queue.blocking_recv() {
                match work {
                    Work::Piece(piece) => {
                        others.sha512.update(&piece.0);
                        others.root.update(&piece.0);
                    }
                    Work::Mark(answer) => tell(answer, others.clone()),
                }
            }
            others
        })?;
        let chunks = lane("chunks", |queue| assemble(assembler, queue))?;
        Ok(Lanes { md5, others, chunks })
    }

    /// Gives every thread the next piece; waits while one of them is busy.
    pub async fn send(&mut self, piece: Piece) -> Result<(), Error> {
        let sent = self.md5.queue.send(Work::Piece(piece.clone())).await.is_ok()
            && self.others.queue.send(Work::Piece(piece.clone())).await.is_ok()
            && self.chunks.queue.send(Work::Piece(piece)).await.is_ok();
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    /// Asks every thread where it stands after all pieces so far; those are durable then.
    pub async fn mark(&mut self) -> Result<Mark, Error> {
        let (md5, others, cut) = (ask(&self.md5).await, ask(&self.others).await, ask(&self.chunks).await);
        let answers = async { Some((md5?.await.ok()?, others?.await.ok()?, cut?.await.ok()?)) };
        match answers.await {
            Some((md5, others, cut)) => Ok(Mark { md5, others, cut }),
            None => Err(self.failure().await),
        }
    }

    /// Ends the stream.
    pub async fn finish(self) -> Result<(Digests, Assembler), Error> {
        drop((self.md5.queue, self.others.queue, self.chunks.queue));
        let assembler = self.chunks.result.await.map_err(|_| Error::Broken)??;
        let md5 = self.md5.result.await.map_err(|_| Error::Broken)?;
        let others = self.others.result.await.map_err(|_| Error::Broken)?;
        Ok((digests(&md5, &others), assembler))
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.chunks.result).await {
            Ok(Err(error)) => error,
            _ => Error::Broken,
        }
    }
}

async fn ask<M, T>(lane: &Lane<M, T>) -> Option<oneshot::Receiver<M>> {
    let (answer, receive) = oneshot::channel();
    lane.queue.send(Work::Mark(answer)).await.ok().map(|()| receive)
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

fn digests(md5: &Md5Blocks, others: &Others) -> Digests {
    Digests { md5: md5.finalize(), sha512: others.sha512.finalize(), blake3: others.root.finalize() }
}
