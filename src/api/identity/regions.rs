//! `/v3/regions`: the box's own region, and those that administrators made.

use serde_json::{Value, json};

use super::call::{Answer, Call, Outcome};
use super::catalog::REGION;
use super::error::Refusal;
use super::listing;
use super::members::{Members, print_extra};
use crate::model::identity::Extra;
use crate::model::registry::Region;
use crate::service::Error;
use crate::service::identity::RegionChange;

fn id(call: &Call) -> String {
    call.path("region").to_owned()
}

fn print(call: &Call, region: &Region) -> Value {
    let mut object = json!({
        "id": region.id,
        "description": region.description,
        "parent_region_id": region.parent,
        "links": {"self": call.url_of("regions", &region.id)},
    });
    print_extra(&mut object, &region.extra);
    object
}

/// The box's own region, then the others.
async fn all(call: &Call) -> Result<Vec<Region>, Refusal> {
    let others = call.act(|service, actor| service.registered_regions(&actor)).await?;
    let own = Region { id: REGION.into(), description: String::new(), parent: None, extra: Extra::new() };
    Ok([own].into_iter().chain(others).collect())
}

/// `GET /v3/regions`
pub(super) async fn list(call: Call) -> Outcome {
    let regions = all(&call).await?;
    Ok(listing::filtered(&call, "regions", regions.iter().map(|region| print(&call, region)).collect()))
}

/// `GET /v3/regions/{region}`
pub(super) async fn show(call: Call) -> Outcome {
    let id = id(&call);
    match all(&call).await?.iter().find(|region| region.id == id) {
        Some(region) => Ok(Answer::ok(json!({"region": print(&call, region)}))),
        None => Err(Refusal::from(Error::not_found(format!("Could not find region: {id}.")))),
    }
}

fn change(mut region: Members) -> Result<RegionChange, Refusal> {
    Ok(RegionChange {
        // Null stands for no description.
        description: region.nullable_text("description")?.map(Option::unwrap_or_default),
        parent: region.nullable_text("parent_region_id")?,
        extra: region.extra(),
    })
}

/// `POST /v3/regions`
pub(super) async fn create(call: Call) -> Outcome {
    let mut members = Members::of(&call, "region")?;
    let id = members.text("id")?;
    let new = change(members)?;
    let region = call.act(move |service, actor| service.create_region(&actor, id, new)).await?;
    Ok(Answer::created(json!({"region": print(&call, &region)})))
}

/// `PATCH /v3/regions/{region}`
pub(super) async fn update(call: Call) -> Outcome {
    let (id, change) = (id(&call), change(Members::of(&call, "region")?)?);
    let region = call.act(move |service, actor| service.update_region(&actor, &id, change)).await?;
    Ok(Answer::ok(json!({"region": print(&call, &region)})))
}

/// `DELETE /v3/regions/{region}`
pub(super) async fn delete(call: Call) -> Outcome {
    let id = id(&call);
    call.act(move |service, actor| service.delete_region(&actor, &id)).await?;
    Ok(Answer::empty())
}
