//! Imports of data that is stored anew: wrapped data, which is unwrapped on its way in, and what was staged elsewhere than it
//! is to lie.
//!
//! Invariant: staged data stays what the upload keeps until the commit that makes the image active with what was in it, so
//! that an import that ends with its process begins again from there.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::Landing;
use super::pouring::{Body, Pouring};
use crate::disk::wrapping::Wrapper;
use crate::model::PartialUpload;
use crate::service::images::upload::in_background;
use crate::service::jobs::{JobAtWork, asker};
use crate::service::{Error, Service};

/// What an image with this container format is to stay as it is, as the reference has it.
const STAYS_WRAPPED: &str = "compressed";

/// Staged data, and the wrapper it is in if there is one.
pub(super) struct Staged {
    pub upload: PartialUpload,
    pub wrapper: Option<Wrapper>,
}

impl Service {
    /// Whether data of an image with this container format is looked at for a wrapper.
    pub(super) fn unwraps(&self, container_format: Option<&str>) -> bool {
        self.rules.imports.decompress && container_format != Some(STAYS_WRAPPED)
    }

    /// The wrapper of what an upload keeps. Blocks on the medium.
    pub(super) fn wrapper_of(&self, upload: &PartialUpload) -> Result<Option<Wrapper>, Error> {
        let Some(kept) = &upload.checkpoint else { return Ok(None) };
        let reader = self.store.reader(&kept.content)?;
        let mut head = vec![0; reader.size_bytes().min(Wrapper::HEAD_BYTES as u64) as usize];
        reader.read_at(0, &mut head)?;
        Ok(Wrapper::of(&head))
    }

    /// Makes the image active with what was staged for it, stored anew: out of its wrapper, or in another place.
    pub(super) async fn store_anew(
        &self,
        job: JobAtWork,
        staged: Staged,
        landing: Landing,
    ) -> (JobAtWork, Result<PartialUpload, Error>) {
        let Staged { upload, wrapper } = staged;
        let turn = self.turns.take(upload.token).await;
        let (service, asker) = (self.clone(), asker(&job.job()));
        let opened = in_background(move || {
            let body = service.kept_data(&upload)?;
            // As if nothing had come: what did is the source.
            let anew = PartialUpload { declared_bytes: None, received_bytes: 0, checkpoint: None, ..upload };
            Ok((body, service.take_up_upload_landing(&asker, anew, turn, landing)?))
        });
        let (body, part) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return (job, Err(error)),
        };
        let phase = if wrapper.is_some() { "unwrapping" } else { "importing" };
        let pouring = Pouring { body, wrapper, job, phase, done_bytes: 0, total_bytes: None };
        let (pieces, pouring) = pouring.start();
        let taken = part.take_aside(pieces).await;
        let poured = match pouring.await {
            Ok(poured) => poured,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        // Why the bytes did not come says more than that they did not.
        let finished = match poured.outcome.and(taken) {
            Ok(part) => part.end().await,
            Err(error) => Err(error),
        };
        (poured.job, finished)
    }
}

/// The wrapper that a stream begins with, and the stream from its beginning.
pub(super) async fn peeked(mut body: Body) -> (Option<Wrapper>, Body) {
    let (mut head, mut seen) = (Vec::new(), Vec::<Result<Bytes, Error>>::new());
    while head.len() < Wrapper::HEAD_BYTES {
        let Some(piece) = body.next().await else { break };
        let is_broken = piece.is_err();
        if let Ok(bytes) = &piece {
            head.extend_from_slice(&bytes[..bytes.len().min(Wrapper::HEAD_BYTES)]);
        }
        seen.push(piece);
        if is_broken {
            break;
        }
    }
    (Wrapper::of(&head), stream::iter(seen).chain(body).boxed())
}
