//! Uploads in parts, by the image they fill: at most one an image.
//!
//! There are few at any time, as each project may have a bounded number of them; so nothing indexes
//! them. Must not know when one begins or ends.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::records::upload::UploadRecord;
use crate::db::codec::{self, Unreadable};
use crate::db::{Rows, Table, WriteTxn};
use crate::model::{ImageId, PartialUpload, ProjectId};

/// Image id.
pub(super) const UPLOADS: Table = Table::facts("uploads-1");

/// The upload that fills this image, or did a while ago.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, image: &ImageId) -> Result<Option<PartialUpload>, Error> {
    let record = rows.record::<UploadRecord>(&UPLOADS, image.bytes())?;
    Ok(record.map(|record| record.into_upload(*image)))
}

/// Sets an image's upload.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, upload: &PartialUpload) -> Result<(), Error> {
    Ok(txn.put_record(&UPLOADS, upload.image.bytes(), &UploadRecord::of(upload))?)
}

/// Removes an image's upload; gives back what it was.
///
/// # Errors
/// When the database fails.
pub fn remove(txn: &WriteTxn, image: &ImageId) -> Result<Option<PartialUpload>, Error> {
    let upload = get(txn, image)?;
    if upload.is_some() {
        txn.remove(&UPLOADS, image.bytes())?;
    }
    Ok(upload)
}

/// How many uploads of this owner's clients are not complete.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn unfinished_of(rows: &impl Rows, owner: Option<&ProjectId>) -> Result<usize, Error> {
    let mut count = 0;
    for_each(rows, &mut |upload| {
        let counts = !upload.complete && !upload.is_of_job() && upload.owner.as_ref() == owner;
        count += usize::from(counts);
    })?;
    Ok(count)
}

/// Visits every upload.
///
/// # Errors
/// When the database fails, or a record is unreadable; then the visits stop there.
pub fn for_each(rows: &impl Rows, visit: &mut dyn FnMut(PartialUpload)) -> Result<(), Error> {
    let mut outcome = Ok(());
    rows.scan(
        &UPLOADS,
        (Bound::Unbounded, Bound::Unbounded),
        false,
        &mut |key, value| match read(key, value) {
            Ok(upload) => {
                visit(upload);
                ControlFlow::Continue(())
            }
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        },
    )?;
    Ok(outcome.map_err(crate::db::Error::from)?)
}

fn read(key: &[u8], value: &[u8]) -> Result<PartialUpload, Unreadable> {
    let image = uuid::Uuid::from_slice(key)
        .map_err(|e| Unreadable { name: "upload", reason: format!("its key is no image id: {e}") })?;
    Ok(codec::decode::<UploadRecord>(value)?.into_upload(ImageId(image)))
}
