//! Shares with a whole domain: each holds for all its projects, those that are made later included.
//!
//! Facts are kept by image and domain, and the answers of its projects beside them; an index by domain and image
//! serves listings. Invariant: an answer goes with the share that it answers. A project that an image is shared with
//! by itself has that share alone, whatever its domain has. Must not know who may share what.

use std::ops::ControlFlow;

use super::error::Error;
use super::identity;
use super::index::{Index, Row};
use super::members;
use super::records::member::MemberRecord;
use crate::base::Time;
use crate::db::codec::{self, Unreadable};
use crate::db::{self, Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::identity::Project;
use crate::model::image::{DomainMember, Member, MemberStatus};
use crate::model::{DomainId, ImageId, ProjectId};

/// Image, domain.
const DOMAINS: Table = Table::facts("image-domain-members-1");
/// Image, domain, project.
const ANSWERS: Table = Table::facts("image-domain-answers-1");
/// Domain, image.
const BY_DOMAIN: Table = Table::derived("image-domain-members-by-domain-1");
/// The tables that hold facts.
pub(super) const FACTS: [Table; 2] = [DOMAINS, ANSWERS];
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: DOMAINS, derived: BY_DOMAIN, follow: index_rows };

fn key(image: &ImageId, domain: &DomainId) -> Key {
    Key::new().fixed(image.bytes()).text(domain.as_str())
}

fn domain_key(domain: &DomainId) -> Key {
    Key::new().text(domain.as_str())
}

/// The share of a domain in an image.
///
/// # Errors
/// When the database fails.
pub fn get(rows: &impl Rows, image: &ImageId, domain: &DomainId) -> Result<Option<DomainMember>, Error> {
    let record = rows.record::<MemberRecord>(&DOMAINS, key(image, domain).bytes())?;
    let member = record.map(|record| record.into_member(*image, ProjectId(domain.0.clone()))).transpose()?;
    Ok(member.map(of_domain))
}

