//! A disk that a connection wrote to, made an image: read as the guest sees it, through the pipeline of any upload.
//!
//! Invariant: what was not changed is found stored already, so that it costs no space; the image is active when all of it is
//! stored, or there is none. Must not know how the disk was written.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use tokio::task::spawn_blocking;

use super::exports::Disk;
use super::served::Offered;
use super::wire::Errno;
use crate::model::Image;
use crate::service::images::{BodyBroken, Change, Field, NewImage};
use crate::service::{Error, ErrorKind, Service};

/// Bytes of the disk that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Makes an image of this name of what is on the disk now, as the opener of its export.
///
/// # Errors
/// As [`Service::begin_capture`], and [`Upload::receive`](crate::service::images::Upload::receive); there is no image then.
pub async fn capture(service: &Service, offered: Arc<Offered>, name: String) -> Result<Image, Error> {
    let size = offered.size_bytes();
    let (service, by) = (service.clone(), offered.connection.actor.clone());
    let from = offered.connection.open.image.id;
    let upload = blocking(move || {
        let fields = [
            Field::Name(Some(name)),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        let changes = fields.into_iter().map(Change::Set).collect();
        service.begin_capture(&by, NewImage { id: None, changes }, &from, size)
    })
    .await?;
    upload.receive(Box::pin(pieces(offered))).await
}

/// The disk from its beginning to its end.
fn pieces(offered: Arc<Offered>) -> impl futures::Stream<Item = Result<Bytes, BodyBroken>> {
    stream::unfold(0, move |at| {
        let offered = offered.clone();
        async move {
            let bytes = offered.size_bytes().saturating_sub(at).min(PIECE_BYTES) as usize;
            if bytes == 0 {
                return None;
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
