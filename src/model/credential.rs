//! Credentials that this box keeps for others and never takes itself: EC2 pairs, seeds of one-time passwords, certificates.

use super::access_key::RootName;
use super::ids::{ProjectId, UserId};

/// The type of an EC2 pair.
pub const EC2: &str = "ec2";

/// One credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// The SHA-256 of the access key in hex for an EC2 pair; else 32 hex digits.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// What it is for, if for one.
    pub project: Option<ProjectId>,
    /// `ec2`, `totp`, `cert`.
    pub kind: String,
    /// What it says, sealed.
    pub blob: SealedBlob,
}

/// A text that only who has the root of access keys can read. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBlob {
    /// The root that its key follows from.
    pub root: RootName,
    /// What else its key follows from: random, and never twice the same.
    pub salt: [u8; 32],
    /// AES-256-GCM of the text.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for SealedBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedBlob(..)")
    }
}
