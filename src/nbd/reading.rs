//! Reads: in chunks with their holes, in one reply, or ahead of who will read.
//!
//! Invariant: a page is asked for before anything is read into it, and is given back when it was written. Must not know which
//! requests there are beside reads.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::exports::Disk;
use super::negotiation::REQUEST_BYTES_MAX;
use super::pages::PIECE_BYTES;
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
            let one = request.has(command_flag::DONT_FRAGMENT);
            let read = self.blocking(move |disk| {
                let next = match one {
                    true => {
                        replies::data_chunk(disk, request.cookie, rest, true, &mut page).map(|()| rest.end)
                    }
                    false => replies::chunks(disk, request.cookie, rest, &mut page),
                }?;
                Ok((page, next))
            });
            match read.await {
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
        let read = self.blocking(move |disk| {
            replies::simple(disk, request.cookie, span, &mut page)?;
            Ok(page)
        });
        match read.await {
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
