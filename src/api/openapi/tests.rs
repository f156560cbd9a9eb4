//! The description against what is served, and against itself.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{PATH, document, summaries};
use crate::api::{ApiState, metrics, routes};
use crate::service::testing::service;

fn state() -> ApiState {
    ApiState { service: service().0, public_url: None }
}

fn names<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut names = BTreeSet::new();
    for one in all {
        assert!(names.insert(one), "something is there twice");
    }
    names
}

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let routes = routes(&state(), metrics::Metrics::default(), true);
    let served = routes.served().iter().map(|served| format!("{} {}", served.method, served.path));
    let served = names(served.chain([format!("GET {PATH}")]));
    let described = names(summaries().into_iter().map(|(one, _)| format!("{} {}", one.method, one.path)));
    let missing: Vec<&String> = served.difference(&described).collect();
    let idle: Vec<&String> = described.difference(&served).collect();
    assert!(missing.is_empty() && idle.is_empty(), "not described: {missing:#?}\nnot served: {idle:#?}");
}

/// Each reference of the document leads to one of its components.
fn expect_whole(document: &Value, at: &Value) {
    if let Some(link) = at.get("$ref").and_then(Value::as_str) {
        assert!(document.pointer(link.strip_prefix('#').unwrap()).is_some(), "{link}");
    }
    match at {
        Value::Object(all) => all.values().for_each(|below| expect_whole(document, below)),
        Value::Array(all) => all.iter().for_each(|below| expect_whole(document, below)),
        _ => {}
    }
}

#[test]
fn the_description_is_whole() {
    let document = document();
    expect_whole(&document, &document);
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let summary = operation["summary"].as_str().unwrap();
            assert!(!summary.is_empty() && !summary.ends_with('.'), "{method} {path}: {summary}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status < &"400".to_owned()), "{method} {path}");
        }
    }
    assert!(ids.len() > 300, "{} operations", ids.len());
}

async fn ask(console: bool, known: Option<&str>) -> (StatusCode, axum::http::HeaderMap, Value) {
    let mut request = Request::builder().uri(PATH);
    if let Some(known) = known {
        request = request.header(IF_NONE_MATCH, known);
    }
    let router = crate::api::router_with(state(), console);
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn anybody_may_read_it_and_keep_it() {
    let (status, headers, shown) = ask(true, None).await;
    assert_eq!((status, &shown), (StatusCode::OK, &document()));
    assert!(headers[CACHE_CONTROL].to_str().unwrap().starts_with("public"));
    let tag = headers[ETAG].to_str().unwrap();
    assert_eq!(ask(true, Some(tag)).await.0, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn what_is_switched_off_is_not_described() {
    let (_, _, shown) = ask(false, None).await;
    assert!(shown["paths"].get("/console/").is_none() && shown["paths"].get("/v2/images").is_some());
}
