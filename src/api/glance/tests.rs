//! The Image API as clients see it: status, headers and bodies.

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, LOCATION};
use axum::http::{Request, Response};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::{ApiState, LocalAdmin};
use crate::model::quota::{Limit, Resource};
use crate::model::{DigestChoice, HashAlgorithm};
use crate::service::testing::{service, service_storing};
use crate::store;

const PATCH_TYPE: &str = "application/openstack-images-v2.1-json-patch";

/// A router whose caller is the administrator.
pub(super) fn router() -> Router {
    strangers_router().layer(axum::Extension(LocalAdmin))
}

fn strangers_router() -> Router {
    crate::api::router(ApiState { service: service().0, public_url: None })
}

pub(super) struct Answer {
    pub(super) status: u16,
    response: Response<Body>,
}

impl Answer {
    pub(super) fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) async fn bytes(self) -> Vec<u8> {
        axum::body::to_bytes(self.response.into_body(), 1 << 20).await.unwrap().to_vec()
    }

    pub(super) async fn json(self) -> Value {
        serde_json::from_slice(&self.bytes().await).unwrap()
    }
}

async fn send_as(router: &Router, method: &str, path: &str, media: &str, body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "box:9292");
    if !media.is_empty() {
        request = request.header(CONTENT_TYPE, media);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    Answer { status: response.status().as_u16(), response }
}

pub(super) async fn send(router: &Router, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    send_as(router, method, path, "", body).await
}

pub(super) async fn get(router: &Router, path: &str) -> Answer {
    send(router, "GET", path, Value::Null).await
}

/// Registers an image; its path.
async fn registered(router: &Router, body: Value) -> String {
    let answer = send(router, "POST", "/v2/images", body).await;
    assert_eq!(answer.status, 201);
    answer.json().await["self"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn versions_need_no_token_and_link_to_the_host_that_was_asked() {
    let router = strangers_router();
    for (path, status) in
        [("/", 300), ("/versions", 200), ("/versions/", 200), ("/nowhere/x", 300), ("/v9", 300)]
    {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, status, "{path}");
        let versions = answer.json().await;
        let versions = versions["versions"].as_array().unwrap();
        assert_eq!(versions.iter().filter(|version| version["status"] == "CURRENT").count(), 1);
        assert!(versions.iter().all(|version| version["links"][0]["href"] == "http://box:9292/v2/"));
    }
}

#[tokio::test]
async fn everything_below_v2_needs_a_token_even_what_is_not_there() {
    let router = strangers_router();
    for path in ["/v2", "/v2/", "/v2/images", "/v2/schemas/image", "/v2/nowhere", "/v2.7/images"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Keystone uri=\"http://box:9292/identity\"");
        assert!(answer.header("x-openstack-request-id").starts_with("req-"));
    }
}

#[tokio::test]
async fn paths_lead_where_the_reference_has_them() {
    let router = router();
    let redirect = get(&router, "/v2").await;
    assert_eq!((redirect.status, redirect.header(LOCATION)), (302, "/v2/"));
    for path in [
        "/v2/",
        "/v2/images/",
        "/v2/nowhere",
        "/v2/images/not-an-id",
        "/v2/images/602d1a67-5dfa-40e6-abfa-39a6c2f74d5b/tags/a%2Fb",
        "/v2/schemas/nothing",
        "/v2/info/nothing",
        "/v2/tasks/x",
    ] {
        assert_eq!(get(&router, path).await.status, 404, "{path}");
    }
    assert_eq!(get(&router, "/v2/images/%ff").await.status, 400);
    assert_eq!(get(&router, "/v2.7/images").await.status, 200);
}

#[tokio::test]
async fn methods_that_a_path_does_not_take_are_named() {
    let router = router();
    let id = registered(&router, json!({})).await;
    for (method, path, allow) in [
        ("HEAD", "/v2/images".to_owned(), "GET, POST"),
        ("PUT", id.clone(), "GET, PATCH, DELETE"),
        ("HEAD", format!("{id}/file"), "GET, PUT"),
        ("GET", format!("{id}/actions/deactivate"), "POST"),
        ("GET", format!("{id}/tags/x"), "PUT, DELETE"),
        ("POST", "/v2/schemas/image".to_owned(), "GET"),
    ] {
        let answer = send(&router, method, &path, Value::Null).await;
        assert_eq!((answer.status, answer.header(ALLOW)), (405, allow), "{method} {path}");
    }
    assert_eq!(send(&router, "BREW", &id, Value::Null).await.status, 501);
}

