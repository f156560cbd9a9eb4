//! The paths of the Identity API where a cloud's Keystone has its place: each says where that is.
//!
//! Invariant: nobody signs in here, and no identity of the box's own is shown or changed, not even to its local administrator.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::VARY;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::error::Refusal;
use crate::api::context::ApiState;
use crate::api::routing::Routes;

/// The roots that the Identity API has otherwise.
const ROOTS: [&str; 3] = ["/identity", "/v3", "/v3.0"];

/// Every path of the Identity API.
pub(super) fn routes() -> Routes {
    // Other protocols have paths below these roots too.
    let nowhere = ROOTS.into_iter().fold(Router::new(), |routes, root| {
        let below = Router::new().route("/", any(nothing)).fallback(nothing);
        routes.route(&format!("{root}/"), any(nothing)).nest(root, below)
    });
    Routes::new().tree(nowhere, [])
}

async fn nothing(State(state): State<ApiState>) -> Response {
    let url = state.service.keystone_url().unwrap_or_default();
    let message = format!(
        "This server has no Identity API: users, projects, roles and tokens are those of the cloud's Keystone at {url}. \
         Ask there, for instance with the openstack client."
    );
    let refusal = Refusal::new(StatusCode::NOT_FOUND, message);
    ([(VARY, "X-Auth-Token")], refusal).into_response()
}
