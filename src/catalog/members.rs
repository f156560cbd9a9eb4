//! Members: which projects an image is shared with, and what each made of the offer.
//!
//! Facts are kept by image and project; an index by project, status and image serves listings.
//! Invariant: the index has exactly one row per fact. Must not know who may share what.

use std::ops::{Bound, ControlFlow};

use super::domain_members;
use super::error::Error;
use super::index::{Index, Row};
use super::records::member::{MemberRecord, status_code};
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::image::{Member, MemberStatus};
use crate::model::{ImageId, ProjectId};

/// Image, project.
pub(super) const MEMBERS: Table = Table::facts("image-members-1");
/// Project, status, image.
const BY_PROJECT: Table = Table::derived("image-members-by-project-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: MEMBERS, derived: BY_PROJECT, follow: index_rows };

fn key(image: &ImageId, project: &ProjectId) -> Key {
    Key::new().fixed(image.bytes()).text(project.as_str())
}

fn project_key(member: &Member) -> Key {
    Key::new().text(member.project.as_str()).byte(status_code(member.status)).fixed(member.image.bytes())
}

/// A project's share in an image.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, image: &ImageId, project: &ProjectId) -> Result<Option<Member>, Error> {
    let record = rows.record::<MemberRecord>(&MEMBERS, key(image, project).bytes())?;
    Ok(record.map(|record| record.into_member(*image, project.clone())).transpose()?)
}

/// An image's members, in project id order.
///
/// # Errors
/// When the database fails.
pub fn list(rows: &impl Rows, image: &ImageId) -> Result<Vec<Member>, Error> {
    let mut members = Vec::new();
    rows.scan_prefix(&MEMBERS, image.bytes(), &mut |key, value| {
        members.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(members.into_iter().collect::<Result<_, _>>()?)
}

/// Whether an image has members, or a domain has it.
///
/// # Errors
/// When the database fails.
pub fn has_any(rows: &impl Rows, image: &ImageId) -> Result<bool, Error> {
    let mut found = false;
    rows.scan_prefix(&MEMBERS, image.bytes(), &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found || !domain_members::list(rows, image)?.is_empty())
}

/// The images that have members, or that a domain has. Costs a step for each, not for each member.
pub(super) fn images(rows: &impl Rows) -> Result<Vec<ImageId>, Error> {
    let mut images = of_projects(rows)?;
    images.extend(domain_members::images(rows)?);
    images.sort_unstable();
    images.dedup();
    Ok(images)
}

fn of_projects(rows: &impl Rows) -> Result<Vec<ImageId>, Error> {
    let mut images = Vec::new();
    let mut from = Key::new();
    loop {
        let mut next: Option<[u8; 16]> = None;
        rows.scan(&MEMBERS, (Bound::Included(from.bytes()), Bound::Unbounded), false, &mut |key, _| {
            next = key.first_chunk().copied();
            ControlFlow::Break(())
        })?;
        let Some(id) = next else { return Ok(images) };
        images.push(ImageId(uuid::Uuid::from_bytes(id)));
        match Key::new().fixed(&id).successor() {
            Some(after) => from = Key::new().fixed(&after),
            None => return Ok(images),
        }
    }
}

/// Adds a member; the caller has checked that the image exists.
///
/// # Errors
/// [`Error::Exists`] when the project is one already; or when the database fails.
pub fn insert(txn: &WriteTxn, member: &Member) -> Result<(), Error> {
    if get(txn, &member.image, &member.project)?.is_some() {
        return Err(Error::Exists(format!(
            "project {} is a member of image {} already",
            member.project, member.image
        )));
    }
    put(txn, member)
}

/// Replaces a member's record.
///
/// # Errors
/// [`Error::Missing`] when there is no such member; or when the database fails.
pub fn update(txn: &WriteTxn, member: &Member) -> Result<(), Error> {
    let Some(old) = get(txn, &member.image, &member.project)? else {
        return Err(Error::Missing(format!(
            "project {} is no member of image {}",
            member.project, member.image
        )));
    };
    if old.status != member.status {
        txn.remove(&BY_PROJECT, project_key(&old).bytes())?;
    }
    put(txn, member)
}

/// Removes a member; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, image: &ImageId, project: &ProjectId) -> Result<bool, Error> {
    let Some(old) = get(txn, image, project)? else { return Ok(false) };
    txn.remove(&BY_PROJECT, project_key(&old).bytes())?;
    Ok(txn.remove(&MEMBERS, key(image, project).bytes())?)
}

/// Removes every member of an image, domains too.
pub(super) fn delete_all(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    domain_members::delete_all(txn, image)?;
    for member in list(txn, image)? {
        delete(txn, image, &member.project)?;
    }
    Ok(())
}

/// The images shared with a project, by itself or through its domain, with the share in `status`, or in any.
pub(super) fn shared_with(
    rows: &impl Rows,
    project: &ProjectId,
    status: Option<MemberStatus>,
) -> Result<Vec<ImageId>, Error> {
    let mut prefix = Key::new().text(project.as_str());
    if let Some(status) = status {
        prefix = prefix.byte(status_code(status));
    }
    let mut images = Vec::new();
    rows.scan_prefix(&BY_PROJECT, prefix.bytes(), &mut |key, _| {
        images.push(key.last_chunk().map(|id| ImageId(uuid::Uuid::from_bytes(*id))));
        ControlFlow::Continue(())
    })?;
    let images: Option<Vec<_>> = images.into_iter().collect();
    let mut images = images.ok_or_else(|| db::Error::Corrupt("a member index key is too short".into()))?;
    images.extend(domain_members::shared_with(rows, project, status)?);
    Ok(images)
}

fn index_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    Ok(vec![(project_key(&read(key, value)?).into_bytes(), Vec::new())])
}

fn put(txn: &WriteTxn, member: &Member) -> Result<(), Error> {
    let fact = key(&member.image, &member.project);
    txn.put_record(&MEMBERS, fact.bytes(), &MemberRecord::of(member))?;
    Ok(txn.put(&BY_PROJECT, project_key(member).bytes(), &[])?)
}

fn read(key: &[u8], value: &[u8]) -> Result<Member, Unreadable> {
    let mut reader = KeyReader::new(key);
    let (Some(image), Some(project)) = (reader.fixed(), reader.text()) else {
        return Err(Unreadable { name: "member", reason: "its key is too short".into() });
    };
    let image = ImageId(uuid::Uuid::from_bytes(image));
    codec::decode::<MemberRecord>(value)?.into_member(image, ProjectId(project))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Time;

    #[test]
    fn the_keys_are_golden() {
        let member = Member {
            image: ImageId(uuid::Uuid::from_bytes([7; 16])),
            project: "p".into(),
            status: MemberStatus::Accepted,
            created_at: Time(1),
            updated_at: Time(1),
        };
        let image = "07".repeat(16);
        assert_eq!(hex::encode(key(&member.image, &member.project).bytes()), format!("{image}700001"));
        assert_eq!(hex::encode(project_key(&member).bytes()), format!("70000101{image}"));
    }
}
