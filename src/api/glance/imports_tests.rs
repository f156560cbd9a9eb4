//! Staging, imports and tasks as clients see them.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::{ApiState, LocalAdmin};
use crate::service::Service;
use crate::service::testing::{service, work_off};
use crate::web::{Filter, FilterRules, Web};

/// A router whose caller is the administrator, and the service below it, which may fetch from the public internet.
fn box_of() -> (Router, Service) {
    let filter = FilterRules {
        schemes: vec!["http".into(), "https".into()],
        ports: vec![80, 443],
        hosts: Vec::new(),
        networks: Vec::new(),
    };
    let service = service().0.with_web(Web::new(Filter::new(filter), Vec::new()).unwrap());
    let router = crate::api::router(ApiState { service: service.clone(), public_url: None });
    (router.layer(axum::Extension(LocalAdmin)), service)
}

async fn send(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "box:9292");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

async fn json_of(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
}

async fn get(router: &Router, path: &str) -> Value {
    json_of(send(router, "GET", path, &[], "").await).await
}

async fn registered(router: &Router, record: Value) -> String {
    let made = json_of(send(router, "POST", "/v2/images", &[], &record.to_string()).await).await;
    made["self"].as_str().unwrap().to_owned()
}

const RAW: &str = r#"{"disk_format": "raw", "container_format": "bare"}"#;
const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");
const DIRECT: &str = r#"{"method": {"name": "glance-direct"}}"#;

fn raw() -> Value {
    serde_json::from_str(RAW).unwrap()
}

async fn stage(router: &Router, image: &str, body: &str) -> u16 {
    send(router, "PUT", &format!("{image}/stage"), &[OCTETS], body).await.status().as_u16()
}

