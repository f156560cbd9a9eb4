//! Who there is: domains, projects, users, roles, and what one may do where.

use std::collections::BTreeMap;

use super::ids::{ApplicationCredentialId, DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::base::Time;

/// Members of a request body that the service keeps and gives back without knowing them.
/// Each value is one JSON text.
pub type Extra = BTreeMap<String, String>;

/// A name space for users and projects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// `default`, or 32 hex digits.
    pub id: DomainId,
    /// Unique among domains.
    pub name: String,
    /// Free text; `None` prints as null.
    pub description: Option<String>,
    /// Disabled domains end every token of theirs.
    pub enabled: bool,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// What owns images.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// 32 hex digits.
    pub id: ProjectId,
    /// Its domain.
    pub domain: DomainId,
    /// Unique within the domain.
    pub name: String,
    /// Free text; `None` prints as null.
    pub description: Option<String>,
    /// Disabled projects end every token of theirs.
    pub enabled: bool,
    /// Labels.
    pub tags: Vec<String>,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// A person or a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// 32 hex digits.
    pub id: UserId,
    /// Its domain.
    pub domain: DomainId,
    /// Unique within the domain.
    pub name: String,
    /// Disabled users end every token of theirs.
    pub enabled: bool,
    /// The scope of a token when a sign-in names none.
    pub default_project: Option<ProjectId>,
    /// Argon2 PHC string; `None` when the user has no password. Never printed.
    pub password_hash: Option<PasswordHash>,
    /// `email`, `description` and unknown members, kept.
    pub extra: Extra,
}

/// An Argon2 hash in PHC form. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Users who are given roles and policies together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// 32 hex digits.
    pub id: GroupId,
    /// Its domain; its members may be of others.
    pub domain: DomainId,
    /// Unique within the domain.
    pub name: String,
    /// Free text; `None` prints as null.
    pub description: Option<String>,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// A named bundle of rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// 32 hex digits.
    pub id: RoleId,
    /// Unique among roles of the same domain (or of none).
    pub name: String,
    /// The domain it belongs to, usually none.
    pub domain: Option<DomainId>,
    /// Free text; `None` prints as null.
    pub description: Option<String>,
    /// Built-in roles can be neither changed nor deleted.
    pub immutable: bool,
    /// Unknown members, kept.
    pub extra: Extra,
}

/// Where an assignment or a token holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// One project.
    Project(ProjectId),
    /// One domain.
    Domain(DomainId),
    /// The whole installation.
    System,
}

/// A role that a user holds somewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Assignment {
    /// Who.
    pub user: UserId,
    /// Where.
    pub scope: Scope,
    /// What.
    pub role: RoleId,
}

/// A role that every member of a group holds somewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupAssignment {
    /// Whose members.
    pub group: GroupId,
    /// Where.
    pub scope: Scope,
    /// What.
    pub role: RoleId,
}

/// A token's record. The token itself is never kept, only its BLAKE3 hash, which is the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Who signed in.
    pub user: UserId,
    /// Where it holds; `None` is unscoped.
    pub scope: Option<Scope>,
    /// How: `password`, or `token` in front of what that token had.
    pub methods: Vec<String>,
    /// Its own audit id, then that of the first token of its chain.
    pub audit_ids: Vec<String>,
    /// The application credential that it was made with, and ends with.
    pub application_credential: Option<ApplicationCredentialId>,
    /// When it was issued.
    pub issued_at: Time,
    /// When it ends.
    pub expires_at: Time,
}
