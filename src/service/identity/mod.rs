//! Identities: signing in, what a token is worth, and the administration of domains, projects,
//! users, groups, roles and who holds them, access keys, and application credentials.
//!
//! Invariant: a token is worth what its user holds at the moment it is used, never more; whatever
//! ends a token (password change, disabling, deletion, the last role taken away) removes it in
//! the same transaction. Must not know any wire format.

mod access_keys;
mod application_credentials;
mod assignments;
mod attempts;
mod authorise;
mod bootstrap;
mod cloud;
mod credentials;
mod domains;
mod group_grants;
mod groups;
mod implied;
mod limits;
mod locks;
mod named;
mod password;
mod password_rules;
mod projects;
mod registry;
mod roles;
mod scopes;
mod sign_in;
mod standing;
mod tokens;
mod users;
mod values;
mod worth;

pub use access_keys::{
    AccessKeyChange, AccessRoot, AccessSecret, KnownKey, NewAccessKey, SecurityToken, SignedCall,
    TEMPORARY_LIFE_S, TemporaryKey,
};
pub use application_credentials::{
    CredentialRef, CredentialSecret, KnownCredential, NewAccessRule, NewApplicationCredential, RoleRef,
};
pub use assignments::{AssignmentFilter, Grant, HeldRole, Holder};
pub use attempts::AttemptRules;
pub use bootstrap::DEFAULT_DOMAIN;
pub use cloud::{Cloud, CloudRules};
pub use credentials::{CredentialChange, Ec2Pair, NewCredential, OpenCredential};
pub use domains::{DomainChange, NewDomain};
pub use group_grants::GroupGrant;
pub use groups::{GroupChange, NewGroup};
pub use limits::{LimitChange, NewLimit};
pub use password::{Password, PasswordCost};
pub use password_rules::{PASSWORD_HISTORY_MAX, PasswordRules};
pub use projects::{NewProject, OpenScopes, ProjectChange};
pub use registry::{
    EndpointChange, INTERFACES, NewEndpoint, OWN_SERVICES, RegionChange, ServiceChange, own_endpoint_id,
    own_service_id,
};
pub use roles::{NewRole, RoleChange};
pub use sign_in::{DomainRef, ProjectRef, Proof, ScopeWish, SignIn, TokenText, UserRef};
pub use standing::Place;
pub use tokens::{LentBy, SignedIn};
pub use users::{NewUser, UserChange};
pub use values::NameFilter;

pub(super) use access_keys::Replays;
pub(super) use attempts::Attempts;
pub(super) use cloud::Names;
pub(super) use password::Hasher;

use super::{Error, ErrorKind};

/// The one refusal for anything wrong with who the caller claims to be: nothing tells which part.
fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "The request you have made requires authentication.")
}

/// A fresh id: 32 hex digits.
fn new_id(entropy: &dyn crate::base::Entropy) -> String {
    hex::encode(entropy.id())
}

/// What is not there, as the Identity API words it.
fn missing(kind: &str, id: impl std::fmt::Display) -> Error {
    Error::not_found(format!("Could not find {kind}: {id}."))
}

#[cfg(test)]
mod tests;
