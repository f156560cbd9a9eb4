//! Application credentials as clients see them: who makes them, what they open, and what ends them.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::tests::{admin, body, in_project, router, send, token_of};

/// A user `ann` who is a member of project `lab`.
pub(super) struct World {
    pub router: Router,
    /// The administrator's token.
    pub admin: String,
    /// The user's.
    pub ann: String,
    pub user: String,
    pub project: String,
}

impl World {
    pub async fn new() -> World {
        World::on(router()).await
    }

    pub async fn on(router: Router) -> World {
        let admin = admin(&router).await;
        let made = |kind: &'static str, object: Value| {
            let (router, admin) = (router.clone(), admin.clone());
            async move {
                let path = format!("/v3/{kind}s");
                let answer = send(&router, "POST", &path, &admin, json!({ kind: object })).await;
                body(answer).await[kind]["id"].as_str().unwrap().to_owned()
            }
        };
        let project = made("project", json!({"name": "lab"})).await;
        let user = made("user", json!({"name": "ann", "password": "ann-pw"})).await;
        let mut world = World { router, admin, ann: String::new(), user, project };
        world.grant("PUT", "member").await;
        world.ann = world.sign_in().await;
        world
    }

    pub async fn sign_in(&self) -> String {
        token_of(&self.router, "ann", "ann-pw", in_project("lab")).await
    }

    /// The id of a role.
    pub async fn role(&self, name: &str) -> String {
        let found = self.ask("GET", &format!("/v3/roles?name={name}"), &self.admin, Value::Null).await;
        found.1["roles"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Gives `ann` a role in the project, or takes it.
    pub async fn grant(&self, method: &str, role: &str) {
        let role = self.role(role).await;
        let path = format!("/v3/projects/{}/users/{}/roles/{role}", self.project, self.user);
        assert_eq!(self.ask(method, &path, &self.admin, Value::Null).await.0, 204);
    }

    pub async fn ask(&self, method: &str, path: &str, token: &str, json: Value) -> (u16, Value) {
        let answer = send(&self.router, method, path, token, json).await;
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        // Not every protocol refuses in JSON.
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn path(&self) -> String {
        format!("/v3/users/{}/application_credentials", self.user)
    }

    pub async fn make(&self, token: &str, credential: Value) -> (u16, Value) {
        let (status, made) =
            self.ask("POST", &self.path(), token, json!({ "application_credential": credential })).await;
        (status, made.get("application_credential").cloned().unwrap_or(made))
    }

    /// A credential of `ann`'s: its id and its secret.
    async fn made(&self, credential: Value) -> (String, String) {
        let (status, made) = self.make(&self.ann, credential).await;
        assert_eq!(status, 201, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    pub async fn enter(&self, named: Value) -> (u16, String, Value) {
        let identity = json!({"methods": ["application_credential"], "application_credential": named});
        let request = json!({"auth": {"identity": identity}});
        let answer = send(&self.router, "POST", "/v3/auth/tokens", "", request).await;
        let token = answer.headers().get("x-subject-token").map(|token| token.to_str().unwrap().to_owned());
        (answer.status().as_u16(), token.unwrap_or_default(), body(answer).await)
    }

    async fn token(&self, (id, secret): &(String, String)) -> String {
        let (status, token, told) = self.enter(json!({"id": id, "secret": secret})).await;
        assert_eq!(status, 201, "{told}");
        token
    }

    /// What a token is told when it is used.
    async fn used(&self, token: &str) -> u16 {
        self.ask("GET", "/v2/images", token, Value::Null).await.0
    }
}

#[tokio::test]
async fn a_credential_is_made_told_once_listed_and_deleted() {
    let world = World::new().await;
    let (status, made) = world
        .make(
            &world.ann,
            json!({"name": "ci", "description": null, "secret": null, "expires_at": null, "roles": [],
                   "access_rules": [], "unrestricted": false}),
        )
        .await;
    assert_eq!(status, 201);
    assert_eq!(made["secret"].as_str().unwrap().len(), 86);
    assert_eq!(
        (made["project_id"].as_str(), made["user_id"].as_str()),
        (Some(&*world.project), Some(&*world.user))
    );
    let roles: Vec<&str> =
        made["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(roles, ["member", "reader"]);
    let id = made["id"].as_str().unwrap();
    // The same name again, but not of another user.
    assert_eq!(world.make(&world.ann, json!({"name": "ci"})).await.0, 409);
    for reader in [&world.ann, &world.admin] {
        let (status, listed) = world.ask("GET", &world.path(), reader, Value::Null).await;
        assert_eq!((status, listed["application_credentials"].as_array().unwrap().len()), (200, 1));
        let (status, shown) = world.ask("GET", &format!("{}/{id}", world.path()), reader, Value::Null).await;
        assert_eq!(status, 200);
        assert_eq!(shown["application_credential"]["name"], "ci");
        assert!(shown["application_credential"].get("secret").is_none());
    }
    let (_, none) = world.ask("GET", &format!("{}?name=other", world.path()), &world.ann, Value::Null).await;
    assert_eq!(none["application_credentials"], json!([]));
    // As the command line looks a name up.
    let by_name = format!("{}/ci?user_id={}", world.path(), world.user);
    let (status, told) = world.ask("GET", &by_name, &world.ann, Value::Null).await;
    assert_eq!(
        (status, told["error"]["message"].as_str()),
        (404, Some("Could not find Application Credential: ci."))
    );
    assert_eq!(world.ask("DELETE", &format!("{}/{id}", world.path()), &world.ann, Value::Null).await.0, 204);
    assert_eq!(world.ask("DELETE", &format!("{}/{id}", world.path()), &world.ann, Value::Null).await.0, 404);
}

#[tokio::test]
async fn only_the_user_makes_one_and_others_learn_nothing() {
    let world = World::new().await;
    // Not even the administrator.
    assert_eq!(world.make(&world.admin, json!({"name": "x"})).await.0, 403);
    let (id, _) = world.made(json!({"name": "ci"})).await;
    let other = json!({"user": {"name": "eve", "password": "eve-pw"}});
    let eve = world.ask("POST", "/v3/users", &world.admin, other).await.1["user"]["id"].clone();
    let member = world.role("member").await;
    let grant = format!("/v3/projects/{}/users/{}/roles/{member}", world.project, eve.as_str().unwrap());
    assert_eq!(world.ask("PUT", &grant, &world.admin, Value::Null).await.0, 204);
    let eve = token_of(&world.router, "eve", "eve-pw", in_project("lab")).await;
    let rules = format!("/v3/users/{}/access_rules", world.user);
    for (method, path) in [
        ("GET", world.path()),
        ("GET", format!("{}/{id}", world.path())),
        ("GET", format!("{}/nothing", world.path())),
        ("DELETE", format!("{}/{id}", world.path())),
        ("GET", rules.clone()),
        ("GET", format!("{rules}/x")),
        ("DELETE", format!("{rules}/x")),
    ] {
        assert_eq!(world.ask(method, &path, &eve, Value::Null).await.0, 403, "{method} {path}");
        assert_eq!(world.ask(method, &path, "", Value::Null).await.0, 401, "{method} {path}");
    }
    assert_eq!(
        world.ask("DELETE", &format!("{}/{id}", world.path()), &world.admin, Value::Null).await.0,
        204
    );
    let unscoped = token_of(&world.router, "ann", "ann-pw", json!("unscoped")).await;
    assert_eq!(world.make(&unscoped, json!({"name": "x"})).await.0, 400);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_what_is_wrong() {
    let world = World::new().await;
    for (credential, expected) in [
        (json!({}), "'name' is a required property"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "roles": [{"name": "admin"}]}), "unassigned role"),
        (json!({"name": "x", "roles": [{"id": "nothing"}]}), "unassigned role"),
        (json!({"name": "x", "roles": "member"}), "a list of objects"),
        (json!({"name": "x", "expires_at": "2001-01-01T00:00:00"}), "past"),
        (json!({"name": "x", "expires_at": "soon"}), "expires_at"),
        (json!({"name": "x", "unrestricted": "yes"}), "true or false"),
        (json!({"name": "x", "color": "red"}), "'color' was unexpected"),
        (
            json!({"name": "x", "access_rules": [{"service": "image", "method": "get", "path": "/"}]}),
            "method",
        ),
        (json!({"name": "x", "access_rules": [{"service": "image", "method": "GET", "path": "v2"}]}), "path"),
        (json!({"name": "x", "access_rules": [{"service": "image", "method": "GET"}]}), "'path'"),
    ] {
        let (status, told) = world.make(&world.ann, credential.clone()).await;
        assert_eq!(status, 400, "{credential} {told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{credential}: {message}");
    }
    let unknown = json!({"name": "x", "access_rules": [{"id": "nothing"}]});
    assert_eq!(world.make(&world.ann, unknown).await.0, 404);
    for end in ["2099-01-01T00:00:00", "2099-01-01T00:00:00Z", "2099-01-01T00:00:00.123456"] {
        assert_eq!(world.make(&world.ann, json!({"name": end, "expires_at": end})).await.0, 201);
    }
}

#[tokio::test]
async fn a_credential_signs_in_by_id_and_by_name_to_its_project_with_its_roles() {
    let world = World::new().await;
    let (id, secret) = world.made(json!({"name": "ci", "roles": [{"name": "reader"}]})).await;
    let domain = json!({"name": "Default"});
    for named in [
        json!({"id": id, "secret": secret}),
        json!({"name": "ci", "secret": secret, "user": {"name": "ann", "domain": domain}}),
        json!({"name": "ci", "secret": secret, "user": {"id": world.user}}),
    ] {
        let (status, token, told) = world.enter(named).await;
        assert_eq!(status, 201, "{told}");
        let told = &told["token"];
        assert_eq!(told["methods"], json!(["application_credential"]));
        assert_eq!(told["project"]["id"], *world.project);
        let reader = world.role("reader").await;
        assert_eq!(told["roles"], json!([{"id": reader, "name": "reader"}]));
        assert_eq!(told["application_credential"], json!({"id": id, "name": "ci", "restricted": true}));
        // A reader makes no image.
        assert_eq!(world.used(&token).await, 200);
        assert_eq!(world.ask("POST", "/v2/images", &token, json!({"name": "x"})).await.0, 403);
    }
    for wrong in [
        json!({"id": id, "secret": "wrong"}),
        json!({"id": "nothing", "secret": secret}),
        json!({"name": "other", "secret": secret, "user": {"id": world.user}}),
        json!({"name": "ci", "secret": secret, "user": {"name": "nobody", "domain": domain}}),
    ] {
        let (status, _, told) = world.enter(wrong).await;
        let message = "The request you have made requires authentication.";
        assert_eq!((status, told["error"]["message"].as_str()), (401, Some(message)));
    }
    assert_eq!(world.enter(json!({"id": id})).await.0, 400);
    let named = json!({"id": id, "secret": secret});
    let identity = json!({"methods": ["application_credential"], "application_credential": named});
    let scoped = json!({"auth": {"identity": identity, "scope": in_project("lab")}});
    let (status, told) = world.ask("POST", "/v3/auth/tokens", "", scoped).await;
    assert_eq!(status, 401);
    assert!(told["error"]["message"].as_str().unwrap().contains("cannot request a scope"));
    // A secret that the user chose is as good.
    let chosen = world.made(json!({"name": "own", "secret": "my own secret"})).await;
    assert_eq!(chosen.1, "my own secret");
    world.token(&chosen).await;
}

#[tokio::test]
async fn a_restricted_credential_makes_nothing_that_is_worth_more() {
    let world = World::new().await;
    let made = world.made(json!({"name": "ci"})).await;
    let token = world.token(&made).await;
    let (status, told) = world.make(&token, json!({"name": "more"})).await;
    assert_eq!(status, 403);
    assert!(told["error"]["message"].as_str().unwrap().contains("Using method 'application_credential'"));
    let own = format!("{}/{}", world.path(), made.0);
    assert_eq!(world.ask("DELETE", &own, &token, Value::Null).await.0, 403);
    assert_eq!(world.ask("GET", &own, &token, Value::Null).await.0, 200);
    // No token of another kind, no access key, no temporary key, restricted or not.
    let (_, free) = world.make(&world.ann, json!({"name": "free", "unrestricted": true})).await;
    let text = |name: &str| free[name].as_str().unwrap().to_owned();
    let free = world.token(&(text("id"), text("secret"))).await;
    for token in [&token, &free] {
        let identity = json!({"methods": ["token"], "token": {"id": token}});
        let rescoped = json!({"auth": {"identity": identity, "scope": in_project("lab")}});
        let (status, told) = world.ask("POST", "/v3/auth/tokens", "", rescoped).await;
        assert_eq!(status, 403);
        assert!(told["error"]["message"].as_str().unwrap().contains("Using a delegated token"));
        assert_eq!(world.ask("POST", "/tintype/v1/access-keys", token, json!({})).await.0, 403);
        let temporary = json!({"auth": {"identity": {"methods": ["token"], "token": {}}}});
        assert_eq!(world.ask("POST", "/v3.0/OS-CREDENTIAL/securitytokens", token, temporary).await.0, 403);
    }
    let (status, told) = world.make(&free, json!({"name": "more"})).await;
    assert_eq!(status, 201, "{told}");
    let ruled = json!([{"service": "identity", "method": "POST", "path": "/v3/**"}]);
    let (_, ruled) =
        world.make(&world.ann, json!({"name": "ruled", "unrestricted": true, "access_rules": ruled})).await;
    let text = |name: &str| ruled[name].as_str().unwrap().to_owned();
    let ruled = world.token(&(text("id"), text("secret"))).await;
    assert_eq!(world.make(&ruled, json!({"name": "wider"})).await.0, 403);
}

#[tokio::test]
async fn access_rules_bind_in_every_protocol_and_stay_while_they_are_named() {
    let world = World::new().await;
    let rules = json!([
        {"service": "image", "method": "GET", "path": "/v2/images"},
        {"service": "identity", "method": "GET", "path": "/v3/auth/{what}"},
    ]);
    let made = world.made(json!({"name": "ci", "access_rules": rules})).await;
    let token = world.token(&made).await;
    for (method, path, expected) in [
        ("GET", "/v2/images", 200),
        ("HEAD", "/v2/images", 403),
        ("POST", "/v2/images", 403),
        ("GET", "/v2/images/x", 403),
        ("GET", "/v2/schemas/image", 403),
        ("GET", "/v3/auth/projects", 200),
        ("GET", "/identity/v3/auth/projects", 200),
        ("GET", "/v3/regions", 403),
        ("GET", "/v2/cloudimages", 403),
        ("GET", "/tintype/v1/access-keys", 403),
        ("GET", "/v3/lab/traces", 403),
    ] {
        let json = if method == "POST" { json!({"name": "x"}) } else { Value::Null };
        assert_eq!(world.ask(method, path, &token, json).await.0, expected, "{method} {path}");
    }
    // Whoever heeds no rules is told of no such token.
    let look = |knows: bool| {
        let mut request = Request::builder().uri("/v3/auth/tokens").header("x-auth-token", &world.admin);
        if knows {
            request = request.header("openstack-identity-access-rules", "1");
        }
        let request = request.header("x-subject-token", &token).body(Body::empty()).unwrap();
        world.router.clone().oneshot(request)
    };
    assert_eq!(look(false).await.unwrap().status(), StatusCode::NOT_FOUND);
    let looked = look(true).await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    let shown = body(looked).await["token"]["application_credential"]["access_rules"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 2);
    // An equal rule is the same one, and may be named by its id.
    let all = format!("/v3/users/{}/access_rules", world.user);
    let listed = world.ask("GET", &all, &world.ann, Value::Null).await.1["access_rules"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let rule = shown[0]["id"].as_str().unwrap();
    let by_id = world.made(json!({"name": "again", "access_rules": [{"id": rule}]})).await;
    world.made(json!({"name": "equal", "access_rules": [rules[1]]})).await;
    assert_eq!(world.ask("GET", &all, &world.ann, Value::Null).await.1["access_rules"], listed);
    let one = format!("{all}/{rule}");
    assert_eq!(world.ask("GET", &one, &world.ann, Value::Null).await.1["access_rule"]["method"], "GET");
    let (status, told) = world.ask("DELETE", &one, &world.ann, Value::Null).await;
    assert_eq!(status, 403, "{told}");
    for id in [&made.0, &by_id.0] {
        assert_eq!(
            world.ask("DELETE", &format!("{}/{id}", world.path()), &world.ann, Value::Null).await.0,
            204
        );
    }
    assert_eq!(world.ask("DELETE", &one, &world.ann, Value::Null).await.0, 204);
    assert_eq!(world.ask("GET", &one, &world.ann, Value::Null).await.0, 404);
    assert_eq!(world.ask("DELETE", &one, &world.ann, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_credential_ends_with_its_role_its_end_itself_its_project_and_its_user() {
    let world = World::new().await;
    let made = world.made(json!({"name": "ci"})).await;
    let named = json!({"id": made.0, "secret": made.1});
    let token = world.token(&made).await;
    assert_eq!(world.used(&token).await, 200);
    // A role that it is worth goes, although the user keeps another.
    world.grant("PUT", "reader").await;
    world.grant("DELETE", "member").await;
    assert_eq!(world.used(&token).await, 401);
    assert_eq!(world.enter(named.clone()).await.0, 401);
    // It comes back with the role; the token does not.
    world.grant("PUT", "member").await;
    assert_eq!(world.used(&token).await, 401);
    let token = world.token(&made).await;
    // A disabled user, and one that is enabled again.
    let user = format!("/v3/users/{}", world.user);
    for (enabled, expected) in [(false, 401), (true, 201)] {
        let change = json!({"user": {"enabled": enabled}});
        assert_eq!(world.ask("PATCH", &user, &world.admin, change).await.0, 200);
        assert_eq!(world.enter(named.clone()).await.0, expected);
    }
    assert_eq!(world.used(&token).await, 401);
    // Deleted with its tokens.
    let token = world.token(&made).await;
    let ann = world.sign_in().await;
    assert_eq!(world.ask("DELETE", &format!("{}/{}", world.path(), made.0), &ann, Value::Null).await.0, 204);
    assert_eq!((world.used(&token).await, world.used(&ann).await), (401, 200));
    assert_eq!(world.enter(named).await.0, 401);
    // With its project.
    let world = World { ann, ..world };
    let made = world.made(json!({"name": "ci"})).await;
    let project = format!("/v3/projects/{}", world.project);
    assert_eq!(world.ask("DELETE", &project, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.enter(json!({"id": made.0, "secret": made.1})).await.0, 401);
    assert_eq!(
        world.ask("GET", &world.path(), &world.admin, Value::Null).await.1["application_credentials"],
        json!([])
    );
    // With its user.
    assert_eq!(world.ask("DELETE", &user, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.ask("GET", &world.path(), &world.admin, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_token_ends_no_later_than_its_credential_whatever_the_clock_does() {
    let (service, clock) = crate::service::testing::service();
    let router = crate::api::router(crate::api::ApiState { service, public_url: None });
    let world = World::on(router).await;
    let made = world.made(json!({"name": "ci", "expires_at": "2023-11-14T22:20:00Z"})).await;
    let (_, token, told) = world.enter(json!({"id": made.0, "secret": made.1})).await;
    assert_eq!(told["token"]["expires_at"], "2023-11-14T22:20:00.000000Z");
    clock.step_seconds(500);
    assert_eq!(world.used(&token).await, 401);
    assert_eq!(world.enter(json!({"id": made.0, "secret": made.1})).await.0, 401);
    // Back before the end it is good again, as nothing was forgotten.
    clock.step_seconds(-500);
    assert_eq!(world.used(&token).await, 200);
}
