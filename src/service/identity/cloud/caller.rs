//! The caller behind a token of the cloud's: what its Keystone said, in the box's own terms.
//!
//! Invariant: nothing of the box's own identities counts for such a caller, but the policies of groups that Keystone names.

use std::sync::Arc;

use super::known::Names;
use super::{Cloud, Seen};
use crate::base::Time;
use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::keystone::{Endpoint, LentBy, Place};
use crate::model::identity::{Project, Scope};
use crate::model::{AccessRule, ProjectId, UserId};
use crate::service::rights::{Asked, Groups, Lent, Rights};
use crate::service::{Actor, Error, ErrorKind, Service};

/// The role that is worth everything.
const ADMIN: &str = "admin";
/// What access rules call the Image API here, whatever the cloud calls this service.
const IMAGE: &str = "image";

impl Service {
    /// The same with a cloud's Keystone in the place of the box's own identities.
    pub fn with_cloud(self, cloud: Cloud) -> Service {
        Service { cloud: Some(Arc::new(cloud)), ..self }
    }

    /// The address of the cloud's Keystone that says who asks; `None` where the box does so itself.
    pub fn keystone_url(&self) -> Option<&str> {
        self.cloud.as_deref().map(|cloud| cloud.keystone.url())
    }

    /// Signs the box in to the cloud's Keystone; gives the addresses that the cloud's catalog has for a service of this
    /// type in `region`, or in any where that is empty. Gives none at once where there is no cloud.
    ///
    /// # Errors
    /// `Unavailable`, with what the operator has to know.
    pub async fn greet_keystone(&self, region: &str) -> Result<Vec<String>, Error> {
        let Some(cloud) = self.cloud.as_deref() else { return Ok(Vec::new()) };
        let found = cloud.keystone.sign_in(self.clock.now()).await;
        let found = found.map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?;
        let is_ours = |endpoint: &Endpoint| {
            endpoint.service_type == cloud.rules.service_type
                && (region.is_empty() || endpoint.region == region)
        };
        Ok(found.into_iter().filter(is_ours).map(|endpoint| endpoint.url).collect())
    }

    /// Refuses what rests on identities of the box's own, where a cloud's Keystone has its place.
    ///
    /// # Errors
    /// `Conflict`.
    pub(in crate::service) fn expect_own_identities(&self, what: &str) -> Result<(), Error> {
        match self.keystone_url() {
            None => Ok(()),
            Some(url) => Err(Error::conflict(format!(
                "{what} rest on users and projects of this server's own, and it has those of the cloud's Keystone at \
                 {url} (identity.mode)"
            ))),
        }
    }

    /// A project: the box's own record, or what tokens told of one of the cloud's since the start.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::service) fn known_project(
        &self,
        rows: &impl Rows,
        id: &ProjectId,
    ) -> Result<Option<Project>, Error> {
        let told = self.cloud.as_deref().and_then(|cloud| cloud.known.project(id));
        match told {
            Some(project) => Ok(Some(Project::clone(&project))),
            None => Ok(catalog::get(rows, id)?),
        }
    }

    /// Whether something may be given to this project: only a cloud knows which projects it has, so that any may be
    /// named where there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::service) fn may_be_project(&self, rows: &impl Rows, id: &ProjectId) -> Result<bool, Error> {
        Ok(self.cloud.is_some() || catalog::get::<Project>(rows, id)?.is_some())
    }

    /// What a user of the cloud's is called, if a token told since the start.
    pub(in crate::service) fn names_of(&self, user: &UserId) -> Option<Arc<Names>> {
        self.cloud.as_deref()?.known.user(user)
    }

    /// The caller behind a token of the cloud's. Blocks for as long as its Keystone takes, if that has to be asked.
    pub(in crate::service::identity) fn caller_of_cloud(
        &self,
        cloud: &Cloud,
        token: &str,
    ) -> Result<Actor, Error> {
        let seen = cloud.seen(token, &*self.clock)?;
        let asked = asked(&seen, self.clock.now());
        let project = match &seen.place {
            Some(Place::Project { id, .. }) => Some(id),
            _ => None,
        };
        if let Some(project) = project {
            self.refresh_limits(cloud, project);
        }
        let book = self.rights.book(&self.db.read()?, Groups::Told(&seen.groups), project, &asked)?;
        let lent = seen.lent.as_ref().map(|lent| Arc::new(lent_of(lent, &cloud.rules.service_type)));
        Ok(Actor {
            user: seen.user.clone(),
            user_domain: seen.user_domain.id.clone(),
            scope: scope(&seen),
            roles: roles(&seen).collect(),
            origin: Arc::default(),
            rights: Rights::new(book, asked, lent).under(self.overrides.clone()),
        })
    }
}

fn asked(seen: &Seen, now: Time) -> Asked {
    Asked {
        at: now,
        user: seen.user.clone(),
        user_name: seen.user_name.clone(),
        domain_name: seen.user_domain.name.clone(),
        project_name: match &seen.place {
            Some(Place::Project { name, .. }) => Some(name.clone()),
            _ => None,
        },
        source: None,
    }
}

fn scope(seen: &Seen) -> Option<Scope> {
    Some(match seen.place.as_ref()? {
        Place::Project { id, .. } => Scope::Project(id.clone()),
        Place::Domain(domain) => Scope::Domain(domain.id.clone()),
        Place::System => Scope::System,
    })
}

/// The roles that count here. Nothing of the box is a domain's, so that whoever administers one has no part in it; and
/// where Keystone knows a project of administrators, the role admin elsewhere is worth no more than what it implies.
fn roles(seen: &Seen) -> impl Iterator<Item = String> {
    let is_domain = matches!(seen.place, Some(Place::Domain(_)));
    let names = seen.roles.iter().map(|role| role.to_lowercase());
    names.filter(move |role| !is_domain && (seen.is_admin_project || role != ADMIN))
}

/// What an application credential of the cloud's takes away. Whether roles were chosen for it is not told, so that what
/// policies allow its user is not lent with it; what they deny counts.
pub(super) fn lent_of(lent: &LentBy, service_type: &str) -> Lent {
    let rules = lent.access_rules.iter().map(|rule| AccessRule {
        service: match rule.service.as_str() {
            ours if ours == service_type => IMAGE.to_owned(),
            // Another service of the cloud's, of a type that is none of this one's.
            IMAGE => String::new(),
            other => other.to_owned(),
        },
        ..rule.clone()
    });
    Lent {
        credential: lent.id.clone(),
        is_unrestricted: lent.is_unrestricted,
        has_policies: false,
        access_rules: rules.collect(),
    }
}
