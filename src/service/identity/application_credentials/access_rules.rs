//! Access rules of a user: named by application credentials, shared among them, deleted when none names them.

use crate::base::limits::{ACCESS_RULES_PER_CREDENTIAL_MAX, ACCESS_RULES_PER_USER_MAX};
use crate::catalog::application_credentials as credentials;
use crate::db::{Rows, WriteTxn};
use crate::model::{AccessRule, ApplicationCredential, Operation, UserId};
use crate::service::audit::Act;
use crate::service::identity::authorise::require_own;
use crate::service::identity::missing;
use crate::service::rights::Action;
use crate::service::{Actor, Error, Service};

/// Characters of a rule's path, and of its service, at most (the reference's schema).
const TEXT_CHARS_MAX: usize = 255;

/// A rule that a new credential names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewAccessRule {
    /// One that the user has.
    Id(String),
    /// One that lets these requests through; the user's own where there is an equal one.
    Covering {
        /// The type of the service.
        service: String,
        /// The HTTP method.
        method: String,
        /// The path, with wildcards.
        path: String,
    },
}

/// A rule within its bounds, or the id of one that is to be there.
pub(super) enum Checked {
    Id(String),
    Rule(AccessRule),
}

/// The rules that were named, within their bounds.
pub(super) fn checked(named: &[NewAccessRule]) -> Result<Vec<Checked>, Error> {
    if named.len() > ACCESS_RULES_PER_CREDENTIAL_MAX {
        return Err(Error::invalid(format!(
            "an application credential takes at most {ACCESS_RULES_PER_CREDENTIAL_MAX} access rules, not {}",
            named.len()
        )));
    }
    named
        .iter()
        .map(|rule| match rule {
            NewAccessRule::Id(id) => Ok(Checked::Id(id.clone())),
            NewAccessRule::Covering { service, method, path } => {
                let (service, method, path) = (service.clone(), method.clone(), path.clone());
                let rule = AccessRule { id: String::new(), service, method, path };
                check(&rule).map(|()| Checked::Rule(rule))
            }
        })
        .collect()
}

fn check(rule: &AccessRule) -> Result<(), Error> {
    let is_text = |text: &str| {
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let wrong = |what: String| {
        Err(Error::invalid(format!("Invalid input for field/attribute access_rules: {what}.")))
    };
    if !AccessRule::METHODS.contains(&rule.method.as_str()) {
        return wrong(format!("method {:?} is none of {}", rule.method, AccessRule::METHODS.join(", ")));
    }
    if !is_text(&rule.path) || !rule.path.starts_with('/') {
        return wrong(format!("a path begins with / and has at most {TEXT_CHARS_MAX} characters"));
    }
    if !is_text(&rule.service) {
        return wrong(format!("service is the type of one, 1 to {TEXT_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Ids of the rules, those that the user did not have yet made with a fresh id each.
pub(super) fn kept(
    txn: &WriteTxn,
    user: &UserId,
    rules: &[Checked],
    fresh: &[String],
) -> Result<Vec<String>, Error> {
    let mut own = credentials::access_rules(txn, user)?;
    let mut ids = Vec::new();
    for (rule, fresh) in rules.iter().zip(fresh) {
        let id = match rule {
            Checked::Id(id) => {
                let is_own = own.iter().any(|own| own.id == *id);
                if is_own { id.clone() } else { return Err(missing("Access Rule", id)) }
            }
            Checked::Rule(rule) => match own.iter().find(|own| own.equals(rule)) {
                Some(own) => own.id.clone(),
                None => {
                    if own.len() >= ACCESS_RULES_PER_USER_MAX {
                        return Err(Error::too_large(format!(
                            "the user has {ACCESS_RULES_PER_USER_MAX} access rules, and no more are kept: delete one \
                             that no application credential names"
                        )));
                    }
                    let rule = AccessRule { id: fresh.clone(), ..rule.clone() };
                    credentials::put_access_rule(txn, user, &rule)?;
                    own.push(rule);
                    fresh.clone()
                }
            },
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The rules that a credential names.
pub(super) fn of_credential(
    rows: &impl Rows,
    credential: &ApplicationCredential,
) -> Result<Vec<AccessRule>, Error> {
    let mut rules = Vec::with_capacity(credential.access_rules.len());
    for id in &credential.access_rules {
        rules.extend(credentials::access_rule(rows, &credential.user, id)?);
    }
    Ok(rules)
}

impl Service {
    /// A user's access rules: one's own, or anyone's with the right to see application credentials.
    ///
    /// # Errors
    /// Refused for other users.
    pub fn access_rules(&self, actor: &Actor, user: &UserId) -> Result<Vec<AccessRule>, Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsList, user.as_str())?;
        Ok(credentials::access_rules(&self.db.read()?, user)?)
    }

    /// An access rule of a user.
    ///
    /// # Errors
    /// Refused for other users; `NotFound` when the user has no such one.
    pub fn access_rule(&self, actor: &Actor, user: &UserId, id: &str) -> Result<AccessRule, Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsGet, user.as_str())?;
        let rule = credentials::access_rule(&self.db.read()?, user, id)?;
        rule.ok_or_else(|| missing("Access Rule", id))
    }

    /// Deletes an access rule of a user that no application credential names.
    ///
    /// # Errors
    /// Refused for other users, and while one names it; `NotFound` when the user has no such one.
    pub fn delete_access_rule(&self, actor: &Actor, user: &UserId, id: &str) -> Result<(), Error> {
        require_own(actor.user == *user, actor, Action::ApplicationCredentialsDelete, user.as_str())?;
        super::expect_unrestricted(actor)?;
        let (user, id) = (user.clone(), id.to_owned());
        self.recorded(actor, Act::on(Operation::DeleteAccessRule, &id), move |txn, act| {
            act.say(format!("of user {user}"));
            if credentials::access_rule(txn, &user, &id)?.is_none() {
                return Err(missing("Access Rule", &id));
            }
            let named_by = credentials::list_of_user(txn, &user)?;
            if let Some(credential) = named_by.iter().find(|credential| credential.access_rules.contains(&id)) {
                return Err(Error::forbidden(format!(
                    "The access rule {id} is in use by the application credential {} ({}): delete that first.",
                    credential.id, credential.name
                )));
            }
            credentials::delete_access_rule(txn, &user, &id)?;
            Ok(())
        })
    }
}
