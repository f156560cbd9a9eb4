//! Access keys: what a program signs its requests with. The secret half is never part of a record.

use std::fmt;

use crate::base::Time;
use crate::model::{ProjectId, UserId};

/// The public half of an access key: 20 capital letters and digits, sent with every signed request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccessId(pub String);

impl AccessId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One access key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessKey {
    /// Its public half.
    pub access: AccessId,
    /// For whom it signs.
    pub user: UserId,
    /// Where what it signs holds.
    pub project: ProjectId,
    /// Whether it may be used.
    pub enabled: bool,
    /// Free text.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// From when on it may not be used any more.
    pub expires_at: Option<Time>,
    /// The day, in days since the Unix epoch (UTC), on which it was used last.
    pub last_used_day: Option<i64>,
    /// Names the root that its secret follows from: of another root the secret is another one.
    pub root: RootName,
}

/// The first bytes of a digest of the root that secrets of access keys follow from.
pub type RootName = [u8; 8];
