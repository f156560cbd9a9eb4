//! An upload that may arrive in parts, over hours and restarts.

use super::content::ContentId;
use super::ids::{ImageId, ProjectId};
use super::image::Image;
use crate::base::Time;

/// An upload in parts: what has arrived is durable, and the rest may come later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartialUpload {
    /// The image it fills.
    pub image: ImageId,
    /// Its own name; the image carries it while it is saving.
    pub token: [u8; 16],
    /// Whose it is: the image's owner.
    pub owner: Option<ProjectId>,
    /// How long the data will be, once that is known.
    pub declared_bytes: Option<u64>,
    /// Bytes that arrived and are durable.
    pub received_bytes: u64,
    /// BLAKE3 of them, so that whoever sends the rest can tell whether it is the same data.
    pub blake3: [u8; 32],
    /// What the store kept of them; `None` before the first part and after the last.
    pub checkpoint: Option<Checkpoint>,
    /// Whether all of it arrived and the image is active.
    pub complete: bool,
    /// When it began.
    pub created_at: Time,
    /// When it is given up, unless more arrives.
    pub expires_at: Time,
}

impl PartialUpload {
    /// When the upload of a job is given up: never, as the job says when it ends.
    pub const NEVER: Time = Time(i64::MAX);

    /// One of which nothing has arrived yet, and that is not given up by itself.
    pub fn new(image: &Image, token: [u8; 16], declared_bytes: Option<u64>, now: Time) -> PartialUpload {
        PartialUpload {
            image: image.id,
            token,
            owner: image.owner.clone(),
            declared_bytes,
            received_bytes: 0,
            blake3: *blake3::hash(b"").as_bytes(),
            checkpoint: None,
            complete: false,
            created_at: now,
            expires_at: PartialUpload::NEVER,
        }
    }

    /// Whether a job fills the image, and not a client.
    pub fn is_of_job(&self) -> bool {
        self.expires_at == PartialUpload::NEVER
    }
}

/// What the store kept of a stream, and how to go on with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The bytes so far, as a stream of their own.
    pub content: ContentId,
    /// How to go on; the store's own words.
    pub progress: Vec<u8>,
}
