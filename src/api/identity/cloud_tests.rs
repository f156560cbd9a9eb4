//! What clients see of a box whose users are a cloud's.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::tests::{admin, body, send};
use crate::api::context::{ApiState, LocalAdmin};
use crate::keystone::fake_tests::{Fake, Mood, in_project};
use crate::service::identity::{Cloud, CloudRules};
use crate::service::testing::service;

#[tokio::test]
async fn a_box_with_a_clouds_users_has_no_identity_api_and_names_the_one_there_is() {
    let fake = Fake::start().await;
    let (service, _) = service();
    let embedded = crate::api::router(ApiState { service: service.clone(), public_url: None });
    let old = admin(&embedded).await;
    assert_eq!(send(&embedded, "GET", "/v2/images", &old, Value::Null).await.status(), StatusCode::OK);

    let rules = CloudRules { cache_s: 0, service_type: "image".into(), region: String::new() };
    let end = service.now().plus_seconds(3600);
    let cloud = Cloud::new(fake.client(), tokio::runtime::Handle::current(), rules);
    let service = service.with_cloud(cloud);
    let router = crate::api::router(ApiState { service, public_url: None });
    for path in [
        "/v3",
        "/v3/",
        "/v3/auth/tokens",
        "/v3/users/x",
        "/identity",
        "/identity/",
        "/identity/v3/projects",
        "/v3.0/OS-CREDENTIAL/securitytokens",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = send(&router, method, path, &old, Value::Null).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
            let message = body(answer).await["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&fake.url), "{message}");
        }
    }
    let mut request = Request::get("/identity/v3/users").body(Body::empty()).unwrap();
    request.extensions_mut().insert(LocalAdmin);
    assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);

    // Tokens of the box's own are worth nothing, and who is turned away hears where to sign in.
    for token in ["", &old, "unknown"] {
        let answer = send(&router, "GET", "/v2/images", token, Value::Null).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token}");
        assert_eq!(answer.headers()["www-authenticate"], format!("Keystone uri=\"{}\"", fake.url));
    }
    fake.knows("t", in_project("ann", "demo", &["member", "reader"], end));
    assert_eq!(send(&router, "GET", "/v2/images", "t", Value::Null).await.status(), StatusCode::OK);
    fake.is(Mood::Down);
    let answer = send(&router, "GET", "/v2/images", "t", Value::Null).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let mut request = Request::get("/v2/images").body(Body::empty()).unwrap();
    request.extensions_mut().insert(LocalAdmin);
    assert_eq!(
        router.oneshot(request).await.unwrap().status(),
        StatusCode::OK,
        "the socket needs no Keystone"
    );
}

#[tokio::test]
async fn a_signature_of_before_is_no_way_in() {
    let fake = Fake::start().await;
    let rules = CloudRules { cache_s: 0, service_type: "image".into(), region: String::new() };
    let cloud = Cloud::new(fake.client(), tokio::runtime::Handle::current(), rules);
    let router = crate::api::router(ApiState { service: service().0.with_cloud(cloud), public_url: None });
    let authorization =
        format!("SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-sdk-date, Signature={}", "0".repeat(64));
    let request = Request::get("/v2/cloudimages")
        .header("host", "box")
        .header("x-sdk-date", "20231114T221320Z")
        .header("authorization", authorization);
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let message = body(answer).await["error_msg"].as_str().unwrap().to_owned();
    assert!(message.contains(&fake.url), "{message}");
}
