//! The image management API on one page: which path and method leads where.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::error::Refusal;
use super::{images, imports, jobs, labels, machines, members, moves, os_versions, resources};
use crate::api::context::{ApiState, Credentials, RequestId, authenticate};
use crate::api::routing::{Routes, get};
use crate::api::table::{Line, Lookup, look_up, served, table};
use crate::api::{gateway, glance};

/// Paths that are a version alone.
pub(in crate::api) const VERSIONS: [&str; 11] =
    ["/v1", "/v1.0", "/v1.1", "/v2.0", "/v2.1", "/v2.2", "/v2.3", "/v2.4", "/v2.5", "/v2.6", "/v2.7"];

/// The routes, at the root of the port.
pub(in crate::api) fn routes() -> Routes {
    let trees = Router::new()
        .route("/v2/cloudimages", any(dispatch))
        .route("/v2/cloudimages/{*rest}", any(dispatch))
        .route("/v2.1/cloudimages/{*rest}", any(dispatch))
        .route("/v2/{project}/images/{*rest}", any(dispatch))
        .route("/v1/{*rest}", any(dispatch))
        .route("/v1.1/{*rest}", any(dispatch));
    let routes = Routes::new().tree(trees, served("", LINES.iter()));
    VERSIONS
        .into_iter()
        .fold(routes, |routes, version| routes.route(version, get(show_version).otherwise(no_method)))
}

/// Answers 300 to anyone, as the reference does.
async fn show_version(State(state): State<ApiState>, request: Request) -> Response {
    let base_url = state.base_url(request.uri(), request.headers());
    glance::versions::of(&state.service, request.uri().path().trim_start_matches('/'), &base_url)
}

async fn no_method(request: Request) -> Response {
    gateway::Refusal::no_api().respond(request.extensions().get::<RequestId>())
}

async fn dispatch(State(state): State<ApiState>, request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    match answer(state, parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.respond(id.as_ref()),
    }
}

async fn answer(state: ApiState, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let credentials = Credentials::of(&parts);
    let actor = state.blocking(move |service| authenticate(service, &credentials)).await?;
    let path = parts.uri.path().to_owned();
    let segments = path.split('/').skip(1).map(decode).collect::<Result<Vec<_>, _>>()?;
    // Versions that the reference abandoned, whatever is asked of them.
    if let ["v1" | "v1.1", "images", ..] = segments.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        return Err(Refusal::abandoned());
    }
    let Lookup::Line(line, names) = look_up(LINES.iter(), &parts.method, &segments) else {
        return Err(Refusal::no_api());
    };
    let call = Call { state, actor, parts, body };
    if let Some(project) = names.text("project") {
        call.expect_project(project)?;
    }
    (line.run)(call, names).await
}

/// All of it but what is a version alone.
static LINES: &[Line<Call, Refusal>] = table! {
    "GET" "/v2/cloudimages" => images::list();
    "PATCH" "/v2/cloudimages/{image}" => images::update(image);
    "GET" "/v1/cloudimages/tags" => labels::list_all();
    "PUT" "/v1/cloudimages/tags" => labels::put_one();
    "GET" "/v1/cloudimages/quota" => images::quota();
    "GET" "/v1/cloudimages/os_version" => os_versions::list();
    "POST" "/v2/cloudimages/action" => imports::create();
    "POST" "/v2.1/cloudimages/action" => imports::create();
    "POST" "/v2/cloudimages/quickimport/action" => imports::quick();
    "POST" "/v2.1/cloudimages/quickimport/action" => imports::quick();
    "POST" "/v1/cloudimages/dataimages/action" => imports::data();
    "POST" "/v2.1/cloudimages/dataimages/action" => imports::data();
    "POST" "/v1/cloudimages/wholeimages/action" => machines::create();
    "PUT" "/v1/cloudimages/{image}/upload" => imports::register(image);
    "POST" "/v1/cloudimages/{image}/file" => moves::export(image);
    "POST" "/v2.1/cloudimages/{image}/file" => moves::export(image);
    "POST" "/v1/cloudimages/{image}/copy" => moves::copy(image);
    "POST" "/v2.1/cloudimages/{image}/copy" => moves::copy(image);
    "POST" "/v1/cloudimages/{image}/cross_region_copy" => moves::copy_across(image);
    "POST" "/v1/cloudimages/members" => members::share();
    "PUT" "/v1/cloudimages/members" => members::answer();
    "DELETE" "/v1/cloudimages/members" => members::unshare();
    "GET" "/v1/cloudimages/job/{job}" => jobs::show(job);
    "GET" "/v1/{project}/jobs/{job}" => jobs::show(job);
    "GET" "/v1/{project}/cloudimages/{image}/members" => members::list(image);
    "GET" "/v1/{project}/cloudimages/{image}/members/{member}" => members::show(image, member);
    "DELETE" "/v1/{project}/cloudimages/{image}/tags/delete" => labels::delete_many(image);
    "GET" "/v2/{project}/images/tags" => labels::list_of_project();
    "POST" "/v2/{project}/images/resource_instances/action" => resources::find();
    "GET" "/v2/{project}/images/{image}/tags" => labels::list(image);
    "POST" "/v2/{project}/images/{image}/tags" => labels::add(image);
    "POST" "/v2/{project}/images/{image}/tags/action" => labels::change(image);
    "DELETE" "/v2/{project}/images/{image}/tags/{key}" => labels::delete(image, key);
};

/// One path segment in clear. The signature of a request takes an encoded slash for a separator, so
/// that here it leads nowhere.
fn decode(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) if !text.contains('/') => Ok(text),
        _ => Err(Refusal::no_api()),
    }
}
