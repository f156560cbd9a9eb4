//! What the console's files promise: how they are served, and what is never in them.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::assets::ASSETS;
use crate::api::{ApiState, router_with};
use crate::service::testing;

/// Longest script, in lines.
const SCRIPT_LINES_MAX: usize = 300;

/// What hands a text to a parser of markup or code, or reaches out of this server. Each is one way to be rid of every
/// other promise, so none is there, for no reason.
const SINKS: [&str; 26] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "Function(",
    "DOMParser",
    "createContextualFragment",
    "setHTML",
    "parseHTML",
    "srcdoc",
    "javascript:",
    "cssText",
    "insertRule",
    "setTimeout('",
    "setInterval('",
    "localStorage",
    "document.cookie",
    "postMessage",
    "importScripts",
    "serviceWorker",
    "WebSocket",
    "EventSource",
    "sendBeacon",
    "window.open",
    "https:",
];

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    ask_of(true, method, path, headers).await
}

async fn ask_of(
    console: bool,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let router = router_with(ApiState { service: testing::service().0, public_url: None }, console);
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

fn expect_guarded(headers: &HeaderMap, what: &str) {
    let policy = headers["content-security-policy"].to_str().unwrap();
    let directives: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
    let wanted = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    assert_eq!(directives, BTreeSet::from(wanted), "{what}");
    assert_eq!(headers["x-content-type-options"], "nosniff", "{what}");
    assert_eq!(headers["referrer-policy"], "no-referrer", "{what}");
    assert_eq!(headers["cross-origin-opener-policy"], "same-origin", "{what}");
    assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{what}");
    assert!(headers.contains_key("cache-control"), "{what}");
}

#[tokio::test]
async fn every_file_is_served_with_its_tag_and_its_guards() {
    for asset in ASSETS {
        let path = format!("/console/{}", asset.path);
        let (status, headers, body) = ask("GET", &path, &[]).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, asset.bytes), "{path}");
        expect_guarded(&headers, &path);
        assert_eq!(headers["content-type"], asset.media_type, "{path}");
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
        let tag = headers["etag"].to_str().unwrap();
        assert_eq!(tag, format!("\"{}\"", blake3::hash(asset.bytes).to_hex()), "{path}");
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let (status, headers, body) = ask("GET", &path, &[("if-none-match", &known)]).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path} {known}");
            expect_guarded(&headers, &path);
            assert_eq!(headers["etag"], tag);
        }
        let (status, ..) = ask("GET", &path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let (status, headers, body) = ask("HEAD", &path, &[]).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0), "{path}");
        assert_eq!(headers["etag"], tag);
    }
}

#[tokio::test]
async fn the_bare_path_leads_to_the_page() {
    let (status, headers, _) = ask("GET", "/console", &[]).await;
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::PERMANENT_REDIRECT, &"/console/".parse().unwrap())
    );
    expect_guarded(&headers, "redirect");
}

#[tokio::test]
async fn nothing_is_written_and_nothing_else_is_there() {
    for path in ["/console", "/console/", "/console/main.js"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            let (status, headers, _) = ask(method, path, &[]).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(headers["allow"], "GET, HEAD", "{method} {path}");
            expect_guarded(&headers, path);
        }
    }
    for path in [
        "/console/index.html",
        "/console/nothing.js",
        "/console/main.js/",
        "/console//main.js",
        "/console/MAIN.JS",
        "/console/assets/main.js",
        "/console/../healthz",
        "/console/..%2f..%2fetc%2fpasswd",
        "/console/%2e%2e/%2e%2e/etc/passwd",
        "/console/main.js%00",
        "/console/%ff",
    ] {
        let (status, headers, _) = ask("GET", path, &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        expect_guarded(&headers, path);
    }
}

#[tokio::test]
async fn a_box_can_do_without() {
    for path in ["/console", "/console/", "/console/main.js"] {
        let (status, headers, _) = ask_of(false, "GET", path, &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        expect_guarded(&headers, path);
    }
    let (status, ..) = ask_of(false, "GET", "/healthz", &[]).await;
    assert_eq!(status, StatusCode::OK);
}

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    ASSETS.into_iter().map(|asset| (asset.path, std::str::from_utf8(asset.bytes).unwrap()))
}

#[test]
fn no_text_becomes_markup_or_code_and_nothing_is_fetched_from_elsewhere() {
    for (path, text) in texts() {
        // The namespace of drawings is a name, not a place.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for sink in SINKS.into_iter().chain(["http:", "//cdn"]) {
            assert!(!text.contains(sink), "{path} has {sink:?}");
        }
    }
    let page = texts().find(|(path, _)| path.is_empty()).unwrap().1;
    for inline in
        [" style=", "<style", " onload", " onclick", " onerror", "<script>", "<base", "<form", "<iframe"]
    {
        assert!(!page.contains(inline), "the page has {inline:?}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
}

#[test]
fn every_file_that_is_named_is_there_and_every_script_is_used() {
    let names: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.path).collect();
    assert_eq!(names.len(), ASSETS.len());
    let mut used = BTreeSet::from([""]);
    for (path, text) in texts() {
        let marks = if path.is_empty() {
            ["src=\"", "href=\""].as_slice()
        } else {
            [" from './", "src: '"].as_slice()
        };
        for mark in marks {
            for (at, _) in text.match_indices(mark) {
                let named = text[at + mark.len()..].split(['"', '\'']).next().unwrap();
                if !named.starts_with('#') {
                    assert!(names.contains(named), "{path} names {named}");
                    used.insert(named);
                }
            }
        }
        assert!(!text.contains("import("), "{path} loads something that this test does not see");
    }
    assert_eq!(used, names);
}

#[test]
fn scripts_are_short_and_say_first_what_they_own() {
    for (path, text) in texts().filter(|(path, _)| path.ends_with(".js")) {
        assert!(text.starts_with("// ") && text.contains("Owns"), "{path}");
        let lines = text.lines().count();
        assert!(lines < SCRIPT_LINES_MAX, "{path} has {lines} lines");
    }
}

#[test]
fn every_file_in_the_folder_is_in_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/console/assets");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| if name == "index.html" { String::new() } else { name })
        .collect();
    assert_eq!(found, ASSETS.iter().map(|asset| asset.path.to_owned()).collect());
}
