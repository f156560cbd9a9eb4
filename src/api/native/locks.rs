//! `users/{user}/lock`: whether a user is locked out after failed sign-ins, and the end of that.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::Refusal;
use super::named::Path;
use super::signed_in;
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get};
use crate::base::Time;
use crate::model::UserId;

pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/users/{user}/lock", get(show).delete(end))
}

async fn show(
    State(state): State<ApiState>,
    Path(user): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    let until = state.blocking(move |service| service.user_lock(&actor, &UserId(user))).await?;
    let body = json!({"locked": until.is_some(), "until": until.map(Time::rfc3339_seconds)});
    Ok(Json(body).into_response())
}

async fn end(
    State(state): State<ApiState>,
    Path(user): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let actor = signed_in(&state, &parts).await?;
    state.blocking(move |service| service.unlock_user(&actor, &UserId(user))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
