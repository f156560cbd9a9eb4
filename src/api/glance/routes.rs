//! The Image API on one page: which path and method leads where.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, LOCATION};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::error::Refusal;
use super::versions;
use crate::api::context::{ApiState, Credentials, authenticate};

/// Starts the `Accept` of a client that names the API's version there instead of in the path.
const VERSION_MEDIA_TYPE: &str = "application/vnd.openstack.images-v2";

/// Answers whatever no other protocol took.
pub async fn dispatch(State(state): State<ApiState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let base_url = state.base_url(&parts.uri, &parts.headers);
    let headers = parts.headers.clone();
    match route(state, parts, body, &base_url).await {
        Ok(response) => response,
        Err(refusal) => refusal.respond(&headers, &base_url),
    }
}

async fn route(state: ApiState, parts: Parts, body: Body, base_url: &str) -> Result<Response, Refusal> {
    let path = parts.uri.path().to_owned();
    let raw: Vec<&str> = path.split('/').skip(1).collect();
    let below = match raw.as_slice() {
        ["versions"] | ["versions", ""] => return Ok(versions::list(StatusCode::OK, base_url)),
        [prefix, below @ ..] if versions::is_prefix(prefix) => below,
        below if names_version(&parts) => below,
        _ => return Ok(versions::list(StatusCode::MULTIPLE_CHOICES, base_url)),
    };
    let credentials = Credentials::of(&parts);
    let actor = state.blocking(move |service| authenticate(service, &credentials)).await?;
    if below.is_empty() {
        return Ok((StatusCode::FOUND, [(LOCATION, format!("{path}/"))]).into_response());
    }
    let segments = below.iter().map(|segment| decode(segment)).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let _call = Call { state, actor, parts, body };
    let _ = segments;
    Err(Refusal::no_path())
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
