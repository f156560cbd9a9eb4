//! Uploads in parts as a tus client sees them, and the data they make as an HTTP client does.

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api::context::LocalAdmin;
use crate::service::testing;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// As [`ask`], as a tus client.
async fn tus(router: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let answer = ask(router, method, path, &[headers, &[("tus-resumable", "1.0.0")]].concat(), body).await;
    assert_eq!(answer.header("tus-resumable"), "1.0.0");
    answer
}

async fn patch_at(router: &Router, path: &str, offset: &str, body: &[u8]) -> Answer {
    tus(router, "PATCH", path, &[("upload-offset", offset), ("content-type", OFFSETS)], body).await
}

/// A router whose caller is the administrator, and the path of an image.
async fn image() -> (Router, String) {
    let state = ApiState { service: testing::service().0, public_url: None };
    let router = crate::api::router(state).layer(axum::Extension(LocalAdmin));
    let record = br#"{"name": "disk", "disk_format": "raw", "container_format": "bare"}"#;
    let created = ask(&router, "POST", "/v2/images", &[], record).await;
    let created: Value = serde_json::from_slice(&created.body).unwrap();
    (router, format!("/tintype/v1/images/{}", created["id"].as_str().unwrap()))
}

async fn begin(router: &Router, image: &str, length: (&str, &str)) -> String {
    let created = tus(router, "POST", &format!("{image}/uploads"), &[length], b"").await;
    assert_eq!((created.status, created.header("upload-offset")), (201, "0"));
    assert!(created.header("upload-expires").ends_with(" GMT"));
    created.header(LOCATION).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_follows_the_protocol() {
    let (router, image) = image().await;
    let options = ask(&router, "OPTIONS", &format!("{image}/uploads"), &[], b"").await;
    assert_eq!((options.status, options.header("tus-version")), (204, "1.0.0"));
    assert_eq!(options.header("tus-extension"), EXTENSIONS);
    assert_eq!(options.header("tus-max-size"), (1u64 << 40).to_string());
    let upload = begin(&router, &image, ("upload-length", "11")).await;
    let part = patch_at(&router, &upload, "0", b"hello ").await;
    assert_eq!((part.status, part.header("upload-offset")), (204, "6"));
    let stands = tus(&router, "HEAD", &upload, &[], b"").await;
    assert_eq!((stands.status, stands.header("cache-control")), (200, "no-store"));
    assert_eq!((stands.header("upload-offset"), stands.header("upload-length")), ("6", "11"));
    assert_eq!(patch_at(&router, &upload, "5", b" world").await.status, 409);
    let over = [("upload-offset", "6"), ("content-type", OFFSETS), ("x-http-method-override", "PATCH")];
    let last = tus(&router, "POST", &upload, &over, b"world").await;
    assert_eq!((last.status, last.header("upload-offset")), (204, "11"));
    assert_eq!(tus(&router, "HEAD", &upload, &[], b"").await.header("upload-offset"), "11");
    let whole = ask(&router, "GET", &format!("{image}/file"), &[], b"").await;
    assert_eq!((whole.status, &whole.body[..]), (200, &b"hello world"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_tus_are_refused_with_the_reason() {
    let (router, image) = image().await;
    let uploads = format!("{image}/uploads");
    let old =
        ask(&router, "POST", &uploads, &[("tus-resumable", "0.2.2"), ("upload-length", "1")], b"").await;
    assert_eq!((old.status, old.header("tus-version")), (412, "1.0.0"));
    assert_eq!(tus(&router, "POST", &uploads, &[], b"").await.status, 400);
    let both = [("upload-length", "1"), ("upload-defer-length", "1")];
    assert_eq!(tus(&router, "POST", &uploads, &both, b"").await.status, 400);
    assert_eq!(tus(&router, "POST", &uploads, &[("upload-length", "-1")], b"").await.status, 400);
    assert_eq!(
        tus(&router, "POST", &uploads, &[("upload-length", &u64::MAX.to_string())], b"").await.status,
        413
    );
    let upload = begin(&router, &image, ("upload-length", "5")).await;
    assert_eq!(tus(&router, "PATCH", &upload, &[("upload-offset", "0")], b"x").await.status, 415);
    assert_eq!(tus(&router, "PATCH", &upload, &[("content-type", OFFSETS)], b"x").await.status, 400);
    assert_eq!(tus(&router, "POST", &upload, &[], b"x").await.status, 405);
    assert_eq!(tus(&router, "HEAD", &format!("{uploads}/{}", "00".repeat(16)), &[], b"").await.status, 404);
    assert_eq!(tus(&router, "HEAD", &format!("{uploads}/x"), &[], b"").await.status, 404);
    assert_eq!(tus(&router, "POST", &uploads, &[("upload-length", "1")], b"").await.status, 409);
    assert_eq!(tus(&router, "DELETE", &upload, &[], b"").await.status, 204);
    assert_eq!(patch_at(&router, &upload, "0", b"x").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_can_come_later_and_nothing_is_an_image_too() {
    let (router, image) = image().await;
    let upload = begin(&router, &image, ("upload-defer-length", "1")).await;
    assert_eq!(patch_at(&router, &upload, "0", b"abc").await.header("upload-defer-length"), "1");
    let listed = ask(&router, "GET", &format!("{image}/uploads"), &[], b"").await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed["uploads"][0]["offset"], 3);
    assert_eq!(listed["uploads"][0]["blake3"], blake3::hash(b"abc").to_hex().as_str());
    let end = [("upload-offset", "3"), ("content-type", OFFSETS), ("upload-length", "3")];
    assert_eq!(tus(&router, "PATCH", &upload, &end, b"").await.status, 204);
    assert_eq!(ask(&router, "GET", &format!("{image}/file"), &[], b"").await.body, b"abc");
    let (router, image) = self::image().await;
    let empty = tus(&router, "POST", &format!("{image}/uploads"), &[("upload-length", "0")], b"").await;
    assert_eq!((empty.status, empty.header("upload-expires")), (201, ""));
    assert_eq!(ask(&router, "GET", &format!("{image}/file"), &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_handed_out_as_http_has_it() {
    let (router, image) = image().await;
    let file = format!("{image}/file");
    assert_eq!(ask(&router, "GET", &file, &[], b"").await.status, 204);
    let upload = begin(&router, &image, ("upload-length", "10")).await;
    assert_eq!(patch_at(&router, &upload, "0", b"0123456789").await.status, 204);
    let whole = ask(&router, "HEAD", &file, &[], b"").await;
    assert_eq!((whole.status, whole.header(CONTENT_LENGTH), whole.body.len()), (200, "10", 0));
    assert_eq!(whole.header(ACCEPT_RANGES), "bytes");
    assert!(whole.header("content-disposition").contains("filename=\"disk.raw\""));
    let tag = whole.header(ETAG).to_owned();
    let part = ask(&router, "GET", &file, &[("range", "bytes=3-5"), ("if-range", &tag)], b"").await;
    assert_eq!((part.status, &part.body[..]), (206, &b"345"[..]));
    assert_eq!(part.header(CONTENT_RANGE), "bytes 3-5/10");
    let outside = ask(&router, "GET", &file, &[("range", "bytes=10-")], b"").await;
    assert_eq!((outside.status, outside.header(CONTENT_RANGE)), (416, "bytes */10"));
    let unchanged = ask(&router, "GET", &file, &[("if-none-match", &tag)], b"").await;
    assert_eq!((unchanged.status, unchanged.body.len(), unchanged.header(ETAG)), (304, 0, tag.as_str()));
    assert_eq!(ask(&router, "GET", &file, &[("if-match", "\"x\"")], b"").await.status, 412);
    assert_eq!(ask(&router, "GET", "/tintype/v1/images/x/file", &[], b"").await.status, 404);
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let router = crate::api::router(ApiState { service: testing::service().0, public_url: None });
    let image = format!("/tintype/v1/images/{}", uuid::Uuid::nil());
    let upload = format!("{image}/uploads/{}", "00".repeat(16));
    for (method, path) in [("GET", &format!("{image}/file")), ("GET", &format!("{image}/uploads"))] {
        assert_eq!(ask(&router, method, path, &[], b"").await.status, 401, "{method} {path}");
    }
    for method in ["HEAD", "DELETE"] {
        assert_eq!(tus(&router, method, &upload, &[], b"").await.status, 401, "{method}");
    }
    assert_eq!(patch_at(&router, &upload, "0", b"").await.status, 401);
}
