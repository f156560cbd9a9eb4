//! Application credentials: what a user lends a program, in one project and with some roles.
//!
//! Invariant: a credential is worth what its user holds when it is used, and of that no more than the roles it was
//! made with; one of those that the user no longer holds makes it useless. Its secret is told once and kept as a hash.

mod access_rules;
mod sign_in;

pub use access_rules::NewAccessRule;
pub(super) use sign_in::lend;
pub use sign_in::{CredentialRef, CredentialSecret};

use super::authorise::require_own;
use super::values::check_name;
use super::{Password, missing, new_id};
use crate::base::Time;
use crate::base::limits::APPLICATION_CREDENTIALS_PER_USER_MAX;
use crate::catalog::{application_credentials as credentials, identity as catalog};
use crate::db::Rows;
use crate::model::identity::{Role, User};
use crate::model::{AccessRule, ApplicationCredential, ApplicationCredentialId, Operation, RoleId, UserId};
use crate::service::audit::Act;
use crate::service::description::check_description;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// A role as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// By id.
    Id(RoleId),
    /// By name.
    Name(String),
}

/// An application credential to be made. No `Debug`: it may hold a secret.
#[derive(Clone, Default)]
pub struct NewApplicationCredential {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// A secret that the user chose; made when `None`.
    pub secret: Option<Password>,
    /// The roles that it is worth; all of the caller's when empty.
    pub roles: Vec<RoleRef>,
    /// From when on it may not be used any more.
    pub expires_at: Option<Time>,
    /// Whether its tokens may make and delete application credentials.
    pub is_unrestricted: bool,
    /// The requests that it is for; without any it is for all.
    pub access_rules: Vec<NewAccessRule>,
}

/// An application credential with all that an answer shows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCredential {
    /// The credential.
    pub credential: ApplicationCredential,
    /// Its roles; one that was deleted is not among them.
    pub roles: Vec<Role>,
    /// Its access rules.
    pub access_rules: Vec<AccessRule>,
}

impl Service {
    /// Makes an application credential of the caller's, in the caller's project. The secret is told here only.
    ///
    /// # Errors
    /// `Forbidden` for other users, and with a credential that may not; `Invalid` outside of projects, and when a role
    /// is not held, the end is past, or a rule is none; `Conflict` when the user has one of the name; `TooLarge` when
    /// the user has too many.
    pub fn create_application_credential(
        &self,
        actor: &Actor,
        user: &UserId,
        new: NewApplicationCredential,
    ) -> Result<(KnownCredential, CredentialSecret), Error> {
        if actor.user != *user {
            return Err(Error::forbidden(
                "You are not authorized to perform the requested action: identity:create_application_credential.",
            ));
        }
        let has_policies = expect_may_lend(actor, &new)?;
        check_name("application credential", &new.name)?;
        check_description(new.description.as_deref())?;
        let now = self.clock.now();
        if let Some(end) = new.expires_at.filter(|end| *end <= now) {
            return Err(Error::invalid(format!("expires_at {} is past already", end.rfc3339_seconds())));
        }
        let project = actor.project().cloned().ok_or_else(|| {
            Error::invalid(
                "an application credential is for one project: ask with a token that is scoped to it",
            )
        })?;
        let rules = access_rules::checked(&new.access_rules)?;
        let secret = self.new_credential_secret(new.secret.as_ref())?;
        let hash = secret.hash.clone();
        let id = ApplicationCredentialId(new_id(&*self.entropy));
        let fresh: Vec<String> = rules.iter().map(|_| new_id(&*self.entropy)).collect();
        let (caller, user) = (actor.clone(), user.clone());
        let act = Act::on(Operation::CreateApplicationCredential, &id).named(&new.name);
        let known = self.recorded(actor, act, move |txn, act| {
            act.say(format!("of user {user} for project {project}"));
            catalog::get::<User>(txn, &user)?.ok_or_else(|| missing("user", &user))?;
            if credentials::list_of_user(txn, &user)?.len() >= APPLICATION_CREDENTIALS_PER_USER_MAX {
                return Err(Error::too_large(format!(
                    "the user has {APPLICATION_CREDENTIALS_PER_USER_MAX} application credentials, and no more are kept: \
                     delete one first"
                )));
            }
            let roles = lent_roles(txn, &caller, &new.roles)?;
            let credential = ApplicationCredential {
                id: id.clone(),
                user: user.clone(),
                project: project.clone(),
                name: new.name.clone(),
                description: new.description.clone(),
                secret: hash.clone(),
                roles: roles.iter().map(|role| role.id.clone()).collect(),
                has_policies,
                is_unrestricted: new.is_unrestricted,
                access_rules: access_rules::kept(txn, &user, &rules, &fresh)?,
                created_at: now,
                expires_at: new.expires_at,
            };
            credentials::insert(txn, &credential)?;
            known(txn, credential)
        })?;
        Ok((known, secret))
    }

