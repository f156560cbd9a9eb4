//! Policies and roles that are there from the start, as documents like any other, in `built_in/`.
//!
//! Invariant: they never change while the server runs, and none of them denies anything: whoever has one
//! of them beside a role keeps what the role allows.

use std::sync::{Arc, LazyLock};

use super::action::Actions;
use super::document::Document;
use super::syntax::Effect;

/// A policy that is there from the start.
#[derive(Debug)]
pub struct BuiltIn {
    /// What it is attached by.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What it says.
    pub document: Arc<Document>,
}

/// A role of the Identity API with what it is worth.
#[derive(Debug)]
pub(super) struct KeystoneRole {
    pub(super) policy: BuiltIn,
    /// The role's name.
    pub(super) role: &'static str,
    pub(super) allows: Actions,
}

type Text = (&'static str, &'static str, &'static str, &'static str);

const POLICIES: [Text; 6] = [
    (
        "ims-full-access",
        "IMS FullAccess",
        "Everything in image management",
        include_str!("built_in/ims_full_access.json"),
    ),
    (
        "ims-read-only-access",
        "IMS ReadOnlyAccess",
        "Looking at images, not taking their data",
        include_str!("built_in/ims_read_only_access.json"),
    ),
    (
        "ims_adm",
        "IMS Administrator",
        "Everything in image management; needs Tenant Administrator",
        include_str!("built_in/ims_administrator.json"),
    ),
    (
        "server_adm",
        "Server Administrator",
        "Making, deleting, querying, changing and uploading images; needs IMS Administrator",
        include_str!("built_in/server_administrator.json"),
    ),
    (
        "te_admin",
        "Tenant Administrator",
        "Everything in a project but the administration of identities and of the box",
        include_str!("built_in/tenant_administrator.json"),
    ),
    ("readonly", "Tenant Guest", "Looking at a project", include_str!("built_in/tenant_guest.json")),
];

/// Roles of the Identity API. Those that a role brings along are held beside it.
const ROLES: [Text; 5] = [
    ("keystone-admin", "admin", "The role admin", include_str!("built_in/role_admin.json")),
    ("keystone-manager", "manager", "The role manager", include_str!("built_in/role_manager.json")),
    ("keystone-member", "member", "The role member", include_str!("built_in/role_member.json")),
    ("keystone-reader", "reader", "The role reader", include_str!("built_in/role_reader.json")),
    ("keystone-service", "service", "The role service", include_str!("built_in/role_service.json")),
];

static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| POLICIES.into_iter().filter_map(read).collect());

static KEYSTONE: LazyLock<Vec<KeystoneRole>> = LazyLock::new(|| {
    let worth = |text: Text| {
        let policy = read(text)?;
        let allows = policy.document.actions(Effect::Allow);
        Some(KeystoneRole { role: policy.name, policy, allows })
    };
    ROLES.into_iter().filter_map(worth).collect()
});

/// The policies.
pub fn policies() -> &'static [BuiltIn] {
    &ALL
}

/// The roles of the Identity API, as documents.
pub fn keystone_roles() -> impl Iterator<Item = &'static BuiltIn> {
    KEYSTONE.iter().map(|role| &role.policy)
}

/// The policy with this id.
pub(super) fn policy(id: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|policy| policy.id == id)
}

/// What a role of the Identity API is worth; roles that somebody made are names alone.
pub(super) fn keystone_role(name: &str) -> Option<&'static KeystoneRole> {
    KEYSTONE.iter().find(|role| role.role == name)
}

fn read((id, name, description, text): Text) -> Option<BuiltIn> {
    match Document::parse(text) {
        Ok(document) => Some(BuiltIn { id, name, description, document: Arc::new(document) }),
        // A test reads them all. Who holds one that cannot be read is let through nowhere.
        Err(error) => {
            tracing::error!(policy = name, %error, "a built-in policy cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_read_and_none_denies_or_asks_for_conditions() {
        assert_eq!((ALL.len(), KEYSTONE.len()), (POLICIES.len(), ROLES.len()));
        for policy in policies().iter().chain(keystone_roles()) {
            assert!(policy.document.actions(Effect::Deny).is_empty(), "{}", policy.name);
            assert!(
                policy.document.statements.iter().all(|statement| statement.names_all()),
                "{}",
                policy.name
            );
        }
    }

    #[test]
    fn only_roles_depend_on_others_and_those_are_there() {
        for policy in policies() {
            for needed in &policy.document.depends {
                assert!(policies().iter().any(|other| other.name.to_lowercase() == *needed), "{needed}");
            }
            assert_eq!(
                policy.document.version() == "1.0",
                !policy.name.starts_with("IMS F") && !policy.name.starts_with("IMS R")
            );
        }
    }
}
