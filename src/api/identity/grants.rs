//! Roles given on projects, domains and the system, and `/v3/role_assignments`.

use serde_json::{Value, json};

use super::auth::{named_domain, named_role};
use super::call::{Answer, Call, Outcome};
use super::{listing, roles};
use crate::model::identity::Scope;
use crate::model::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::service::identity::{AssignmentFilter, Grant, GroupGrant, HeldRole, Holder, Place};

/// The scope in the path: the one part of it that is there.
fn scope(call: &Call) -> Scope {
    match (call.path("project"), call.path("domain")) {
        ("", "") => Scope::System,
        ("", domain) => Scope::Domain(DomainId::from(domain)),
        (project, _) => Scope::Project(ProjectId::from(project)),
    }
}

/// The grant in the path, to whichever kind of holder is there.
enum AnyGrant {
    User(Grant),
    Group(GroupGrant),
}

fn grant(call: &Call) -> AnyGrant {
    let (scope, role) = (scope(call), RoleId::from(call.path("role")));
    match call.path("group") {
        "" => AnyGrant::User(Grant { user: UserId::from(call.path("user")), scope, role }),
        group => AnyGrant::Group(GroupGrant { group: GroupId::from(group), scope, role }),
    }
}

/// `GET …/users/{user}/roles` and `GET …/groups/{group}/roles`
pub(super) async fn list(call: Call) -> Outcome {
    let listed = grant(&call);
    let held = call.act(move |service, actor| match listed {
        AnyGrant::User(grant) => service.roles_of_user(&actor, &grant.user, &grant.scope),
        AnyGrant::Group(grant) => service.roles_of_group(&actor, &grant.group, &grant.scope),
    });
    let held = held.await?;
    Ok(listing::whole(&call, "roles", held.iter().map(|role| roles::print(&call, role)).collect()))
}

/// `PUT …/users/{user}/roles/{role}` and the same of groups
pub(super) async fn give(call: Call) -> Outcome {
    let grant = grant(&call);
    let given = call.act(move |service, actor| match grant {
        AnyGrant::User(grant) => service.grant_role(&actor, grant),
        AnyGrant::Group(grant) => service.grant_role_to_group(&actor, grant),
    });
    given.await?;
    Ok(Answer::empty())
}

/// `HEAD …/users/{user}/roles/{role}` and the same of groups
pub(super) async fn check(call: Call) -> Outcome {
    let grant = grant(&call);
    let checked = call.act(move |service, actor| match grant {
        AnyGrant::User(grant) => service.check_role(&actor, &grant),
        AnyGrant::Group(grant) => service.check_role_of_group(&actor, &grant),
    });
    checked.await?;
    Ok(Answer::empty())
}

/// `DELETE …/users/{user}/roles/{role}` and the same of groups
pub(super) async fn take(call: Call) -> Outcome {
    let grant = grant(&call);
    let taken = call.act(move |service, actor| match grant {
        AnyGrant::User(grant) => service.revoke_role(&actor, grant),
        AnyGrant::Group(grant) => service.revoke_role_of_group(&actor, grant),
    });
    taken.await?;
    Ok(Answer::empty())
}

/// `GET /v3/role_assignments`
pub(super) async fn assignments(call: Call) -> Outcome {
    let project = call.filter("scope.project.id").map(|id| Scope::Project(ProjectId(id)));
    let domain = call.filter("scope.domain.id").map(|id| Scope::Domain(DomainId(id)));
    let system = call.filter("scope.system").map(|_| Scope::System);
    let filter = AssignmentFilter {
        user: call.filter("user.id").map(UserId),
        group: call.filter("group.id").map(GroupId),
        scope: project.or(domain).or(system),
        role: call.filter("role.id").map(RoleId),
        effective: call.flag("effective"),
    };
    let held = call.act(move |service, actor| service.list_assignments(&actor, &filter)).await?;
    let names = call.flag("include_names");
    let held = held.iter().map(|held| print(&call, held, names)).collect();
    Ok(listing::whole(&call, "role_assignments", held))
}

fn print(call: &Call, held: &HeldRole, names: bool) -> Value {
    let HeldRole { holder, holder_domain, place, role, given } = held;
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
    let named = |id: &str, name: &str| {
        let mut shown = json!({ "id": id });
        if names {
            shown["name"] = json!(name);
            shown["domain"] = named_domain(holder_domain);
        }
        shown
    };
    let (kind, shown_holder, holder_path) = match holder {
        Holder::User(user, via) => {
            let path = match via {
                Some(group) => format!("groups/{}", group.id),
                None => format!("users/{}", user.id),
            };
            ("user", named(user.id.as_str(), &user.name), path)
        }
        Holder::Group(group) => {
            ("group", named(group.id.as_str(), &group.name), format!("groups/{}", group.id))
        }
    };
    let shown_role = if names { named_role(role) } else { json!({"id": role.id.as_str()}) };
    let given_role = given.as_ref().unwrap_or(role);
    let assignment = format!("{}/{place_path}/{holder_path}/roles/{}", call.root_url(), given_role.id);
    let mut links = json!({ "assignment": assignment });
    if let Holder::User(user, Some(group)) = holder {
        links["membership"] =
            json!(format!("{}/users/{}", call.url_of("groups", group.id.as_str()), user.id));
    }
    if let Some(given) = given {
        links["prior_role"] = json!(call.url_of("prior_roles", given.id.as_str()));
    }
    json!({"links": links, "scope": scope, kind: shown_holder, "role": shown_role})
}
