//! Room for data on its way, in its project's limits: reserved before the bytes are stored, in the commit that looks at
//! the limits.
//!
//! Data whose length is declared has all of it reserved before its first byte. Other data has a stretch reserved ahead of
//! what has arrived, again and again: so it stops where the limit is, and holds little that it does not need.

use super::upload::{gone, in_background, owned};
use crate::catalog::quotas::{self, Wish};
use crate::model::ImageId;
use crate::service::{Error, Service};

/// A stretch is half of what has arrived, no shorter than this: each costs a commit, some eight for 512 MiB.
const STRETCH_BYTES_MIN: u64 = 16 << 20;
/// And no longer.
const STRETCH_BYTES_MAX: u64 = 1 << 30;

/// What data takes that has yet to begin.
pub(super) fn at_first(declared_bytes: Option<u64>) -> Wish {
    declared_bytes.map_or(Wish { least: 0, most: STRETCH_BYTES_MIN }, Wish::exactly)
}

/// What data takes when so much of it is there.
pub(super) fn beyond(arrived_bytes: u64) -> Wish {
    let stretch = (arrived_bytes / 2).clamp(STRETCH_BYTES_MIN, STRETCH_BYTES_MAX);
    Wish { least: arrived_bytes, most: arrived_bytes.saturating_add(stretch) }
}

/// What a stream may still store without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) image: ImageId,
    pub(super) token: [u8; 16],
    /// Bytes that are reserved in all.
    pub(super) reserved_bytes: u64,
}

impl Room {
    /// Reserves more when `bytes` of the stream are more than is reserved.
    ///
    /// # Errors
    /// `TooLarge` when a limit is reached; `Gone` when the image was deleted meanwhile.
    pub(super) async fn expect(&mut self, service: &Service, bytes: u64) -> Result<(), Error> {
        if bytes <= self.reserved_bytes {
            return Ok(());
        }
        let (service, Room { image, token, .. }) = (service.clone(), *self);
        self.reserved_bytes = in_background(move || service.reserve_beyond(image, token, bytes)).await?;
        Ok(())
    }
}

impl Service {
    fn reserve_beyond(&self, id: ImageId, token: [u8; 16], bytes: u64) -> Result<u64, Error> {
        self.db.write(move |txn| {
            let image = owned(txn, &id, &token)?.ok_or_else(|| gone(&id))?;
            Ok(quotas::reserve(txn, &image, beyond(bytes))?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_grows_with_what_is_there_within_bounds() {
        for (arrived, stretch) in
            [(0, 16 << 20), (32 << 20, 16 << 20), (64 << 20, 32 << 20), (1 << 40, 1 << 30)]
        {
            assert_eq!(beyond(arrived), Wish { least: arrived, most: arrived + stretch });
        }
        assert_eq!(beyond(u64::MAX).most, u64::MAX);
        assert_eq!(at_first(Some(3)), Wish::exactly(3));
        assert_eq!(at_first(None).least, 0);
    }
}
