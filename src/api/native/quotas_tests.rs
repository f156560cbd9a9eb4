//! Quotas as the native API shows and sets them.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::{ApiState, LocalAdmin};
use crate::api::native::tests::state;

async fn ask(state: &ApiState, method: &str, path: &str, sent: Value) -> (u16, Value) {
    let body = if sent.is_null() { Body::empty() } else { Body::from(sent.to_string()) };
    let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
    request.extensions_mut().insert(LocalAdmin);
    let response = super::routes().into_router().with_state(state.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn limits_are_set_and_shown_with_where_they_come_from() {
    let state = state();
    let (status, own) = ask(&state, "GET", "/tintype/v1/quotas", Value::Null).await;
    assert_eq!(status, 200);
    let id = own["project_id"].as_str().unwrap().to_owned();
    assert_eq!((&own["project_name"], &own["image_bytes"]), (&json!("admin"), &json!(0)));
    let first = json!({"resource": "image_count_total", "unit": "images", "limit": -1, "own_limit": null,
        "default_limit": -1, "used": 0});
    assert_eq!(own["quotas"][0], first);
    assert_eq!(own["quotas"][1]["unit"], "MiB");
    let default = "/tintype/v1/quotas/default";
    let (status, set) =
        ask(&state, "PATCH", default, json!({"image_count_total": 5, "image_size_total": 100})).await;
    let wanted = json!({"limits": {"image_count_total": 5, "image_size_total": 100, "image_stage_total": -1,
        "image_count_uploading": -1}});
    assert_eq!((status, &set), (200, &wanted));
    assert_eq!(ask(&state, "GET", default, Value::Null).await.1, wanted);
    let path = format!("/tintype/v1/quotas/projects/{id}");
    let (status, set) = ask(&state, "PATCH", &path, json!({"image_count_total": 9})).await;
    assert_eq!((status, &set["quotas"][0]["own_limit"]), (200, &json!(9)));
    assert_eq!((&set["quotas"][0]["limit"], &set["quotas"][0]["default_limit"]), (&json!(9), &json!(5)));
    assert_eq!(set["quotas"][1]["limit"], 100);
    let (_, set) = ask(&state, "PATCH", &path, json!({"image_count_total": null})).await;
    assert_eq!((&set["quotas"][0]["limit"], &set["quotas"][0]["own_limit"]), (&json!(5), &Value::Null));
    assert_eq!(ask(&state, "GET", &path, Value::Null).await.1, set);
    let (_, all) = ask(&state, "GET", "/tintype/v1/quotas/projects", Value::Null).await;
    assert_eq!(all, json!({"projects": [set]}));
    let (status, counted) = ask(&state, "POST", "/tintype/v1/quotas/recount", Value::Null).await;
    assert_eq!((status, counted), (200, json!({"was_wrong": false})));
}

#[tokio::test]
async fn what_is_no_limit_is_refused_and_nothing_of_it_kept() {
    let state = state();
    for bad in [
        json!({}),
        json!([]),
        json!({"image_count_total": -2}),
        json!({"image_count_total": 1.5}),
        json!({"image_count_total": "5"}),
        json!({"image_count_total": 1u64 << 31}),
        json!({"images": 5}),
        json!({"image_count_total": null}),
        json!({"image_size_total": 1, "image_count_total": -7}),
    ] {
        let (status, error) = ask(&state, "PATCH", "/tintype/v1/quotas/default", bad.clone()).await;
        assert_eq!(status, 400, "{bad}: {error}");
    }
    let nobody = "/tintype/v1/quotas/projects/nobody";
    assert_eq!(ask(&state, "PATCH", nobody, json!({"image_count_total": 1})).await.0, 404);
    assert_eq!(ask(&state, "GET", nobody, Value::Null).await.0, 404);
    let (_, left) = ask(&state, "GET", "/tintype/v1/quotas/default", Value::Null).await;
    assert!(left["limits"].as_object().unwrap().values().all(|limit| *limit == -1), "{left}");
}
