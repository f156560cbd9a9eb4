//! `quotas`: what projects may have, and what they have. Limits of sizes are in MiB; -1 is unlimited, and a project's
//! limit that is set to null goes, so that the one of all projects holds again.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{read, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get, post};
use crate::model::ProjectId;
use crate::model::quota::{Limit, Resource};
use crate::service::quotas::{ProjectQuotas, Quota, Setting};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/tintype/v1/quotas", get(own))
        .route("/tintype/v1/quotas/default", get(default).patch(set_default))
        .route("/tintype/v1/quotas/projects", get(all))
        .route("/tintype/v1/quotas/projects/{project}", get(of_project).patch(set))
        .route("/tintype/v1/quotas/recount", post(recount))
}

async fn own(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let quotas = state.blocking(move |service| service.own_quotas(&actor)).await?;
    Ok(Json(body(&quotas)).into_response())
}

async fn all(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let all = state.blocking(move |service| service.all_quotas(&actor)).await?;
    Ok(Json(json!({"projects": all.iter().map(body).collect::<Vec<_>>()})).into_response())
}

async fn of_project(
    State(state): State<ApiState>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let quotas = state.blocking(move |service| service.project_quotas(&actor, &ProjectId(project))).await?;
    Ok(Json(body(&quotas)).into_response())
}

async fn set(
    State(state): State<ApiState>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let settings = settings(read(sent).await?)?;
    let quotas = state
        .blocking(move |service| {
            let project = ProjectId(project);
            service.set_quotas(&actor, &project, settings)?;
            service.project_quotas(&actor, &project)
        })
        .await?;
    Ok(Json(body(&quotas)).into_response())
}

async fn default(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let limits = state.blocking(move |service| service.default_quotas(&actor)).await?;
    Ok(Json(default_body(&limits)).into_response())
}

async fn set_default(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let (parts, sent) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let settings = settings(read(sent).await?)?;
    let limits = state
        .blocking(move |service| {
            service.set_default_quotas(&actor, settings)?;
            service.default_quotas(&actor)
        })
        .await?;
    Ok(Json(default_body(&limits)).into_response())
}

async fn recount(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let was_wrong = state.blocking(move |service| service.recount_usage(&actor)).await?;
    Ok(Json(json!({ "was_wrong": was_wrong })).into_response())
}

/// What a body sets: resources by name, each with a whole number or null.
fn settings(sent: Map<String, Value>) -> Result<Vec<Setting>, Refusal> {
    if sent.is_empty() {
        return Err(Refusal::bad(format!("name what to limit: {}", names())));
    }
    sent.into_iter()
        .map(|(name, value)| {
            let resource = Resource::parse(&name)
                .ok_or_else(|| Refusal::bad(format!("{name} is not limited here; {} are", names())))?;
            let limit = match &value {
                Value::Null => None,
                value => Some(value.as_i64().and_then(Limit::of_number).ok_or_else(|| {
                    let max = Limit::MAX;
                    Refusal::bad(format!(
                        "{name} must be a whole number from -1, which is unlimited, to {max}, or null: {value}"
                    ))
                })?),
            };
            Ok((resource, limit))
        })
        .collect()
}

fn names() -> String {
    Resource::ALL.map(Resource::as_str).join(", ")
}

fn default_body(limits: &[(Resource, Limit)]) -> Value {
    let limits: Map<String, Value> = limits
        .iter()
        .map(|(resource, limit)| (resource.as_str().to_owned(), limit.number().into()))
        .collect();
    json!({ "limits": limits })
}

fn body(quotas: &ProjectQuotas) -> Value {
    let ProjectQuotas { project, name, quotas, usage } = quotas;
    json!({
        "project_id": project.as_str(),
        "project_name": name,
        "quotas": quotas.iter().map(quota_body).collect::<Vec<_>>(),
        "images": usage.images,
        "images_killed": usage.killed,
        "images_uploading": usage.uploading,
        "image_bytes": usage.image_bytes,
        "deleted_images": usage.deleted_images,
        "deleted_image_bytes": usage.deleted_image_bytes,
        "reserved_bytes": usage.reserved_bytes,
    })
}

fn quota_body(quota: &Quota) -> Value {
    json!({
        "resource": quota.resource.as_str(),
        "unit": if quota.resource.is_of_bytes() { "MiB" } else { "images" },
        "limit": quota.applied.limit.number(),
        "own_limit": quota.applied.own.map(Limit::number),
        "default_limit": quota.applied.registered.number(),
        "used": quota.used_units(),
    })
}

#[cfg(test)]
#[path = "quotas_tests.rs"]
mod tests;
