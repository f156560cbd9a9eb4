//! What one caller may do: roles and policies together, as of one request.
//!
//! Invariant: this is the one place that decides. A denial of a policy beats roles and the operator's rules too; the local administrator
//! is in no group, so that nothing denies it anything.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Resource;
use super::action::Action;
use super::built_in;
use super::condition::Asked;
use super::lent::Lent;
use super::overrides::Overrides;
use super::rulebook::{Rulebook, Verdict};
use crate::service::{Actor, Error, Reason};

/// What holds for a caller beside its roles: policies, and what was not lent to it. Neither by default.
#[derive(Clone, Default)]
pub struct Rights {
    policies: Option<Arc<(Arc<Rulebook>, Asked)>>,
    lent: Option<Arc<Lent>>,
    overrides: Option<Arc<Overrides>>,
}

impl Rights {
    /// The rights of who asks so, perhaps with something that was lent to it.
    pub(in crate::service) fn new(book: Arc<Rulebook>, asked: Asked, lent: Option<Arc<Lent>>) -> Rights {
        let policies = if book.is_empty() { None } else { Some(Arc::new((book, asked))) };
        Rights { policies, lent, overrides: None }
    }

    /// The same under the operator's rules.
    pub(in crate::service) fn under(self, overrides: Option<Arc<Overrides>>) -> Rights {
        Rights { overrides, ..self }
    }

    /// The operator's rules, where there are any.
    pub(super) fn overrides(&self) -> Option<&Overrides> {
        self.overrides.as_deref()
    }

    /// The same, asked for from this address; none where a request did not come over the network.
    pub fn asked_from(&self, source: Option<IpAddr>) -> Rights {
        let with = |held: &Arc<(Arc<Rulebook>, Asked)>| {
            let (book, asked) = &**held;
            Arc::new((book.clone(), Asked { source, ..asked.clone() }))
        };
        Rights { policies: self.policies.as_ref().map(with), ..self.clone() }
    }

    /// The application credential that the caller acts with, if it does.
    pub fn lent(&self) -> Option<&Lent> {
        self.lent.as_deref()
    }

    /// What the policies say.
    fn decide(&self, action: Action, resource: Resource<'_>, account: &str) -> Verdict {
        let Some((book, asked)) = self.policies.as_deref() else { return Verdict::Silent };
        match book.decide(action, resource, account, asked) {
            Verdict::Allowed if self.lent().is_some_and(|lent| !lent.has_policies) => Verdict::Silent,
            verdict => verdict,
        }
    }
}

impl PartialEq for Rights {
    fn eq(&self, other: &Rights) -> bool {
        let same_policies = match (&self.policies, &other.policies) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.0, &other.0) && one.1 == other.1,
            (None, None) => true,
            _ => false,
        };
        same_policies && self.lent == other.lent && self.overrides == other.overrides
    }
}

impl Eq for Rights {}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies = self.policies.as_ref().map_or(0, |held| held.0.len());
        let lent = if self.lent.is_some() { ", lent" } else { "" };
        write!(f, "Rights({policies} policies{lent})")
    }
}

impl Actor {
    /// Whether the caller may do this at all. Whose the resource is, and who sees it, is no right.
    pub fn allows(&self, action: Action, resource: Resource<'_>) -> bool {
        let verdict = self.rights.decide(action, resource, self.user_domain.as_str());
        match (verdict, self.overridden(action, resource)) {
            (Verdict::Denied, _) => false,
            (_, Some(decided)) => {
                if !decided.lets_through {
                    decided.log(self);
                }
                decided.lets_through
            }
            (Verdict::Allowed, None) => true,
            (Verdict::Silent, None) => roles_allow(self.roles.iter().map(String::as_str), action).is_some(),
        }
    }

    /// Whether a policy denies this, whatever else allows it.
    pub fn is_denied(&self, action: Action, resource: Resource<'_>) -> bool {
        self.rights.decide(action, resource, self.user_domain.as_str()) == Verdict::Denied
    }

    /// Lets those through who may.
    ///
    /// # Errors
    /// `Forbidden` for everyone else, whether or not the resource exists.
    pub fn expect(&self, action: Action, resource: Resource<'_>) -> Result<(), Error> {
        if self.allows(action, resource) {
            return Ok(());
        }
        if action.keystone_name().is_none()
            && !self.is_denied(action, resource)
            && let Some(decided) = self.overridden(action, resource)
        {
            return Err(decided.refusal());
        }
        if action.keystone_name().is_none() && self.is_denied(action, resource) {
            let name = action.name();
            let message = format!(
                "a policy denies {name}, which beats what allows it; tintype policy simulate names it"
            );
            return Err(Error::forbidden(message).because(Reason::Role));
        }
        let refusal = match action.keystone_name() {
            Some(name) => format!("You are not authorized to perform the requested action: identity:{name}."),
            None => {
                format!("this takes a role or a policy that allows {}; ask an administrator", action.name())
            }
        };
        Err(Error::forbidden(refusal).because(Reason::Role))
    }
}

/// The first of these roles that allows the action.
pub(super) fn roles_allow<'a>(mut roles: impl Iterator<Item = &'a str>, action: Action) -> Option<&'a str> {
    roles.find(|role| built_in::keystone_role(role).is_some_and(|role| role.allows.has(action)))
}
