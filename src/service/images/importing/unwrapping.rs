//! Imports of data that is stored anew: wrapped data, which is unwrapped on its way in, disks that are to have another format,
//! and what was staged elsewhere than it is to lie.
//!
//! Invariant: staged data stays what the upload keeps until a commit puts what was in it in its place, which is the one that
//! makes the image active where nothing else is to be done; so an import that ends with its process begins again from there.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::Landing;
use super::pouring::{Body, Pouring};
use crate::disk::wrapping::Wrapper;
use crate::disk::writing::Form;
use crate::model::PartialUpload;
use crate::service::images::resumable::Part;
use crate::service::images::upload::in_background;
use crate::service::jobs::{JobAtWork, asker};
use crate::service::{Error, Service};

/// What an image with this container format is to stay as it is, as the reference has it.
const STAYS_WRAPPED: &str = "compressed";

/// Staged data, and what becomes of it before it is the image's.
pub(super) struct Staged {
    pub upload: PartialUpload,
    /// The wrapper that it is in.
    pub wrapper: Option<Wrapper>,
    /// The form that the disk in it is to have.
    pub form: Option<Form>,
}

impl Service {
    /// Whether data of an image with this container format is looked at for a wrapper, where no hash was declared of it.
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

    /// Makes the image active with what was staged for it, stored anew: out of its wrapper, in another form, or in another place.
    pub(super) async fn store_anew(
        &self,
        job: JobAtWork,
        staged: Staged,
        landing: Landing,
    ) -> (JobAtWork, Result<PartialUpload, Error>) {
        let (job, part) = self.pour_aside(job, staged, landing).await;
        let finished = match part {
            Ok(part) => part.end().await,
            Err(error) => Err(error),
        };
        (job, finished)
    }

    /// Puts what is in the wrapper of what an upload keeps in its place.
    pub(super) async fn unwrap_first(
        &self,
        job: JobAtWork,
        upload: PartialUpload,
        wrapper: Wrapper,
    ) -> (JobAtWork, Result<PartialUpload, Error>) {
        let staged = Staged { upload, wrapper: Some(wrapper), form: None };
        let (job, part) = self.pour_aside(job, staged, Landing::default()).await;
        let kept = match part {
            Ok(_) if job.was_stopped() => Err(Error::conflict("the job was ended")),
            Ok(part) => part.keep_instead().await,
            Err(error) => Err(error),
        };
        (job, kept)
    }

    /// Stores what was staged once more, out of its wrapper or in another form; nothing of that is kept yet.
    async fn pour_aside(
        &self,
        job: JobAtWork,
        staged: Staged,
        landing: Landing,
    ) -> (JobAtWork, Result<Part, Error>) {
        let (body, total_bytes) = match self.staged_data(&staged).await {
            Ok(data) => data,
            Err(error) => return (job, Err(error)),
        };
        let Staged { upload, wrapper, form } = staged;
        let turn = self.turns.take(upload.token).await;
        let (service, asker) = (self.clone(), asker(&job.job()));
        let opened = in_background(move || {
            // As if nothing had come: what did is the source.
            let anew = PartialUpload { declared_bytes: None, received_bytes: 0, checkpoint: None, ..upload };
            service.take_up_upload_landing(&asker, anew, turn, landing)
        });
        let part = match opened.await {
            Ok(part) => part,
            Err(error) => return (job, Err(error)),
        };
        let phase = match (wrapper, form) {
            (Some(_), _) => "unwrapping",
            (None, Some(_)) => "converting",
            (None, None) => "importing",
        };
        let pouring = Pouring { body, wrapper, job, phase, done_bytes: 0, total_bytes };
        let (pieces, pouring) = pouring.start();
        let taken = part.take_aside(pieces).await;
        let poured = match pouring.await {
            Ok(poured) => poured,
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        // Why the bytes did not come says more than that they did not.
        (poured.job, poured.outcome.and(taken))
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
