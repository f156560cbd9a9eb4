//! Signing in: a password or a token becomes a new token for a scope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::standing::standing;
use super::tokens::{SignedIn, token_hash};
use super::{CredentialRef, Password, unauthenticated};
use crate::base::{Entropy, Time};
use crate::catalog::{application_credentials, identity as catalog, tokens};
use crate::db::{Rows, WriteTxn};
use crate::model::identity::{Domain, PasswordHash, Project, Scope, Token, User};
use crate::model::{ApplicationCredential, DomainId, ProjectId, UserId};
use crate::service::{Error, ErrorKind, Service};

/// Expired tokens removed with each new one: more than one, so that they never pile up.
const PURGE_PER_SIGN_IN: usize = 8;

/// A domain as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainRef {
    /// By id.
    Id(DomainId),
    /// By name.
    Name(String),
}

/// A user as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// By id.
    Id(UserId),
    /// By name within a domain.
    Name(String, DomainRef),
}

/// A project as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    /// By id.
    Id(ProjectId),
    /// By name within a domain.
    Name(String, DomainRef),
}

/// What proves who signs in. No `Debug`: all are secrets.
#[derive(Clone)]
pub enum Proof {
    /// The user's password.
    Password(UserRef, Password),
    /// A token of theirs.
    Token(String),
    /// The secret of an application credential of theirs.
    ApplicationCredential(CredentialRef, Password),
}

/// The scope a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeWish {
    /// The user's default project where it has a role there, else none.
    Default,
    /// None.
    Unscoped,
    /// One project.
    Project(ProjectRef),
    /// One domain.
    Domain(DomainRef),
    /// The whole installation.
    System,
}

/// A sign-in.
#[derive(Clone)]
pub struct SignIn {
    /// Who, proven.
    pub proof: Proof,
    /// Where.
    pub scope: ScopeWish,
}

/// A token in clear: what its owner sends along. Has no `Debug`; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TokenText(String);

impl TokenText {
    fn generate(entropy: &dyn Entropy) -> TokenText {
        let mut random = [0; 32];
        entropy.fill(&mut random);
        TokenText(URL_SAFE_NO_PAD.encode(random))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A proof that held when it was looked at; what must still hold when the token is written.
enum Proven {
    Password(UserId, PasswordHash),
    Token(tokens::TokenHash),
    ApplicationCredential(ApplicationCredential),
}

impl Service {
    /// Issues a token.
    ///
    /// # Errors
    /// [`crate::service::ErrorKind::Unauthenticated`] for anything wrong with user, password or
    /// scope; [`crate::service::ErrorKind::NotFound`] when the token given as proof is none.
    pub fn sign_in(&self, request: SignIn) -> Result<(TokenText, SignedIn), Error> {
        let SignIn { proof, scope } = request;
        if matches!(proof, Proof::ApplicationCredential(..)) && scope != ScopeWish::Default {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "Error authenticating with application credential: Application credentials cannot request a scope.",
            ));
        }
        let proven = self.check_proof(&proof)?;
        let text = TokenText::generate(&*self.entropy);
        let hash = token_hash(text.expose());
        let audit_id = URL_SAFE_NO_PAD.encode(self.entropy.id());
        let now = self.clock.now();
        let ttl_s = self.rules.token_ttl_s;
        let wish = scope.clone();
        let token = self.db.write(move |txn| {
            let mut token = begin_token(txn, &proven, now, ttl_s)?;
            token.audit_ids.insert(0, audit_id.clone());
            match token.application_credential {
                // It has its place.
                Some(_) => {}
                None => place_token(txn, &mut token, &wish)?,
            }
            tokens::purge_expired(txn, now, PURGE_PER_SIGN_IN)?;
            tokens::insert(txn, &hash, &token)?;
            Ok::<_, Error>(token)
        })?;
        // Policies are read outside of the one writer. One that allows nothing opens no scope.
        let rows = self.db.read()?;
        if let Some(worth) = self.worth_of_token(&rows, &token)? {
            return Ok((text, SignedIn::new(self, &rows, token, worth)?));
        }
        drop(rows);
        self.db.write(move |txn| Ok::<_, Error>(tokens::delete(txn, &hash)?))?;
        match scope {
            ScopeWish::Default if !matches!(proof, Proof::ApplicationCredential(..)) => {
                self.sign_in(SignIn { proof, scope: ScopeWish::Unscoped })
            }
            _ => Err(unauthenticated()),
        }
    }

    fn check_proof(&self, proof: &Proof) -> Result<Proven, Error> {
        match proof {
            Proof::Token(text) => Ok(Proven::Token(token_hash(text))),
            Proof::ApplicationCredential(named, secret) => {
                let proven = self.proven_credential(named, secret)?;
                Ok(Proven::ApplicationCredential(proven.ok_or_else(unauthenticated)?))
            }
            Proof::Password(user, password) => {
                let user = find_user(&self.db.read()?, user)?;
                let hash = user.as_ref().and_then(|user| user.password_hash.as_ref());
                let matches = self.passwords.matches(password, hash)?;
                match user {
                    Some(User { id, password_hash: Some(hash), .. })
                        if self.attempts.take(&id, matches, self.clock.now()) =>
                    {
                        self.expect_password_good(&self.db.read()?, &id)?;
                        Ok(Proven::Password(id, hash))
                    }
                    _ => Err(unauthenticated()),
                }
            }
        }
    }
}

