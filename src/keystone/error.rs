//! Why a Keystone did not say whose a token is.

/// A fault that is nobody's who sent a token. No form of it has a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is away, too slow, or says something that only a fault explains: it may work later.
    #[error("it cannot be reached or fails: {0}")]
    Unreachable(String),
    /// It does not let this box's own account in, or not look at tokens: the operator has to see to that.
    #[error("it does not accept this box's own account: {0}")]
    Account(String),
}
