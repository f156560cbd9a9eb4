//! What a user's presence somewhere is worth at this moment: the standing, and the policies that hold beside it.
//!
//! Invariant: who holds neither a role on a scope nor a policy that allows anything there may not act there.

use std::sync::Arc;

use super::standing::{Place, Standing, role_names, standing, with_implied};
use crate::catalog::identity as catalog;
use crate::db::ReadTxn;
use crate::model::UserId;
use crate::model::identity::{Role, Scope};
use crate::service::rights::{Action, Actions, Asked, Rights, Rulebook};
use crate::service::{Actor, Error, Service};

/// Actions that change something, for which clients look for the role member.
const WRITES: [Action; 10] = [
    Action::ImagesCreate,
    Action::ImagesUpdate,
    Action::ImagesDelete,
    Action::ImagesUpload,
    Action::ImagesExport,
    Action::ImagesShare,
    Action::ImagesCopy,
    Action::ServerImagesCreate,
    Action::DataImagesCreate,
    Action::WholeImagesCreate,
];

/// A user who may act somewhere.
pub(in crate::service) struct Worth {
    pub(super) standing: Standing,
    /// The policies that hold there.
    pub book: Arc<Rulebook>,
    /// What their conditions look at.
    pub asked: Asked,
}

impl Service {
    /// What the user is worth on `scope`, as of a snapshot; `None` when the user may not act there.
    ///
    /// # Errors
    /// When the database fails, or a policy that the user has cannot be read.
    pub(in crate::service) fn worth(
        &self,
        rows: &ReadTxn,
        user: &UserId,
        scope: Option<&Scope>,
    ) -> Result<Option<Worth>, Error> {
        let Some(standing) = standing(rows, user, scope)? else { return Ok(None) };
        let project = match &standing.place {
            Some(Place::Project(project, _)) => Some(project),
            _ => None,
        };
        let asked = Asked {
            at: self.clock.now(),
            user: standing.user.id.clone(),
            user_name: standing.user.name.clone(),
            domain_name: standing.user_domain.name.clone(),
            project_name: project.map(|project| project.name.clone()),
            source: None,
        };
        let book = self.rights.book(rows, project.map(|project| &project.id), &asked)?;
        if scope.is_some() && standing.roles.is_empty() && book.allowed().is_empty() {
            return Ok(None);
        }
        Ok(Some(Worth { standing, book, asked }))
    }
}

impl Worth {
    /// The caller, when it was this user who asked.
    pub fn actor(&self, scope: Option<Scope>) -> Actor {
        Actor {
            user: self.standing.user.id.clone(),
            user_domain: self.standing.user.domain.clone(),
            scope,
            roles: role_names(&self.standing.roles),
            origin: Default::default(),
            rights: Rights::new(self.book.clone(), self.asked.clone()),
        }
    }

    /// The roles that clients are shown: those held, implied ones included, and the one that policies amount to.
    /// Clients look at them to see what they may try; they decide nothing.
    pub(super) fn shown_roles(&self, rows: &ReadTxn) -> Result<Vec<Role>, Error> {
        let mut roles = self.standing.roles.clone();
        let writes: Actions = WRITES.into_iter().collect();
        let amounts_to = match self.book.allowed() {
            _ if self.standing.place.is_none() => None,
            allowed if allowed.is_empty() => None,
            allowed if allowed.meets(writes) => Some("member"),
            _ => Some("reader"),
        };
        if let Some(name) = amounts_to
            && !role_names(&roles).contains(name)
        {
            roles.extend(catalog::find::<Role>(rows, "", name)?);
        }
        with_implied(rows, roles)
    }
}
