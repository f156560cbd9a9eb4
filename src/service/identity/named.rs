//! Users who are known by something else than a secret of theirs, such as a certificate that the operator mapped to them.

use super::sign_in::find_user;
use super::{DomainRef, UserRef, unauthenticated};
use crate::catalog::identity as catalog;
use crate::model::identity::{Project, Scope};
use crate::service::{Actor, Error, Service};

impl Service {
    /// The user of this name in a project of its domain, with what it may do there at this moment.
    ///
    /// # Errors
    /// `Unauthenticated` when there is no such user or project, or nothing is held there; `Conflict` where a cloud has the
    /// users.
    pub fn actor_called(&self, user: &str, domain: &str, project: &str) -> Result<Actor, Error> {
        self.expect_own_identities("users by name")?;
        let read = self.db.read()?;
        let named = UserRef::Name(user.to_owned(), DomainRef::Name(domain.to_owned()));
        let user = find_user(&read, &named)?.ok_or_else(unauthenticated)?;
        let project = catalog::find::<Project>(&read, user.domain.as_str(), project)?;
        let scope = Scope::Project(project.ok_or_else(unauthenticated)?.id);
        let worth = self.worth(&read, &user.id, Some(&scope))?.ok_or_else(unauthenticated)?;
        Ok(worth.actor(Some(scope)))
    }
}
