//! Who may administer identities: administrators, and everyone themself for a few things.

use crate::service::{Actor, Error};

/// Lets administrators through.
///
/// # Errors
/// [`crate::service::ErrorKind::Forbidden`] for everyone else, whether or not the thing exists.
pub fn require_admin(actor: &Actor, action: &str) -> Result<(), Error> {
    require(actor.is_admin(), action)
}

/// Lets those through for whom `allowed` holds.
///
/// # Errors
/// [`crate::service::ErrorKind::Forbidden`] when it does not.
pub(super) fn require(allowed: bool, action: &str) -> Result<(), Error> {
    if allowed {
        Ok(())
    } else {
        Err(Error::forbidden(format!(
            "You are not authorized to perform the requested action: identity:{action}."
        )))
    }
}
