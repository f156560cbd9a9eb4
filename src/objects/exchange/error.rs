//! What can go wrong with an object of other people, by what can be done about it.

/// A failure of a bucket that images are exchanged through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key that no object can have here.
    #[error("{0:?} is no key of an object: {1}")]
    BadKey(String, &'static str),
    /// There is no such object.
    #[error("there is no object {0}")]
    Missing(String),
    /// Something is there that is not read: a folder, a link, a device.
    #[error("{0} is {1}, and only plain files are read")]
    NotPlain(String, &'static str),
    /// The name is taken.
    #[error("there is an object {0} already; it is not overwritten")]
    Taken(String),
    /// The object is not any more what was opened.
    #[error("object {0} changed while it was read")]
    Changed(String),
    /// Permissions or credentials: an operator must help.
    #[error("access denied: {0}")]
    Denied(String),
    /// No space or quota is left.
    #[error("no space left: {0}")]
    Full(String),
    /// The medium does not answer, or failed.
    #[error("the bucket cannot be reached now: {0}")]
    Unavailable(String),
}
