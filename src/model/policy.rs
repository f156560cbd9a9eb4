//! Policies: documents that say which actions are allowed or denied, and the groups they are attached to.

use super::ids::{GroupId, PolicyId, ProjectId};
use crate::base::Time;

/// A policy that somebody wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// 32 hex digits.
    pub id: PolicyId,
    /// Unique among policies, in whatever case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The document, as JSON.
    pub document: String,
    /// Grows with each change of the document.
    pub revision: u64,
    /// When it was made.
    pub created_at: Time,
    /// When it was changed last.
    pub updated_at: Time,
}

/// Where an attached policy holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reach {
    /// In one project.
    Project(ProjectId),
    /// In every project of the group's domain; what it denies, everywhere.
    All,
}

/// A policy that a group has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Attachment {
    /// Whose members.
    pub group: GroupId,
    /// Where.
    pub reach: Reach,
    /// What; perhaps one that is built in, which no record tells of.
    pub policy: PolicyId,
}
