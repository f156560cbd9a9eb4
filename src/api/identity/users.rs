//! `/v3/users`

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::base::Time;
use crate::model::identity::User;
use crate::model::{DomainId, ProjectId, UserId};
use crate::service::identity::{NameFilter, NewUser, Password, UserChange};
use crate::service::{Error, Service};

fn id(call: &Call) -> UserId {
    UserId::from(call.path("user"))
}

/// A user, and from when on its password opens nothing.
pub(super) type Shown = (User, Option<Time>);

/// The users with what is shown of their passwords.
pub(super) fn shown(service: &Service, users: Vec<User>) -> Result<Vec<Shown>, Error> {
    let ends = service.password_ends(&users)?;
    Ok(users.into_iter().zip(ends).collect())
}

/// The same of one.
fn shown_one(service: &Service, user: User) -> Result<Shown, Error> {
    let end = service.password_ends(std::slice::from_ref(&user))?.into_iter().flatten().next();
    Ok((user, end))
}

pub(super) fn print(call: &Call, (user, password_end): &Shown) -> Value {
    let mut object = json!({
        "id": user.id.as_str(),
        "name": user.name,
        "domain_id": user.domain.as_str(),
        "enabled": user.enabled,
        "password_expires_at": password_end.map(Time::rfc3339_micros),
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
    let users = call.act(move |service, actor| shown(service, service.list_users(&actor, &filter)?)).await?;
    Ok(listing::filtered(&call, "users", users.iter().map(|user| print(&call, user)).collect()))
}

/// `GET /v3/users/{user}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    let user = call.act(move |service, actor| shown_one(service, service.get_user(&actor, &id)?)).await?;
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
    let user = call.act(move |service, actor| shown_one(service, service.create_user(&actor, new)?)).await?;
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
    let user =
        call.act(move |service, actor| shown_one(service, service.update_user(&actor, &id, change)?)).await?;
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
    call.state.blocking(move |service| service.change_password_from(&origin, &id, &old, &new)).await?;
    Ok(Answer::empty())
}
