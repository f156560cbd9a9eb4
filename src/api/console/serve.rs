//! How the console's files leave: with the headers that keep a page from being more than it is.
//!
//! Invariant: every answer below `/console`, refusals included, has the same security headers.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::assets::{ASSETS, Asset};
use crate::api::entity_tags::names;

/// What a page may load, run and reach: this server's own files and interfaces, and no text as code. Scripts cannot even
/// hand a text to the parser of markup (Trusted Types, where the browser has them).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The files' entity tags, in the order of the table: BLAKE3 of the content.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    ASSETS.iter().map(|asset| format!("\"{}\"", blake3::hash(asset.bytes).to_hex())).collect()
});

/// `/console`: the page's links are relative to `/console/`.
pub(super) async fn redirect(method: Method) -> Response {
    if !is_read(&method) {
        return guarded(not_allowed());
    }
    guarded((StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/console/")]).into_response())
}

/// `/console/`
pub(super) async fn page(method: Method, headers: HeaderMap) -> Response {
    answer(&method, &headers, "")
}

/// `/console/{path}`
pub(super) async fn file(
    method: Method,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Response {
    match path {
        Ok(Path(path)) => answer(&method, &headers, &path),
        // What cannot be decoded names nothing.
        Err(_) => guarded(not_found()),
    }
}

/// The console is switched off.
pub(super) async fn nothing() -> Response {
    guarded(not_found())
}

fn answer(method: &Method, headers: &HeaderMap, path: &str) -> Response {
    let found = ASSETS.iter().zip(TAGS.iter()).find(|(asset, _)| asset.path == path);
    guarded(match found {
        None => not_found(),
        Some(_) if !is_read(method) => not_allowed(),
        Some((asset, tag)) => content(asset, tag, headers),
    })
}

/// One file, or that the client has it already. The body of an answer to HEAD is left out by the server.
fn content(asset: &Asset, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    // Asked about each time, so that a new release is never mixed with files of the one before.
    let caching = [(ETAG, tag), (CACHE_CONTROL, "no-cache")];
    if known.is_some_and(|tags| names(tags, Some(tag), true)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    ([(CONTENT_TYPE, asset.media_type)], caching, asset.bytes).into_response()
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is nothing here\n").into_response()
}

fn not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], "only GET and HEAD\n").into_response()
}

/// The answer, with what every answer of the console has.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
