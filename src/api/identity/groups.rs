//! `/v3/groups`, and who is in them.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::members::{Members, print_extra};
use super::{listing, users};
use crate::model::identity::Group;
use crate::model::{DomainId, GroupId, UserId};
use crate::service::identity::{GroupChange, NameFilter, NewGroup};

fn id(call: &Call) -> GroupId {
    GroupId::from(call.path("group"))
}

fn user(call: &Call) -> UserId {
    UserId::from(call.path("user"))
}

fn print(call: &Call, group: &Group) -> Value {
    let mut object = json!({
        "id": group.id.as_str(),
        "name": group.name,
        "domain_id": group.domain.as_str(),
        "description": group.description,
        "links": {"self": call.url_of("groups", group.id.as_str())},
    });
    print_extra(&mut object, &group.extra);
    object
}

/// `GET /v3/groups`
pub(super) async fn list(call: Call) -> Outcome {
    let filter = NameFilter { domain: call.filter("domain_id").map(DomainId), name: call.filter("name") };
    let groups = call.act(move |service, actor| service.list_groups(&actor, &filter)).await?;
    Ok(listing::filtered(&call, "groups", groups.iter().map(|group| print(&call, group)).collect()))
}

/// `GET /v3/groups/{group}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let group = call.act(move |service, actor| service.get_group(&actor, &id)).await?;
    Ok(Answer::ok(json!({"group": print(&call, &group)})))
}

/// `POST /v3/groups`
pub(super) async fn create(call: Call) -> Outcome {
    let mut group = Members::of(&call, "group")?;
    let new = NewGroup {
        name: group.required_text("name")?,
        domain: group.text("domain_id")?.map(DomainId),
        description: group.nullable_text("description")?.unwrap_or(Some(String::new())),
        extra: group.extra(),
    };
    let group = call.act(move |service, actor| service.create_group(&actor, new)).await?;
    Ok(Answer::created(json!({"group": print(&call, &group)})))
}

/// `PATCH /v3/groups/{group}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut group = Members::of(&call, "group")?;
    let change = GroupChange {
        name: group.text("name")?,
        domain: group.text("domain_id")?.map(DomainId),
        description: group.nullable_text("description")?,
        extra: group.extra(),
    };
    let group = call.act(move |service, actor| service.update_group(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"group": print(&call, &group)})))
}

/// `DELETE /v3/groups/{group}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_group(&actor, &id)).await?;
    Ok(Answer::empty())
}

/// `GET /v3/groups/{group}/users`
pub(super) async fn members(call: Call) -> Outcome {
    let id = id(&call);
    let members =
        call.act(move |service, actor| users::shown(service, service.members_of_group(&actor, &id)?)).await?;
    Ok(listing::filtered(&call, "users", members.iter().map(|user| users::print(&call, user)).collect()))
}

/// `GET /v3/users/{user}/groups`
pub(super) async fn of_user(call: Call) -> Outcome {
    let user = user(&call);
    let groups = call.act(move |service, actor| service.groups_of_user(&actor, &user)).await?;
    Ok(listing::filtered(&call, "groups", groups.iter().map(|group| print(&call, group)).collect()))
}

/// `HEAD` and `GET /v3/groups/{group}/users/{user}`
pub(super) async fn check(call: Call) -> Outcome {
    let (id, user) = (id(&call), user(&call));
    call.act(move |service, actor| service.check_group_member(&actor, &id, &user)).await?;
    Ok(Answer::empty())
}

/// `PUT /v3/groups/{group}/users/{user}`
pub(super) async fn add(call: Call) -> Outcome {
    let (id, user) = (id(&call), user(&call));
    call.act(move |service, actor| service.add_group_member(&actor, &id, &user)).await?;
    Ok(Answer::empty())
}

/// `DELETE /v3/groups/{group}/users/{user}`
pub(super) async fn remove(call: Call) -> Outcome {
    let (id, user) = (id(&call), user(&call));
    call.act(move |service, actor| service.remove_group_member(&actor, &id, &user)).await?;
    Ok(Answer::empty())
}
