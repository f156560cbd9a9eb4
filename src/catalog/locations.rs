//! Where images' data lies on the web, or was fetched from, by image.
//!
//! Invariant: a row is there only while its image is, nothing else fills that, and it names an address. Must not know who may
//! see one.

use super::error::Error;
use super::records::location::LocationRecord;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ImageId;
use crate::model::image::Located;

/// Image id.
pub(super) const LOCATIONS: Table = Table::facts("image-locations-1");

/// The locations of an image.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn get(rows: &impl Rows, image: &ImageId) -> Result<Option<Located>, Error> {
    let record = rows.record::<LocationRecord>(&LOCATIONS, image.bytes())?;
    Ok(record.map(LocationRecord::into_located).transpose()?)
}

/// Sets them.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, image: &ImageId, located: &Located) -> Result<(), Error> {
    Ok(txn.put_record(&LOCATIONS, image.bytes(), &LocationRecord::from(located))?)
}

/// Forgets them.
///
/// # Errors
/// When the database fails.
pub fn remove(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    txn.remove(&LOCATIONS, image.bytes())?;
    Ok(())
}
