//! Application credentials: what a program signs in with instead of its user's password.

use super::identity::PasswordHash;
use super::ids::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::base::Time;

/// One application credential. Its secret is never part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApplicationCredential {
    /// 32 hex digits.
    pub id: ApplicationCredentialId,
    /// For whom it signs in.
    pub user: UserId,
    /// Where.
    pub project: ProjectId,
    /// Unique among those of the user.
    pub name: String,
    /// Free text; `None` prints as null.
    pub description: Option<String>,
    /// What its secret is compared with.
    pub secret: SecretHash,
    /// What it is worth: the user must hold all of them in the project.
    pub roles: Vec<RoleId>,
    /// Whether what policies allow its user counts too, which is so where nobody chose roles. What they deny always counts.
    pub has_policies: bool,
    /// Whether its tokens may make and delete application credentials.
    pub is_unrestricted: bool,
    /// Ids of the user's access rules that its tokens are bound to; without any they are bound to none.
    pub access_rules: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// From when on it may not be used any more.
    pub expires_at: Option<Time>,
}

/// What a secret is compared with. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretHash {
    /// BLAKE3 of a secret that this box made of 512 random bits: nobody finds that by trying.
    Random([u8; 32]),
    /// Argon2 of a secret that somebody chose.
    Chosen(PasswordHash),
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(..)")
    }
}
