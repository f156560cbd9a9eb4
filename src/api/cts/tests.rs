//! The query API: what clients of the reference's audit service send, and what they read.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::context::{ApiState, LocalAdmin};
use crate::model::Operation;
use crate::service::Service;
use crate::service::audit::Act;
use crate::service::testing;

fn with_records(count: usize) -> (Service, String) {
    let (service, _) = testing::service();
    let admin = service.local_admin().unwrap();
    for number in 0..count {
        service.record(&admin, Act::on(Operation::Check, number)).unwrap();
    }
    let project = admin.project().unwrap().0.clone();
    (service, project)
}

async fn ask(service: &Service, path: &str) -> (StatusCode, Value) {
    let router = crate::api::router(ApiState { service: service.clone(), public_url: None });
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(LocalAdmin);
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_the_marker_and_have_the_references_shape() {
    let (service, project) = with_records(25);
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let (status, body) = ask(&service, &format!("/v3/{project}/traces?trace_type=system{next}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let traces = body["traces"].as_array().unwrap();
        assert_eq!(body["meta_data"]["count"], traces.len());
        assert!(traces.len() <= 10);
        seen.extend(traces.iter().map(|trace| trace["resource_id"].as_str().unwrap().to_owned()));
        match body["meta_data"]["marker"].as_str() {
            Some(marker) => next = format!("&next={marker}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    let (_, body) = ask(&service, &format!("/v3/{project}/traces?limit=1")).await;
    let trace = &body["traces"][0];
    assert_eq!(trace["trace_name"], "check");
    assert_eq!((&trace["trace_rating"], &trace["code"]), (&json!("normal"), &json!("200")));
    assert_eq!((&trace["service_type"], &trace["resource_type"]), (&json!("TINTYPE"), &json!("box")));
    assert!(trace["time"].as_i64().is_some_and(|ms| ms.to_string().len() == 13));
    let id = trace["trace_id"].as_str().unwrap();
    let (_, one) = ask(&service, &format!("/v3/{project}/traces?trace_id={id}&trace_name=nothing")).await;
    assert_eq!(one["traces"], json!([trace]));
    let other = id.replace(|c: char| c.is_ascii_digit(), "0");
    let (_, none) = ask(&service, &format!("/v3/{project}/traces?trace_id={other}")).await;
    assert_eq!(none["traces"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_told_what_is_wrong() {
    let (service, project) = with_records(1);
    for (query, word) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("from=1700000000000", "together"),
        ("from=17&to=18", "13 digits"),
        ("trace_rating=bad", "trace_rating"),
        ("trace_type=data", "trace_type"),
        ("tracker_name=mine", "tracker"),
        ("next=there", "next"),
        ("trace_id=x", "trace_id"),
    ] {
        let (status, body) = ask(&service, &format!("/v3/{project}/traces?{query}")).await;
        assert_eq!((status, &body["error_code"]), (StatusCode::BAD_REQUEST, &json!("CTS.0003")), "{query}");
        assert!(body["error_msg"].as_str().unwrap().contains(word), "{query}: {body}");
    }
    let (status, body) =
        ask(&service, &format!("/v3/{project}/traces?from=1600000000000&to=1600000000001")).await;
    assert_eq!((status, &body["traces"]), (StatusCode::OK, &json!([])));
    let router = crate::api::router(ApiState { service, public_url: None });
    let request = Request::builder().uri(format!("/v3/{project}/traces")).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("APIGW.0301"));
}
