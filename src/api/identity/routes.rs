//! Every path of the Identity API on one page.

use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;

use super::call::{self, Call, Outcome};
use super::error::Refusal;
use super::{
    application_credentials, auth, credentials, domains, elsewhere, endpoints, grants, groups, implied,
    limits, projects, regions, roles, security_tokens, services, users, versions,
};
use crate::api::context::ApiState;
use crate::api::routing::{Routes, get, post, put};

/// The Identity API at `/identity/v3` and `/v3`, and its versions at `/identity`.
///
/// Where a cloud's Keystone says who asks, they lead nowhere, whatever the box's own identities still are.
pub(in crate::api) fn routes(state: &ApiState) -> Routes {
    if state.service.keystone_url().is_some() {
        return elsewhere::routes();
    }
    Routes::new()
        .route("/identity", get(versions::list))
        .route("/identity/", get(versions::list))
        .route("/identity/v3/", get(versions::show))
        .route("/v3/", get(versions::show))
        .route("/v3.0/OS-CREDENTIAL/securitytokens", post(security_tokens::create))
        .nest("/identity/v3", version_3())
        .nest("/v3", version_3())
        .around(|router| router.layer(from_fn_with_state(state.clone(), call::finish)))
}

fn version_3() -> Routes {
    Routes::new()
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
        .merge(application_credentials_of("/users/{user}"))
        .route(
            "/users/{user}/credentials/OS-EC2",
            get(credentials::list_pairs).post(credentials::create_pair),
        )
        .route(
            "/users/{user}/credentials/OS-EC2/{access}",
            get(credentials::show_pair).delete(credentials::delete_pair),
        )
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
        .route("/roles/{role}/implies", get(implied::list))
        .route(
            "/roles/{role}/implies/{implied}",
            put(implied::create).get(implied::show).head(implied::check).delete(implied::delete),
        )
        .route("/role_inferences", get(implied::inferences))
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
        .route("/credentials", get(credentials::list).post(credentials::create))
        .route(
            "/credentials/{credential}",
            get(credentials::show).patch(credentials::update).delete(credentials::delete),
        )
        .route("/regions", get(regions::list).post(regions::create))
        .route("/regions/{region}", get(regions::show).patch(regions::update).delete(regions::delete))
        .route("/services", get(services::list).post(services::create))
        .route("/services/{service}", get(services::show).patch(services::update).delete(services::delete))
        .route("/endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/endpoints/{endpoint}",
            get(endpoints::show).patch(endpoints::update).delete(endpoints::delete),
        )
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

/// What programs sign in with for a user, and what that is for.
fn application_credentials_of(user: &str) -> Routes {
    use application_credentials::{create, delete, delete_rule, list, list_rules, show, show_rule};
    Routes::new()
        .route(&format!("{user}/application_credentials"), get(list).post(create))
        .route(&format!("{user}/application_credentials/{{credential}}"), get(show).delete(delete))
        .route(&format!("{user}/access_rules"), get(list_rules))
        .route(&format!("{user}/access_rules/{{rule}}"), get(show_rule).delete(delete_rule))
}

/// Roles of users and of groups on one kind of scope.
fn grants_on(scope: &str) -> Routes {
    let mut routes = Routes::new();
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
