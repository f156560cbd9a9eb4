//! What a user's presence somewhere is worth at this moment: the standing, and the policies that hold beside it.
//!
//! Invariant: who holds neither a role on a scope nor a policy that allows anything there may not act there.

use std::sync::Arc;

use super::application_credentials::lend;
use super::standing::{Place, Standing, role_names, standing};
use crate::catalog::identity as catalog;
use crate::db::ReadTxn;
use crate::model::identity::{Role, Scope, Token};
use crate::model::{ApplicationCredentialId, ProjectId, UserId};
use crate::service::rights::{Action, Actions, Asked, Groups, Lent, Overrides, Rights, Rulebook};
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
    /// The operator's rules.
    overrides: Option<Arc<Overrides>>,
    /// What the user lent, where somebody acts with that.
    pub(super) lent: Option<Arc<Lent>>,
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
        self.worth_of(rows, standing, None)
    }

    /// What a token is worth, as of a snapshot: what its user is, or the part of that which was lent with it.
    ///
    /// # Errors
    /// As [`Service::worth`].
    pub(super) fn worth_of_token(&self, rows: &ReadTxn, token: &Token) -> Result<Option<Worth>, Error> {
        self.worth_lent(rows, &token.user, token.scope.as_ref(), token.application_credential.as_ref())
    }

    /// The same of who acts for a user, perhaps with what the user lent to an application credential.
    fn worth_lent(
        &self,
        rows: &ReadTxn,
        user: &UserId,
        scope: Option<&Scope>,
        credential: Option<&ApplicationCredentialId>,
    ) -> Result<Option<Worth>, Error> {
        let Some(standing) = standing(rows, user, scope)? else { return Ok(None) };
        let Some(id) = credential else { return self.worth_of(rows, standing, None) };
        match lend(rows, standing, id, self.clock.now())? {
            Some((standing, lent)) => self.worth_of(rows, standing, Some(Arc::new(lent))),
            None => Ok(None),
        }
    }

    /// A user who once asked for something in a project, with the rights that are left of it now: what somebody who comes with
    /// the user's word may do. `None` when that is nothing, or a cloud has the users, whose rights nobody tells without a token.
    ///
    /// # Errors
    /// As [`Service::worth`].
    pub(in crate::service) fn acting_for(
        &self,
        rows: &ReadTxn,
        user: &UserId,
        project: &ProjectId,
        credential: Option<&ApplicationCredentialId>,
    ) -> Result<Option<Actor>, Error> {
        if self.keystone_url().is_some() {
            return Ok(None);
        }
        let scope = Scope::Project(project.clone());
        let worth = self.worth_lent(rows, user, Some(&scope), credential)?;
        Ok(worth.map(|worth| worth.actor(Some(scope))))
    }

    fn worth_of(
        &self,
        rows: &ReadTxn,
        standing: Standing,
        lent: Option<Arc<Lent>>,
    ) -> Result<Option<Worth>, Error> {
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
        let book = self.rights.book(rows, Groups::Recorded, project.map(|project| &project.id), &asked)?;
        let worth = Worth { standing, book, asked, overrides: self.overrides.clone(), lent };
        let is_placed = worth.standing.place.is_some();
        if is_placed && worth.standing.roles.is_empty() && worth.allowed().is_empty() {
            return Ok(None);
        }
        Ok(Some(worth))
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
            rights: Rights::new(self.book.clone(), self.asked.clone(), self.lent.clone())
                .under(self.overrides.clone()),
        }
    }

    /// What policies may allow, as far as that counts.
    fn allowed(&self) -> Actions {
        match &self.lent {
            Some(lent) if !lent.has_policies => Actions::NONE,
            _ => self.book.allowed(),
        }
    }

    /// The roles that clients are shown: those held, implied ones included, and the one that policies amount to.
    /// Clients look at them to see what they may try; they decide nothing.
    pub(super) fn shown_roles(&self, rows: &ReadTxn) -> Result<Vec<Role>, Error> {
        let mut roles = self.standing.roles.clone();
        let writes: Actions = WRITES.into_iter().collect();
        let amounts_to = match self.allowed() {
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
        Ok(catalog::with_implied(rows, roles)?)
    }
}
