//! The Image API on one page: which path and method leads where.
//!
//! Paths begin behind the version: `/v2`, that of another minor, or what the header `Accept` says.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::error::Refusal;
use super::{
    cache, data, images, imports, locations, members, metadefs, schemas, stores, tasks, usage, versions,
};
use crate::api::context::{ApiState, Credentials, authenticate};
use crate::api::routing::Served;
use crate::api::table::{Line, Lookup, look_up, served as served_below, table};

/// Starts the `Accept` of a client that names the API's version there instead of in the path.
const VERSION_MEDIA_TYPE: &str = "application/vnd.openstack.images-v2";

/// Answers whatever no other protocol took.
pub async fn dispatch(State(state): State<ApiState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let base_url = state.base_url(&parts.uri, &parts.headers);
    let headers = parts.headers.clone();
    let sign_in_url = state.sign_in_url(&base_url);
    match route(state, parts, body, &base_url).await {
        Ok(response) => response,
        Err(refusal) => refusal.respond(&headers, &sign_in_url),
    }
}

async fn route(state: ApiState, parts: Parts, body: Body, base_url: &str) -> Result<Response, Refusal> {
    let path = parts.uri.path().to_owned();
    let raw: Vec<&str> = path.split('/').skip(1).collect();
    let below = match raw.as_slice() {
        ["versions"] | ["versions", ""] => {
            return Ok(versions::list(&state.service, StatusCode::OK, base_url));
        }
        [prefix, below @ ..] if versions::is_prefix(&state.service, prefix) => below,
        below if names_version(&parts) => below,
        _ => return Ok(versions::list(&state.service, StatusCode::MULTIPLE_CHOICES, base_url)),
    };
    let credentials = Credentials::of(&parts);
    let actor = state.blocking(move |service| authenticate(service, &credentials)).await?;
    if below.is_empty() {
        return Ok((StatusCode::FOUND, [(LOCATION, format!("{path}/"))]).into_response());
    }
    let segments = below.iter().map(|segment| decode(segment)).collect::<Result<Vec<_>, _>>()?;
    match look_up(LINES.iter().chain(metadefs::LINES), &parts.method, &segments) {
        Lookup::Line(line, names) => (line.run)(Call { state, actor, parts, body }, names).await,
        Lookup::Methods(methods) => Err(other_method(parts.method.as_str(), &methods)),
        Lookup::Nothing => Err(Refusal::no_path()),
    }
}

/// Says which methods a path takes, to whoever used another.
fn other_method(method: &str, methods: &[&str]) -> Refusal {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" => {
            Refusal::method_not_allowed(&methods.join(", "))
        }
        _ => Refusal::new(StatusCode::NOT_IMPLEMENTED, format!("the method {method:?} is not known here")),
    }
}

/// All of it but what has no version, and metadata definitions.
static LINES: &[Line<Call, Refusal>] = table! {
    "GET" "/images" => images::list();
    "POST" "/images" => images::create();
    "GET" "/images/{image}" => images::show(image);
    "PATCH" "/images/{image}" => images::update(image);
    "DELETE" "/images/{image}" => images::delete(image);
    "GET" "/images/{image}/file" => data::download(image);
    "PUT" "/images/{image}/file" => data::upload(image);
    "PUT" "/images/{image}/stage" => imports::stage(image);
    "POST" "/images/{image}/import" => imports::import(image);
    "GET" "/images/{image}/tasks" => tasks::of_image(image);
    "GET" "/images/{image}/locations" => locations::list(image);
    "POST" "/images/{image}/locations" => locations::add(image);
    "POST" "/images/{image}/actions/deactivate" => images::deactivate(image);
    "POST" "/images/{image}/actions/reactivate" => images::reactivate(image);
    "GET" "/images/{image}/members" => members::list(image);
    "POST" "/images/{image}/members" => members::create(image);
    "GET" "/images/{image}/members/{member}" => members::show(image, member);
    "PUT" "/images/{image}/members/{member}" => members::update(image, member);
    "DELETE" "/images/{image}/members/{member}" => members::delete(image, member);
    "PUT" "/images/{image}/tags/{tag}" => images::add_tag(image, tag);
    "DELETE" "/images/{image}/tags/{tag}" => images::remove_tag(image, tag);
    "GET" "/tasks" => tasks::list();
    "POST" "/tasks" => tasks::create();
    "GET" "/tasks/{task}" => tasks::show(task);
    "GET" "/schemas/{schema}" => schemas::show(schema);
    "GET" "/schemas/metadefs/{schema}" => metadefs::schemas::show(schema);
    "GET" "/info/import" => imports::methods();
    "GET" "/info/usage" => usage::show();
    "GET" "/info/stores" => stores::list();
    "GET" "/info/stores/detail" => stores::details();
    "DELETE" "/stores/{store}/{image}" => stores::drop_copy(store, image);
    "GET" "/cache" => cache::list();
    "DELETE" "/cache" => cache::clear();
    "POST" "/cache/clean" => cache::clean();
    "POST" "/cache/prune" => cache::prune();
    "PUT" "/cache/{image}" => cache::add(image);
    "DELETE" "/cache/{image}" => cache::drop_one(image);
    "GET" "/cache/nodes/{image}" => cache::nodes(image);
};

/// What is served, as clients that name the current version reach it.
pub(in crate::api) fn served() -> Vec<Served> {
    let versions = ["/", "/versions"].map(|path| Served { path: path.into(), method: Method::GET });
    let lines = LINES.iter().chain(metadefs::LINES);
    versions.into_iter().chain(served_below("/v2", lines)).collect()
}

fn names_version(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with(VERSION_MEDIA_TYPE))
}

/// One path segment in clear. An encoded slash makes no segment, so such a path leads nowhere.
fn decode(segment: &str) -> Result<Cow<'_, str>, Refusal> {
    let text =
        percent_decode_str(segment).decode_utf8().map_err(|_| Refusal::bad("the path is not valid UTF-8"))?;
    if text.contains('/') { Err(Refusal::no_path()) } else { Ok(text) }
}
