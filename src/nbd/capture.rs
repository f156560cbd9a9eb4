//! A disk that a connection wrote to, made an image: read as the guest sees it, through the pipeline of any upload.
//!
//! Invariant: what was not changed is found stored already, so that it costs no space; the image is active when all of it is
//! stored, or is taken away again. Must not know how the disk was written.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use tokio::task::spawn_blocking;

use super::exports::Disk;
use super::served::Offered;
use super::wire::Errno;
use crate::model::{Image, ImageId};
use crate::service::images::{BodyBroken, Change, Field, NewImage};
use crate::service::{Actor, Error, ErrorKind, Service};

/// Bytes of the disk that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Makes an image of this name of what is on the disk now, as the opener of its export.
///
/// # Errors
/// As [`Service::create_image`] and [`Service::begin_upload`]; the image is deleted again.
pub async fn capture(service: &Service, offered: Arc<Offered>, name: String) -> Result<Image, Error> {
    let size = offered.size_bytes();
    let (of_service, by) = (service.clone(), offered.connection.actor.clone());
    let (unfinished, upload) = blocking(move || {
        let fields = [
            Field::Name(Some(name)),
            Field::DiskFormat(Some("raw".into())),
            Field::ContainerFormat(Some("bare".into())),
        ];
        let changes = fields.into_iter().map(Change::Set).collect();
        let id = of_service.create_image(&by, NewImage { id: None, changes })?.id;
        let upload = of_service.begin_upload(&by, &id, Some(size));
        Ok((Unfinished(Some((of_service, by, id))), upload))
    })
    .await?;
    let image = upload?.receive(Box::pin(pieces(offered))).await?;
    unfinished.keep();
    Ok(image)
}

/// An image that is taken away again unless it is kept.
struct Unfinished(Option<(Service, Actor, ImageId)>);

impl Unfinished {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Without a runtime the process is ending: the image is queued after the next start.
        if let Some((service, actor, id)) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || {
                if let Err(error) = service.delete_image(&actor, &id) {
                    tracing::warn!(image = %id, %error, "an image that was not captured whole stays");
                }
            });
        }
    }
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
