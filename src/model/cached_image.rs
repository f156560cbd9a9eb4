//! What is noted of an image that was brought into the cache.

use super::ids::ImageId;
use crate::base::Time;

/// A note on an image whose data was brought near, or read whole from there. Whether it is still there, the store tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedImage {
    /// The image.
    pub image: ImageId,
    /// Its place in the order in which images came: 1, 2, 3, …
    pub number: u64,
    /// How often all of it was read from there.
    pub hits: u64,
    /// When that was the last time; when it came where it never was.
    pub accessed_at: Time,
    /// When it came.
    pub cached_at: Time,
}
