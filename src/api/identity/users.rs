//! `/v3/users`

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::model::identity::User;
use crate::model::{DomainId, ProjectId, UserId};
use crate::service::identity::{NameFilter, NewUser, Password, UserChange};

fn id(call: &Call) -> UserId {
    UserId::from(call.path("user"))
}

pub(super) fn print(call: &Call, user: &User) -> Value {
    let mut object = json!({
        "id": user.id.as_str(),
        "name": user.name,
        "domain_id": user.domain.as_str(),
        "enabled": user.enabled,
        "password_expires_at": null,
        "options": {},
        "links": {"self": call.url_of("users", user.id.as_str())},
    });
    if let Some(project) = &user.default_project {
        object["default_project_id"] = json!(project.as_str());
    }
    print_extra(&mut object, &user.extra);
    object
}

/// `GET /v3/users`
pub(super) async fn list(call: Call) -> Outcome {
    let filter = NameFilter { domain: call.filter("domain_id").map(DomainId), name: call.filter("name") };
    let users = call.act(move |service, actor| service.list_users(&actor, &filter)).await?;
    Ok(listing::filtered(&call, "users", users.iter().map(|user| print(&call, user)).collect()))
}

/// `GET /v3/users/{user}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let user = call.act(move |service, actor| service.get_user(&actor, &id)).await?;
    Ok(Answer::ok(json!({"user": print(&call, &user)})))
}

/// `POST /v3/users`
pub(super) async fn create(call: Call) -> Outcome {
    let mut user = Members::of(&call, "user")?;
    user.only_empty("options")?;
    let new = NewUser {
        name: user.required_text("name")?,
        domain: user.text("domain_id")?.map(DomainId),
        enabled: user.flag("enabled")?.unwrap_or(true),
        default_project: user.text("default_project_id")?.map(ProjectId),
        password: user.text("password")?.map(Password::new).transpose()?,
        extra: user.extra(),
    };
    let user = call.act(move |service, actor| service.create_user(&actor, new)).await?;
    Ok(Answer::created(json!({"user": print(&call, &user)})))
}

/// `PATCH /v3/users/{user}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut user = Members::of(&call, "user")?;
    user.only_empty("options")?;
    let password = match user.nullable_text("password")? {
        Some(text) => Some(text.map(Password::new).transpose()?),
        None => None,
    };
    let change = UserChange {
        name: user.text("name")?,
        domain: user.text("domain_id")?.map(DomainId),
        enabled: user.flag("enabled")?,
        default_project: user.nullable_text("default_project_id")?.map(|id| id.map(ProjectId)),
        password,
        extra: user.extra(),
    };
    let user = call.act(move |service, actor| service.update_user(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"user": print(&call, &user)})))
}

/// `DELETE /v3/users/{user}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_user(&actor, &id)).await?;
    Ok(Answer::empty())
}

/// `POST /v3/users/{user}/password`: the old password proves who asks; no token is needed.
pub(super) async fn change_password(call: Call) -> Outcome {
    let id = id(&call);
    let mut user = Members::of(&call, "user")?;
    let old = Password::new(user.required_text("original_password")?).map_err(Refusal::from)?;
    let new = Password::new(user.required_text("password")?).map_err(Refusal::from)?;
    let origin = call.origin();
    call.state.blocking(move |service| service.change_password(&origin, &id, &old, &new)).await?;
    Ok(Answer::empty())
}
