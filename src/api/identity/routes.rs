//! Every path of the Identity API on one page.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

use super::call::{self, Call, Outcome};
use super::error::Refusal;
use super::{
    auth, domains, grants, groups, limits, projects, regions, roles, security_tokens, users, versions,
};
use crate::api::context::ApiState;

/// The Identity API at `/identity/v3` and `/v3`, and its versions at `/identity`.
pub fn routes(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/identity", get(versions::list))
        .route("/identity/", get(versions::list))
        .route("/identity/v3/", get(versions::show))
        .route("/v3/", get(versions::show))
        .route("/v3.0/OS-CREDENTIAL/securitytokens", post(security_tokens::create))
        .nest("/identity/v3", version_3())
        .nest("/v3", version_3())
        .layer(from_fn_with_state(state.clone(), call::finish))
}

fn version_3() -> Router<ApiState> {
    Router::new()
        .route("/", get(versions::show))
        .route("/auth/tokens", get(auth::show).post(auth::issue).delete(auth::revoke))
        .route("/auth/catalog", get(auth::show_catalog))
        .route("/auth/projects", get(auth::open_projects))
        .route("/auth/domains", get(auth::open_domains))
        .route("/auth/system", get(auth::open_system))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{user}", get(users::show).patch(users::update).delete(users::delete))
        .route("/users/{user}/password", post(users::change_password))
        .route("/users/{user}/projects", get(projects::of_user))
        .route("/users/{user}/groups", get(groups::of_user))
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{group}", get(groups::show).patch(groups::update).delete(groups::delete))
        .route("/groups/{group}/users", get(groups::members))
        .route(
            "/groups/{group}/users/{user}",
            put(groups::add).head(groups::check).get(groups::check).delete(groups::remove),
        )
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{project}", get(projects::show).patch(projects::update).delete(projects::delete))
        .route("/domains", get(domains::list).post(domains::create))
        .route("/domains/{domain}", get(domains::show).patch(domains::update).delete(domains::delete))
        .route("/roles", get(roles::list).post(roles::create))
        .route("/roles/{role}", get(roles::show).patch(roles::update).delete(roles::delete))
        .route("/role_inferences", get(roles::inferences))
        .route("/role_assignments", get(grants::assignments))
        .merge(grants_on("/projects/{project}"))
        .merge(grants_on("/domains/{domain}"))
        .merge(grants_on("/system"))
        .route("/registered_limits", get(limits::list_registered).post(limits::create_registered))
        .route(
            "/registered_limits/{limit}",
            get(limits::show_registered).patch(limits::update_registered).delete(limits::delete_registered),
        )
        .route("/limits", get(limits::list).post(limits::create))
        .route("/limits/model", get(limits::model))
        .route("/limits/{limit}", get(limits::show).patch(limits::update).delete(limits::delete))
        .route("/regions", get(regions::list_regions))
        .route("/regions/{region}", get(regions::show_region))
        .route("/services", get(regions::list_services))
        .route("/services/{service}", get(regions::show_service))
        .route("/endpoints", get(regions::list_endpoints))
        .route("/endpoints/{endpoint}", get(regions::show_endpoint))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

/// Roles of users and of groups on one kind of scope.
fn grants_on(scope: &str) -> Router<ApiState> {
    let mut routes = Router::new();
    for holder in ["users/{user}", "groups/{group}"] {
        routes = routes.route(&format!("{scope}/{holder}/roles"), get(grants::list)).route(
            &format!("{scope}/{holder}/roles/{{role}}"),
            put(grants::give).head(grants::check).delete(grants::take),
        );
    }
    routes
}

async fn no_route(call: Call) -> Outcome {
    Err(Refusal::new(StatusCode::NOT_FOUND, format!("There is nothing at {}.", call.self_url())))
}

async fn no_method(_: Call) -> Outcome {
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for the requested URL."))
}