/// The token before it has a place. Checks the proof again: it may have ended meanwhile.
fn begin_token(txn: &WriteTxn, proven: &Proven, now: Time, ttl_s: i64) -> Result<Token, Error> {
    match proven {
        Proven::Password(id, hash) => {
            let user = catalog::get::<User>(txn, id)?;
            if user.is_none_or(|user| user.password_hash.as_ref() != Some(hash)) {
                return Err(unauthenticated());
            }
            Ok(Token {
                user: id.clone(),
                scope: None,
                methods: vec!["password".into()],
                audit_ids: Vec::new(),
                application_credential: None,
                issued_at: now,
                expires_at: now.plus_seconds(ttl_s),
            })
        }
        Proven::ApplicationCredential(credential) => {
            let is_same = application_credentials::get(txn, &credential.id)?.as_ref() == Some(credential);
            if !is_same || credential.expires_at.is_some_and(|end| end <= now) {
                return Err(unauthenticated());
            }
            let life_ends = now.plus_seconds(ttl_s);
            Ok(Token {
                user: credential.user.clone(),
                scope: Some(Scope::Project(credential.project.clone())),
                methods: vec!["application_credential".into()],
                audit_ids: Vec::new(),
                application_credential: Some(credential.id.clone()),
                issued_at: now,
                expires_at: credential.expires_at.map_or(life_ends, |end| end.min(life_ends)),
            })
        }
        Proven::Token(hash) => {
            let Some(parent) = super::tokens::live(txn, hash, now)? else {
                return Err(Error::not_found("Could not find token: it is unknown, expired or revoked."));
            };
            if parent.application_credential.is_some() {
                return Err(Error::forbidden(
                    "You are not authorized to perform the requested action: Using a delegated token to create another \
                     token is not allowed.",
                ));
            }
            let mut methods = parent.methods;
            if methods.first().is_none_or(|first| first != "token") {
                methods.insert(0, "token".into());
            }
            // A chain of tokens ends when its first one does, and names that one.
            let audit_ids = parent.audit_ids.last().cloned().into_iter().collect();
            Ok(Token { user: parent.user, scope: None, methods, audit_ids, issued_at: now, ..parent })
        }
    }
}

/// Gives the token the scope that was asked for, if its user may have it.
fn place_token(txn: &WriteTxn, token: &mut Token, wish: &ScopeWish) -> Result<(), Error> {
    token.scope = match wish {
        ScopeWish::Default => default_scope(txn, &token.user)?,
        ScopeWish::Unscoped => None,
        ScopeWish::Project(ProjectRef::Id(id)) => Some(Scope::Project(id.clone())),
        ScopeWish::Project(ProjectRef::Name(name, domain)) => {
            let domain = domain_id(txn, domain)?.ok_or_else(unauthenticated)?;
            let project = catalog::find::<Project>(txn, domain.as_str(), name)?;
            Some(Scope::Project(project.ok_or_else(unauthenticated)?.id))
        }
        ScopeWish::Domain(domain) => {
            Some(Scope::Domain(domain_id(txn, domain)?.ok_or_else(unauthenticated)?))
        }
        ScopeWish::System => Some(Scope::System),
    };
    standing(txn, &token.user, token.scope.as_ref())?.map(drop).ok_or_else(unauthenticated)
}

/// The user's default project, where the user has a role or a policy there.
fn default_scope(rows: &impl Rows, user: &UserId) -> Result<Option<Scope>, Error> {
    let default = catalog::get::<User>(rows, user)?.and_then(|user| user.default_project);
    match default.map(Scope::Project) {
        Some(scope) if standing(rows, user, Some(&scope))?.is_some() => Ok(Some(scope)),
        _ => Ok(None),
    }
}

fn domain_id(rows: &impl Rows, domain: &DomainRef) -> Result<Option<DomainId>, Error> {
    match domain {
        DomainRef::Id(id) => Ok(Some(id.clone())),
        DomainRef::Name(name) => Ok(catalog::find::<Domain>(rows, "", name)?.map(|domain| domain.id)),
    }
}

pub(super) fn find_user(rows: &impl Rows, user: &UserRef) -> Result<Option<User>, Error> {
    match user {
        UserRef::Id(id) => Ok(catalog::get(rows, id)?),
        UserRef::Name(name, domain) => match domain_id(rows, domain)? {
            Some(domain) => Ok(catalog::find(rows, domain.as_str(), name)?),
            None => Ok(None),
        },
    }
}