    /// A user's application credentials: one's own, or anyone's with the right.
    ///
    /// # Errors
    /// Refused for other users; `NotFound` when there is no such user.
    pub fn application_credentials(
        &self,
        actor: &Actor,
        user: &UserId,
    ) -> Result<Vec<KnownCredential>, Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsList, user.as_str())?;
        let rows = self.db.read()?;
        catalog::get::<User>(&rows, user)?.ok_or_else(|| missing("user", user))?;
        let found = credentials::list_of_user(&rows, user)?;
        found.into_iter().map(|credential| known(&rows, credential)).collect()
    }

    /// An application credential of a user: one's own, or anyone's with the right.
    ///
    /// # Errors
    /// Refused for other users; `NotFound` when the user has no such one.
    pub fn application_credential(
        &self,
        actor: &Actor,
        user: &UserId,
        id: &ApplicationCredentialId,
    ) -> Result<KnownCredential, Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsGet, user.as_str())?;
        let rows = self.db.read()?;
        let credential = of_user(&rows, user, id)?;
        known(&rows, credential)
    }

    /// Deletes an application credential of a user, and ends its tokens.
    ///
    /// # Errors
    /// Refused for other users, and with a credential that may not; `NotFound` when the user has no such one.
    pub fn delete_application_credential(
        &self,
        actor: &Actor,
        user: &UserId,
        id: &ApplicationCredentialId,
    ) -> Result<(), Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsDelete, user.as_str())?;
        expect_unrestricted(actor)?;
        let (user, id) = (user.clone(), id.clone());
        self.recorded(actor, Act::on(Operation::DeleteApplicationCredential, &id), move |txn, act| {
            let credential = of_user(txn, &user, &id)?;
            act.name(&id, &credential.name);
            act.say(format!("of user {user} for project {}", credential.project));
            credentials::delete(txn, &id)?;
            Ok(())
        })
    }
}

fn of_user(
    rows: &impl Rows,
    user: &UserId,
    id: &ApplicationCredentialId,
) -> Result<ApplicationCredential, Error> {
    let credential = credentials::get(rows, id)?.filter(|credential| credential.user == *user);
    credential.ok_or_else(|| missing("Application Credential", id))
}

fn known(rows: &impl Rows, credential: ApplicationCredential) -> Result<KnownCredential, Error> {
    let mut roles = Vec::new();
    for role in &credential.roles {
        roles.extend(catalog::get::<Role>(rows, role)?);
    }
    let access_rules = access_rules::of_credential(rows, &credential)?;
    Ok(KnownCredential { credential, roles, access_rules })
}

/// Whether the caller may lend what it holds; says whether what policies allow it is lent too.
fn expect_may_lend(actor: &Actor, new: &NewApplicationCredential) -> Result<bool, Error> {
    expect_unrestricted(actor)?;
    let lent = actor.rights.lent();
    if lent.is_some_and(|lent| !lent.access_rules.is_empty()) {
        return Err(Error::forbidden(
            "an application credential with access rules makes no others; sign in with the password",
        ));
    }
    Ok(new.roles.is_empty() && lent.is_none_or(|lent| lent.has_policies))
}

fn expect_unrestricted(actor: &Actor) -> Result<(), Error> {
    if actor.rights.lent().is_some_and(|lent| !lent.is_unrestricted) {
        return Err(Error::forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not \
             allowed for managing additional application credentials.",
        ));
    }
    Ok(())
}

/// The roles that a credential is worth: those named, which the caller must hold, or all that it holds.
fn lent_roles(rows: &impl Rows, actor: &Actor, named: &[RoleRef]) -> Result<Vec<Role>, Error> {
    let mut roles: Vec<Role> = Vec::new();
    for role in named {
        let found = match role {
            RoleRef::Id(id) => catalog::get::<Role>(rows, id)?,
            RoleRef::Name(name) => catalog::find::<Role>(rows, "", name)?,
        };
        let found = found.filter(|role| actor.roles.contains(&role.name.to_lowercase()));
        let found = found.ok_or_else(|| {
            Error::invalid(
                "Invalid application credential: Cannot create an application credential with unassigned role",
            )
        })?;
        if !roles.iter().any(|role| role.id == found.id) {
            roles.push(found);
        }
    }
    if named.is_empty() {
        for name in &actor.roles {
            roles.extend(catalog::find::<Role>(rows, "", name)?);
        }
    }
    Ok(roles)
}
