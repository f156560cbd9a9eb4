//! Why another box did not do what it was asked for.

/// A fault or a refusal. No form of it has a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is away, too slow, or says something that only a fault explains: it may work later.
    #[error("the other box cannot be reached or fails: {0}")]
    Unreachable(String),
    /// The account is not let in, or lacks a right.
    #[error("the other box denies it: {0}")]
    Denied(String),
    /// The account has nothing to do in the project.
    #[error("the other box has no project \"{0}\" that its account may work in")]
    NoProject(String),
    /// The image is too large for it, or for what the project may have there.
    #[error("the image is too large for the other box: {0}")]
    TooLarge(String),
    /// It refuses what it was asked for.
    #[error("the other box refuses it: {0}")]
    Refused(String),
}
