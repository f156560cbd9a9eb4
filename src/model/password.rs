//! What is known of a user's password beside its hash.

use super::identity::PasswordHash;
use crate::base::Time;

/// Since when a password is as it is, and what it was before. Users whose password was last set by an earlier release,
/// or by the first start, have none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordLife {
    /// When it was set.
    pub changed_at: Time,
    /// Whether somebody else set it, so that the user has to change it before it opens anything.
    pub must_change: bool,
    /// Hashes of those before, the latest first.
    pub before: Vec<PasswordHash>,
}