/// The domains that an image is shared with, in the order of their ids.
///
/// # Errors
/// When the database fails.
pub fn list(rows: &impl Rows, image: &ImageId) -> Result<Vec<DomainMember>, Error> {
    let mut found = Vec::new();
    rows.scan_prefix(&DOMAINS, image.bytes(), &mut |key, value| {
        found.push(read(key, value));
        ControlFlow::Continue(())
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}

/// Shares an image with a domain; the caller has checked that both exist.
///
/// # Errors
/// [`Error::Exists`] when it is shared with it already; or when the database fails.
pub fn insert(txn: &WriteTxn, image: &ImageId, domain: &DomainId, now: Time) -> Result<(), Error> {
    if get(txn, image, domain)?.is_some() {
        return Err(Error::Exists(format!("image {image} is shared with domain {domain} already")));
    }
    let share = Member {
        image: *image,
        project: ProjectId(domain.0.clone()),
        status: MemberStatus::Pending,
        created_at: now,
        updated_at: now,
    };
    txn.put_record(&DOMAINS, key(image, domain).bytes(), &MemberRecord::of(&share))?;
    Ok(txn.put(&BY_DOMAIN, domain_key(domain).fixed(image.bytes()).bytes(), &[])?)
}

/// Takes the share of a domain back, with what its projects answered; says whether there was one.
///
/// # Errors
/// When the database fails.
pub fn delete(txn: &WriteTxn, image: &ImageId, domain: &DomainId) -> Result<bool, Error> {
    let key = key(image, domain);
    let mut answers = Vec::new();
    txn.scan_prefix(&ANSWERS, key.bytes(), &mut |key, _| {
        answers.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    for answer in answers {
        txn.remove(&ANSWERS, &answer)?;
    }
    txn.remove(&BY_DOMAIN, domain_key(domain).fixed(image.bytes()).bytes())?;
    Ok(txn.remove(&DOMAINS, key.bytes())?)
}

/// Takes every share of an image with a domain back.
pub(super) fn delete_all(txn: &WriteTxn, image: &ImageId) -> Result<(), Error> {
    for share in list(txn, image)? {
        delete(txn, image, &share.domain)?;
    }
    Ok(())
}

/// A project's share in an image: its own, or that of its domain with what the project answered.
///
/// # Errors
/// When the database fails.
pub fn share_of(rows: &impl Rows, image: &ImageId, project: &ProjectId) -> Result<Option<Member>, Error> {
    if let Some(own) = members::get(rows, image, project)? {
        return Ok(Some(own));
    }
    let Some(domain) = identity::get::<Project>(rows, project)?.map(|project| project.domain) else {
        return Ok(None);
    };
    through(rows, image, &domain, project)
}

/// The share that a project has through this domain.
fn through(
    rows: &impl Rows,
    image: &ImageId,
    domain: &DomainId,
    project: &ProjectId,
) -> Result<Option<Member>, Error> {
    let Some(share) = get(rows, image, domain)? else { return Ok(None) };
    let answer = key(image, domain).text(project.as_str());
    let answer = rows.record::<MemberRecord>(&ANSWERS, answer.bytes())?;
    let answer = answer.map(|record| record.into_member(*image, project.clone())).transpose()?;
    Ok(Some(answer.unwrap_or(Member {
        image: *image,
        project: project.clone(),
        status: MemberStatus::Pending,
        created_at: share.created_at,
        updated_at: share.created_at,
    })))
}

/// Keeps what a project makes of a share: of its own, or of that of its domain.
///
/// # Errors
/// [`Error::Missing`] when it has none; or when the database fails.
pub fn answer(txn: &WriteTxn, member: &Member) -> Result<(), Error> {
    let (image, project) = (&member.image, &member.project);
    if members::get(txn, image, project)?.is_some() {
        return members::update(txn, member);
    }
    let missing = || Error::Missing(format!("project {project} is no member of image {image}"));
    let domain = identity::get::<Project>(txn, project)?.ok_or_else(missing)?.domain;
    if get(txn, image, &domain)?.is_none() {
        return Err(missing());
    }
    let key = key(image, &domain).text(project.as_str());
    Ok(txn.put_record(&ANSWERS, key.bytes(), &MemberRecord::of(member))?)
}

/// The images that are shared with a project through its domain alone, with the share in `status`, or in any.
pub(super) fn shared_with(
    rows: &impl Rows,
    project: &ProjectId,
    status: Option<MemberStatus>,
) -> Result<Vec<ImageId>, Error> {
    let Some(domain) = identity::get::<Project>(rows, project)?.map(|project| project.domain) else {
        return Ok(Vec::new());
    };
    let mut images = Vec::new();
    rows.scan_prefix(&BY_DOMAIN, domain_key(&domain).bytes(), &mut |key, _| {
        images.push(key.last_chunk().map(|id| ImageId(uuid::Uuid::from_bytes(*id))));
        ControlFlow::Continue(())
    })?;
    let mut shared = Vec::new();
    for image in images {
        let image =
            image.ok_or_else(|| db::Error::Corrupt("a domain member's index key is too short".into()))?;
        if members::get(rows, &image, project)?.is_some() {
            continue;
        }
        let found = through(rows, &image, &domain, project)?;
        if found.is_some_and(|share| status.is_none_or(|status| share.status == status)) {
            shared.push(image);
        }
    }
    Ok(shared)
}

/// Images that are shared with a domain.
pub(super) fn images(rows: &impl Rows) -> Result<Vec<ImageId>, Error> {
    let mut images = Vec::new();
    rows.scan_prefix(&DOMAINS, &[], &mut |key, _| {
        let id = key.first_chunk().map(|id| ImageId(uuid::Uuid::from_bytes(*id)));
        if id.is_some() && images.last() != Some(&id) {
            images.push(id);
        }
        ControlFlow::Continue(())
    })?;
    Ok(images.into_iter().flatten().collect())
}

fn of_domain(member: Member) -> DomainMember {
    DomainMember { image: member.image, domain: DomainId(member.project.0), created_at: member.created_at }
}

fn read(key: &[u8], value: &[u8]) -> Result<DomainMember, Unreadable> {
    let mut reader = KeyReader::new(key);
    let (Some(image), Some(domain)) = (reader.fixed(), reader.text()) else {
        return Err(Unreadable { name: "domain member", reason: "its key is too short".into() });
    };
    let image = ImageId(uuid::Uuid::from_bytes(image));
    Ok(of_domain(codec::decode::<MemberRecord>(value)?.into_member(image, ProjectId(domain))?))
}

fn index_rows(key: &[u8], value: &[u8]) -> Result<Vec<Row>, Error> {
    let share = read(key, value)?;
    Ok(vec![(domain_key(&share.domain).fixed(share.image.bytes()).into_bytes(), Vec::new())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_golden() {
        let image = ImageId(uuid::Uuid::from_bytes([7; 16]));
        let (hex_image, domain) = ("07".repeat(16), DomainId("d".into()));
        assert_eq!(hex::encode(key(&image, &domain).bytes()), format!("{hex_image}640001"));
        assert_eq!(
            hex::encode(domain_key(&domain).fixed(image.bytes()).bytes()),
            format!("640001{hex_image}")
        );
    }
}
