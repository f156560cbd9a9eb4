//! Locks of users after failed sign-ins, as administrators see and end them; and sign-ins as they come over the network.

use std::sync::Arc;

use super::authorise::require_own;
use super::{SignIn, SignedIn, TokenText, missing};
use crate::base::Time;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::User;
use crate::model::{Operation, UserId};
use crate::service::audit::Act;
use crate::service::rights::{Action, Resource};
use crate::service::{Actor, Error, ErrorKind, Origin, Service};

impl Service {
    /// Issues a token to who asks from somewhere. An address whose sign-ins fail too often is turned away for a while.
    ///
    /// # Errors
    /// As [`Service::sign_in`], and `Unavailable` because of too many requests.
    pub fn sign_in_from(&self, origin: &Origin, request: SignIn) -> Result<(TokenText, SignedIn), Error> {
        self.attended_attempt(origin, || self.sign_in(request))
    }

    /// Sets a user's password by proving the old one, for who asks from somewhere.
    ///
    /// # Errors
    /// As [`Service::change_password`], and `Unavailable` because of too many requests.
    pub fn change_password_from(
        &self,
        origin: &Arc<Origin>,
        id: &UserId,
        old: &super::Password,
        new: &super::Password,
    ) -> Result<(), Error> {
        self.attended_attempt(origin, || self.change_password(origin, id, old, new))
    }

    fn attended_attempt<T>(
        &self,
        origin: &Origin,
        attempt: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let source = origin.source.address();
        self.attempts.admit(source, self.clock.now())?;
        attempt().inspect_err(|error| {
            if error.kind == ErrorKind::Unauthenticated {
                self.attempts.note(source, self.clock.now());
            }
        })
    }

    /// Until when a user's password is not taken; `None` when it is.
    ///
    /// # Errors
    /// Refused without the right to see other users; `NotFound` when there is no such user.
    pub fn user_lock(&self, actor: &Actor, id: &UserId) -> Result<Option<Time>, Error> {
        require_own(false, actor, Action::UsersGet, id.as_str())?;
        expect_user(&self.db.read()?, id)?;
        Ok(self.attempts.locked_until(id, self.clock.now()))
    }

    /// Has a user's password taken again; says whether any failure was forgotten.
    ///
    /// # Errors
    /// Refused without the right to change users; `NotFound` when there is no such user.
    pub fn unlock_user(&self, actor: &Actor, id: &UserId) -> Result<bool, Error> {
        actor.expect(Action::UsersUpdate, Resource::Id(id.as_str()))?;
        let id = id.clone();
        let known = id.clone();
        self.recorded(actor, Act::on(Operation::UnlockUser, &id), move |txn, act| {
            act.name(&known, &expect_user(txn, &known)?.name);
            Ok(())
        })?;
        Ok(self.attempts.forget(&id))
    }
}

fn expect_user(rows: &impl Rows, id: &UserId) -> Result<User, Error> {
    catalog::get::<User>(rows, id)?.ok_or_else(|| missing("user", id))
}
