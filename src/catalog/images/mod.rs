//! Images: their records, the ids ever used, and the listing of them.
//!
//! Facts are the record by id, the ids of deleted images, and the records of those that are retained. Every listing is served from one
//! index ([`rows`]) that follows from the records. Invariant: an id once used is used for ever.
//! Must not know which changes of an image are legal, nor who may make them.

mod filters;
mod listing;
mod merge;
mod order;
mod retained;
mod rows;
mod sources;
#[cfg(test)]
mod tests;

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{self, Index, Row};
use super::members;
use super::quotas;
use super::records::image::ImageRecord;
use super::{cached_images, image_links};
use crate::db::codec::{self, Unreadable};
use crate::db::{Db, Rows, Table, WriteTxn};
use crate::model::quota::Usage;
use crate::model::{Image, ImageId};

pub use filters::{Absent, Comparison, Filters, NumberBounds, PropertyTest, Standing, TagTest};
pub use listing::{ListQuery, list};
pub use order::{Direction, SortKey};
pub use retained::{
    Retained, count_retained, for_each_retained, list_retained, purge, restore, retain, retained,
};
pub use sources::Viewer;

/// Id.
const IMAGES: Table = Table::facts("images-1");
/// Id of a deleted image; no value.
const TOMBSTONES: Table = Table::facts("image-tombstones-1");

/// The tables that everything else of images follows from.
pub(super) const FACTS: [Table; 3] = [IMAGES, TOMBSTONES, retained::RETAINED];
/// What is left of older forms of the index.
pub(super) use rows::OLD_INDEXES;

/// How the index follows from the records.
pub(super) const INDEX: Index = Index { facts: IMAGES, derived: rows::INDEX, follow: index_rows };

/// Makes an index of an older form anew; says whether there was one. For a catalog that nobody else writes to;
/// what a crash cuts off is begun again.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn renew_index(db: &Db) -> Result<bool, Error> {
    let read = db.read()?;
    let mut old = Vec::new();
    for table in OLD_INDEXES {
        if read.count(&table)? > 0 {
            old.push(table);
        }
    }
    drop(read);
    if old.is_empty() {
        return Ok(false);
    }
    INDEX.rebuild(db)?;
    old.iter().try_for_each(|table| index::clear(db, table))?;
    Ok(true)
}

/// The image with this id.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, id: &ImageId) -> Result<Option<Image>, Error> {
    let record = rows.record::<ImageRecord>(&IMAGES, id.bytes())?;
    Ok(record.map(ImageRecord::into_image).transpose()?)
}

/// Whether the id belongs or ever belonged to an image (ids are never reused).
///
/// # Errors
/// When the database fails.
pub fn is_used(rows: &impl Rows, id: &ImageId) -> Result<bool, Error> {
    Ok(rows.get(&IMAGES, id.bytes())?.is_some() || rows.get(&TOMBSTONES, id.bytes())?.is_some())
}

/// Adds an image.
///
/// # Errors
/// [`Error::Exists`] when the id was ever used; [`Error::OverLimit`] when its project may have no more; or when the
/// database fails.
pub fn insert(txn: &WriteTxn, image: &Image) -> Result<(), Error> {
    if is_used(txn, &image.id)? {
        return Err(Error::Exists(format!("the image id {} is or was in use; choose another", image.id)));
    }
    put(txn, image)?;
    quotas::enter(txn, image, None)?;
    rows::replace(txn, None, Some(image))
}

/// Replaces the image's record and its index rows.
///
/// # Errors
/// [`Error::Missing`] when there is no such image; [`Error::OverLimit`] when its project would have more of something
/// than before, and than it may; or when the database fails.
pub fn update(txn: &WriteTxn, image: &Image) -> Result<(), Error> {
    let Some(old) = get(txn, &image.id)? else {
        return Err(Error::Missing(format!("there is no image {}", image.id)));
    };
    put(txn, image)?;
    quotas::replace(txn, &old, image)?;
    rows::replace(txn, Some(&old), Some(image))
}

/// Removes the image, its members, links to it and index rows; keeps the id as used. Gives back what it was.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, id: &ImageId) -> Result<Option<Image>, Error> {
    take_out(txn, id, |_| Usage::default())
}

/// As [`delete`]; something of what the image takes may remain in the use of its project.
fn take_out(txn: &WriteTxn, id: &ImageId, remains: fn(&Image) -> Usage) -> Result<Option<Image>, Error> {
    let Some(old) = get(txn, id)? else { return Ok(None) };
    members::delete_all(txn, id)?;
    image_links::delete_of_image(txn, id)?;
    cached_images::remove(txn, id)?;
    quotas::leave(txn, &old, remains(&old))?;
    rows::replace(txn, Some(&old), None)?;
    txn.remove(&IMAGES, id.bytes())?;
    txn.put(&TOMBSTONES, id.bytes(), &[])?;
    Ok(Some(old))
}

/// The image as its record: what is kept beside its content, so that one can be told from the other.
pub fn encode(image: &Image) -> Vec<u8> {
    codec::encode(&ImageRecord::of(image))
}

/// The image of a record that was kept beside its content.
///
/// # Errors
/// When it is no record of an image.
pub fn decode(record: &[u8]) -> Result<Image, Error> {
    Ok(read(record)?)
}

/// How many images there are; costs no scan.
///
/// # Errors
/// When the database fails.
pub fn count(rows: &impl Rows) -> Result<u64, Error> {
    Ok(rows.count(&IMAGES)?)
}

/// Visits every image, in id order.
///
/// # Errors
/// When the database fails, or a record is unreadable; then the visits stop there.
pub fn for_each(rows: &impl Rows, visit: &mut dyn FnMut(Image)) -> Result<(), Error> {
    let mut outcome = Ok(());
    rows.scan(&IMAGES, (Bound::Unbounded, Bound::Unbounded), false, &mut |_, value| match read(value) {
        Ok(image) => {
            visit(image);
            ControlFlow::Continue(())
        }
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    Ok(outcome?)
}

/// Visits every image whose data the store must have: those that are there, and those that are retained.
///
/// # Errors
/// As [`for_each`].
pub fn for_each_stored(rows: &impl Rows, visit: &mut dyn FnMut(Image)) -> Result<(), Error> {
    for_each(rows, visit)?;
    for_each_retained(rows, &mut |retained| visit(retained.image))
}

/// The image with this id, also when it is retained.
///
/// # Errors
/// When the database fails.
pub fn get_stored(rows: &impl Rows, id: &ImageId) -> Result<Option<Image>, Error> {
    match get(rows, id)? {
        Some(image) => Ok(Some(image)),
        None => Ok(retained::retained(rows, id)?.map(|retained| retained.image)),
    }
}

fn index_rows(_: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    Ok(rows::keys_of(&read(value)?).into_iter().map(|key| (key, Vec::new())).collect())
}

fn put(txn: &WriteTxn, image: &Image) -> Result<(), Error> {
    Ok(txn.put(&IMAGES, image.id.bytes(), &encode(image))?)
}

fn read(value: &[u8]) -> Result<Image, Unreadable> {
    codec::decode::<ImageRecord>(value)?.into_image()
}
