//! The native API, under `/tintype/v1`: what no other protocol has. For administrators.
//!
//! `GET stats` answers at once; `POST check` and `POST gc` answer in lines of JSON: any number of
//! `{"progress": …}`, then one `{"result": …}` or `{"error": "…"}`. Work that has begun goes on
//! when the client leaves.

mod error;
mod work;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::context::{ApiState, Credentials, authenticate};
use crate::service::upkeep::{Checked, Reclaimed, Usage};
use crate::service::{Actor, Error};
use error::Refusal;

/// The native routes.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/tintype/v1/stats", get(stats))
        .route("/tintype/v1/check", post(check))
        .route("/tintype/v1/gc", post(gc))
}

async fn stats(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = caller(&state, request).await?;
    let usage = state.blocking(move |service| service.usage(&actor)).await?;
    Ok(Json(usage_body(&usage)).into_response())
}

async fn check(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = caller(&state, request).await?;
    Ok(work::respond(state, move |service, tell| Ok(checked_body(&service.check(&actor, tell)?))))
}

async fn gc(State(state): State<ApiState>, request: Request) -> Result<Response, Refusal> {
    let actor = caller(&state, request).await?;
    Ok(work::respond(state, move |service, tell| Ok(reclaimed_body(&service.reclaim(&actor, tell)?))))
}

/// Who asks, once it is known to be allowed to.
async fn caller(state: &ApiState, request: Request) -> Result<Actor, Error> {
    let credentials = Credentials::of(&request.into_parts().0);
    let authorised = move |service: &crate::service::Service| {
        let actor = authenticate(service, &credentials)?;
        service.authorise_upkeep(&actor)?;
        Ok(actor)
    };
    state.blocking(authorised).await
}
