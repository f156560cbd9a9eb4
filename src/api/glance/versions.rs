//! The versions document: which minors of the Image API are spoken here.
//!
//! Invariant: a minor is listed only when what it stands for is there, since clients switch
//! features on by these ids.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Newest first; the first is `CURRENT`. Left out: stores (2.8 to 2.11, 2.15) and the cache (2.14, 2.16, 2.18). The
/// reference lists 2.12 and 2.13, tasks of an image and usage, only beside several stores, though both work without;
/// clients look for them here.
const MINORS: [&str; 11] =
    ["v2.17", "v2.13", "v2.12", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"];

/// Whether `segment` is a first path segment that leads into the API.
pub(super) fn is_prefix(segment: &str) -> bool {
    segment == "v2" || MINORS.contains(&segment)
}

/// What a path that is a version alone answers: that version where it is spoken, else all of them.
pub(in crate::api) fn of(segment: &str, base_url: &str) -> Response {
    let spoken = MINORS.contains(&segment).then_some(segment);
    print(StatusCode::MULTIPLE_CHOICES, base_url, spoken)
}

/// The list, with links that start with `base_url`.
pub(super) fn list(status: StatusCode, base_url: &str) -> Response {
    print(status, base_url, None)
}

fn print(status: StatusCode, base_url: &str, only: Option<&str>) -> Response {
    let versions: Vec<_> = MINORS
        .iter()
        .enumerate()
        .filter(|(_, minor)| only.is_none_or(|only| only == **minor))
        .map(|(index, minor)| {
            json!({
                "id": minor,
                "status": if index == 0 { "CURRENT" } else { "SUPPORTED" },
                "links": [{ "rel": "self", "href": format!("{base_url}/v2/") }],
            })
        })
        .collect();
    let body = json!({ "versions": versions }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
