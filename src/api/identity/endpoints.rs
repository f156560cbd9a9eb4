//! `/v3/endpoints`: the box's own, and those that administrators registered.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::catalog::{Endpoint, REGION, SERVICES};
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::model::registry::Endpoint as Registered;
use crate::service::identity::{EndpointChange, NewEndpoint};
use crate::service::rights::{Action, Resource};

fn id(call: &Call) -> String {
    call.path("endpoint").to_owned()
}

fn print_own(call: &Call, endpoint: &Endpoint) -> Value {
    json!({
        "id": endpoint.id,
        "interface": endpoint.interface,
        "region_id": REGION,
        "region": REGION,
        "service_id": endpoint.service_id,
        "url": endpoint.url,
        "enabled": true,
        "links": {"self": call.url_of("endpoints", &endpoint.id)},
    })
}

fn print(call: &Call, endpoint: &Registered) -> Value {
    let mut object = json!({
        "id": endpoint.id,
        "interface": endpoint.interface,
        "region_id": endpoint.region,
        "region": endpoint.region,
        "service_id": endpoint.service,
        "url": endpoint.url,
        "enabled": endpoint.enabled,
        "links": {"self": call.url_of("endpoints", &endpoint.id)},
    });
    print_extra(&mut object, &endpoint.extra);
    object
}

fn own(call: &Call) -> impl Iterator<Item = Endpoint> + use<> {
    let base_url = call.base_url();
    SERVICES.iter().flat_map(move |service| service.endpoints(&base_url))
}

/// `GET /v3/endpoints`
pub(super) async fn list(call: Call) -> Outcome {
    let registered = call.act(|service, actor| service.registered_endpoints(&actor)).await?;
    let own = own(&call).map(|endpoint| print_own(&call, &endpoint));
    let endpoints = own.chain(registered.iter().map(|endpoint| print(&call, endpoint))).collect();
    Ok(listing::filtered(&call, "endpoints", endpoints))
}

/// `GET /v3/endpoints/{endpoint}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    if let Some(own) = own(&call).find(|endpoint| endpoint.id == id) {
        call.act(move |_, actor| actor.expect(Action::EndpointsGet, Resource::Id(&id))).await?;
        return Ok(Answer::ok(json!({"endpoint": print_own(&call, &own)})));
    }
    let endpoint = call.act(move |service, actor| service.registered_endpoint(&actor, &id)).await?;
    Ok(Answer::ok(json!({"endpoint": print(&call, &endpoint)})))
}

/// The region, by either of its names.
fn region(members: &mut Members) -> Result<Option<Option<String>>, Refusal> {
    let (id, name) = (members.nullable_text("region_id")?, members.nullable_text("region")?);
    Ok(id.or(name))
}

/// `POST /v3/endpoints`
pub(super) async fn create(call: Call) -> Outcome {
    let mut members = Members::of(&call, "endpoint")?;
    let new = NewEndpoint {
        service: members.required_text("service_id")?,
        interface: members.required_text("interface")?,
        region: region(&mut members)?.flatten(),
        url: members.required_text("url")?,
        enabled: members.flag("enabled")?.unwrap_or(true),
        extra: members.extra(),
    };
    let endpoint = call.act(move |service, actor| service.register_endpoint(&actor, new)).await?;
    Ok(Answer::created(json!({"endpoint": print(&call, &endpoint)})))
}

/// `PATCH /v3/endpoints/{endpoint}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = id(&call);
    let mut members = Members::of(&call, "endpoint")?;
    let change = EndpointChange {
        service: members.text("service_id")?,
        interface: members.text("interface")?,
        region: region(&mut members)?,
        url: members.text("url")?,
        enabled: members.flag("enabled")?,
        extra: members.extra(),
    };
    let endpoint = call.act(move |service, actor| service.update_endpoint(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"endpoint": print(&call, &endpoint)})))
}

/// `DELETE /v3/endpoints/{endpoint}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_endpoint(&actor, &id)).await?;
    Ok(Answer::empty())
}