#[tokio::test]
async fn a_created_image_can_be_shown_patched_listed_and_deleted() {
    let router = router();
    let answer = send(&router, "POST", "/v2/images", json!({"name": "n", "os_distro": "debian"})).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header(CONTENT_TYPE), "application/json");
    assert_eq!(answer.header("openstack-image-import-methods"), "glance-direct,web-download");
    let location = answer.header(LOCATION).to_owned();
    let created = answer.json().await;
    let path = created["self"].as_str().unwrap();
    assert_eq!(location, format!("http://box:9292{path}"));
    assert_eq!(created["visibility"], "shared");
    let patch = json!([{"op": "add", "path": "/os_distro", "value": "alpine"}]).to_string();
    let patched = send_as(&router, "PATCH", path, PATCH_TYPE, patch).await;
    assert_eq!(patched.status, 200);
    assert_eq!(patched.json().await["os_distro"], "alpine");
    let listed = get(&router, "/v2/images?os_distro=alpine&limit=1").await.json().await;
    assert_eq!(listed["images"][0]["name"], "n");
    assert_eq!(listed["first"], "/v2/images?os_distro=alpine&limit=1");
    let rest = get(&router, listed["next"].as_str().unwrap()).await.json().await;
    assert_eq!((&rest["images"], rest.get("next")), (&json!([]), None));
    assert_eq!(send(&router, "DELETE", path, Value::Null).await.status, 204);
    assert_eq!(get(&router, path).await.status, 404);
}

#[tokio::test]
async fn a_patch_of_another_type_hears_which_are_taken() {
    let router = router();
    let path = registered(&router, json!({})).await;
    let answer = send_as(&router, "PATCH", &path, "application/json", "[]").await;
    assert_eq!(answer.status, 415);
    assert!(answer.header("accept-patch").contains(PATCH_TYPE));
    assert_eq!(send_as(&router, "PATCH", &path, PATCH_TYPE, "").await.status, 400);
}

#[tokio::test]
async fn calls_that_take_no_body_refuse_one() {
    let router = router();
    let path = registered(&router, json!({})).await;
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("PUT", format!("{path}/tags/x")),
        ("POST", format!("{path}/actions/deactivate")),
    ] {
        assert_eq!(send(&router, method, &path, json!({})).await.status, 400, "{method} {path}");
    }
    assert_eq!(send(&router, "GET", "/v2/images", json!({})).await.status, 200, "a listing ignores it");
}

#[tokio::test]
async fn tags_come_and_go() {
    let router = router();
    let path = registered(&router, json!({})).await;
    let tag = format!("{path}/tags/a%20b");
    assert_eq!(send(&router, "PUT", &tag, Value::Null).await.status, 204);
    assert_eq!(send(&router, "PUT", &tag, Value::Null).await.status, 204);
    assert_eq!(get(&router, &path).await.json().await["tags"], json!(["a b"]));
    assert_eq!(send(&router, "DELETE", &tag, Value::Null).await.status, 204);
    assert_eq!(send(&router, "DELETE", &tag, Value::Null).await.status, 404);
}

#[tokio::test]
async fn members_are_offered_with_200_and_listed_without_pages() {
    let router = router();
    let path = format!("{}/members", registered(&router, json!({})).await);
    let offered = send(&router, "POST", &path, json!({"member": "friend"})).await;
    assert_eq!(offered.status, 200);
    assert_eq!(offered.json().await["status"], "pending");
    for bad in [json!({}), json!({"member": ""}), json!([]), json!({"member": 1})] {
        assert_eq!(send(&router, "POST", &path, bad.clone()).await.status, 400, "{bad}");
    }
    let one = format!("{path}/friend");
    assert_eq!(send(&router, "PUT", &one, json!({"status": "maybe"})).await.status, 400);
    let accepted = send(&router, "PUT", &one, json!({"status": "accepted"})).await.json().await;
    assert_eq!((&accepted["member_id"], &accepted["status"]), (&json!("friend"), &json!("accepted")));
    let listed = get(&router, &path).await.json().await;
    assert_eq!(listed, json!({"members": [accepted], "schema": "/v2/schemas/members"}));
    assert_eq!(send(&router, "DELETE", &one, Value::Null).await.status, 204);
    assert_eq!(get(&router, &one).await.status, 404);
}

#[tokio::test]
async fn data_that_is_not_there_is_no_content() {
    let router = router();
    let path = registered(&router, json!({"disk_format": "raw", "container_format": "bare"})).await;
    assert_eq!(get(&router, &format!("{path}/file")).await.status, 204);
    let answer = send_as(&router, "PUT", &format!("{path}/file"), "text/plain", "abc").await;
    assert_eq!(answer.status, 415);
    assert_eq!(get(&router, &path).await.json().await["status"], "queued");
}

#[tokio::test]
async fn errors_come_in_the_form_the_client_accepts() {
    let router = router();
    let request = Request::builder().uri("/v2/images/x").header(ACCEPT, "application/json");
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let error = Answer { status: 404, response }.json().await;
    assert_eq!((&error["code"], &error["title"]), (&json!("404 Not Found"), &json!("Not Found")));
}

