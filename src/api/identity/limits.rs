//! `/v3/registered_limits`, `/v3/limits` and `/v3/limits/model`: limits of what the image service keeps.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::catalog::{REGION, SERVICES};
use super::error::Refusal;
use super::listing;
use super::members::Members;
use crate::model::ProjectId;
use crate::model::quota::{Limit, LimitOf, ProjectLimit, RegisteredLimit, Resource};
use crate::service::identity::{LimitChange, NewLimit};

/// `GET /v3/limits/model`
pub(super) async fn model(call: Call) -> Outcome {
    call.act(|_, _| Ok(())).await?;
    let description = "Limit enforcement and validation does not take project hierarchy into consideration.";
    Ok(Answer::ok(json!({"model": {"name": "flat", "description": description}})))
}

/// `GET /v3/registered_limits`
pub(super) async fn list_registered(call: Call) -> Outcome {
    let limits = call.act(|service, actor| service.registered_limits(&actor)).await?;
    let limits = limits.iter().map(|limit| print_registered(&call, limit)).collect();
    Ok(listing::filtered(&call, "registered_limits", limits))
}

/// `GET /v3/registered_limits/{limit}`
pub(super) async fn show_registered(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    let limit = call.act(move |service, actor| service.registered_limit(&actor, &id)).await?;
    Ok(Answer::ok(json!({"registered_limit": print_registered(&call, &limit)})))
}

/// `POST /v3/registered_limits`
pub(super) async fn create_registered(call: Call) -> Outcome {
    let mut new = Vec::new();
    for mut limit in Members::list(&call, "registered_limits", "registered_limit")? {
        new.push(read_new(&mut limit, "default_limit")?);
        limit.expect_no_more()?;
    }
    let limits = call.act(move |service, actor| service.create_registered_limits(&actor, new)).await?;
    let limits: Vec<Value> = limits.iter().map(|limit| print_registered(&call, limit)).collect();
    Ok(Answer::created(json!({"registered_limits": limits})))
}

/// `PATCH /v3/registered_limits/{limit}`
pub(super) async fn update_registered(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    let mut limit = Members::of(&call, "registered_limit")?;
    if let Some(service) = limit.text("service_id")? {
        expect_image_service(&service)?;
    }
    let change = LimitChange {
        resource: limit.text("resource_name")?.map(|name| resource(&name)).transpose()?,
        regional: limit.nullable_text("region_id")?.map(is_regional).transpose()?,
        ..read_change(&mut limit, "default_limit")?
    };
    limit.expect_no_more()?;
    let limit = call.act(move |service, actor| service.update_registered_limit(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"registered_limit": print_registered(&call, &limit)})))
}

/// `DELETE /v3/registered_limits/{limit}`
pub(super) async fn delete_registered(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    call.act(move |service, actor| service.delete_registered_limit(&actor, &id)).await?;
    Ok(Answer::empty())
}

/// `GET /v3/limits`
pub(super) async fn list(call: Call) -> Outcome {
    let limits = call.act(|service, actor| service.project_limits(&actor)).await?;
    let limits = limits.iter().map(|limit| print(&call, limit)).collect();
    Ok(listing::filtered(&call, "limits", limits))
}

/// `GET /v3/limits/{limit}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    let limit = call.act(move |service, actor| service.project_limit(&actor, &id)).await?;
    Ok(Answer::ok(json!({"limit": print(&call, &limit)})))
}

/// `POST /v3/limits`
pub(super) async fn create(call: Call) -> Outcome {
    let mut new = Vec::new();
    for mut limit in Members::list(&call, "limits", "limit")? {
        limit.only_empty("domain_id")?;
        let project = ProjectId(limit.required_text("project_id")?);
        new.push((project, read_new(&mut limit, "resource_limit")?));
        limit.expect_no_more()?;
    }
    let limits = call.act(move |service, actor| service.create_project_limits(&actor, new)).await?;
    let limits: Vec<Value> = limits.iter().map(|limit| print(&call, limit)).collect();
    Ok(Answer::created(json!({"limits": limits})))
}

