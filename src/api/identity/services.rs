//! `/v3/services`: the box's own, and those that administrators registered.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::catalog::{CatalogService, SERVICES};
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::model::registry::RegisteredService;
use crate::service::identity::ServiceChange;
use crate::service::rights::{Action, Resource};

fn id(call: &Call) -> String {
    call.path("service").to_owned()
}

fn print_own(call: &Call, service: &CatalogService) -> Value {
    json!({
        "id": service.id(),
        "type": service.kind,
        "name": service.name,
        "description": service.description,
        "enabled": true,
        "links": {"self": call.url_of("services", &service.id())},
    })
}

fn print(call: &Call, service: &RegisteredService) -> Value {
    let mut object = json!({
        "id": service.id,
        "type": service.kind,
        "enabled": service.enabled,
        "links": {"self": call.url_of("services", &service.id)},
    });
    if let Some(name) = &service.name {
        object["name"] = json!(name);
    }
    if let Some(description) = &service.description {
        object["description"] = json!(description);
    }
    print_extra(&mut object, &service.extra);
    object
}

/// `GET /v3/services`
pub(super) async fn list(call: Call) -> Outcome {
    let registered = call.act(|service, actor| service.registered_services(&actor)).await?;
    let own = SERVICES.iter().map(|service| print_own(&call, service));
    let services = own.chain(registered.iter().map(|service| print(&call, service))).collect();
    Ok(listing::filtered(&call, "services", services))
}

/// `GET /v3/services/{service}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    if let Some(own) = SERVICES.iter().find(|service| service.id() == id) {
        call.act(move |_, actor| actor.expect(Action::ServicesGet, Resource::Id(&id))).await?;
        return Ok(Answer::ok(json!({"service": print_own(&call, own)})));
    }
    let service = call.act(move |service, actor| service.registered_service(&actor, &id)).await?;
    Ok(Answer::ok(json!({"service": print(&call, &service)})))
}

fn change(mut service: Members, kind: Option<String>) -> Result<ServiceChange, Refusal> {
    Ok(ServiceChange {
        kind,
        name: service.nullable_text("name")?,
        description: service.nullable_text("description")?,
        enabled: service.flag("enabled")?,
        extra: service.extra(),
    })
}

/// `POST /v3/services`
pub(super) async fn create(call: Call) -> Outcome {
    let mut members = Members::of(&call, "service")?;
    let kind = members.required_text("type")?;
    let new = change(members, Some(kind))?;
    let service = call.act(move |service, actor| service.register_service(&actor, new)).await?;
    Ok(Answer::created(json!({"service": print(&call, &service)})))
}

/// `PATCH /v3/services/{service}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut members = Members::of(&call, "service")?;
    let kind = members.text("type")?;
    let change = change(members, kind)?;
    let service = call.act(move |service, actor| service.update_service(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"service": print(&call, &service)})))
}

/// `DELETE /v3/services/{service}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_service(&actor, &id)).await?;
    Ok(Answer::empty())
}
