//! Who is asking: the outcome of authentication, on which every decision rests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::origin::Origin;
use super::rights::Rights;
use crate::model::identity::Scope;
use crate::model::{DomainId, ProjectId, UserId};

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// The user's own domain.
    pub user_domain: DomainId,
    /// Where the token holds; `None` is unscoped.
    pub scope: Option<Scope>,
    /// Names of the roles held there, in lower case, implied ones included.
    pub roles: BTreeSet<String>,
    /// Where the call comes from.
    pub origin: Arc<Origin>,
    /// The policies that hold there beside them.
    pub rights: Rights,
}

impl Actor {
    /// The local administrator: whoever can open the data directory, or its control socket. It is in no group, so
    /// that no policy denies it anything.
    pub fn local_admin(project: ProjectId) -> Actor {
        Actor {
            user: UserId("local-administrator".into()),
            user_domain: DomainId("default".into()),
            scope: Some(Scope::Project(project)),
            roles: ["admin", "manager", "member", "reader"].map(String::from).into(),
            rights: Rights::default(),
            origin: Arc::default(),
        }
    }

    /// Whether it is the local administrator, who never comes over the network, whatever a cloud calls its users.
    pub fn is_local_admin(&self) -> bool {
        let local = self.project().map(|project| Actor::local_admin(project.clone()));
        local.is_some_and(|local| self.user == local.user) && self.origin.source.address().is_none()
    }

    /// The box itself, for records of what nobody asked for. It may do nothing that anybody is asked about.
    pub fn system() -> Actor {
        Actor {
            user: UserId("system".into()),
            user_domain: DomainId("default".into()),
            scope: None,
            roles: BTreeSet::new(),
            rights: Rights::default(),
            origin: Arc::default(),
        }
    }

    /// The project the caller acts in, if the token is scoped to one.
    pub fn project(&self) -> Option<&ProjectId> {
        match &self.scope {
            Some(Scope::Project(project)) => Some(project),
            _ => None,
        }
    }
}
