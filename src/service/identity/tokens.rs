//! What a token is worth when it is used, looked at, or revoked.

use super::standing::{Place, Standing, standing};
use super::worth::Worth;
use super::{authorise::require_own, unauthenticated};
use crate::base::Time;
use crate::catalog::application_credentials;
use crate::catalog::tokens::{self, TokenHash};
use crate::db::{ReadTxn, Rows};
use crate::model::identity::{Domain, Role, Token, User};
use crate::model::{AccessRule, ApplicationCredentialId, Operation};
use crate::service::audit::Act;
use crate::service::rights::{Action, Lent};
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
    /// Roles held there, implied ones and what policies amount to included, sorted by name.
    pub roles: Vec<Role>,
    /// The application credential that it was made with.
    pub lent: Option<LentBy>,
    /// From when on the user's password opens nothing.
    pub password_ends: Option<Time>,
}

/// An application credential, as the answer about a token of it shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentBy {
    /// Its id.
    pub id: ApplicationCredentialId,
    /// Its name.
    pub name: String,
    /// Whether the token may make and delete application credentials.
    pub is_unrestricted: bool,
    /// What the token is for; without any it is for everything.
    pub access_rules: Vec<AccessRule>,
}

impl LentBy {
    fn new(rows: &ReadTxn, lent: &Lent) -> Result<LentBy, Error> {
        let name = application_credentials::get(rows, &lent.credential)?.map(|credential| credential.name);
        Ok(LentBy {
            id: lent.credential.clone(),
            name: name.unwrap_or_default(),
            is_unrestricted: lent.is_unrestricted,
            access_rules: lent.access_rules.clone(),
        })
    }
}

impl SignedIn {
    pub(super) fn new(
        service: &Service,
        rows: &ReadTxn,
        token: Token,
        worth: Worth,
    ) -> Result<SignedIn, Error> {
        let roles = worth.shown_roles(rows)?;
        let lent = worth.lent.as_deref().map(|lent| LentBy::new(rows, lent)).transpose()?;
        let Standing { user, user_domain, place, .. } = worth.standing;
        let password_ends = service.password_end(rows, &user.id)?;
        Ok(SignedIn { token, user, user_domain, place, roles, lent, password_ends })
    }
}

/// What a token is called in the catalog.
pub(super) fn token_hash(text: &str) -> TokenHash {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// The token, when it has not expired at `now`.
fn unexpired(rows: &impl Rows, hash: &TokenHash, now: Time) -> Result<Option<Token>, Error> {
    Ok(tokens::get(rows, hash)?.filter(|token| now < token.expires_at))
}

/// The token, when it holds at `now` as far as the catalog knows.
pub(super) fn live(rows: &impl Rows, hash: &TokenHash, now: Time) -> Result<Option<Token>, Error> {
    let Some(token) = unexpired(rows, hash, now)? else { return Ok(None) };
    Ok(standing(rows, &token.user, token.scope.as_ref())?.map(|_| token))
}

impl Service {
    /// The caller behind a token.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::Unauthenticated`] when the token is unknown, expired or
    /// revoked, or its user holds nothing there any more; [`crate::service::ErrorKind::Unavailable`] when a cloud's
    /// Keystone has to say so, and cannot.
    pub fn authenticate_token(&self, text: &str) -> Result<Actor, Error> {
        if let Some(cloud) = self.cloud.as_deref() {
            return self.caller_of_cloud(cloud, text);
        }
        let rows = self.db.read()?;
        let token = unexpired(&rows, &token_hash(text), self.clock.now())?.ok_or_else(unauthenticated)?;
        let worth = self.worth_of_token(&rows, &token)?.ok_or_else(unauthenticated)?;
        Ok(worth.actor(token.scope))
    }

    /// Looks at a token: one's own, or anyone's for administrators and services. `knows_rules` tells whether who asks
    /// heeds access rules: to who does not, a token that is bound to some is none.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::NotFound`] when the token does not hold,
    /// [`crate::service::ErrorKind::Forbidden`] when it is another user's.
    pub fn validate_token(&self, actor: &Actor, subject: &str, knows_rules: bool) -> Result<SignedIn, Error> {
        let rows = self.db.read()?;
        let token = unexpired(&rows, &token_hash(subject), self.clock.now())?.ok_or_else(no_such_token)?;
        let worth = self.worth_of_token(&rows, &token)?.ok_or_else(no_such_token)?;
        require_own(token.user == actor.user, actor, Action::TokensValidate, token.user.as_str())?;
        let has_rules = worth.lent.as_ref().is_some_and(|lent| !lent.access_rules.is_empty());
        if has_rules && !knows_rules {
            return Err(no_such_token());
        }
        SignedIn::new(self, &rows, token, worth)
    }

    /// Ends a token: one's own, or anyone's for administrators.
    ///
    /// # Errors
    /// As [`Service::validate_token`].
    pub fn revoke_token(&self, actor: &Actor, subject: &str) -> Result<(), Error> {
        let hash = token_hash(subject);
        let caller = actor.clone();
        self.recorded(actor, Act::new(Operation::RevokeToken), move |txn, act| {
            let token = tokens::get(txn, &hash)?.ok_or_else(no_such_token)?;
            // Never the token itself: what it is called in the catalog tells nobody.
            act.name(token.audit_ids.first().map_or("", String::as_str), "");
            act.say(format!("a token of user {}", token.user));
            require_own(token.user == caller.user, &caller, Action::TokensRevoke, token.user.as_str())?;
            tokens::delete(txn, &hash)?;
            Ok(())
        })
    }
}

fn no_such_token() -> Error {
    Error::not_found("Could not find token: it is unknown, expired or revoked.")
}
