//! What clients see of a verdict, in both interfaces that show one, and that none of them sets it.

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api::context::LocalAdmin;
use crate::disk::fixtures;
use crate::service::testing;

fn router() -> Router {
    let state = ApiState { service: testing::service().0, public_url: None };
    crate::api::router(state).layer(axum::Extension(LocalAdmin))
}

async fn ask(router: &Router, method: &str, path: &str, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(Body::from(body)).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Makes an image of this record, and fills it.
async fn filled(router: &Router, record: Value, data: Vec<u8>) -> String {
    let record = record.to_string().into_bytes();
    let (status, created) = ask(router, "POST", "/v2/images", "application/json", record).await;
    assert_eq!(status, 201, "{created}");
    let id = created["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/images/{id}/file");
    assert_eq!(ask(router, "PUT", &path, "application/octet-stream", data).await.0, 204);
    id
}

async fn get(router: &Router, path: String) -> Value {
    ask(router, "GET", &path, "", Vec::new()).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_told_whole_and_in_two_properties() {
    let router = router();
    let mut qcow2 = fixtures::empty_qcow2(1 << 20);
    // A snapshot whose record lies in the zeros behind the table.
    qcow2[60..64].copy_from_slice(&2_u32.to_be_bytes());
    qcow2[64..72].copy_from_slice(&66_000_u64.to_be_bytes());
    let record = json!({"disk_format": "qcow2", "container_format": "bare"});
    let id = filled(&router, record, qcow2).await;
    let told = get(&router, format!("/tintype/v1/images/{id}/verdict")).await;
    let expected = json!({
        "id": id,
        "size_bytes": 70_000,
        "virtual_size_bytes": 1 << 20,
        "verdict": {
            "format": "qcow2",
            "reader": 3,
            "findings": [{
                "code": "internal-snapshots",
                "severity": "warning",
                "field": "nb_snapshots",
                "value": "2",
                "meaning": "it has snapshots inside, which may hold data its owner takes for deleted",
            }],
        },
    });
    assert_eq!(told, expected);
    let record = get(&router, format!("/v2/images/{id}")).await;
    assert_eq!(
        (&record["tintype_format"], &record["tintype_findings"]),
        (&json!("qcow2"), &json!("internal-snapshots=2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_an_image_like_another_sets_no_verdict() {
    let router = router();
    let mut record = json!({"disk_format": "raw", "container_format": "bare"});
    // As clients send a record back that they fetched.
    record["tintype_format"] = json!("qcow2");
    record["tintype_findings"] = json!("dirty");
    let id = filled(&router, record, vec![1; 700]).await;
    let path = format!("/v2/images/{id}");
    let record = get(&router, path.clone()).await;
    assert_eq!(
        (&record["tintype_format"], &record["tintype_findings"]),
        (&json!("raw"), &json!("no-partition-table"))
    );
    for (op, name) in
        [("add", "tintype_format"), ("replace", "tintype_findings"), ("remove", "tintype_format")]
    {
        let patch = json!([{"op": op, "path": format!("/{name}"), "value": "x"}]).to_string();
        let kind = "application/openstack-images-v2.1-json-patch";
        assert_eq!(ask(&router, "PATCH", &path, kind, patch.into_bytes()).await.0, 403, "{op} {name}");
    }
    // An image without data has none.
    let body = json!({"disk_format": "raw"}).to_string().into_bytes();
    let empty = ask(&router, "POST", "/v2/images", "application/json", body).await.1;
    assert_eq!(empty.get("tintype_format"), None);
    let id = empty["id"].as_str().unwrap();
    let told = get(&router, format!("/tintype/v1/images/{id}/verdict")).await;
    assert_eq!((&told["verdict"], &told["size_bytes"]), (&Value::Null, &Value::Null));
}
