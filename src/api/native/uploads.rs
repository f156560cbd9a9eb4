//! Image data in parts: the tus protocol, version 1.0.0, with the extensions creation,
//! creation-defer-length, expiration and termination.
//!
//! Invariant: an offset is told only when everything before it is durable. Must not know how.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::body::frames;
use crate::api::context::ApiState;
use crate::api::routing::{Routes, head, post};
use crate::base::Time;
use crate::model::{ImageId, PartialUpload};
use crate::service::Service;
use crate::service::images::Patch;

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-defer-length,expiration,termination";
const OFFSETS: &str = "application/offset+octet-stream";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Names the method where a proxy lets only some through.
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The routes of uploads in parts.
pub(super) fn routes() -> Routes {
    Routes::new().route("/tintype/v1/images/{image}/uploads", post(create).get(list).options(options)).route(
        "/tintype/v1/images/{image}/uploads/{upload}",
        head(show).patch(patch).delete(abandon).post(overridden).options(options),
    )
}

type Named = Path<(String, String)>;

async fn options(State(state): State<ApiState>) -> Response {
    let headers = [
        (TUS_RESUMABLE, VERSION.to_owned()),
        (TUS_VERSION, VERSION.to_owned()),
        (TUS_EXTENSION, EXTENSIONS.to_owned()),
        (TUS_MAX_SIZE, state.service.image_bytes_max().to_string()),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn list(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let upload = state.blocking(move |service| service.upload_of(&actor, &id)).await?;
    Ok(Json(json!({"uploads": upload.iter().map(body).collect::<Vec<_>>()})).into_response())
}

async fn create(State(state): State<ApiState>, Path(image): Path<String>, request: Request) -> Response {
    let answer = async {
        let (parts, _) = request.into_parts();
        expect_version(&parts.headers)?;
        let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
        let declared = declared(&parts.headers)?;
        let (asked, store) = (actor.clone(), named_store(&parts.headers)?);
        let create =
            move |service: &Service| service.create_upload_to(&asked, &id, declared, store.as_deref());
        let mut upload = state.blocking(create).await?;
        if declared == Some(0) {
            let (part, nothing) = (Patch { offset: 0, declared_bytes: None }, futures::stream::empty());
            upload = state.service.receive_part(&actor, &id, upload.token, part, nothing).await?;
        }
        let place = format!("/tintype/v1/images/{id}/uploads/{}", hex::encode(upload.token));
        Ok((StatusCode::CREATED, [(LOCATION, place)], told(&upload)).into_response())
    };
    tus(answer.await)
}

async fn show(State(state): State<ApiState>, Path(named): Named, request: Request) -> Response {
    tus(standing(&state, &named, &request.into_parts().0).await)
}

async fn standing(state: &ApiState, named: &(String, String), parts: &Parts) -> Result<Response, Refusal> {
    expect_version(&parts.headers)?;
    let (actor, (id, token)) = (signed_in(state, parts).await?, find(named)?);
    let upload = state.service.settled_upload(&actor, &id, token).await?;
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")], told(&upload)).into_response())
}

async fn patch(State(state): State<ApiState>, Path(named): Named, request: Request) -> Response {
    tus(receive(&state, &named, request).await)
}

async fn receive(state: &ApiState, named: &(String, String), request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    expect_version(&parts.headers)?;
    let (actor, (id, token)) = (signed_in(state, &parts).await?, find(named)?);
    if parts.headers.get(CONTENT_TYPE).is_none_or(|media| media != OFFSETS) {
        let message = format!("a part of an upload must be of type {OFFSETS}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let offset = number(&parts.headers, &UPLOAD_OFFSET)?;
    let offset = offset.ok_or_else(|| Refusal::bad("the header Upload-Offset is missing"))?;
    let part = Patch { offset, declared_bytes: number(&parts.headers, &UPLOAD_LENGTH)? };
    let pieces = Box::pin(frames(body));
    let upload = state.service.receive_part(&actor, &id, token, part, pieces).await?;
    Ok((StatusCode::NO_CONTENT, told(&upload)).into_response())
}

async fn abandon(State(state): State<ApiState>, Path(named): Named, request: Request) -> Response {
    tus(give_up(&state, &named, &request.into_parts().0).await)
}

async fn give_up(state: &ApiState, named: &(String, String), parts: &Parts) -> Result<Response, Refusal> {
    expect_version(&parts.headers)?;
    let (actor, (id, token)) = (signed_in(state, parts).await?, find(named)?);
    state.service.abandon_upload(&actor, &id, token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn overridden(State(state): State<ApiState>, Path(named): Named, request: Request) -> Response {
    let method = request.headers().get(METHOD_OVERRIDE).and_then(|method| method.to_str().ok()).unwrap_or("");
    tus(match method {
        "PATCH" => receive(&state, &named, request).await,
        "HEAD" => standing(&state, &named, &request.into_parts().0).await,
        "DELETE" => give_up(&state, &named, &request.into_parts().0).await,
        _ => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "an upload takes only: HEAD, PATCH, DELETE, or POST with one of them in X-HTTP-Method-Override",
        )),
    })
}

/// Every answer says which version it is of.
fn tus(answer: Result<Response, Refusal>) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    if response.status() == StatusCode::PRECONDITION_FAILED {
        response.headers_mut().insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    }
    response
}

fn expect_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(TUS_RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let message = format!("this is tus {VERSION}: the request must say so in the header Tus-Resumable");
    Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message))
}

/// How long the data will be; `None` when that is said later.
fn declared(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let deferred = headers.get(UPLOAD_DEFER_LENGTH).map(|value| value == "1");
    match (number(headers, &UPLOAD_LENGTH)?, deferred) {
        (Some(bytes), None) => Ok(Some(bytes)),
        (None, Some(true)) => Ok(None),
        _ => Err(Refusal::bad("an upload needs either Upload-Length or \"Upload-Defer-Length: 1\"")),
    }
}

/// The store that the data is to go to: `store` of the upload's metadata, which are names and values in Base64.
fn named_store(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(None) };
    let wrong = || {
        Refusal::bad("Upload-Metadata must be names, each with a value in Base64, and commas between them")
    };
    for pair in value.to_str().map_err(|_| wrong())?.split(',') {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        if name == "store" {
            let bytes = STANDARD.decode(value.trim()).map_err(|_| wrong())?;
            return String::from_utf8(bytes).map(Some).map_err(|_| wrong());
        }
    }
    Ok(None)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Refusal::bad(format!("the header {name} must be a number of bytes"))),
    }
}

