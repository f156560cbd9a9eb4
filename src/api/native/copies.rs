//! `POST images/ID/copies`: an image's data is copied to more stores, by a job.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::error::Refusal;
use super::named::Path;
use super::{image_id, read, signed_in};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, post};

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The stores, by name.
    stores: Vec<String>,
    /// Whether it is to lie in none of them unless in all.
    #[serde(default = "by_default")]
    all_must_succeed: bool,
}

fn by_default() -> bool {
    true
}

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/images/{image}/copies", post(copy))
}

async fn copy(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let asked: Asked = read(body).await?;
    let order = move |service: &crate::service::Service| {
        let places = service.places_named(asked.stores.iter().map(String::as_str))?;
        service.copy_to_places(&actor, &id, places, asked.all_must_succeed)
    };
    let job = state.blocking(order).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "job_id": job.id.to_string() }))).into_response())
}
