//! `places`: the buckets and other regions that the caller's project may use, by their names.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::Refusal;
use super::signed_in;
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::service::images::Places;

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/places", get(list))
}

async fn list(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = signed_in(&state, &request.into_parts().0).await?;
    let places = state.blocking(move |service| service.places(&actor)).await?;
    Ok(Json(body(&places)).into_response())
}

fn body(places: &Places) -> Value {
    let bucket = |bucket: &crate::service::images::BucketPlace| {
        json!({
            "name": bucket.name,
            "read": bucket.read,
            "write": bucket.write,
            "backups": bucket.backups,
        })
    };
    let buckets: Vec<Value> = places.buckets.iter().map(bucket).collect();
    json!({"buckets": buckets, "regions": places.regions})
}
