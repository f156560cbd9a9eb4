//! Images that were deleted and are retained for a while, with their data.
//!
//! Invariant: a retained image is in no listing and its id stays used; its content is held until it is purged, and
//! it has no members. Must not know for how long.

use std::ops::{Bound, ControlFlow};

use super::super::error::Error;
use super::super::quotas;
use super::super::records::deleted_image::DeletedImageRecord;
use super::{decode, encode, put, rows, take_out};
use crate::base::Time;
use crate::db::codec;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::quota::Usage;
use crate::model::{Image, ImageId};

/// Id.
pub(super) const RETAINED: Table = Table::facts("deleted-images-1");

/// A deleted image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// As it was.
    pub image: Image,
    /// When it was deleted.
    pub deleted_at: Time,
}

/// Deletes the image as [`super::delete`] does, and keeps its record. Gives back what it was.
///
/// # Errors
/// When the database fails.
pub fn retain(txn: &WriteTxn, id: &ImageId, deleted_at: Time) -> Result<Option<Image>, Error> {
    let Some(image) = take_out(txn, id, Usage::of_retained)? else { return Ok(None) };
    let record = DeletedImageRecord { deleted_at: deleted_at.0, image: encode(&image) };
    txn.put_record(&RETAINED, id.bytes(), &record)?;
    Ok(Some(image))
}

/// The retained image with this id.
///
/// # Errors
/// When the database fails.
pub fn retained(rows: &impl Rows, id: &ImageId) -> Result<Option<Retained>, Error> {
    rows.record::<DeletedImageRecord>(&RETAINED, id.bytes())?.map(read).transpose()
}

/// The first `count` of those that `admit` lets pass, in id order, after `after`.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list_retained(
    rows: &impl Rows,
    after: Option<&ImageId>,
    count: usize,
    admit: &mut dyn FnMut(&Retained) -> bool,
) -> Result<Vec<Retained>, Error> {
    let mut found = Vec::new();
    visit(rows, after, &mut |retained| {
        if found.len() < count && admit(&retained) {
            found.push(retained);
        }
        found.len() < count
    })?;
    Ok(found)
}

/// Visits each of them, in id order.
///
/// # Errors
/// When the database fails, or a record is unreadable; then the visits stop there.
pub fn for_each_retained(rows: &impl Rows, each: &mut dyn FnMut(Retained)) -> Result<(), Error> {
    visit(rows, None, &mut |retained| {
        each(retained);
        true
    })
}

/// Visits those after `after`, in id order, until one is answered with no.
fn visit(
    rows: &impl Rows,
    after: Option<&ImageId>,
    each: &mut dyn FnMut(Retained) -> bool,
) -> Result<(), Error> {
    let mut outcome = Ok(());
    let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(&id.bytes()[..]));
    rows.scan(&RETAINED, (start, Bound::Unbounded), false, &mut |_, value| match codec::decode::<
        DeletedImageRecord,
    >(value)
    .map_err(Error::from)
    .and_then(read)
    {
        Ok(retained) => match each(retained) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        },
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    outcome
}

/// Makes a retained image an image again, as `image` says. What was changed meanwhile of nothing else comes back.
///
/// # Errors
/// [`Error::Missing`] when it is not retained; [`Error::OverLimit`] when its project may have no more images; or when
/// the database fails.
pub fn restore(txn: &WriteTxn, image: &Image) -> Result<(), Error> {
    let Some(Retained { image: old, .. }) = retained(txn, &image.id)? else {
        return Err(Error::Missing(format!("there is no deleted image {}", image.id)));
    };
    txn.remove(&RETAINED, image.id.bytes())?;
    txn.remove(&super::TOMBSTONES, image.id.bytes())?;
    put(txn, image)?;
    quotas::enter(txn, image, Some(&old))?;
    rows::replace(txn, None, Some(image))
}

/// Forgets a retained image; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn purge(txn: &WriteTxn, id: &ImageId) -> Result<bool, Error> {
    let Some(Retained { image, .. }) = retained(txn, id)? else { return Ok(false) };
    quotas::purge(txn, &image)?;
    Ok(txn.remove(&RETAINED, id.bytes())?)
}

/// How many there are; costs no scan.
///
/// # Errors
/// When the database fails.
pub fn count_retained(rows: &impl Rows) -> Result<u64, Error> {
    Ok(rows.count(&RETAINED)?)
}

fn read(record: DeletedImageRecord) -> Result<Retained, Error> {
    Ok(Retained { image: decode(&record.image)?, deleted_at: Time(record.deleted_at) })
}
