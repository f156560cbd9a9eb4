//! The Identity API as clients see it: status, headers and bodies.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::ApiState;
use crate::service::testing::service;

pub(super) fn router() -> Router {
    crate::api::router(ApiState { service: service().0, public_url: None })
}

pub(super) async fn send(
    router: &Router,
    method: &str,
    path: &str,
    token: &str,
    body: Value,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "box:9292");
    if !token.is_empty() {
        request = request.header("x-auth-token", token).header("x-subject-token", token);
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
}

pub(super) async fn body(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() }
}

pub(super) fn sign_in(user: &str, password: &str, scope: Value) -> Value {
    let user = json!({"name": user, "password": password, "domain": {"name": "Default"}});
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
}

pub(super) fn in_project(name: &str) -> Value {
    json!({"project": {"name": name, "domain": {"id": "default"}}})
}

pub(super) async fn token_of(router: &Router, user: &str, password: &str, scope: Value) -> String {
    let response = send(router, "POST", "/v3/auth/tokens", "", sign_in(user, password, scope)).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    response.headers()["x-subject-token"].to_str().unwrap().to_owned()
}

pub(super) async fn admin(router: &Router) -> String {
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

pub(super) async fn created(router: &Router, token: &str, path: &str, object: Value) -> Value {
    let response = send(router, "POST", path, token, object).await;
    assert_eq!(response.status(), StatusCode::CREATED, "{path}");
    body(response).await.as_object().unwrap().values().next().unwrap().clone()
}

pub(super) async fn status(router: &Router, method: &str, path: &str, token: &str) -> u16 {
    send(router, method, path, token, Value::Null).await.status().as_u16()
}

pub(super) async fn listed(router: &Router, token: &str, path: &str) -> Vec<Value> {
    let response = send(router, "GET", path, token, Value::Null).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let body = body(response).await;
    assert_eq!(body["links"]["self"], format!("http://box:9292{path}"));
    body.as_object().unwrap().values().next().unwrap().as_array().unwrap().clone()
}

/// User `ann`, member of project `demo`; gives back the user's and the project's ids.
pub(super) async fn ann(router: &Router, admin: &str) -> (String, String) {
    let user = json!({"user": {"name": "ann", "password": "pw", "email": "ann@example.org"}});
    let user = created(router, admin, "/v3/users", user).await["id"].as_str().unwrap().to_owned();
    let project = created(router, admin, "/v3/projects", json!({"project": {"name": "demo"}})).await;
    let project = project["id"].as_str().unwrap().to_owned();
    let role = listed(router, admin, "/v3/roles?name=member").await[0]["id"].as_str().unwrap().to_owned();
    let grant = format!("/v3/projects/{project}/users/{user}/roles/{role}");
    for (method, expected) in [("HEAD", 404), ("PUT", 204), ("PUT", 204), ("HEAD", 204)] {
        assert_eq!(status(router, method, &grant, admin).await, expected, "{method}");
    }
    (user, project)
}

#[tokio::test]
async fn users_keep_unknown_members_and_never_show_a_password() {
    let router = router();
    let admin = admin(&router).await;
    let (user, _) = ann(&router, &admin).await;
    let path = format!("/v3/users/{user}");
    let shown = body(send(&router, "GET", &path, &admin, Value::Null).await).await;
    assert_eq!(shown["user"]["email"], "ann@example.org");
    assert_eq!(shown["user"]["domain_id"], "default");
    assert!(!shown.to_string().contains("pw") && !shown.to_string().contains("argon2"));
    let change = json!({"user": {"description": null, "colour": {"a": 1}}});
    let changed = body(send(&router, "PATCH", &path, &admin, change).await).await;
    assert_eq!(changed["user"]["colour"]["a"], 1);
    assert!(changed["user"]["description"].is_null());
    assert_eq!(listed(&router, &admin, "/v3/users?name=ann&domain_id=default").await.len(), 1);
    assert_eq!(listed(&router, &admin, "/v3/users?name=ann&enabled=false").await.len(), 0);
    assert_eq!(status(&router, "GET", "/v3/users/nosuch%20one", &admin).await, 404);
    let twice = send(&router, "POST", "/v3/users", &admin, json!({"user": {"name": "ann"}})).await;
    assert_eq!(twice.status(), StatusCode::CONFLICT);
    assert_eq!(status(&router, "DELETE", &path, &admin).await, 204);
    assert_eq!(status(&router, "DELETE", &path, &admin).await, 404);
}

#[tokio::test]
async fn a_member_is_refused_by_403_before_404() {
    let router = router();
    let admin = admin(&router).await;
    let (user, project) = ann(&router, &admin).await;
    let token = token_of(&router, "ann", "pw", json!({"project": {"id": project}})).await;
    let own = ["/v3/users/", "/v3/projects/"].map(|path| path.to_owned());
    assert_eq!(status(&router, "GET", &format!("{}{user}", own[0]), &token).await, 200);
    assert_eq!(status(&router, "GET", &format!("{}{project}", own[1]), &token).await, 200);
    for path in
        ["/v3/regions", "/v3/auth/projects", "/v3/auth/domains", "/v3/auth/system", "/v3/auth/catalog"]
    {
        assert_eq!(status(&router, "GET", path, &token).await, 200, "{path}");
    }
    for path in [
        "/v3/projects/anything",
        "/v3/projects?name=anything",
        "/v3/users?name=ann",
        "/v3/users/anything",
        "/v3/roles",
        "/v3/roles/anything",
        "/v3/domains",
        "/v3/services",
        "/v3/endpoints",
        "/v3/role_assignments",
        "/v3/role_inferences",
    ] {
        assert_eq!(status(&router, "GET", path, &token).await, 403, "{path}");
    }
}

#[tokio::test]
async fn a_user_changes_their_password_without_a_token() {
    let router = router();
    let admin = admin(&router).await;
    let (user, _) = ann(&router, &admin).await;
    let path = format!("/v3/users/{user}/password");
    let change = |old: &str| json!({"user": {"password": "new", "original_password": old}});
    assert_eq!(send(&router, "POST", &path, "", change("bad")).await.status().as_u16(), 401);
    assert_eq!(send(&router, "POST", &path, "", change("pw")).await.status().as_u16(), 204);
    token_of(&router, "ann", "new", json!("unscoped")).await;
}

#[tokio::test]
async fn assignments_show_names_and_what_comes_along() {
    let router = router();
    let admin = admin(&router).await;
    let (user, project) = ann(&router, &admin).await;
    let path = format!("/v3/role_assignments?user.id={user}&effective=True&include_names=True");
    let held = listed(&router, &admin, &path).await;
    assert_eq!(held.len(), 2);
    assert_eq!(held[0]["scope"]["project"]["domain"]["name"], "Default");
    assert_eq!((&held[0]["user"]["name"], &held[0]["role"]["name"]), (&json!("ann"), &json!("member")));
    assert!(held[1]["links"]["prior_role"].is_string());
    let plain = listed(&router, &admin, &format!("/v3/role_assignments?scope.project.id={project}")).await;
    assert_eq!(plain[0]["user"], json!({"id": user}));
    assert!(listed(&router, &admin, "/v3/role_assignments?group.id=g").await.is_empty());
    let direct = listed(&router, &admin, &format!("/v3/projects/{project}/users/{user}/roles")).await;
    assert_eq!(direct[0]["name"], "member");
}

#[tokio::test]
async fn projects_do_not_nest_and_domains_go_when_disabled() {
    let router = router();
    let admin = admin(&router).await;
    let nested = json!({"project": {"name": "p", "domain_id": "default", "parent_id": "other"}});
    assert_eq!(send(&router, "POST", "/v3/projects", &admin, nested).await.status().as_u16(), 400);
    let unnamed = body(send(&router, "POST", "/v3/projects", &admin, json!({"project": {}})).await).await;
    assert!(unnamed["error"]["message"].as_str().unwrap().contains("'name' is a required property"));
    let domain = json!({"domain": {"name": "d", "description": "x", "enabled": true, "options": {}}});
    let domain = created(&router, &admin, "/v3/domains", domain).await;
    let path = format!("/v3/domains/{}", domain["id"].as_str().unwrap());
    assert_eq!(status(&router, "DELETE", &path, &admin).await, 403);
    let off = send(&router, "PATCH", &path, &admin, json!({"domain": {"enabled": false}})).await;
    assert_eq!(off.status(), StatusCode::OK);
    assert_eq!(status(&router, "DELETE", &path, &admin).await, 204);
}

#[tokio::test]
async fn the_catalog_can_be_looked_up_piece_by_piece() {
    let router = router();
    let admin = admin(&router).await;
    let image = listed(&router, &admin, "/v3/services?type=image").await;
    assert_eq!((image.len(), &image[0]["name"]), (1, &json!("glance")));
    let service = image[0]["id"].as_str().unwrap();
    let path = format!("/v3/endpoints?service_id={service}&interface=public");
    let endpoints = listed(&router, &admin, &path).await;
    assert_eq!((endpoints.len(), &endpoints[0]["url"]), (1, &json!("http://box:9292")));
    for path in [
        format!("/v3/services/{service}"),
        format!("/v3/endpoints/{}", endpoints[0]["id"].as_str().unwrap()),
        "/v3/regions/RegionOne".to_owned(),
    ] {
        assert_eq!(status(&router, "GET", &path, &admin).await, 200, "{path}");
    }
    assert_eq!(status(&router, "GET", "/v3/services/image", &admin).await, 404);
}
