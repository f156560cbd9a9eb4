//! What can go wrong between us and a medium, by what the caller can do about it.

use super::ObjectKey;

/// A failure of a medium that keeps objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such object. Where a commit names it, that is damage; else it is an answer.
    #[error("no object {0}")]
    NotFound(ObjectKey),
    /// The name is taken, and the object under it is untouched. Choose another name.
    #[error("object {0} exists already")]
    Exists(ObjectKey),
    /// No space or quota is left. Free some, then repeat.
    #[error("no space left: {0}")]
    Full(String),
    /// The medium refuses us: permissions, credentials, or it is read-only. Repeating does not
    /// help; an operator must.
    #[error("access denied: {0}")]
    Denied(String),
    /// The medium does not answer or failed. Repeating later may help.
    #[error("medium unavailable: {0}")]
    Unavailable(String),
    /// The medium was not recognised since this process began, and nobody is let in before. A server goes
    /// on trying.
    #[error(
        "{place} has not been reached since the start ({why}); a server tries it again every few seconds"
    )]
    Away {
        /// What people know the medium by.
        place: String,
        /// What the last try met.
        why: String,
    },
    /// The request and the object do not fit together: an illegal name, a range past the end, a
    /// foreign thing under an object's name. Repeating does not help.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// A read of `length` bytes from `offset` on that the object is too short for.
    pub(super) fn past_end(key: &ObjectKey, offset: u64, length: usize) -> Error {
        Error::Invalid(format!("object {key} ends before byte {}", offset.saturating_add(length as u64)))
    }
}
