//! x
use super::{Actor, Error, Service};

impl Service {
    /// The caller behind a token.
    ///
    /// # Errors
    /// [`super::ErrorKind::Unauthenticated`] when the token is unknown, expired or revoked.
    pub fn authenticate_token(&self, _token: &str) -> Result<Actor, Error> {
        Err(Error::new(super::ErrorKind::Unauthenticated, "unknown token"))
    }

    /// The local administrator, acting in the project `admin`.
    ///
    /// # Errors
    /// When the catalog fails or was never set up.
    pub fn local_admin(&self) -> Result<Actor, Error> {
        Err(Error::new(super::ErrorKind::Unauthenticated, "not set up"))
    }
}
