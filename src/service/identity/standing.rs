//! How a user stands somewhere, right now: enabled all the way up, with these roles, and perhaps with policies.

use std::collections::BTreeSet;

use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::UserId;
use crate::model::identity::{Domain, Project, Role, Scope, User};
use crate::service::Error;

/// A scope with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A project and its domain.
    Project(Project, Domain),
    /// A domain.
    Domain(Domain),
    /// The whole installation.
    System,
}

/// A user who may act, where, and as what.
pub(super) struct Standing {
    pub user: User,
    pub user_domain: Domain,
    pub place: Option<Place>,
    /// Roles given to the user and to the user's groups, with those that they bring along, each once and sorted by
    /// name; empty when there is no place.
    pub roles: Vec<Role>,
}

/// The user's standing on `scope`; `None` when anything on the way is missing or disabled, or
/// neither a role is held there nor any policy. Whether policies allow anything is not looked at.
pub(super) fn standing(
    rows: &impl Rows,
    user: &UserId,
    scope: Option<&Scope>,
) -> Result<Option<Standing>, Error> {
    let Some(user) = catalog::get::<User>(rows, user)?.filter(|user| user.enabled) else { return Ok(None) };
    let Some(user_domain) = enabled_domain(rows, &user.domain)? else { return Ok(None) };
    let Some(scope) = scope else {
        return Ok(Some(Standing { user, user_domain, place: None, roles: Vec::new() }));
    };
    let place = match scope {
        Scope::Project(project) => {
            let project = catalog::get::<Project>(rows, project)?.filter(|project| project.enabled);
            let Some(project) = project else { return Ok(None) };
            let domain = if project.domain == user_domain.id {
                Some(user_domain.clone())
            } else {
                enabled_domain(rows, &project.domain)?
            };
            domain.map(|domain| Place::Project(project, domain))
        }
        Scope::Domain(domain) => enabled_domain(rows, domain)?.map(Place::Domain),
        Scope::System => Some(Place::System),
    };
    let Some(place) = place else { return Ok(None) };
    let roles = catalog::held_roles(rows, &user.id, scope)?;
    let mut has_policies = false;
    if let Scope::Project(project) = scope {
        for group in catalog::groups_of(rows, &user.id)? {
            has_policies = has_policies || catalog::has_policy(rows, &group, project)?;
        }
    }
    if roles.is_empty() && !has_policies {
        return Ok(None);
    }
    Ok(Some(Standing { user, user_domain, place: Some(place), roles }))
}

fn enabled_domain(rows: &impl Rows, id: &crate::model::DomainId) -> Result<Option<Domain>, Error> {
    Ok(catalog::get::<Domain>(rows, id)?.filter(|domain| domain.enabled))
}

/// The roles' names in lower case.
pub(super) fn role_names(roles: &[Role]) -> BTreeSet<String> {
    roles.iter().map(|role| role.name.to_lowercase()).collect()
}