#[tokio::test]
async fn a_clients_request_id_is_kept_unless_it_is_too_long() {
    let router = router();
    let with_id = |id: String| {
        let request = Request::builder().uri("/versions").header("x-openstack-request-id", id);
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let kept = with_id("abc".into()).await.unwrap();
    assert_eq!(kept.headers()["x-openstack-request-id"], "req-abc");
    assert_eq!(with_id("x".repeat(65)).await.unwrap().status().as_u16(), 431);
}

#[tokio::test]
async fn schemas_are_served_by_name() {
    let router = router();
    for name in ["image", "images", "member", "members"] {
        assert_eq!(get(&router, &format!("/v2/schemas/{name}")).await.json().await["name"], name);
    }
}

/// What the record and a download say of the digests of `abc`, stored under this setting.
async fn told(digests: DigestChoice) -> (Value, Value, Value, String) {
    let service = service_storing(store::Options { digests, ..store::Options::default() }).0;
    let router =
        crate::api::router(ApiState { service, public_url: None }).layer(axum::Extension(LocalAdmin));
    let path = registered(&router, json!({"disk_format": "raw", "container_format": "bare"})).await;
    let file = format!("{path}/file");
    assert_eq!(send_as(&router, "PUT", &file, "application/octet-stream", "abc").await.status, 204);
    let download = get(&router, &file).await;
    let md5 = download.header("content-md5").to_owned();
    assert_eq!((download.status, &download.bytes().await[..]), (200, &b"abc"[..]));
    let record = get(&router, &path).await.json().await;
    assert_eq!(record["status"], "active");
    // What was told can be searched for, and nothing is found by what was not.
    for key in ["checksum", "os_hash_algo", "os_hash_value"] {
        let found = async |value: &str| {
            let listed = get(&router, &format!("/v2/images?{key}={value}")).await.json().await;
            listed["images"].as_array().unwrap().len()
        };
        if let Some(value) = record[key].as_str() {
            assert_eq!(found(value).await, 1, "{key}");
        }
        for other in [MD5, "sha384", SHA512, ""] {
            assert_eq!(found(other).await, usize::from(record[key] == other), "{key} {other:?}");
        }
    }
    let [checksum, algorithm, value] =
        ["checksum", "os_hash_algo", "os_hash_value"].map(|key| record[key].clone());
    (checksum, algorithm, value, md5)
}

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[tokio::test(flavor = "multi_thread")]
async fn p1_clients_are_told_the_digests_that_are_set_and_null_for_others() {
    let (sha512, sha256) = (Some(HashAlgorithm::Sha512), Some(HashAlgorithm::Sha256));
    let both = told(DigestChoice { md5: true, secure: sha512 }).await;
    assert_eq!(both, (json!(MD5), json!("sha512"), json!(SHA512), MD5.into()));
    let shorter = told(DigestChoice { md5: true, secure: sha256 }).await;
    assert_eq!(shorter, (json!(MD5), json!("sha256"), json!(SHA256), MD5.into()));
    let alone = told(DigestChoice { md5: false, secure: sha256 }).await;
    assert_eq!(alone, (json!(null), json!("sha256"), json!(SHA256), String::new()));
    let none = told(DigestChoice::NONE).await;
    assert_eq!(none, (json!(null), json!(null), json!(null), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_413_and_names_the_resource_and_the_numbers() {
    let service = service().0;
    let admin = service.local_admin().unwrap();
    let limits = [(Resource::ImageCountTotal, 1), (Resource::ImageSizeTotal, 0)];
    let settings = limits.map(|(resource, most)| (resource, Some(Limit::AtMost(most)))).into();
    service.set_default_quotas(&admin, settings).unwrap();
    let router =
        crate::api::router(ApiState { service, public_url: None }).layer(axum::Extension(LocalAdmin));
    let body = json!({"disk_format": "raw", "container_format": "bare"});
    let path = registered(&router, body.clone()).await;
    let answer = send(&router, "POST", "/v2/images", body).await;
    assert_eq!(answer.status, 413);
    let text = String::from_utf8(answer.bytes().await).unwrap();
    assert!(text.contains("image_count_total: the limit is 1, 1 are used, and 1 more"), "{text}");
    // As clients send it: of a length that is said, and in chunks.
    for is_chunked in [false, true] {
        let piece = axum::body::Bytes::from_static(b"data");
        let body = match is_chunked {
            false => Body::from(piece),
            true => Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(piece)])),
        };
        let answer = send_as(&router, "PUT", &format!("{path}/file"), "application/octet-stream", body).await;
        assert_eq!(answer.status, 413, "chunked: {is_chunked}");
        let text = String::from_utf8(answer.bytes().await).unwrap();
        assert!(text.contains("image_size_total: the limit is 0 MiB"), "{text}");
        assert_eq!(get(&router, &path).await.json().await["status"], "queued");
    }
    let usage = get(&router, "/v2/info/usage").await;
    assert_eq!(usage.status, 200);
    assert_eq!(usage.json().await["usage"]["image_count_total"], json!({"limit": 1, "usage": 1}));
    let answer = send(&router, "POST", "/v2/info/usage", json!({})).await;
    assert_eq!((answer.status, answer.header(ALLOW)), (405, "GET"));
}
