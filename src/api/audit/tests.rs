//! Every request that changes something is driven through the real router: what is done leaves a record of the name
//! that its path has here, what is refused a warning, and no secret that was sent along is in any of them.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::operations::{self, Known};
use crate::api::context::{ApiState, LocalAdmin};
use crate::model::trace::{Interface, Rating, Trace};
use crate::service::audit::{Query, RECORDS_MAX};
use crate::service::testing::{self, rules};
use crate::service::{Service, Source};

/// In everything that is a secret.
const MARK: &str = "S3CRET-MARK";

struct Box_ {
    service: Service,
    router: Router,
}

/// Who sends a request.
#[derive(Clone)]
enum By {
    Local,
    Token(String),
    Nobody,
}

struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    token: Option<String>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl Box_ {
    fn new(service: Service) -> Box_ {
        let router = crate::api::router(ApiState { service: service.clone(), public_url: None });
        Box_ { service, router }
    }

    async fn send(&self, by: &By, method: &str, path: &str, media: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        match by {
            By::Token(token) => request = request.header("x-auth-token", token),
            By::Local | By::Nobody => {}
        }
        if path.contains("/uploads") {
            request = request.header("tus-resumable", "1.0.0").header("upload-defer-length", "1");
        }
        if path == "/v3/auth/tokens" && method == "DELETE" {
            request = request.header("x-subject-token", format!("no-such-{MARK}"));
        }
        let mut request = request.body(body.into()).unwrap();
        if matches!(by, By::Local) {
            request.extensions_mut().insert(LocalAdmin);
        } else {
            request.extensions_mut().insert(Source::Peer("192.0.2.7".parse().unwrap()));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        let token = headers.get("x-subject-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Answer { status, body, token }
    }

    async fn json(&self, by: &By, method: &str, path: &str, body: Value) -> Answer {
        self.send(by, method, path, "application/json", body.to_string()).await
    }

    fn traces(&self) -> Vec<Trace> {
        let query = Query { limit: RECORDS_MAX, oldest_first: true, ..Query::default() };
        self.service.audit_traces(&self.service.local_admin().unwrap(), &query).unwrap().traces
    }

    /// Signs in as a user with this password, to project `admin`.
    async fn sign_in(&self, name: &str, password: &str) -> Answer {
        let user = json!({"name": name, "domain": {"id": "default"}, "password": password});
        let scope = json!({"project": {"name": "admin", "domain": {"id": "default"}}});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let auth = json!({"auth": {"identity": identity, "scope": scope}});
        self.json(&By::Nobody, "POST", "/v3/auth/tokens", auth).await
    }

    /// What each of these requests of [`requests`] leaves when this caller sends it: its path's name, whether it was taken,
    /// and the records of it.
    async fn drive(&self, by: &By, range: std::ops::Range<usize>) -> Vec<(String, StatusCode, Vec<Trace>)> {
        let mut outcomes = Vec::new();
        let requests = self.requests().await.into_iter().skip(range.start).take(range.len());
        for (method, path, media, body) in requests {
            let before = self.traces().len();
            let answer = self.send(by, method, &path, media, body).await;
            let traces = self.traces().split_off(before);
            outcomes.push((format!("{method} {path}"), answer.status, traces));
        }
        outcomes
    }

    /// A request for every operation, on things that are there for it, with marked secrets in all bodies.
    async fn requests(&self) -> Vec<(&'static str, String, &'static str, String)> {
        const JSON: &str = "application/json";
        const PATCH: &str = "application/openstack-images-v2.1-json-patch";
        let by = &By::Local;
        let image = |name: &'static str| async move {
            let body = json!({"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "shared"});
            self.json(by, "POST", "/v2/images", body).await.text("/id")
        };
        let (one, two, three) = (image("one").await, image("two").await, image("three").await);
        let filled = image("filled").await;
        let octets = "application/octet-stream";
        let sent = self.send(by, "PUT", &format!("/v2/images/{filled}/file"), octets, vec![7; 5000]).await;
        assert_eq!(sent.status, StatusCode::NO_CONTENT);
        let own = self.service.local_admin().unwrap().project().unwrap().0.clone();
        let id = |kind: &'static str, number: u32| async move {
            let body =
                json!({kind: {"name": format!("{kind}-{number}-{}", self.traces().len()), "enabled": false}});
            self.json(by, "POST", &format!("/v3/{kind}s"), body).await.text(&format!("/{kind}/id"))
        };
        let (user, project, domain) = (id("user", 1).await, id("project", 1).await, id("domain", 1).await);
        let role = id("role", 1).await;
        let key = self.json(by, "POST", "/tintype/v1/access-keys", json!({"project": own})).await;
        let access = key.text("/access");
        assert!(!access.is_empty(), "{:?}", String::from_utf8_lossy(&key.body));
        let grant = format!("/v3/projects/{project}/users/{user}/roles/{role}");
        assert_eq!(self.json(by, "PUT", &grant, json!({})).await.status, StatusCode::NO_CONTENT);
        let shared = format!("/v2/images/{one}/members");
        self.json(by, "POST", &shared, json!({"member": "friend"})).await;
        let named = self.traces().len();
        let patch = json!([{"op": "add", "path": "/my_secret", "value": MARK}]).to_string();
        let mut requests = vec![
            ("POST", "/v2/images".to_owned(), JSON, json!({"name": "new", "db_password": MARK}).to_string()),
            ("PATCH", format!("/v2/images/{one}"), PATCH, patch),
            ("PUT", format!("/v2/images/{two}/file"), octets, format!("{{\"password\":\"{MARK}\"}}")),
            ("POST", format!("/v2/images/{filled}/actions/deactivate"), "", String::new()),
            ("POST", format!("/v2/images/{filled}/actions/reactivate"), "", String::new()),
            ("POST", format!("/tintype/v1/images/{filled}/links"), JSON, json!({"ttl_s": 60}).to_string()),
            ("DELETE", format!("/tintype/v1/images/{filled}/links/x"), "", String::new()),
            ("POST", shared.clone(), JSON, json!({"member": "m"}).to_string()),
            ("PUT", format!("{shared}/friend"), JSON, json!({"status": "accepted"}).to_string()),
            ("DELETE", format!("{shared}/friend"), "", String::new()),
            ("PUT", format!("/v2/images/{one}/tags/green"), "", String::new()),
            ("DELETE", format!("/v2/images/{one}/tags/green"), "", String::new()),
            ("POST", format!("/tintype/v1/images/{three}/uploads"), "", String::new()),
            (
                "PATCH",
                format!("/v2/cloudimages/{filled}"),
                JSON,
                json!([{"op": "replace", "path": "/name", "value": "renamed"}]).to_string(),
            ),
            (
                "PUT",
                "/v1/cloudimages/tags".to_owned(),
                JSON,
                json!({"image_id": filled, "image_tag": {"key": "my_token", "value": MARK}}).to_string(),
            ),
            (
                "POST",
                format!("/v2/{own}/images/{filled}/tags"),
                JSON,
                json!({"tag": {"key": "k", "value": "v"}}).to_string(),
            ),
            (
                "POST",
                format!("/v2/{own}/images/{filled}/tags/action"),
                JSON,
                json!({"action": "create", "tags": [{"key": "l", "value": "v"}]}).to_string(),
            ),
            ("DELETE", format!("/v2/{own}/images/{filled}/tags/l"), "", String::new()),
            (
                "DELETE",
                format!("/v1/{own}/cloudimages/{filled}/tags/delete"),
                JSON,
                json!({"tags": [{"key": "k"}]}).to_string(),
            ),
            ("DELETE", format!("/v2/images/{one}"), "", String::new()),
            ("POST", "/v3/users".to_owned(), JSON, {
                json!({"user": {"name": format!("u{named}"), "password": MARK, "apiKey": MARK}}).to_string()
            }),
            ("PATCH", format!("/v3/users/{user}"), JSON, json!({"user": {"password": MARK}}).to_string()),
            ("POST", "/v3/projects".to_owned(), JSON, {
                json!({"project": {"name": format!("p{named}"), "some_secret": {"deep": [MARK]}}}).to_string()
            }),
            (
                "PATCH",
                format!("/v3/projects/{project}"),
                JSON,
                json!({"project": {"description": "d"}}).to_string(),
            ),
            (
                "POST",
                "/v3/domains".to_owned(),
                JSON,
                json!({"domain": {"name": format!("d{named}")}}).to_string(),
            ),
            (
                "PATCH",
                format!("/v3/domains/{domain}"),
                JSON,
                json!({"domain": {"description": "d"}}).to_string(),
            ),
            (
                "POST",
                "/v3/roles".to_owned(),
                JSON,
                json!({"role": {"name": format!("r{named}")}}).to_string(),
            ),
            ("PATCH", format!("/v3/roles/{role}"), JSON, json!({"role": {"description": "d"}}).to_string()),
            ("PUT", format!("/v3/system/users/{user}/roles/{role}"), "", String::new()),
            ("DELETE", format!("/v3/system/users/{user}/roles/{role}"), "", String::new()),
            ("DELETE", grant, "", String::new()),
            ("POST", "/tintype/v1/access-keys".to_owned(), JSON, json!({"project": own}).to_string()),
            (
                "PATCH",
                format!("/tintype/v1/access-keys/{access}"),
                JSON,
                json!({"enabled": false}).to_string(),
            ),
            ("DELETE", format!("/tintype/v1/access-keys/{access}"), "", String::new()),
            ("DELETE", "/v3/auth/tokens".to_owned(), "", String::new()),
        ];
        let spaces = "/v2/metadefs/namespaces".to_owned();
        let space = format!("N{named}");
        self.json(by, "POST", &spaces, json!({"namespace": space})).await;
        let below = |path: &str| format!("{spaces}/{space}{path}");
        let property = json!({"name": "p", "title": "T", "type": "string"}).to_string();
        let own_name = json!({"namespace": space}).to_string();
        let load = json!({"mode": "merge", "namespace": {"namespace": space, "tags": [{"name": "u"}]}});
        requests.extend([
            ("POST", spaces.clone(), JSON, json!({"namespace": format!("M{named}")}).to_string()),
            ("PUT", below(""), JSON, own_name),
            ("POST", below("/properties"), JSON, property.clone()),
            ("PUT", below("/properties/p"), JSON, property),
            ("POST", below("/objects"), JSON, json!({"name": "o"}).to_string()),
            ("PUT", below("/objects/o"), JSON, json!({"name": "o"}).to_string()),
            ("DELETE", below("/objects"), "", String::new()),
            ("POST", below("/tags/t"), "", String::new()),
            ("POST", below("/tags"), JSON, json!({"tags": []}).to_string()),
            ("POST", below("/resource_types"), JSON, json!({"name": "T"}).to_string()),
            ("DELETE", below("/resource_types/T"), "", String::new()),
            ("POST", "/tintype/v1/metadefs".to_owned(), JSON, load.to_string()),
            ("DELETE", below(""), "", String::new()),
        ]);
        let posts = [
            (
                format!("users/{user}/application_credentials"),
                json!({"application_credential": {"name": "c", "secret": MARK}}),
            ),
            (format!("users/{user}/credentials/OS-EC2"), json!({"tenant_id": project})),
            (
                "credentials".to_owned(),
                json!({"credential": {"type": "totp", "blob": MARK, "user_id": user}}),
            ),
            ("services".to_owned(), json!({"service": {"type": "t", "my_secret": MARK}})),
            (
                "endpoints".to_owned(),
                json!({"endpoint": {"service_id": "x", "interface": "public", "url": "http://h"}}),
            ),
            ("regions".to_owned(), json!({"region": {"id": format!("r{named}")}})),
        ];
        for (path, body) in posts {
            requests.push(("POST", format!("/v3/{path}"), JSON, body.to_string()));
        }
        for kind in ["credential", "service", "endpoint", "region"] {
            requests.push(("PATCH", format!("/v3/{kind}s/x"), JSON, json!({ kind: {} }).to_string()));
            requests.push(("DELETE", format!("/v3/{kind}s/x"), "", String::new()));
        }
        let reader = self.send(by, "GET", "/v3/roles?name=reader", "", "").await.text("/roles/0/id");
        for method in ["PUT", "DELETE"] {
            requests.push((method, format!("/v3/roles/{role}/implies/{reader}"), "", String::new()));
        }
        for path in ["application_credentials/x", "access_rules/x", "credentials/OS-EC2/x"] {
            requests.push(("DELETE", format!("/v3/users/{user}/{path}"), "", String::new()));
        }
        requests.push(("DELETE", format!("/tintype/v1/users/{user}/lock"), "", String::new()));
        for (kind, id) in [("users", user), ("projects", project), ("domains", domain), ("roles", role)] {
            requests.push(("DELETE", format!("/v3/{kind}/{id}"), "", String::new()));
        }
        for path in ["check", "scrub", "gc"] {
            requests.push(("POST", format!("/tintype/v1/{path}"), "", String::new()));
        }
        for (method, path) in [("PUT", &filled), ("DELETE", &filled), ("DELETE", &String::new())] {
            requests.push((
                method,
                format!("/v2/cache/{path}").trim_end_matches('/').to_owned(),
                "",
                String::new(),
            ));
        }
        requests.push(("POST", "/v2/cache/clean".to_owned(), "", String::new()));
        requests.push(("POST", "/tintype/v1/key/rotate".to_owned(), "", MARK.repeat(5)));
        requests.push(("DELETE", "/tintype/v1/key/domains/77".to_owned(), "", String::new()));
        requests.push(("POST", "/tintype/v1/key/domains/77/rotate".to_owned(), "", String::new()));
        requests.push(("GET", "/tintype/v1/key/backup".to_owned(), "", String::new()));
        requests
    }

    fn expect_no_mark(&self) {
        for trace in self.traces() {
            let text = format!("{:?}", trace.content);
            assert!(!text.contains(MARK), "{text}");
        }
    }
}

fn name_of(call: &str) -> &'static str {
    let (method, path) = call.split_once(' ').unwrap();
    match operations::find(&Method::from_bytes(method.as_bytes()).unwrap(), path) {
        Known::Does(operation, _) => operation.name(),
        other => panic!("{call} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_whatever_is_done_is_on_record_under_the_name_of_its_path_and_no_secret_is() {
    for service in [testing::service().0, testing::sealed_service(rules()).0] {
        let it = Box_::new(service);
        for (call, status, traces) in it.drive(&By::Local, 0..usize::MAX).await {
            let named: Vec<_> =
                traces.iter().filter(|trace| trace.content.operation == name_of(&call)).collect();
            // Taking an image for an upload is on record when the upload ends.
            if call.ends_with("/uploads") && status.is_success() {
                assert!(traces.is_empty(), "{call}");
                continue;
            }
            assert!(!named.is_empty() && named.len() == traces.len(), "{call}: {status} {traces:?}");
            let last = &named.last().unwrap().content;
            if status.is_success() && last.interface != Interface::Native {
                assert_eq!((named.len(), last.rating), (1, Rating::Normal), "{call}: {traces:?}");
            }
            assert_eq!(last.source, "process", "{call}");
            assert_eq!(last.call, call.split('?').next().unwrap());
            assert!(last.request_id.starts_with("req-"), "{call}");
        }
        it.expect_no_mark();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_whatever_is_refused_is_on_record_as_a_warning() {
    // Of one caller no more than 60 refusals an hour are recorded.
    for range in [0..50, 50..100, 100..usize::MAX] {
        refused(range).await;
    }
}

async fn refused(range: std::ops::Range<usize>) {
    let it = Box_::new(testing::service().0);
    // A user who may do nothing: it has the one role that gives none of the rights.
    let user = json!({"user": {"name": "eve", "password": "eve-pw"}});
    let user = it.json(&By::Local, "POST", "/v3/users", user).await.text("/user/id");
    let roles = it.send(&By::Local, "GET", "/v3/roles?name=service", "", "").await.text("/roles/0/id");
    let own = it.service.local_admin().unwrap().project().unwrap().0.clone();
    let grant = format!("/v3/projects/{own}/users/{user}/roles/{roles}");
    assert_eq!(it.json(&By::Local, "PUT", &grant, json!({})).await.status, StatusCode::NO_CONTENT);
    let token = it.sign_in("eve", "eve-pw").await.token.unwrap();
    for (call, status, traces) in it.drive(&By::Token(token), range).await {
        let told: Vec<_> = traces.iter().map(|trace| &trace.content).collect();
        assert_eq!(told.len(), 1, "{call}: {status} {told:?}");
        if call == "POST /tintype/v1/access-keys" {
            // A key of one's own is everybody's right.
            assert_eq!((status, told[0].rating), (StatusCode::CREATED, Rating::Normal));
            continue;
        }
        assert!(status.is_client_error(), "{call}: {status}");
        assert_eq!(told[0].operation, name_of(&call), "{call}");
        assert_eq!((told[0].rating, told[0].code.as_str()), (Rating::Warning, status.as_str()), "{call}");
        assert_eq!((told[0].user_name.as_str(), told[0].source.as_str()), ("eve", "192.0.2.7"), "{call}");
        assert_eq!(told[0].project, own, "{call}");
        assert!(!told[0].message.is_empty(), "{call}");
    }
    it.expect_no_mark();
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_failed_sign_ins_are_on_record_without_the_password_and_good_ones_are_not() {
    let it = Box_::new(testing::service().0);
    let before = it.traces().len();
    assert_eq!(it.sign_in("admin", "admin-pw").await.status, StatusCode::CREATED);
    assert_eq!(it.traces().len(), before);
    assert_eq!(it.sign_in("admin", MARK).await.status, StatusCode::UNAUTHORIZED);
    let told = it.traces().pop().unwrap().content;
    assert_eq!(
        (told.operation.as_str(), told.user.as_str(), told.user_name.as_str()),
        ("signIn", "", "admin")
    );
    assert_eq!(
        (told.rating, told.code.as_str(), told.source.as_str()),
        (Rating::Warning, "401", "192.0.2.7")
    );
    // Nobody's token is nobody's business.
    let seen = it.traces().len();
    let stranger = By::Token("no-token".into());
    assert_eq!(it.json(&stranger, "POST", "/v2/images", json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(it.traces().len(), seen);
    let mut request = Request::builder().method("GET").uri("/v2/cloudimages").body(Body::empty()).unwrap();
    let header = "SDK-HMAC-SHA256 Access=ABCDEF, SignedHeaders=host, Signature=00";
    request.headers_mut().insert("authorization", header.parse().unwrap());
    assert_eq!(it.router.clone().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let told = it.traces().pop().unwrap().content;
    assert_eq!((told.operation.as_str(), told.resource_id.as_str()), ("signIn", "ABCDEF"));
    it.expect_no_mark();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_off_upload_is_on_record() {
    let it = Box_::new(testing::service().0);
    let body = json!({"name": "n", "disk_format": "raw", "container_format": "bare"});
    let id = it.json(&By::Local, "POST", "/v2/images", body).await.text("/id");
    let broken = futures::stream::iter([Ok(bytes::Bytes::from("some")), Err(std::io::Error::other("gone"))]);
    let path = format!("/v2/images/{id}/file");
    let octets = "application/octet-stream";
    let answer = it.send(&By::Local, "PUT", &path, octets, Body::from_stream(broken)).await;
    assert!(answer.status.is_client_error());
    let told = it.traces().pop().unwrap().content;
    assert_eq!((told.operation.as_str(), told.rating), ("updateImage", Rating::Warning));
    assert!(told.message.starts_with("the upload failed: the upload broke off"), "{}", told.message);
    assert_eq!((told.resource_id, told.resource_name.as_str()), (id, "n"));
}
