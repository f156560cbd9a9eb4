//! Who may administer identities: whoever has the right, and everyone themself for a few things.

use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error};

/// Lets those through whose own the thing is, and whoever may do so with any.
///
/// # Errors
/// [`crate::service::ErrorKind::Forbidden`] for everyone else, whether or not the thing exists.
pub(super) fn require_own(is_own: bool, actor: &Actor, action: Action, id: &str) -> Result<(), Error> {
    if is_own { Ok(()) } else { actor.expect(action, Resource::Id(id)) }
}