fn find((image, upload): &(String, String)) -> Result<(ImageId, [u8; 16]), Refusal> {
    let token = hex::decode(upload).ok().and_then(|bytes| bytes.try_into().ok());
    Ok((image_id(image)?, token.ok_or_else(Refusal::no_path)?))
}

/// Where an upload stands, in headers.
fn told(upload: &PartialUpload) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(UPLOAD_OFFSET, upload.received_bytes.into());
    match upload.declared_bytes {
        Some(bytes) => headers.insert(UPLOAD_LENGTH, bytes.into()),
        None => headers.insert(UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1")),
    };
    if !upload.complete
        && let Ok(date) = HeaderValue::from_str(&upload.expires_at.http_date())
    {
        headers.insert(UPLOAD_EXPIRES, date);
    }
    headers
}

/// Where an upload stands, for whoever looks for one to go on with.
fn body(upload: &PartialUpload) -> Value {
    json!({
        "id": hex::encode(upload.token),
        "offset": upload.received_bytes,
        "length": upload.declared_bytes,
        "blake3": hex::encode(upload.blake3),
        "complete": upload.complete,
        "created_at": upload.created_at.rfc3339_seconds(),
        "expires_at": Time::rfc3339_seconds(upload.expires_at),
    })
}

#[cfg(test)]
#[path = "uploads_tests.rs"]
mod tests;
