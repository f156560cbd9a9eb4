//! Room for data on its way, in its project's limits: reserved before the bytes are stored, in the commit that looks at
//! the limits.
//!
//! Where the project's space is short, its deleted images that are retained go first, the oldest before the others: in the
//! same commit, so that none goes for data that finds no room all the same. Data without a length does not make them go.
//!
//! Data whose length is declared has all of it reserved before its first byte. Other data has a stretch reserved ahead of
//! what has arrived, again and again: so it stops where the limit is, and holds little that it does not need.

use super::upload::{gone, in_background, owned};
use crate::catalog::quotas::{self, Wish};
use crate::catalog::{self, images};
use crate::db::WriteTxn;
use crate::model::quota::{OverLimit, Resource, Usage};
use crate::model::{Image, ImageId};
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
            // Nobody knows whether the rest finds room too: what comes without its length purges nothing.
            Ok(quotas::reserve(txn, &image, beyond(bytes))?)
        })
    }

    /// Reserves what data on its way to an image takes, in the caller's commit; gives how much is reserved then. Deleted
    /// images that are retained make room.
    ///
    /// # Errors
    /// `TooLarge` when there is no room for the least of it; then nothing is purged.
    pub(in crate::service) fn reserve(
        &self,
        txn: &WriteTxn,
        image: &Image,
        wish: Wish,
    ) -> Result<u64, Error> {
        let over = match quotas::reserve(txn, image, wish) {
            Err(catalog::Error::OverLimit(over)) if may_make_room(&over) => over,
            reserved => return Ok(reserved?),
        };
        let missing = (over.used + over.more).saturating_sub(over.most);
        if self.purge_for_room(txn, &over, missing)? {
            return Ok(quotas::reserve(txn, image, wish)?);
        }
        Err(catalog::Error::OverLimit(over).into())
    }

    /// Purges the oldest deleted images of a project until so many bytes are free; says whether they are.
    fn purge_for_room(&self, txn: &WriteTxn, over: &OverLimit, missing: u64) -> Result<bool, Error> {
        if over.deleted_bytes < missing {
            return Ok(false);
        }
        let mut retained = Vec::new();
        images::for_each_retained(txn, &mut |deleted| {
            if deleted.image.owner.as_ref() == Some(&over.project) {
                retained.push(deleted);
            }
        })?;
        retained.sort_by_key(|deleted| (deleted.deleted_at, deleted.image.id));
        let mut freed = 0;
        for deleted in &retained {
            if freed >= missing {
                break;
            }
            self.purge_in(txn, deleted, "its project needs the space")?;
            freed += Usage::of_retained(&deleted.image).deleted_image_bytes;
        }
        Ok(freed >= missing)
    }
}

fn may_make_room(over: &OverLimit) -> bool {
    over.resource == Resource::ImageSizeTotal && over.deleted_bytes > 0
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
