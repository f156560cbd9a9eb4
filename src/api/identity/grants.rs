//! Roles given on projects, domains and the system, and `/v3/role_assignments`.

use serde_json::{Value, json};

use super::auth::{named_domain, named_role};
use super::call::{Answer, Call, Outcome};
use super::{listing, roles};
use crate::model::identity::Scope;
use crate::model::{DomainId, ProjectId, RoleId, UserId};
use crate::service::identity::{AssignmentFilter, Grant, HeldRole, Place};

/// The scope in the path: the one part of it that is there.
fn scope(call: &Call) -> Scope {
    match (call.path("project"), call.path("domain")) {
        ("", "") => Scope::System,
        ("", domain) => Scope::Domain(DomainId::from(domain)),
        (project, _) => Scope::Project(ProjectId::from(project)),
    }
}

fn grant(call: &Call) -> Grant {
    let (user, role) = (UserId::from(call.path("user")), RoleId::from(call.path("role")));
    Grant { user, scope: scope(call), role }
}

/// `GET …/users/{user}/roles`
pub(super) async fn list(call: Call) -> Outcome {
    let (user, scope) = (UserId::from(call.path("user")), scope(&call));
    let held = call.act(move |service, actor| service.roles_of_user(&actor, &user, &scope)).await?;
    Ok(listing::whole(&call, "roles", held.iter().map(|role| roles::print(&call, role)).collect()))
}

/// `PUT …/users/{user}/roles/{role}`
pub(super) async fn give(call: Call) -> Outcome {
    let grant = grant(&call);
    call.act(move |service, actor| service.grant_role(&actor, grant)).await?;
    Ok(Answer::empty())
}

/// `HEAD …/users/{user}/roles/{role}`
pub(super) async fn check(call: Call) -> Outcome {
    let grant = grant(&call);
    call.act(move |service, actor| service.check_role(&actor, &grant)).await?;
    Ok(Answer::empty())
}

/// `DELETE …/users/{user}/roles/{role}`
pub(super) async fn take(call: Call) -> Outcome {
    let grant = grant(&call);
    call.act(move |service, actor| service.revoke_role(&actor, grant)).await?;
    Ok(Answer::empty())
}

/// `GET /v3/role_assignments`
pub(super) async fn assignments(call: Call) -> Outcome {
    let project = call.filter("scope.project.id").map(|id| Scope::Project(ProjectId(id)));
    let domain = call.filter("scope.domain.id").map(|id| Scope::Domain(DomainId(id)));
    let system = call.filter("scope.system").map(|_| Scope::System);
    let filter = AssignmentFilter {
        user: call.filter("user.id").map(UserId),
        scope: project.or(domain).or(system),
        role: call.filter("role.id").map(RoleId),
        effective: call.flag("effective"),
    };
    // Roles are given to users only here: nobody holds one through a group.
    let nobody = call.filter("group.id").is_some();
    let mut held = call.act(move |service, actor| service.list_assignments(&actor, &filter)).await?;
    if nobody {
        held.clear();
    }
    let names = call.flag("include_names");
    let held = held.iter().map(|held| print(&call, held, names)).collect();
    Ok(listing::whole(&call, "role_assignments", held))
}

fn print(call: &Call, held: &HeldRole, names: bool) -> Value {
    let HeldRole { user, user_domain, place, role, given } = held;
    let (scope, place_path) = match place {
        Place::System => (json!({"system": {"all": true}}), "system".to_owned()),
        Place::Domain(domain) => {
            let shown = if names { named_domain(domain) } else { json!({"id": domain.id.as_str()}) };
            (json!({ "domain": shown }), format!("domains/{}", domain.id))
        }
        Place::Project(project, domain) => {
            let mut shown = json!({"id": project.id.as_str()});
            if names {
                shown["name"] = json!(project.name);
                shown["domain"] = named_domain(domain);
            }
            (json!({ "project": shown }), format!("projects/{}", project.id))
        }
    };
    let mut shown_user = json!({"id": user.id.as_str()});
    if names {
        shown_user["name"] = json!(user.name);
        shown_user["domain"] = named_domain(user_domain);
    }
    let shown_role = if names { named_role(role) } else { json!({"id": role.id.as_str()}) };
    let given_role = given.as_ref().unwrap_or(role);
    let assignment = format!("{}/{place_path}/users/{}/roles/{}", call.root_url(), user.id, given_role.id);
    let mut links = json!({ "assignment": assignment });
    if let Some(given) = given {
        links["prior_role"] = json!(call.url_of("prior_roles", given.id.as_str()));
    }
    json!({"links": links, "scope": scope, "user": shown_user, "role": shown_role})
}
