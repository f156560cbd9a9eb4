//! Bytes that are reserved for an image whose data is on its way.
//!
//! Invariant: what is reserved counts against the limits of the image's project from the commit that reserves it on, so
//! that several streams at once never hold more than there may be.

use super::limits::Registered;
use super::{Error, usage};
use crate::catalog::records::quota::ReservationRecord;
use crate::db::{Rows, Table, WriteTxn};
use crate::model::quota::{Resource, Usage};
use crate::model::{Image, ImageId};

/// Image id.
pub(super) const RESERVATIONS: Table = Table::facts("reservations-1");

/// How many bytes are to be reserved in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// No fewer than these.
    pub least: u64,
    /// As many as these, where there is room.
    pub most: u64,
}

impl Wish {
    /// So many, no fewer and no more.
    pub fn exactly(bytes: u64) -> Wish {
        Wish { least: bytes, most: bytes }
    }
}

/// How many bytes are reserved for an image.
///
/// # Errors
/// When the database fails.
pub fn reserved(rows: &impl Rows, image: &ImageId) -> Result<u64, Error> {
    let record = rows.record::<ReservationRecord>(&RESERVATIONS, image.bytes())?;
    Ok(record.map_or(0, |record| record.bytes))
}

/// Reserves bytes for an image that data is on its way to, in place of what was reserved for it before; gives how many.
///
/// # Errors
/// [`Error::OverLimit`] when there is no room for the least of them; [`Error::Missing`] when no data for it is on its way.
pub fn reserve(txn: &WriteTxn, image: &Image, wish: Wish) -> Result<u64, Error> {
    if !image.status.is_filling() {
        return Err(Error::Missing(format!(
            "no data for image {} is on its way, and nothing is reserved for it",
            image.id
        )));
    }
    let before = reserved(txn, &image.id)?;
    let most = before.saturating_add(room(txn, image)?);
    let bytes = wish.most.min(most).max(wish.least);
    if bytes == before {
        return Ok(bytes);
    }
    let (old, new) = (Usage::of_image(image, before), Usage::of_image(image, bytes));
    usage::follow(txn, Some((image.owner.as_ref(), old)), Some((image.owner.as_ref(), new)))?;
    match bytes {
        0 => drop(txn.remove(&RESERVATIONS, image.id.bytes())?),
        bytes => txn.put_record(&RESERVATIONS, image.id.bytes(), &ReservationRecord { bytes })?,
    }
    Ok(bytes)
}

/// Refuses what would take more bytes than the image's project may have, before they are stored. Nothing is reserved.
///
/// # Errors
/// [`Error::OverLimit`]; or when the database fails.
pub fn expect_room(txn: &WriteTxn, image: &Image, bytes: u64) -> Result<(), Error> {
    let more = Usage { image_bytes: bytes, ..Usage::default() };
    let owner = image.owner.as_ref();
    // Noted and taken back, so that the limits are looked at as they are when the bytes are there.
    usage::follow(txn, None, Some((owner, more)))?;
    usage::follow(txn, Some((owner, more)), None)
}

/// Forgets what was reserved, in the commit in which the image ceases to be saving. Its usage is the caller's to change.
pub(super) fn forget(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    txn.remove(&RESERVATIONS, image.bytes())?;
    Ok(())
}

/// How many bytes more the image's project may have.
fn room(txn: &WriteTxn, image: &Image) -> Result<u64, Error> {
    let Some(project) = &image.owner else { return Ok(u64::MAX) };
    let used = usage::usage_of(txn, Some(project))?;
    let registered = Registered::read(txn)?;
    let mut room = u64::MAX;
    for resource in Resource::ALL.into_iter().filter(|resource| resource.is_of_bytes()) {
        if let Some(most) = registered.applied(txn, project, resource)?.limit.amount(resource) {
            room = room.min(most.saturating_sub(used.amount(resource)));
        }
    }
    Ok(room)
}
