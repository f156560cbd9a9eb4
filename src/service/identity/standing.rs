//! How a user stands somewhere, right now: enabled all the way up, with these roles, and perhaps with policies.

use std::collections::BTreeSet;

use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::identity::{Domain, Project, Role, Scope, User};
use crate::model::{RoleId, UserId};
use crate::service::Error;

/// Each role and the one it brings along.
pub const IMPLIED_ROLES: [(&str, &str); 3] =
    [("admin", "manager"), ("manager", "member"), ("member", "reader")];

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
    /// Roles given to the user and to the user's groups, each once; empty when there is no place.
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
    let mut ids: BTreeSet<RoleId> =
        catalog::assigned_to(rows, &user.id, Some(scope))?.into_iter().map(|given| given.role).collect();
    let mut has_policies = false;
    for group in catalog::groups_of(rows, &user.id)? {
        let given = catalog::assigned_to_group(rows, &group, Some(scope))?;
        ids.extend(given.into_iter().map(|given| given.role));
        if let Scope::Project(project) = scope {
            has_policies = has_policies || catalog::has_policy(rows, &group, project)?;
        }
    }
    let mut roles = Vec::new();
    for id in ids {
        roles.extend(catalog::get::<Role>(rows, &id)?);
    }
    if roles.is_empty() && !has_policies {
        return Ok(None);
    }
    Ok(Some(Standing { user, user_domain, place: Some(place), roles }))
}

fn enabled_domain(rows: &impl Rows, id: &crate::model::DomainId) -> Result<Option<Domain>, Error> {
    Ok(catalog::get::<Domain>(rows, id)?.filter(|domain| domain.enabled))
}

/// The roles' names in lower case, with the implied ones.
pub(super) fn role_names(roles: &[Role]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = roles.iter().map(|role| role.name.to_lowercase()).collect();
    for (prior, implied) in IMPLIED_ROLES {
        if names.contains(prior) {
            names.insert(implied.to_owned());
        }
    }
    names
}

/// The roles with the implied ones, each once, sorted by name.
pub(super) fn with_implied(rows: &impl Rows, mut roles: Vec<Role>) -> Result<Vec<Role>, Error> {
    for name in role_names(&roles) {
        if !roles.iter().any(|role| role.name.to_lowercase() == name) {
            roles.extend(catalog::find::<Role>(rows, "", &name)?);
        }
    }
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}
