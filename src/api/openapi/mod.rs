//! The description of everything that the port answers, as an OpenAPI 3.1 document.
//!
//! Invariant: what is described is what the route tables serve, no more and no less; a test compares them, and a server
//! leaves out what its settings switch off. Descriptions stand here, one file a protocol, and say what a route takes and
//! what it can answer. Must not know the service.

mod glance;
mod identity;
mod identity_records;
mod ims;
mod metadefs;
mod native;
mod native_inside;
mod native_links;
mod native_records;
mod operation;
mod registry;
mod schema;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::entity_tags::names;
use super::routing::{Routes, Served, get};
use operation::{Api, Operation};

/// Where the document is.
const PATH: &str = "/tintype/v1/openapi.json";
/// How long others may keep it, in seconds: it changes with releases and settings alone.
const KEPT_S: u32 = 300;

/// The whole document, with what settings can switch off.
pub fn document() -> Value {
    print(|_| true)
}

/// The route of the document, which describes what is served, and itself.
pub(super) fn routes(served: &[Served]) -> Routes {
    let served: Vec<Served> = served.to_vec();
    let document = std::sync::Arc::new(OnceLock::new());
    let show = move |headers: HeaderMap| {
        let (document, served) = (document.clone(), served.clone());
        async move {
            let printed: &(Bytes, String) = document.get_or_init(|| {
                let is_served = |operation: &Operation| operation.path == PATH || serves(&served, operation);
                let text = print(is_served).to_string();
                let tag = format!("\"{}\"", blake3::hash(text.as_bytes()).to_hex());
                (text.into(), tag)
            });
            respond(&headers, printed)
        }
    };
    Routes::new().route(PATH, get(show))
}

fn serves(served: &[Served], operation: &Operation) -> bool {
    served.iter().any(|one| one.method == operation.method && one.path == operation.path)
}

fn respond(headers: &HeaderMap, (document, tag): &(Bytes, String)) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let caching = [(ETAG, tag.clone()), (CACHE_CONTROL, format!("public, max-age={KEPT_S}"))];
    if known.is_some_and(|tags| names(tags, Some(tag), true)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    ([(CONTENT_TYPE, "application/json")], caching, document.clone()).into_response()
}

/// All operations, by protocol.
fn all() -> Vec<(&'static Api, Vec<Operation>)> {
    let identity: Vec<Operation> = ["/identity/v3", "/v3"]
        .into_iter()
        .flat_map(|prefix| identity::operations().into_iter().map(move |operation| operation.below(prefix)))
        .chain(identity::beside())
        .collect();
    vec![
        (&glance::API, glance::operations()),
        (&metadefs::API, metadefs::operations()),
        (&identity::API, identity),
        (&ims::API, ims::operations()),
        (&ims::AUDIT, ims::audit()),
        (&native::API, native::operations()),
        (&upkeep::WATCHING, upkeep::watching()),
    ]
}

/// What a route does, in one line.
#[cfg(test)]
pub(super) fn summaries() -> Vec<(Served, &'static str)> {
    let operations = all().into_iter().flat_map(|(_, operations)| operations);
    operations
        .map(|operation| (Served { path: operation.path, method: operation.method }, operation.summary))
        .collect()
}

fn print(is_wanted: impl Fn(&Operation) -> bool) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut tags = Vec::new();
    let mut refusals: Map<String, Value> = Map::new();
    for (api, operations) in all() {
        tags.push(json!({"name": api.tag, "description": api.about}));
        for operation in operations.iter().filter(|operation| is_wanted(operation)) {
            // The document has no word for "the rest of the path".
            let path = operation.path.replace("{*", "{");
            let at = paths.entry(path).or_insert_with(|| json!({}));
            at[operation.method.as_str().to_ascii_lowercase()] = operation.print(api);
            for status in operation.all_refusals(api) {
                refusals.entry(api.refusal_name(status)).or_insert_with(|| api.print_refusal(status));
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tintype",
            "description": "Machine images on one box: stored once, durable, behind the protocols that clients already speak.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": [{"token": []}, {"signature": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": refusals,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "SDK-HMAC-SHA256: the signature of an access key over the request",
                },
            },
        },
    })
}

fn schemas() -> Map<String, Value> {
    let all = [
        glance::schemas(),
        metadefs::schemas(),
        identity_records::schemas(),
        registry::schemas(),
        ims::schemas(),
        native_records::schemas(),
        upkeep::schemas(),
    ];
    all.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