async fn import(router: &Router, image: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    send(router, "POST", &format!("{image}/import"), headers, body).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_data_is_imported_by_a_task() {
    let (router, service) = box_of();
    assert_eq!(
        get(&router, "/v2/info/import").await["import-methods"]["value"],
        json!(["glance-direct", "web-download"])
    );
    let image = registered(&router, raw()).await;
    assert_eq!(get(&router, &format!("{image}/tasks")).await, json!({"tasks": []}));
    assert_eq!(stage(&router, &image, "data").await, 204);
    let staged = get(&router, &image).await;
    assert_eq!(
        (&staged["status"], &staged["size"], &staged["checksum"]),
        (&json!("uploading"), &json!(4), &Value::Null)
    );
    let id = ("x-openstack-request-id", "req-mine");
    assert_eq!(import(&router, &image, &[id], DIRECT).await, 202);
    assert_eq!(get(&router, &image).await["status"], "uploading");
    work_off(&service).await;
    let active = get(&router, &image).await;
    assert_eq!(
        (&active["status"], &active["checksum"]),
        (&json!("active"), &json!("8d777f385d3dfec8815d20f7496026dc"))
    );
    assert_eq!(
        (&active["os_glance_importing_to_stores"], &active["os_glance_failed_import"]),
        (&json!(""), &json!(""))
    );
    assert!(active.get("os_glance_import_task").is_none());
    let told = get(&router, &format!("{image}/tasks")).await;
    let told = &told["tasks"][0];
    assert_eq!((&told["type"], &told["status"]), (&json!("api_image_import"), &json!("success")));
    assert_eq!((&told["request_id"], &told["message"]), (&json!("req-mine"), &json!("Copied 0 MiB")));
    assert_eq!(told["input"]["import_req"]["method"]["name"], "glance-direct");
    assert_eq!((&told["deleted"], told.get("self")), (&json!(false), None));
    assert!(!told["created_at"].as_str().unwrap().ends_with('Z'));
    let shown = get(&router, &format!("/v2/tasks/{}", told["id"].as_str().unwrap())).await;
    assert_eq!(shown["result"]["image_id"], active["id"]);
    assert!(shown["expires_at"].as_str().unwrap().ends_with('Z'));
    let listed = get(&router, "/v2/tasks?status=success&limit=1").await;
    assert_eq!(listed["tasks"][0]["id"], told["id"]);
    assert!(listed["tasks"][0].get("input").is_none());
    assert!(listed["next"].as_str().unwrap().starts_with("/v2/tasks?status=success&limit=1&marker="));
    assert_eq!(get(&router, listed["next"].as_str().unwrap()).await["tasks"], json!([]));
    assert_eq!(get(&router, "/v2/tasks?status=failure").await["tasks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_cannot_be_is_refused_in_the_references_order() {
    let (router, _service) = box_of();
    let queued = registered(&router, raw()).await;
    let staged = registered(&router, raw()).await;
    assert_eq!(stage(&router, &staged, "data").await, 204);
    let bare = registered(&router, json!({})).await;
    let web = r#"{"method": {"name": "web-download", "uri": "http://203.0.113.7/x"}}"#;
    let missing = "/v2/images/33ad552d-1149-471c-8190-ff6776174a00".to_owned();
    for (image, body, status) in [
        (&staged, "[]", 400),
        (&staged, "{}", 400),
        (&staged, r#"{"method": {}}"#, 400),
        (&staged, r#"{"method": {"name": "copy-nothing"}}"#, 400),
        (&staged, r#"{"method": {"name": "glance-download", "glance_region": "x"}}"#, 400),
        (&queued, r#"{"method": {"name": "web-download"}}"#, 400),
        (&queued, r#"{"method": {"name": "web-download", "uri": "http://127.0.0.1/x"}}"#, 400),
        (&queued, r#"{"method": {"name": "web-download", "uri": "file:///etc/passwd"}}"#, 400),
        (&queued, web, 400),
        (&staged, r#"{"method": {"name": "glance-direct"}, "all_stores": "yes"}"#, 400),
        (&staged, r#"{"method": {"name": "glance-direct"}, "all_stores_must_succeed": 1}"#, 400),
        (&staged, r#"{"method": {"name": "glance-direct"}, "stores": ["x"], "all_stores": true}"#, 400),
        (&staged, r#"{"method": {"name": "glance-direct"}, "stores": "x"}"#, 400),
        (&staged, r#"{"method": {"name": "glance-direct"}, "stores": ["nowhere"]}"#, 409),
        (&queued, DIRECT, 409),
        (&bare, DIRECT, 409),
        (&missing, DIRECT, 404),
    ] {
        assert_eq!(import(&router, image, &[], body).await, status, "{body}");
    }
    let store = ("x-image-meta-store", "nowhere");
    assert_eq!(import(&router, &staged, &[store], DIRECT).await, 409);
    assert_eq!(
        import(&router, &staged, &[store], r#"{"method": {"name": "glance-direct"}, "stores": ["x"]}"#).await,
        400
    );
    assert_eq!(
        import(&router, &staged, &[store], r#"{"method": {"name": "glance-direct"}, "all_stores": true}"#)
            .await,
        400
    );
    let told = send(&router, "POST", &format!("{queued}/import"), &[], web).await;
    let told = json_of(told).await.to_string();
    assert!(told.contains("does not pass filtering") && told.contains("http://203.0.113.7/x"), "{told}");
    // Nothing of it changed anything.
    let home =
        r#"{"method": {"name": "glance-direct"}, "stores": ["main"], "all_stores_must_succeed": true}"#;
    assert_eq!(import(&router, &staged, &[], home).await, 202, "the store that it goes to anyway");
    assert_eq!(import(&router, &staged, &[], DIRECT).await, 409);
    assert_eq!(stage(&router, &staged, "x").await, 409);
    let media =
        send(&router, "PUT", &format!("{queued}/stage"), &[("content-type", "text/plain")], "x").await;
    assert_eq!(media.status(), 415);
    assert_eq!(stage(&router, &missing, "x").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_asked_for_and_listed_as_the_reference_has_it() {
    let (router, _service) = box_of();
    let input = |extra: &str| format!(r#"{{"type": "import", "input": {{{extra}}}}}"#);
    let whole = r#""import_from": "http://1.1.1.1/x.img", "import_from_format": "qcow2", "image_properties": {"name": "t"}"#;
    let made = send(&router, "POST", "/v2/tasks", &[], &input(whole)).await;
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let made = json_of(made).await;
    assert_eq!(
        (&made["self"], &made["status"], &made["type"]),
        (&json!(location), &json!("pending"), &json!("import"))
    );
    let image = get(&router, &format!("/v2/images/{}", made["image_id"].as_str().unwrap())).await;
    assert_eq!(
        (&image["name"], &image["status"], &image["disk_format"]),
        (&json!("t"), &json!("importing"), &json!("qcow2"))
    );
    for body in [
        "{}".to_owned(),
        r#"{"type": "export", "input": {}}"#.to_owned(),
        r#"{"type": "import"}"#.to_owned(),
        input(""),
        input(r#""import_from": "file:///etc/passwd", "import_from_format": "raw", "image_properties": {}"#),
        input(r#""import_from": "http://1.1.1.1/", "import_from_format": "raw""#),
        input(r#""import_from": "http://1.1.1.1/", "import_from_format": "x", "image_properties": {}"#),
    ] {
        assert_eq!(send(&router, "POST", "/v2/tasks", &[], &body).await.status(), 400, "{body}");
    }
    for query in ["status=x", "type=x", "marker=x", "limit=x", "sort_key=x", "sort_dir=x"] {
        assert_eq!(
            send(&router, "GET", &format!("/v2/tasks?{query}"), &[], "").await.status(),
            400,
            "{query}"
        );
    }
    let unknown = "33ad552d-1149-471c-8190-ff6776174a00";
    assert_eq!(send(&router, "GET", &format!("/v2/tasks/{unknown}"), &[], "").await.status(), 404);
    assert_eq!(send(&router, "GET", &format!("/v2/tasks?marker={unknown}"), &[], "").await.status(), 404);
    let refused = send(&router, "DELETE", &location, &[], "").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["allow"]), (405, &"GET".parse().unwrap()));
    assert_eq!(
        get(&router, "/v2/tasks?type=import&sort_key=status&sort_dir=asc").await["tasks"][0]["id"],
        made["id"]
    );
    for (name, property) in [("task", "input"), ("tasks", "first")] {
        assert!(
            get(&router, &format!("/v2/schemas/{name}")).await["properties"].get(property).is_some(),
            "{name}"
        );
    }
}
