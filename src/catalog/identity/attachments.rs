//! Which policies a group has, and where they hold: one row each, and the same by policy.
//!
//! Built-in policies are attached by their ids like others; whether there is such a policy is the caller's to
//! see to. Invariant: a policy that is taken from a group takes along the tokens of its members that stood
//! on it alone.

use super::keys::{has_below, keys_below, unreadable};
use super::{holdings, revision};
use crate::catalog::Error;
use crate::catalog::index::{Index, Row};
use crate::db::{Key, KeyReader, Rows, Table, WriteTxn};
use crate::model::policy::{Attachment, Reach};
use crate::model::{GroupId, PolicyId, ProjectId};

/// Group, reach, policy. The key says everything; values are empty.
pub(super) const BY_GROUP: Table = Table::facts("policy-attachments-1");
/// Policy, group, reach.
const BY_POLICY: Table = Table::derived("policy-attachments-by-policy-1");
/// How one follows from the other.
pub(super) const INDEX: Index = Index { facts: BY_GROUP, derived: BY_POLICY, follow: turned_around };

fn with_reach(key: Key, reach: &Reach) -> Key {
    match reach {
        Reach::Project(project) => key.byte(0).text(project.as_str()),
        Reach::All => key.byte(1).text(""),
    }
}

fn read_reach(reader: &mut KeyReader) -> Option<Reach> {
    match (reader.byte()?, reader.text()?) {
        (0, project) => Some(Reach::Project(ProjectId(project))),
        (1, _) => Some(Reach::All),
        _ => None,
    }
}

fn fact_key(Attachment { group, reach, policy }: &Attachment) -> Key {
    with_reach(Key::new().text(group.as_str()), reach).text(policy.as_str())
}

fn policy_key(Attachment { group, reach, policy }: &Attachment) -> Key {
    with_reach(Key::new().text(policy.as_str()).text(group.as_str()), reach)
}

fn by_group(key: &[u8]) -> Option<Attachment> {
    let mut reader = KeyReader::new(key);
    let group = GroupId(reader.text()?);
    let reach = read_reach(&mut reader)?;
    Some(Attachment { group, reach, policy: PolicyId(reader.text()?) })
}

fn by_policy(key: &[u8]) -> Option<Attachment> {
    let mut reader = KeyReader::new(key);
    let policy = PolicyId(reader.text()?);
    let group = GroupId(reader.text()?);
    Some(Attachment { group, reach: read_reach(&mut reader)?, policy })
}

/// Every attachment, in group order.
///
/// # Errors
/// When the database fails.
pub fn attachments(rows: &impl Rows) -> Result<Vec<Attachment>, Error> {
    keys_below(rows, &BY_GROUP, &Key::new(), by_group)
}

/// What is attached to a group: anywhere, or with one reach.
///
/// # Errors
/// When the database fails.
pub fn attached_to(
    rows: &impl Rows,
    group: &GroupId,
    reach: Option<&Reach>,
) -> Result<Vec<Attachment>, Error> {
    let prefix = Key::new().text(group.as_str());
    let prefix = match reach {
        Some(reach) => with_reach(prefix, reach),
        None => prefix,
    };
    keys_below(rows, &BY_GROUP, &prefix, by_group)
}

/// Where a policy is attached.
///
/// # Errors
/// When the database fails.
pub fn attachments_of(rows: &impl Rows, policy: &PolicyId) -> Result<Vec<Attachment>, Error> {
    keys_below(rows, &BY_POLICY, &Key::new().text(policy.as_str()), by_policy)
}

/// Whether exactly this attachment is there.
///
/// # Errors
/// When the database fails.
pub fn is_attached(rows: &impl Rows, attachment: &Attachment) -> Result<bool, Error> {
    has_below(rows, &BY_GROUP, &fact_key(attachment))
}

/// Whether a group has any policy with this reach.
pub(super) fn has_any(rows: &impl Rows, group: &GroupId, reach: &Reach) -> Result<bool, Error> {
    has_below(rows, &BY_GROUP, &with_reach(Key::new().text(group.as_str()), reach))
}

/// Attaches a policy; one that is attached already stays.
///
/// # Errors
/// When the database fails.
pub fn attach(txn: &WriteTxn, attachment: &Attachment) -> Result<(), Error> {
    txn.put(&BY_GROUP, fact_key(attachment).bytes(), &[])?;
    txn.put(&BY_POLICY, policy_key(attachment).bytes(), &[])?;
    revision::step(txn)
}

/// Takes a policy from a group, and the tokens of its members that stood on it alone; says whether it
/// was attached.
///
/// # Errors
/// When the database fails.
pub fn detach(txn: &WriteTxn, attachment: &Attachment) -> Result<bool, Error> {
    let was_attached = txn.remove(&BY_GROUP, fact_key(attachment).bytes())?;
    txn.remove(&BY_POLICY, policy_key(attachment).bytes())?;
    if was_attached {
        revision::step(txn)?;
        holdings::end_idle_tokens_of_members(txn, &attachment.group)?;
    }
    Ok(was_attached)
}

fn turned_around(key: &[u8], _: &[u8]) -> Result<Vec<Row>, Error> {
    let attachment = by_group(key).ok_or_else(|| unreadable(&BY_GROUP))?;
    Ok(vec![(policy_key(&attachment).into_bytes(), Vec::new())])
}
