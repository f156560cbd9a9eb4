//! What a token is worth when it is used, looked at, or revoked.

use super::authorise::require;
use super::standing::{Place, Standing, role_names, standing, with_implied};
use super::unauthenticated;
use crate::base::Time;
use crate::catalog::tokens::{self, TokenHash};
use crate::db::Rows;
use crate::model::Operation;
use crate::model::identity::{Domain, Role, Token, User};
use crate::service::audit::Act;
use crate::service::{Actor, Error, Service};

/// A token with everything its answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The token's record.
    pub token: Token,
    /// Its user.
    pub user: User,
    /// Its user's domain.
    pub user_domain: Domain,
    /// Where it holds.
    pub place: Option<Place>,
    /// Roles held there, implied ones included, sorted by name.
    pub roles: Vec<Role>,
}

impl SignedIn {
    pub(super) fn new(rows: &impl Rows, token: Token, standing: Standing) -> Result<SignedIn, Error> {
        let Standing { user, user_domain, place, roles } = standing;
        let roles = with_implied(rows, roles)?;
        Ok(SignedIn { token, user, user_domain, place, roles })
    }
}

/// What a token is called in the catalog.
pub(super) fn token_hash(text: &str) -> TokenHash {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// The token and its user's standing, when it holds at `now`.
pub(super) fn live(
    rows: &impl Rows,
    hash: &TokenHash,
    now: Time,
) -> Result<Option<(Token, Standing)>, Error> {
    let Some(token) = tokens::get(rows, hash)?.filter(|token| now < token.expires_at) else {
        return Ok(None);
    };
    Ok(standing(rows, &token.user, token.scope.as_ref())?.map(|standing| (token, standing)))
}

impl Service {
    /// The caller behind a token.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::Unauthenticated`] when the token is unknown, expired or
    /// revoked, or its user holds nothing there any more.
    pub fn authenticate_token(&self, text: &str) -> Result<Actor, Error> {
        let live = live(&self.db.read()?, &token_hash(text), self.clock.now())?;
        let (token, standing) = live.ok_or_else(unauthenticated)?;
        Ok(Actor {
            roles: role_names(&standing.roles),
            user: token.user,
            user_domain: standing.user.domain,
            scope: token.scope,
            origin: Default::default(),
        })
    }

    /// Looks at a token: one's own, or anyone's for administrators and services.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::NotFound`] when the token does not hold,
    /// [`crate::service::ErrorKind::Forbidden`] when it is another user's.
    pub fn validate_token(&self, actor: &Actor, subject: &str) -> Result<SignedIn, Error> {
        let rows = self.db.read()?;
        let live = live(&rows, &token_hash(subject), self.clock.now())?;
        let (token, standing) = live.ok_or_else(no_such_token)?;
        let own = token.user == actor.user;
        require(own || actor.is_admin() || actor.has_role("service"), "validate_token")?;
        SignedIn::new(&rows, token, standing)
    }

    /// Ends a token: one's own, or anyone's for administrators.
    ///
    /// # Errors
    /// As [`Service::validate_token`].
    pub fn revoke_token(&self, actor: &Actor, subject: &str) -> Result<(), Error> {
        let hash = token_hash(subject);
        let (user, is_admin) = (actor.user.clone(), actor.is_admin());
        self.recorded(actor, Act::new(Operation::RevokeToken), move |txn, act| {
            let token = tokens::get(txn, &hash)?.ok_or_else(no_such_token)?;
            // Never the token itself: what it is called in the catalog tells nobody.
            act.name(token.audit_ids.first().map_or("", String::as_str), "");
            act.say(format!("a token of user {}", token.user));
            require(token.user == user || is_admin, "revoke_token")?;
            tokens::delete(txn, &hash)?;
            Ok(())
        })
    }
}

fn no_such_token() -> Error {
    Error::not_found("Could not find token: it is unknown, expired or revoked.")
}
