//! Where images' data was fetched from, by image: at most one each.
//!
//! Invariant: a location is there only while its image is, and nothing else fills it. Must not know who may see one.

use super::error::Error;
use super::records::location::LocationRecord;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::ImageId;
use crate::model::image::Location;

/// Image id.
pub(super) const LOCATIONS: Table = Table::facts("image-locations-1");

/// The location of an image.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn get(rows: &impl Rows, image: &ImageId) -> Result<Option<Location>, Error> {
    let record = rows.record::<LocationRecord>(&LOCATIONS, image.bytes())?;
    Ok(record.map(LocationRecord::into_location).transpose()?)
}

/// Sets it.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, image: &ImageId, location: &Location) -> Result<(), Error> {
    Ok(txn.put_record(&LOCATIONS, image.bytes(), &LocationRecord::from(location))?)
}

/// Forgets it.
///
/// # Errors
/// When the database fails.
pub fn remove(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    txn.remove(&LOCATIONS, image.bytes())?;
    Ok(())
}
