//! The running counts of a bucket.

use crate::objects::Traffic;
use crate::objects::traffic::Count;

/// See [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: Count,
    pub(super) requests_failed: Count,
    pub(super) retries: Count,
    pub(super) given_up: Count,
}

impl Counts {
    /// The counts of this moment.
    pub(super) fn read(&self) -> Traffic {
        Traffic {
            requests: self.requests.read(),
            requests_failed: self.requests_failed.read(),
            retries: self.retries.read(),
            given_up: self.given_up.read(),
            cache: None,
        }
    }
}
