//! Why nothing came from a web server.

/// A fault or a refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address is none that anything may be fetched from.
    #[error("{0}")]
    Refused(String),
    /// The server has nothing there, or does not hand it out.
    #[error("{0}")]
    Missing(String),
    /// It is away, too slow, or failed: it may work later.
    #[error("{0}")]
    Unavailable(String),
}
