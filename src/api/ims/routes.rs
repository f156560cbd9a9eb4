//! The image management API on one page: which path and method leads where.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{any, get};
use percent_encoding::percent_decode_str;

use super::call::{Call, image_id};
use super::error::Refusal;
use super::{images, imports, jobs, labels, machines, members, moves, os_versions, resources};
use crate::api::context::{ApiState, Credentials, RequestId, authenticate};
use crate::api::{gateway, glance};
use crate::model::job::JobKind;

/// Paths that are a version alone.
const VERSIONS: [&str; 11] =
    ["/v1", "/v1.0", "/v1.1", "/v2.0", "/v2.1", "/v2.2", "/v2.3", "/v2.4", "/v2.5", "/v2.6", "/v2.7"];

/// The routes, at the root of the port.
pub(in crate::api) fn routes() -> Router<ApiState> {
    let mut routes = Router::new()
        .route("/v2/cloudimages", any(dispatch))
        .route("/v2/cloudimages/{*rest}", any(dispatch))
        .route("/v2.1/cloudimages/{*rest}", any(dispatch))
        .route("/v2/{project}/images/{*rest}", any(dispatch))
        .route("/v1/{*rest}", any(dispatch))
        .route("/v1.1/{*rest}", any(dispatch));
    for version in VERSIONS {
        routes = routes.route(version, get(show_version).fallback(no_method));
    }
    routes
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
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let call = Call { state, actor, parts, body };
    let method = call.parts.method.clone();
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["v2", "cloudimages"]) => images::list(call).await,
        ("PATCH", ["v2", "cloudimages", image]) => images::update(call, image_id(image)?).await,
        ("GET", ["v1", "cloudimages", "tags"]) => labels::list_all(call).await,
        ("PUT", ["v1", "cloudimages", "tags"]) => labels::put_one(call).await,
        ("GET", ["v1", "cloudimages", "quota"]) => images::quota(call).await,
        ("GET", ["v1", "cloudimages", "os_version"]) => os_versions::list(call),
        ("POST", ["v2" | "v2.1", "cloudimages", "action"]) => imports::create(call).await,
        ("POST", ["v2" | "v2.1", "cloudimages", "quickimport", "action"]) => imports::quick(call).await,
        ("POST", ["v1" | "v2.1", "cloudimages", "dataimages", "action"]) => imports::data(call).await,
        ("POST", ["v1", "cloudimages", "wholeimages", "action"]) => machines::create(call).await,
        ("PUT", ["v1", "cloudimages", image, "upload"]) => imports::register(call, image_id(image)?).await,
        ("POST", ["v1" | "v2.1", "cloudimages", image, "file"]) => {
            moves::export(call, image_id(image)?).await
        }
        ("POST", ["v1" | "v2.1", "cloudimages", image, "copy"]) => moves::copy(call, image_id(image)?).await,
        ("POST", ["v1", "cloudimages", image, "cross_region_copy"]) => {
            moves::copy_across(call, image_id(image)?).await
        }
        ("POST", ["v1", "cloudimages", "members"]) => members::change_many(call, JobKind::AddMembers).await,
        ("PUT", ["v1", "cloudimages", "members"]) => members::change_many(call, JobKind::UpdateMembers).await,
        ("DELETE", ["v1", "cloudimages", "members"]) => {
            members::change_many(call, JobKind::DeleteMembers).await
        }
        ("GET", ["v1", "cloudimages", "job", job]) => jobs::show(call, job).await,
        ("GET", ["v1", project, "jobs", job]) => {
            call.expect_project(project)?;
            jobs::show(call, job).await
        }
        (_, ["v1" | "v1.1", "images", ..]) => Err(Refusal::abandoned()),
        (method, ["v1", project, "cloudimages", image, below @ ..]) => {
            call.expect_project(project)?;
            let id = image_id(image)?;
            match (method, below) {
                ("GET", ["members"]) => members::list(call, id).await,
                ("GET", ["members", member]) => members::show(call, id, (*member).into()).await,
                ("DELETE", ["tags", "delete"]) => labels::delete_many(call, id).await,
                _ => Err(Refusal::no_api()),
            }
        }
        (method, ["v2", project, "images", below @ ..]) => {
            call.expect_project(project)?;
            match (method, below) {
                ("GET", ["tags"]) => labels::list_of_project(call).await,
                ("POST", ["resource_instances", "action"]) => resources::find(call).await,
                ("GET", [image, "tags"]) => labels::list(call, image_id(image)?).await,
                ("POST", [image, "tags"]) => labels::add(call, image_id(image)?).await,
                ("POST", [image, "tags", "action"]) => labels::change(call, image_id(image)?).await,
                ("DELETE", [image, "tags", key]) => {
                    labels::delete(call, image_id(image)?, (*key).to_owned()).await
                }
                _ => Err(Refusal::no_api()),
            }
        }
        _ => Err(Refusal::no_api()),
    }
}

/// One path segment in clear. The signature of a request takes an encoded slash for a separator, so
/// that here it leads nowhere.
fn decode(segment: &str) -> Result<String, Refusal> {
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) if !text.contains('/') => Ok(text.into_owned()),
        _ => Err(Refusal::no_api()),
    }
}
