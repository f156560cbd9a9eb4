//! Every path of the Identity API on one page.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::call::{self, Call, Outcome};
use super::error::Refusal;
use super::{auth, versions};
use crate::api::context::ApiState;

/// The Identity API at `/identity/v3` and `/v3`, and its versions at `/identity`.
pub fn routes(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/identity", get(versions::list))
        .route("/identity/", get(versions::list))
        .route("/identity/v3/", get(versions::show))
        .route("/v3/", get(versions::show))
        .nest("/identity/v3", version_3())
        .nest("/v3", version_3())
        .layer(from_fn_with_state(state.clone(), call::finish))
}

fn version_3() -> Router<ApiState> {
    Router::new()
        .route("/", get(versions::show))
        .route("/auth/tokens", get(auth::show).post(auth::issue).delete(auth::revoke))
        .route("/auth/catalog", get(auth::show_catalog))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

async fn no_route(call: Call) -> Outcome {
    Err(Refusal::new(StatusCode::NOT_FOUND, format!("There is nothing at {}.", call.self_url())))
}

async fn no_method(_: Call) -> Outcome {
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for the requested URL."))
}
