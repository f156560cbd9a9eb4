//! Links to images by their id, by the image they lead to, and by their end.
//!
//! Facts, so that they outlive a lost catalog. Invariants: no signature is in a record; a link goes with its image in one
//! transaction. Must not know who may make or use one.

use std::ops::{Bound, ControlFlow};

use super::error::Error;
use super::index::{Index, Row};
use super::records::image_link::ImageLinkRecord;
use crate::base::Time;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::image_link::{ImageLink, LinkId};
use crate::model::{ImageId, ProjectId};

/// Id.
pub(super) const IMAGE_LINKS: Table = Table::facts("image-links-1");
/// Image, project, id.
const BY_IMAGE: Table = Table::derived("image-links-by-image-1");
/// End, id.
const BY_END: Table = Table::derived("image-links-by-end-1");
/// How the two follow from the links.
pub(super) const INDEXES: [Index; 2] = [
    Index { facts: IMAGE_LINKS, derived: BY_IMAGE, follow: image_rows },
    Index { facts: IMAGE_LINKS, derived: BY_END, follow: end_rows },
];

fn image_key(image: &ImageId) -> Key {
    Key::new().fixed(image.bytes())
}

fn project_key(image: &ImageId, project: &ProjectId) -> Key {
    image_key(image).text(project.as_str())
}

fn end_key(link: &ImageLink) -> Key {
    Key::new().signed(link.expires_at.0).fixed(&link.id.0)
}

/// The link with this id, whether it has ended or not.
///
/// # Errors
/// When the database fails, or the record is unreadable.
pub fn get(rows: &impl Rows, id: &LinkId) -> Result<Option<ImageLink>, Error> {
    let record = rows.record::<ImageLinkRecord>(&IMAGE_LINKS, &id.0)?;
    Ok(record.map(|record| record.into_link(*id)).transpose()?)
}

/// Adds a link, or changes when it was used.
///
/// # Errors
/// When the database fails.
pub fn put(txn: &WriteTxn, link: &ImageLink) -> Result<(), Error> {
    txn.put_record(&IMAGE_LINKS, &link.id.0, &ImageLinkRecord::of(link))?;
    txn.put(&BY_IMAGE, project_key(&link.image, &link.project).fixed(&link.id.0).bytes(), &[])?;
    Ok(txn.put(&BY_END, end_key(link).bytes(), &[])?)
}

/// Removes a link; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, id: &LinkId) -> Result<bool, Error> {
    let Some(link) = get(txn, id)? else { return Ok(false) };
    txn.remove(&BY_IMAGE, project_key(&link.image, &link.project).fixed(&id.0).bytes())?;
    txn.remove(&BY_END, end_key(&link).bytes())?;
    Ok(txn.remove(&IMAGE_LINKS, &id.0)?)
}

/// The links to an image that one project has, or all of them; those that ended too, while they are there.
///
/// # Errors
/// When the database fails, or a record is unreadable.
pub fn list(rows: &impl Rows, image: &ImageId, project: Option<&ProjectId>) -> Result<Vec<ImageLink>, Error> {
    let prefix = match project {
        Some(project) => project_key(image, project),
        None => image_key(image),
    };
    let mut ids = Vec::new();
    rows.scan_prefix(&BY_IMAGE, prefix.bytes(), &mut |key, _| {
        let mut reader = KeyReader::new(key);
        let id = reader.fixed::<16>().and_then(|_| reader.text()).and_then(|_| reader.fixed::<16>());
        ids.push(id);
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.ok_or_else(|| db::Error::Corrupt("a link's index key".into()))?;
        found.extend(get(rows, &LinkId(id))?);
    }
    Ok(found)
}

/// Removes the links to an image.
pub(super) fn delete_of_image(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    list(txn, image, None)?.iter().try_for_each(|link| delete(txn, &link.id).map(drop))
}

/// Whether any link has ended by `now`.
///
/// # Errors
/// When the database fails.
pub fn has_ended(rows: &impl Rows, now: Time) -> Result<bool, Error> {
    Ok(!ended(rows, now, 1)?.is_empty())
}

/// Removes at most `count` links that have ended by `now`, oldest first; says how many.
///
/// # Errors
/// When the database fails.
pub fn purge_ended(txn: &WriteTxn, now: Time, count: usize) -> Result<usize, Error> {
    let ids = ended(txn, now, count)?;
    for id in &ids {
        delete(txn, id)?;
    }
    Ok(ids.len())
}

fn ended(rows: &impl Rows, now: Time, count: usize) -> Result<Vec<LinkId>, Error> {
    let mut ids = Vec::new();
    let end = Key::new().signed(now.0).fixed(&[0xff; 16]);
    rows.scan(&BY_END, (Bound::Unbounded, Bound::Included(end.bytes())), false, &mut |key, _| {
        let mut reader = KeyReader::new(key);
        ids.extend(reader.signed().and_then(|_| reader.fixed::<16>()).map(LinkId));
        if ids.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(ids)
}

fn image_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let link = read(key, value)?;
    let row = project_key(&link.image, &link.project).fixed(&link.id.0);
    Ok(vec![(row.into_bytes(), Vec::new())])
}

fn end_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    Ok(vec![(end_key(&read(key, value)?).into_bytes(), Vec::new())])
}

fn read(key: &[u8], value: &[u8]) -> Result<ImageLink, Unreadable> {
    let id = <[u8; 16]>::try_from(key);
    let id = id.map_err(|_| Unreadable { name: "image link", reason: "its key is no id".into() })?;
    codec::decode::<ImageLinkRecord>(value)?.into_link(LinkId(id))
}
