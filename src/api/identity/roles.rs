//! `/v3/roles`

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::listing;
use super::members::{Members, print_extra};
use crate::model::RoleId;
use crate::model::identity::Role;
use crate::service::identity::{NameFilter, NewRole, RoleChange};

fn id(call: &Call) -> RoleId {
    RoleId::from(call.path("role"))
}

pub(super) fn print(call: &Call, role: &Role) -> Value {
    let options = if role.immutable { json!({"immutable": true}) } else { json!({}) };
    let mut object = json!({
        "id": role.id.as_str(),
        "name": role.name,
        "domain_id": role.domain.as_ref().map(|domain| domain.as_str()),
        "description": role.description,
        "options": options,
        "links": {"self": call.url_of("roles", role.id.as_str())},
    });
    print_extra(&mut object, &role.extra);
    object
}

/// `GET /v3/roles`
pub(super) async fn list(call: Call) -> Outcome {
    let filter = NameFilter { domain: None, name: call.filter("name") };
    let roles = call.act(move |service, actor| service.list_roles(&actor, &filter)).await?;
    Ok(listing::filtered(&call, "roles", roles.iter().map(|role| print(&call, role)).collect()))
}

/// `GET /v3/roles/{role}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let role = call.act(move |service, actor| service.get_role(&actor, &id)).await?;
    Ok(Answer::ok(json!({"role": print(&call, &role)})))
}

/// `POST /v3/roles`
pub(super) async fn create(call: Call) -> Outcome {
    let mut role = Members::of(&call, "role")?;
    role.only_empty("options")?;
    role.only_empty("domain_id")?;
    let new = NewRole {
        name: role.required_text("name")?,
        description: role.text("description")?,
        extra: role.extra(),
    };
    let role = call.act(move |service, actor| service.create_role(&actor, new)).await?;
    Ok(Answer::created(json!({"role": print(&call, &role)})))
}

/// `PATCH /v3/roles/{role}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut role = Members::of(&call, "role")?;
    role.only_empty("options")?;
    role.only_empty("domain_id")?;
    let change = RoleChange {
        name: role.text("name")?,
        description: role.nullable_text("description")?,
        extra: role.extra(),
    };
    let role = call.act(move |service, actor| service.update_role(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"role": print(&call, &role)})))
}

/// `DELETE /v3/roles/{role}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_role(&actor, &id)).await?;
    Ok(Answer::empty())
}
