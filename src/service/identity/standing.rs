//! What a user is worth somewhere, right now: enabled all the way up, with these roles.

use std::collections::BTreeSet;

use crate::catalog::identity as catalog;
use crate::db::Rows;
use crate::model::UserId;
use crate::model::identity::{Domain, Project, Role, Scope, User};
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
    /// Roles given outright; empty when there is no place.
    pub roles: Vec<Role>,
}

/// The user's standing on `scope`; `None` when anything on the way is missing or disabled, or
/// no role is held there.
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
    let mut roles = Vec::new();
    for assignment in catalog::assigned_to(rows, &user.id, Some(scope))? {
        roles.extend(catalog::get::<Role>(rows, &assignment.role)?);
    }
    if roles.is_empty() {
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
