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
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    /// Several stores to choose from.
    Stores,
    /// A cache in front of the home.
    Cache,
}

/// Newest first; the first that is listed is `CURRENT`. The reference lists 2.12 and 2.13, tasks of an image and usage, only
/// beside several stores, though both work without; clients look for them here. 2.15 it lists always, though what that
/// adds is there only beside several stores.
const MINORS: [(&str, Needs); 19] = [
    ("v2.18", Needs::Cache),
    ("v2.17", Needs::Nothing),
    ("v2.16", Needs::Cache),
    ("v2.15", Needs::Stores),
    ("v2.14", Needs::Cache),
    ("v2.13", Needs::Nothing),
    ("v2.12", Needs::Nothing),
    ("v2.11", Needs::Stores),
    ("v2.10", Needs::Stores),
    ("v2.9", Needs::Stores),
    ("v2.8", Needs::Stores),
    ("v2.7", Needs::Nothing),
    ("v2.6", Needs::Nothing),
    ("v2.5", Needs::Nothing),
    ("v2.4", Needs::Nothing),
    ("v2.3", Needs::Nothing),
    ("v2.2", Needs::Nothing),
    ("v2.1", Needs::Nothing),
    ("v2.0", Needs::Nothing),
];

/// The minors that a box speaks, newest first.
fn spoken(service: &Service) -> impl Iterator<Item = &'static str> {
    let (has_stores, has_cache) = (service.stores().are_several(), service.has_cache());
    let is_met = move |needs| match needs {
        Needs::Nothing => true,
        Needs::Stores => has_stores,
        Needs::Cache => has_cache,
    };
    MINORS.into_iter().filter(move |(_, needs)| is_met(*needs)).map(|(minor, _)| minor)
}

/// Whether `segment` is a first path segment that leads into the API.
pub(super) fn is_prefix(service: &Service, segment: &str) -> bool {
    segment == "v2" || spoken(service).any(|minor| minor == segment)
}

/// What a path that is a version alone answers: that version where it is spoken, else all of them.
pub(in crate::api) fn of(service: &Service, segment: &str, base_url: &str) -> Response {
    let known = spoken(service).find(|minor| *minor == segment);
    print(service, StatusCode::MULTIPLE_CHOICES, base_url, known)
}

/// The list, with links that start with `base_url`.
pub(super) fn list(service: &Service, status: StatusCode, base_url: &str) -> Response {
    print(service, status, base_url, None)
}

fn print(service: &Service, status: StatusCode, base_url: &str, only: Option<&str>) -> Response {
    let versions: Vec<_> = spoken(service)
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
