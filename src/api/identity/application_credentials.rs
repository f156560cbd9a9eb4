//! `/v3/users/{user}/application_credentials` and `/v3/users/{user}/access_rules`

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::error::Refusal;
use super::members::Members;
use super::{listing, roles};
use crate::base::Time;
use crate::model::{AccessRule, ApplicationCredentialId, RoleId, UserId};
use crate::service::identity::{KnownCredential, NewAccessRule, NewApplicationCredential, Password, RoleRef};

fn user(call: &Call) -> UserId {
    UserId::from(call.path("user"))
}

fn id(call: &Call) -> ApplicationCredentialId {
    ApplicationCredentialId::from(call.path("credential"))
}

fn print(call: &Call, known: &KnownCredential) -> Value {
    let credential = &known.credential;
    let mut object = json!({
        "id": credential.id.as_str(),
        "name": credential.name,
        "description": credential.description,
        "user_id": credential.user.as_str(),
        "project_id": credential.project.as_str(),
        "system": null,
        "expires_at": credential.expires_at.map(Time::rfc3339_micros),
        "unrestricted": credential.is_unrestricted,
        "roles": known.roles.iter().map(|role| roles::print(call, role)).collect::<Vec<_>>(),
        "links": {"self": call.url_of("application_credentials", credential.id.as_str())},
    });
    if !known.access_rules.is_empty() {
        object["access_rules"] = known.access_rules.iter().map(bare_rule).collect();
    }
    object
}

/// An access rule without its links, as credentials and tokens show it.
pub(super) fn bare_rule(rule: &AccessRule) -> Value {
    json!({"id": rule.id, "service": rule.service, "method": rule.method, "path": rule.path})
}

fn print_rule(call: &Call, rule: &AccessRule) -> Value {
    let mut object = bare_rule(rule);
    object["links"] = json!({"self": call.url_of("access_rules", &rule.id)});
    object
}

/// `POST /v3/users/{user}/application_credentials`
pub(super) async fn create(call: Call) -> Outcome {
    if call.is_signed() {
        // A temporary key could prolong itself for ever.
        let message = "an application credential is made with a token, not with an access key";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    let mut members = Members::of(&call, "application_credential")?;
    let expires_at = match members.text("expires_at")? {
        None => None,
        Some(text) => Some(Time::parse(&text).ok_or_else(|| {
            let form = "it must be a time such as 2030-01-31T12:00:00Z";
            Refusal::invalid(format!("Invalid input for field/attribute expires_at: {form}."))
        })?),
    };
    let new = NewApplicationCredential {
        name: members.required_text("name")?,
        description: members.text("description")?,
        secret: members.text("secret")?.map(Password::new).transpose()?,
        roles: members.objects("roles")?.into_iter().map(role_ref).collect::<Result<_, _>>()?,
        expires_at,
        is_unrestricted: members.flag("unrestricted")?.unwrap_or(false),
        access_rules: members.objects("access_rules")?.into_iter().map(rule).collect::<Result<_, _>>()?,
    };
    for made_up in ["id", "user_id", "project_id", "system"] {
        members.ignore(made_up);
    }
    members.expect_no_more()?;
    let user = user(&call);
    let made = call.act(move |service, actor| service.create_application_credential(&actor, &user, new));
    let (known, secret) = made.await?;
    let mut object = print(&call, &known);
    object["secret"] = json!(secret.expose());
    Ok(Answer::created(json!({ "application_credential": object })))
}

fn role_ref(mut role: Members) -> Result<RoleRef, Refusal> {
    match role.text("id")? {
        Some(id) => Ok(RoleRef::Id(RoleId(id))),
        None => Ok(RoleRef::Name(role.required_text("name")?)),
    }
}

fn rule(mut rule: Members) -> Result<NewAccessRule, Refusal> {
    let made = match rule.text("id")? {
        Some(id) => NewAccessRule::Id(id),
        None => NewAccessRule::Covering {
            service: rule.required_text("service")?,
            method: rule.required_text("method")?,
            path: rule.required_text("path")?,
        },
    };
    rule.expect_no_more()?;
    Ok(made)
}

/// `GET /v3/users/{user}/application_credentials`
pub(super) async fn list(call: Call) -> Outcome {
    let user = user(&call);
    let found = call.act(move |service, actor| service.application_credentials(&actor, &user)).await?;
    let objects = found.iter().map(|known| print(&call, known)).collect();
    Ok(listing::filtered(&call, "application_credentials", objects))
}

/// `GET /v3/users/{user}/application_credentials/{credential}`
pub(super) async fn show(call: Call) -> Outcome {
    let (user, id) = (user(&call), id(&call));
    let known = call.act(move |service, actor| service.application_credential(&actor, &user, &id)).await?;
    Ok(Answer::ok(json!({"application_credential": print(&call, &known)})))
}

/// `DELETE /v3/users/{user}/application_credentials/{credential}`
pub(super) async fn delete(call: Call) -> Outcome {
    let (user, id) = (user(&call), id(&call));
    call.act(move |service, actor| service.delete_application_credential(&actor, &user, &id)).await?;
    Ok(Answer::empty())
}

/// `GET /v3/users/{user}/access_rules`
pub(super) async fn list_rules(call: Call) -> Outcome {
    let user = user(&call);
    let rules = call.act(move |service, actor| service.access_rules(&actor, &user)).await?;
    let objects = rules.iter().map(|rule| print_rule(&call, rule)).collect();
    Ok(listing::filtered(&call, "access_rules", objects))
}

/// `GET /v3/users/{user}/access_rules/{rule}`
pub(super) async fn show_rule(call: Call) -> Outcome {
    let (user, id) = (user(&call), call.path("rule").to_owned());
    let rule = call.act(move |service, actor| service.access_rule(&actor, &user, &id)).await?;
    Ok(Answer::ok(json!({"access_rule": print_rule(&call, &rule)})))
}

/// `DELETE /v3/users/{user}/access_rules/{rule}`
pub(super) async fn delete_rule(call: Call) -> Outcome {
    let (user, id) = (user(&call), call.path("rule").to_owned());
    call.act(move |service, actor| service.delete_access_rule(&actor, &user, &id)).await?;
    Ok(Answer::empty())
}
