//! The Identity API as clients see it: status, headers and bodies.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::ApiState;
use crate::service::testing::service;

fn router() -> Router {
    crate::api::router(ApiState { service: service().0, public_url: None })
}

async fn send(router: &Router, method: &str, path: &str, token: &str, body: Value) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "box:9292");
    if !token.is_empty() {
        request = request.header("x-auth-token", token).header("x-subject-token", token);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
}

async fn body(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
}

fn sign_in(user: &str, password: &str, scope: Value) -> Value {
    let user = json!({"name": user, "password": password, "domain": {"name": "Default"}});
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
}

fn in_project(name: &str) -> Value {
    json!({"project": {"name": name, "domain": {"id": "default"}}})
}

async fn token_of(router: &Router, user: &str, password: &str, scope: Value) -> String {
    let response = send(router, "POST", "/v3/auth/tokens", "", sign_in(user, password, scope)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    response.headers()["x-subject-token"].to_str().unwrap().to_owned()
}

async fn admin(router: &Router) -> String {
    token_of(router, "admin", "admin-pw", in_project("admin")).await
}

#[tokio::test]
async fn versions_are_told_to_anyone() {
    let router = router();
    for path in ["/v3", "/v3/", "/identity/v3", "/identity/v3/"] {
        let response = send(&router, "GET", path, "", Value::Null).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["vary"], "X-Auth-Token");
        let version = body(response).await;
        let href = format!("http://box:9292{}/", path.trim_end_matches('/'));
        assert_eq!(version["version"]["links"][0]["href"], href);
    }
    for path in ["/identity", "/identity/"] {
        let response = send(&router, "GET", path, "", Value::Null).await;
        assert_eq!(response.status(), StatusCode::MULTIPLE_CHOICES, "{path}");
        assert_eq!(response.headers()["location"], "http://box:9292/identity/v3/");
        assert_eq!(body(response).await["versions"]["values"][0]["status"], "stable");
    }
}

#[tokio::test]
async fn a_project_token_shows_roles_and_catalog() {
    let router = router();
    let request = sign_in("admin", "admin-pw", in_project("admin"));
    let response = send(&router, "POST", "/identity/v3/auth/tokens", "", request).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let token = body(response).await["token"].clone();
    let roles: Vec<_> = token["roles"].as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(roles, ["admin", "manager", "member", "reader"]);
    assert_eq!(token["project"]["domain"]["name"], "Default");
    assert_eq!(token["catalog"][0]["endpoints"][0]["url"], "http://box:9292/identity/v3");
    assert_eq!(token["catalog"][1]["type"], "image");
    assert_eq!(token["catalog"][1]["endpoints"][2]["url"], "http://box:9292");
    assert_eq!(token["is_domain"], false);
}

#[tokio::test]
async fn the_catalog_can_be_left_out_and_an_unscoped_token_has_none() {
    let router = router();
    let scoped = sign_in("admin", "admin-pw", in_project("admin"));
    let bare = body(send(&router, "POST", "/v3/auth/tokens?nocatalog", "", scoped).await).await;
    assert!(bare["token"].get("catalog").is_none() && bare["token"].get("roles").is_some());
    let token = token_of(&router, "admin", "admin-pw", json!("unscoped")).await;
    let shown = body(send(&router, "GET", "/v3/auth/tokens", &token, Value::Null).await).await;
    for absent in ["project", "domain", "roles", "catalog", "is_domain"] {
        assert!(shown["token"].get(absent).is_none(), "{absent}");
    }
    let refused = send(&router, "GET", "/v3/auth/catalog", &token, Value::Null).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refused_sign_in_says_where_to_sign_in() {
    let router = router();
    let response = send(&router, "POST", "/v3/auth/tokens", "", sign_in("admin", "no", Value::Null)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Keystone uri=\"http://box:9292/v3\"");
    assert_eq!(
        body(response).await,
        json!({"error": {
            "code": 401,
            "message": "The request you have made requires authentication.",
            "title": "Unauthorized",
        }})
    );
}

#[tokio::test]
async fn a_token_is_looked_at_with_head_and_ends_with_delete() {
    let router = router();
    let token = admin(&router).await;
    let head = send(&router, "HEAD", "/v3/auth/tokens", &token, Value::Null).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()["x-subject-token"], token.as_str());
    let gone = send(&router, "DELETE", "/v3/auth/tokens", &token, Value::Null).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let after = send(&router, "GET", "/v3/auth/tokens", &token, Value::Null).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_json_errors() {
    let router = router();
    let nowhere = send(&router, "GET", "/v3/nowhere", "", Value::Null).await;
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(nowhere).await["error"]["title"], "Not Found");
    let method = send(&router, "PUT", "/v3/auth/tokens", "", Value::Null).await;
    assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(method.headers().contains_key("allow"));
}

#[tokio::test]
async fn hostile_bodies_are_refused_with_a_reason() {
    let router = router();
    for bad in ["", "[]", "{", "{\"auth\":", "\u{0}", &format!("{}1{}", "[".repeat(900), "]".repeat(900))] {
        let request =
            Request::builder().method("POST").uri("/v3/auth/tokens").body(Body::from(bad.to_owned()));
        let response = router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let request =
        Request::builder().method("POST").uri("/v3/auth/tokens").body(Body::from(vec![b' '; 2 << 20]));
    let response = router.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
