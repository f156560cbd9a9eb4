//! A disk that a connection wrote to, made an image: read as the guest sees it, through the pipeline of any upload.
//!
//! Invariants: what was not changed is found stored already, so that it costs no space; the image is active when all of it is
//! stored, or there is none; it is made with the rights that are left when the client has gone, and not with those it came with.
//! Must not know how the disk was written.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::exports::Disk;
use super::served::Offered;
use super::wire::Errno;
use crate::model::Image;
use crate::service::images::{BodyBroken, Change, Field, NewImage};
use crate::service::{Error, ErrorKind, Service};

/// Bytes of the disk that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Makes an image of this name of what is on the disk now, as the opener of its export, unless `stop` comes before all of it was
/// read.
///
/// # Errors
/// `Forbidden` where the opener may not act any more; as [`Service::begin_capture`], and
/// [`Upload::receive`](crate::service::images::Upload::receive). There is no image then.
pub async fn capture(
    service: &Service,
    offered: Arc<Offered>,
    name: String,
    stop: CancellationToken,
) -> Result<Image, Error> {
    let size = offered.size_bytes();
    let (service, written) = (service.clone(), offered.clone());
    let from = offered.connection.open.image.id;
    let upload = blocking(move || {
        let by = service.actor_now(&written.connection)?;
        let gone = || Error::forbidden("whoever opened it may not act in its project any more");
        let by = by.ok_or_else(gone)?;
        let fields = [
            Field::Name(Some(name)),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        let changes = fields.into_iter().map(Change::Set).collect();
        service.begin_capture(&by, NewImage { id: None, changes }, &from, size)
    })
    .await?;
    upload.receive(Box::pin(pieces(offered, stop))).await
}

/// The disk from its beginning to its end.
fn pieces(
    offered: Arc<Offered>,
    stop: CancellationToken,
) -> impl futures::Stream<Item = Result<Bytes, BodyBroken>> {
    stream::unfold(0, move |at| {
        let (offered, stop) = (offered.clone(), stop.clone());
        async move {
            let bytes = offered.size_bytes().saturating_sub(at).min(PIECE_BYTES) as usize;
            if bytes == 0 {
                return None;
            }
            if stop.is_cancelled() {
                let why = "the server stopped before all of it was stored (server.drain_s)";
                return Some((Err(BodyBroken(why.into())), at));
            }
            let read = spawn_blocking(move || {
                let mut piece = vec![0; bytes];
                offered.read_at(at, &mut piece)?;
                Ok::<_, Errno>(piece)
            });
            let piece = match read.await {
                Ok(Ok(piece)) => Ok(Bytes::from(piece)),
                Ok(Err(_)) => Err(BodyBroken(format!("the disk cannot be read from byte {at} on"))),
                Err(died) => Err(BodyBroken(format!("reading the disk failed: {died}"))),
            };
            Some((piece, at + bytes as u64))
        }
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|died| {
        tracing::error!(%died, "a use case panicked");
        Err(Error::new(ErrorKind::Internal, "the server failed; its log says why"))
    })
}
