//! `/v3/regions`, `/v3/services`, `/v3/endpoints`: the built-in catalog, to look at. It follows
//! the server's own address, so there is nothing in it to change.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::catalog::{CatalogService, Endpoint, REGION, SERVICES};
use super::error::Refusal;
use super::listing;
use crate::service::Error;
use crate::service::rights::{Action, Resource};

/// `GET /v3/regions`
pub(super) async fn list_regions(call: Call) -> Outcome {
    call.act(|_, _| Ok(())).await?;
    let region = print_region(&call);
    Ok(listing::filtered(&call, "regions", vec![region]))
}

/// `GET /v3/regions/{region}`
pub(super) async fn show_region(call: Call) -> Outcome {
    call.act(|_, _| Ok(())).await?;
    let region = Some(print_region(&call));
    one(&call, "region", region)
}

/// `GET /v3/services`
pub(super) async fn list_services(call: Call) -> Outcome {
    call.act(|_, actor| actor.expect(Action::ServicesList, Resource::None)).await?;
    let services = SERVICES.iter().map(|service| print_service(&call, service)).collect();
    Ok(listing::filtered(&call, "services", services))
}

/// `GET /v3/services/{service}`
pub(super) async fn show_service(call: Call) -> Outcome {
    call.act(|_, actor| actor.expect(Action::ServicesGet, Resource::None)).await?;
    let service = SERVICES.iter().find(|service| service.id() == call.path("service"));
    one(&call, "service", service.map(|service| print_service(&call, service)))
}

/// `GET /v3/endpoints`
pub(super) async fn list_endpoints(call: Call) -> Outcome {
    call.act(|_, actor| actor.expect(Action::EndpointsList, Resource::None)).await?;
    let endpoints = endpoints(&call).map(|endpoint| print_endpoint(&call, &endpoint)).collect();
    Ok(listing::filtered(&call, "endpoints", endpoints))
}

/// `GET /v3/endpoints/{endpoint}`
pub(super) async fn show_endpoint(call: Call) -> Outcome {
    call.act(|_, actor| actor.expect(Action::EndpointsGet, Resource::None)).await?;
    let endpoint = endpoints(&call).find(|endpoint| endpoint.id == call.path("endpoint"));
    one(&call, "endpoint", endpoint.map(|endpoint| print_endpoint(&call, &endpoint)))
}

fn endpoints(call: &Call) -> impl Iterator<Item = Endpoint> + use<> {
    let base_url = call.base_url();
    SERVICES.iter().flat_map(move |service| service.endpoints(&base_url))
}

fn one(call: &Call, kind: &'static str, object: Option<Value>) -> Outcome {
    let id = call.path(kind);
    match object.filter(|object| object["id"] == id) {
        Some(object) => Ok(Answer::ok(json!({ kind: object }))),
        None => Err(Refusal::from(Error::not_found(format!("Could not find {kind}: {id}.")))),
    }
}

fn print_region(call: &Call) -> Value {
    json!({
        "id": REGION,
        "description": "",
        "parent_region_id": null,
        "links": {"self": call.url_of("regions", REGION)},
    })
}

fn print_service(call: &Call, service: &CatalogService) -> Value {
    json!({
        "id": service.id(),
        "type": service.kind,
        "name": service.name,
        "description": service.description,
        "enabled": true,
        "links": {"self": call.url_of("services", &service.id())},
    })
}

fn print_endpoint(call: &Call, endpoint: &Endpoint) -> Value {
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
