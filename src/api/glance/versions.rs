//! The versions document: which minors of the Image API are spoken here.
//!
//! Invariant: a minor is listed only when what it stands for is there, since clients switch
//! features on by these ids.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::Service;

/// What a minor needs to be listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A cache in front of the home.
    Cache,
}

/// Newest first; the first that is listed is `CURRENT`. Left out: stores (2.8 to 2.11, 2.15). The reference lists 2.12 and
/// 2.13, tasks of an image and usage, only beside several stores, though both work without; clients look for them here.
const MINORS: [(&str, Needs); 14] = [
    ("v2.18", Needs::Cache),
    ("v2.17", Needs::Nothing),
    ("v2.16", Needs::Cache),
    ("v2.14", Needs::Cache),
    ("v2.13", Needs::Nothing),
    ("v2.12", Needs::Nothing),
    ("v2.7", Needs::Nothing),
    ("v2.6", Needs::Nothing),
    ("v2.5", Needs::Nothing),
    ("v2.4", Needs::Nothing),
    ("v2.3", Needs::Nothing),
    ("v2.2", Needs::Nothing),
    ("v2.1", Needs::Nothing),
    ("v2.0", Needs::Nothing),
];

/// The minors that this box speaks, newest first.
fn spoken(service: &Service) -> Vec<&'static str> {
    let has = |needs: Needs| match needs {
        Needs::Nothing => true,
        Needs::Cache => service.has_cache(),
    };
    MINORS.iter().filter(|(_, needs)| has(*needs)).map(|(minor, _)| *minor).collect()
}

/// Whether `segment` is a first path segment that leads into the API.
pub(super) fn is_prefix(service: &Service, segment: &str) -> bool {
    segment == "v2" || spoken(service).contains(&segment)
}

/// What a path that is a version alone answers: that version where it is spoken, else all of them.
pub(in crate::api) fn of(service: &Service, segment: &str, base_url: &str) -> Response {
    let is_spoken = spoken(service).contains(&segment);
    print(service, StatusCode::MULTIPLE_CHOICES, base_url, is_spoken.then_some(segment))
}

/// The list, with links that start with `base_url`.
pub(super) fn list(service: &Service, status: StatusCode, base_url: &str) -> Response {
    print(service, status, base_url, None)
}

fn print(service: &Service, status: StatusCode, base_url: &str, only: Option<&str>) -> Response {
    let versions: Vec<_> = spoken(service)
        .into_iter()
        .enumerate()
        .filter(|(_, minor)| only.is_none_or(|only| only == *minor))
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