/// `PATCH /v3/limits/{limit}`
pub(super) async fn update(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    let mut limit = Members::of(&call, "limit")?;
    let change = read_change(&mut limit, "resource_limit")?;
    limit.expect_no_more()?;
    let limit = call.act(move |service, actor| service.update_project_limit(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"limit": print(&call, &limit)})))
}

/// `DELETE /v3/limits/{limit}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = call.path("limit").to_owned();
    call.act(move |service, actor| service.delete_project_limit(&actor, &id)).await?;
    Ok(Answer::empty())
}

fn read_new(limit: &mut Members, amount: &'static str) -> Result<NewLimit, Refusal> {
    expect_image_service(&limit.required_text("service_id")?)?;
    let resource = resource(&limit.required_text("resource_name")?)?;
    let regional = is_regional(limit.text("region_id")?)?;
    let number = limit.required_integer(amount)?;
    Ok(NewLimit {
        of: LimitOf { resource, regional },
        limit: bounded(amount, number)?,
        description: limit.text("description")?,
    })
}

fn read_change(limit: &mut Members, amount: &'static str) -> Result<LimitChange, Refusal> {
    Ok(LimitChange {
        limit: limit.integer(amount)?.map(|number| bounded(amount, number)).transpose()?,
        description: limit.nullable_text("description")?,
        ..LimitChange::default()
    })
}

fn bounded(amount: &str, number: i64) -> Result<Limit, Refusal> {
    Limit::of_number(number).ok_or_else(|| {
        let max = Limit::MAX;
        Refusal::invalid(format!(
            "Invalid input for field/attribute {amount}: {number} is not from -1, which is unlimited, to {max}."
        ))
    })
}

fn resource(name: &str) -> Result<Resource, Refusal> {
    Resource::parse(name).ok_or_else(|| {
        let known = Resource::ALL.map(Resource::as_str).join(", ");
        Refusal::invalid(format!(
            "Invalid input for field/attribute resource_name: {name} is not limited here; {known} are."
        ))
    })
}

/// Whether the box's region is named; a region that is none of this box is refused.
fn is_regional(region: Option<String>) -> Result<bool, Refusal> {
    match region.as_deref() {
        None => Ok(false),
        Some(REGION) => Ok(true),
        Some(other) => Err(Refusal::invalid(format!("Could not find region: {other}."))),
    }
}

fn image_service() -> Option<String> {
    SERVICES.iter().find(|service| service.kind == "image").map(super::catalog::CatalogService::id)
}

fn expect_image_service(id: &str) -> Result<(), Refusal> {
    if image_service().as_deref() == Some(id) {
        return Ok(());
    }
    Err(Refusal::invalid(match SERVICES.iter().find(|service| service.id() == id) {
        Some(service) => format!(
            "Invalid input for field/attribute service_id: {} keeps nothing that is limited; the service of type \
             image does.",
            service.name
        ),
        None => format!("Could not find service: {id}."),
    }))
}

fn print_registered(call: &Call, limit: &RegisteredLimit) -> Value {
    json!({
        "id": limit.id,
        "service_id": image_service(),
        "region_id": limit.of.regional.then_some(REGION),
        "resource_name": limit.of.resource.as_str(),
        "default_limit": limit.limit.number(),
        "description": limit.description,
        "links": {"self": call.url_of("registered_limits", &limit.id)},
    })
}

fn print(call: &Call, limit: &ProjectLimit) -> Value {
    let id = limit.id();
    json!({
        "id": id,
        "project_id": limit.project.as_str(),
        "domain_id": null,
        "service_id": image_service(),
        "region_id": limit.of.regional.then_some(REGION),
        "resource_name": limit.of.resource.as_str(),
        "resource_limit": limit.limit.number(),
        "description": limit.description,
        "links": {"self": call.url_of("limits", &id)},
    })
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
