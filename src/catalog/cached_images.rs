//! Notes on images that were brought into the cache, by image.
//!
//! No facts: they are of a cache that a lost box has lost as well. Invariant: a note is there only while its image is. Must
//! not know what lies in the cache.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::cached_image::CachedImageRecord;
use crate::db::codec;
use crate::db::{self, Rows, Table, WriteTxn};
use crate::model::ImageId;
use crate::model::cached_image::CachedImage;

/// Image id.
pub(super) const CACHED: Table = Table::derived("cached-images-1");

/// The note on an image.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn get(rows: &impl Rows, image: &ImageId) -> Result<Option<CachedImage>, Error> {
    let record = rows.record::<CachedImageRecord>(&CACHED, image.bytes())?;
    Ok(record.map(|record| record.into_note(*image)))
}

/// All notes, in the order in which their images came.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows) -> Result<Vec<CachedImage>, Error> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    rows.scan(&CACHED, (Bound::Unbounded, Bound::Unbounded), false, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    let mut notes = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let image = uuid::Uuid::from_slice(&key).map(ImageId);
        let image = image.map_err(|_| db::Error::Corrupt("the key of a cached image's note".into()))?;
        let record = codec::decode::<CachedImageRecord>(&value).map_err(db::Error::from)?;
        notes.push(record.into_note(image));
    }
    notes.sort_unstable_by_key(|note| note.number);
    Ok(notes)
}

/// The number of the next image that comes.
///
/// # Errors
/// As [`list`].
pub fn next_number(rows: &impl Rows) -> Result<u64, Error> {
    Ok(list(rows)?.last().map_or(1, |last| last.number + 1))
}

/// Keeps a note.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, note: &CachedImage) -> Result<(), Error> {
    Ok(txn.put_record(&CACHED, note.image.bytes(), &CachedImageRecord::from(note))?)
}

/// Forgets it.
///
/// # Errors
/// When the database fails.
pub fn remove(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    txn.remove(&CACHED, image.bytes())?;
    Ok(())
}
