//! Reads: in chunks with their holes, in one reply, or ahead of who will read.
//!
//! What memory has is read at once; for all else a thread waits that may.
//! Invariant: a page is asked for before anything is read into it, and is given back when it was written. Must not know which
//! requests there are beside reads.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::exports::Disk;
use super::near::Near;
use super::negotiation::REQUEST_BYTES_MAX;
use super::pages::{PIECE_BYTES, Page};
use super::replies::{self, Span};
use super::transmission::Line;
use super::wire::{self, Errno, Request, command_flag};

impl<W: AsyncWrite + Unpin + Send + 'static, D: Disk + 'static> Line<W, D> {
    pub(super) async fn read(self: &Arc<Self>, request: Request, span: Span) -> io::Result<()> {
        let mut rest = span;
        while rest.start < rest.end {
            let piece = (rest.end - rest.start).min(PIECE_BYTES as u64) as usize;
            let Some(room) = self.ration.room(piece).await else { return Ok(()) };
            let mut page = self.ration.page(room, piece);
            let read = match fill(&Near(&*self.disk), &request, rest, &mut page) {
                Ok(next) => Ok((page, next)),
                Err(_) => {
                    page.clear();
                    let read = move |disk: &D| fill(disk, &request, rest, &mut page).map(|next| (page, next));
                    self.blocking(read).await
                }
            };
            match read {
                Ok((page, next)) => {
                    self.write(&page).await?;
                    self.traffic.sent(next - rest.start);
                    rest.start = next;
                }
                Err(errno) => return self.conclude(request, Err(errno)).await,
            }
        }
        Ok(())
    }

    pub(super) async fn read_simple(self: &Arc<Self>, request: Request, span: Span) -> io::Result<()> {
        let bytes = request.length as usize;
        let Some(room) = self.ration.room(bytes).await else { return Ok(()) };
        let mut page = self.ration.page(room, bytes);
        let read = match replies::simple(&Near(&*self.disk), request.cookie, span, &mut page) {
            Ok(()) => Ok(page),
            Err(_) => {
                page.clear();
                let cookie = request.cookie;
                let read = move |disk: &D| replies::simple(disk, cookie, span, &mut page).map(|()| page);
                self.blocking(read).await
            }
        };
        match read {
            Ok(page) => {
                self.traffic.sent(bytes as u64);
                self.write(&page).await
            }
            Err(errno) => self.conclude(request, Err(errno)).await,
        }
    }

    /// A simple reply that does not fit into a page, written piece by piece. What cannot be read once it has begun
    /// can be told by an end alone.
    pub(super) async fn read_long(self: &Arc<Self>, request: Request, span: Span) -> io::Result<()> {
        let mut pen = self.pen.lock().await;
        let mut at = span.start;
        while at < span.end {
            let bytes = (span.end - at).min(PIECE_BYTES as u64) as usize;
            let mut piece = std::mem::take(&mut pen.piece);
            piece.resize(PIECE_BYTES, 0);
            let read = self.blocking(move |disk| {
                disk.read_at(at, &mut piece[..bytes])?;
                Ok(piece)
            });
            let piece = match read.await {
                Ok(piece) => piece,
                Err(errno) if at == span.start => {
                    drop(pen);
                    return self.conclude(request, Err(errno)).await;
                }
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            };
            if at == span.start {
                pen.writer.write_all(&wire::simple_reply(request.cookie, 0)).await?;
            }
            pen.writer.write_all(&piece[..bytes]).await?;
            pen.piece = piece;
            at += bytes as u64;
        }
        self.traffic.sent(request.length.into());
        pen.writer.flush().await
    }

    /// Reads what a client says it will read, so that it is in memory when it does.
    pub(super) async fn bring_near(self: &Arc<Self>, span: Span) -> Result<(), Errno> {
        let mut at = span.start;
        // What is past this is more than memory keeps.
        let end = span.end.min(at.saturating_add(REQUEST_BYTES_MAX.into()));
        while at < end {
            let bytes = (end - at).min(PIECE_BYTES as u64) as usize;
            let Some(room) = self.ration.room(bytes).await else { return Err(Errno::Shutdown) };
            let mut page = self.ration.page(room, bytes);
            self.blocking(move |disk| disk.read_at(at, page.extend(bytes))).await?;
            at += bytes as u64;
        }
        Ok(())
    }
}

/// Fills a page with the beginning of what a structured reply has to say about `rest`; says where the next one goes on.
fn fill(disk: &impl Disk, request: &Request, rest: Span, page: &mut Page) -> Result<u64, Errno> {
    match request.has(command_flag::DONT_FRAGMENT) {
        true => replies::data_chunk(disk, request.cookie, rest, true, page).map(|()| rest.end),
        false => replies::chunks(disk, request.cookie, rest, page),
    }
}
