//! What ends which tokens: the table of `src/docs/IDENTITY.md`, change by change; and that nobody says who they are in a
//! header.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::application_credentials_tests::World;
use super::tests::{in_project, token_of};
use crate::api::ApiState;
use crate::service::testing::service;

/// A change that an administrator makes: its row in the page, the requests, and whether a token of ann's for the project,
/// one of another project, and one of an application credential for the project live on.
type Change = (&'static str, &'static [(&'static str, &'static str, &'static str)], [bool; 3]);

const CHANGES: [Change; 16] = [
    ("nothing", &[], [true, true, true]),
    ("the user is disabled", &[("PATCH", "/users/{ann}", r#"{"user":{"enabled":false}}"#)], [false; 3]),
    ("the user is deleted", &[("DELETE", "/users/{ann}", "")], [false; 3]),
    (
        "an administrator sets the password",
        &[("PATCH", "/users/{ann}", r#"{"user":{"password":"x"}}"#)],
        [false; 3],
    ),
    (
        "the user changes the password",
        &[("POST", "/users/{ann}/password", r#"{"user":{"original_password":"ann-pw","password":"x"}}"#)],
        [false; 3],
    ),
    ("the user is renamed", &[("PATCH", "/users/{ann}", r#"{"user":{"name":"anne"}}"#)], [true; 3]),
    (
        "one of several roles is taken",
        &[("DELETE", "/projects/{lab}/users/{ann}/roles/{member}", "")],
        [true, true, false],
    ),
    (
        "the last role is taken",
        &[
            ("DELETE", "/projects/{lab}/users/{ann}/roles/{member}", ""),
            ("DELETE", "/projects/{lab}/users/{ann}/roles/{reader}", ""),
        ],
        [false, true, false],
    ),
    (
        "the user leaves the group that holds a role",
        &[("DELETE", "/groups/{team}/users/{ann}", "")],
        [true, false, true],
    ),
    (
        "a role is taken from the group",
        &[("DELETE", "/projects/{den}/groups/{team}/roles/{ops}", "")],
        [true, false, true],
    ),
    ("the group is deleted", &[("DELETE", "/groups/{team}", "")], [true, false, true]),
    ("the role is deleted", &[("DELETE", "/roles/{ops}", "")], [true, false, true]),
    (
        "the project is disabled",
        &[("PATCH", "/projects/{lab}", r#"{"project":{"enabled":false}}"#)],
        [false, true, false],
    ),
    ("the project is deleted", &[("DELETE", "/projects/{lab}", "")], [false, true, false]),
    (
        "the domain is disabled",
        &[("PATCH", "/domains/{domain}", r#"{"domain":{"enabled":false}}"#)],
        [false; 3],
    ),
    (
        "the application credential is deleted",
        &[("DELETE", "/users/{ann}/application_credentials/{ci}", "")],
        [true, true, false],
    ),
];

/// How each change is taken back, so that a token that lived on unnoticed would be found.
const UNDONE: [(&str, &str, &str); 6] = [
    ("PATCH", "/users/{ann}", r#"{"user":{"enabled":true}}"#),
    ("PATCH", "/projects/{lab}", r#"{"project":{"enabled":true}}"#),
    ("PATCH", "/domains/{domain}", r#"{"domain":{"enabled":true}}"#),
    ("PUT", "/projects/{lab}/users/{ann}/roles/{member}", ""),
    ("PUT", "/groups/{team}/users/{ann}", ""),
    ("PUT", "/projects/{den}/groups/{team}/roles/{ops}", ""),
];

struct Scene {
    router: axum::Router,
    admin: String,
    ids: Vec<(&'static str, String)>,
}

impl Scene {
    async fn ask(&self, method: &str, path: &str, token: &str, body: Value) -> (u16, Value) {
        let mut path = format!("/v3{path}");
        for (name, id) in &self.ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        let answer = super::tests::send(&self.router, method, &path, token, body).await;
        (answer.status().as_u16(), super::tests::body(answer).await)
    }

    async fn make(&mut self, name: &'static str, path: &str, kind: &str, object: Value) {
        let made = self.ask("POST", path, &self.admin, json!({ kind: object })).await.1;
        self.ids.push((name, made[kind]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()));
    }

    fn id(&self, of: &str) -> String {
        self.ids.iter().find(|(name, _)| *name == of).unwrap().1.clone()
    }

    async fn role(&mut self, name: &'static str) {
        let found = self.ask("GET", &format!("/roles?name={name}"), &self.admin, Value::Null).await.1;
        self.ids.push((name, found["roles"][0]["id"].as_str().unwrap().to_owned()));
    }

    async fn new() -> Scene {
        let router = crate::api::router(ApiState { service: service().0, public_url: None });
        let admin = super::tests::admin(&router).await;
        let mut scene = Scene { router, admin, ids: Vec::new() };
        scene.make("domain", "/domains", "domain", json!({"name": "house"})).await;
        let domain = scene.id("domain");
        for project in ["lab", "den"] {
            scene.make(project, "/projects", "project", json!({"name": project, "domain_id": domain})).await;
        }
        scene
            .make("ann", "/users", "user", json!({"name": "ann", "domain_id": domain, "password": "ann-pw"}))
            .await;
        scene.make("team", "/groups", "group", json!({"name": "team", "domain_id": domain})).await;
        scene.make("ops", "/roles", "role", json!({"name": "ops"})).await;
        scene.role("member").await;
        scene.role("reader").await;
        for path in [
            "/projects/{lab}/users/{ann}/roles/{member}",
            "/projects/{lab}/users/{ann}/roles/{reader}",
            "/groups/{team}/users/{ann}",
            "/projects/{den}/groups/{team}/roles/{ops}",
        ] {
            assert_eq!(scene.ask("PUT", path, &scene.admin, Value::Null).await.0, 204, "{path}");
        }
        scene
    }

    async fn sign_in(&self, project: &str) -> String {
        let user = json!({"id": self.id("ann"), "password": "ann-pw"});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = json!({"project": {"id": self.id(project)}});
        self.token(json!({"auth": {"identity": identity, "scope": scope}})).await
    }

    async fn token(&self, request: Value) -> String {
        let answer = super::tests::send(&self.router, "POST", "/v3/auth/tokens", "", request).await;
        assert_eq!(answer.status(), 201);
        answer.headers()["x-subject-token"].to_str().unwrap().to_owned()
    }

    /// Whether a token is taken, and whether an administrator is told of it: both, or neither.
    async fn lives(&self, token: &str) -> bool {
        let used = self.ask("GET", "/auth/projects", token, Value::Null).await.0;
        let request = Request::builder().uri("/v3/auth/tokens").header("x-auth-token", &self.admin);
        let request = request.header("x-subject-token", token).body(Body::empty()).unwrap();
        let looked_at = self.router.clone().oneshot(request).await.unwrap().status().as_u16();
        assert!(matches!((used, looked_at), (200, 200) | (401, 404)), "{used} {looked_at}");
        used == 200
    }
}

#[tokio::test]
async fn p2_each_change_ends_the_tokens_that_the_page_says() {
    let mut table = "| Change | Token of the user there | Token in another project | Token of an application credential |\n\
                     |---|---|---|---|\n"
        .to_owned();
    for (change, requests, expected) in CHANGES {
        let mut scene = Scene::new().await;
        let lab = scene.sign_in("lab").await;
        let body = json!({"application_credential": {"name": "ci", "roles": [{"name": "member"}]}});
        let (_, made) = scene.ask("POST", "/users/{ann}/application_credentials", &lab, body).await;
        let ci = &made["application_credential"];
        scene.ids.push(("ci", ci["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()));
        let named = json!({"id": ci["id"], "secret": ci["secret"]});
        let identity = json!({"methods": ["application_credential"], "application_credential": named});
        let tokens =
            [lab, scene.sign_in("den").await, scene.token(json!({"auth": {"identity": identity}})).await];
        for (method, path, body) in requests {
            let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
            let (status, told) = scene.ask(method, path, &scene.admin, body).await;
            assert!((200..300).contains(&status), "{change}: {method} {path} {status} {told}");
        }
        for (token, expected) in tokens.iter().zip(expected) {
            assert_eq!(scene.lives(token).await, expected, "{change}");
        }
        // What ended does not come back when the change is undone.
        for (method, path, body) in UNDONE {
            let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
            scene.ask(method, path, &scene.admin, body).await;
        }
        for (token, expected) in tokens.iter().zip(expected) {
            assert_eq!(scene.lives(token).await, expected, "{change}, undone");
        }
        let cells = expected.map(|lives| if lives { "lives on" } else { "ends" });
        table += &format!("| {change} | {} |\n", cells.join(" | "));
    }
    let page = include_str!("../../docs/IDENTITY.md");
    assert!(page.contains(&table), "src/docs/IDENTITY.md needs the table:\n{table}");
}

#[tokio::test]
async fn s37_headers_that_say_who_asks_mean_nothing_in_any_protocol() {
    let world = World::new().await;
    let lies = [
        ("x-identity-status", "Confirmed"),
        ("x-user-id", "admin"),
        ("x-user", "admin"),
        ("x-user-name", "admin"),
        ("x-roles", "admin"),
        ("x-role", "admin"),
        ("x-is-admin-project", "True"),
        ("x-project-id", "admin"),
        ("x-tenant-id", "admin"),
        ("x-domain-id", "default"),
        ("x-service-token", "admin"),
        ("x-service-roles", "service"),
        ("openstack-system-scope", "all"),
        ("x-user-domain-id", "default"),
        ("x-user-domain-name", "Default"),
        ("x-project-name", "admin"),
        ("x-project-domain-id", "default"),
        ("x-project-domain-name", "Default"),
        ("x-domain-name", "Default"),
        ("x-tenant-name", "admin"),
        ("x-tenant", "admin"),
        ("x-service-identity-status", "Confirmed"),
        ("x-service-user-id", "admin"),
        ("x-service-user-name", "admin"),
        ("x-service-project-id", "admin"),
        ("x-service-catalog", "[]"),
        ("x-auth-key", "admin"),
        ("x-storage-token", "admin"),
        ("x-subject-token", "admin"),
        ("x-forwarded-user", "admin"),
        ("remote-user", "admin"),
        ("remote_user", "admin"),
    ];
    let ask = |path: &str, token: Option<&str>, lying: bool| {
        let mut request = Request::builder().uri(path).header("host", "box:9292");
        if let Some(token) = token {
            request = request.header("x-auth-token", token);
        }
        if lying {
            request = lies.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        }
        world.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let traces = format!("/v3/{}/traces", world.project);
    for path in [
        "/v2/images",
        "/v2/info/usage",
        "/v2/cloudimages",
        "/v1/cloudimages/tags",
        "/v2.1/images",
        "/v2/metadefs/namespaces",
        "/v2/tasks",
        "/v2/info/stores/detail",
        "/v3/users",
        "/identity/v3/users",
        "/v3/auth/projects",
        "/tintype/v1/stats",
        "/tintype/v1/access-keys",
        traces.as_str(),
    ] {
        assert_eq!(ask(path, None, true).await.unwrap().status(), 401, "{path}");
        let honest = ask(path, Some(&world.ann), false).await.unwrap().status();
        assert_eq!(ask(path, Some(&world.ann), true).await.unwrap().status(), honest, "{path}");
    }
    // What is made belongs to who proved to be somebody.
    let mut request = Request::builder().method("POST").uri("/v2/images").header("x-auth-token", &world.ann);
    request = lies.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.header("content-type", "application/json");
    let answer =
        world.router.clone().oneshot(request.body(Body::from(r#"{"name":"x"}"#)).unwrap()).await.unwrap();
    assert_eq!(super::tests::body(answer).await["owner"], json!(world.project));
}

#[tokio::test]
async fn a_token_ends_at_its_end_whatever_the_clock_did_before() {
    let (service, clock) = service();
    let world = World::on(crate::api::router(ApiState { service, public_url: None })).await;
    let used = async |token: String| world.ask("GET", "/v2/images", &token, Value::Null).await.0;
    clock.step_seconds(3598);
    assert_eq!(used(world.ann.clone()).await, 200);
    clock.step_seconds(3);
    assert_eq!(used(world.ann.clone()).await, 401);
    // Set back, the clock makes no token live longer than was told, and none that was made before ends early.
    clock.step_seconds(-3601);
    assert_eq!(used(world.ann.clone()).await, 200);
    let late = token_of(&world.router, "ann", "ann-pw", in_project("lab")).await;
    clock.step_seconds(-100_000);
    assert_eq!(used(late.clone()).await, 200);
    // Another one from it ends when it does.
    let identity = json!({"methods": ["token"], "token": {"id": late}});
    let again = json!({"auth": {"identity": identity, "scope": in_project("lab")}});
    let (status, told) = world.ask("POST", "/v3/auth/tokens", "", again).await;
    assert_eq!(status, 201);
    assert!(told["token"]["expires_at"].as_str().unwrap().starts_with("2023-11-14T23:13:"), "{told}");
}
