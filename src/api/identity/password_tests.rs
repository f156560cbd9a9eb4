//! Rules of passwords, locks and floods, as clients see them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::application_credentials_tests::World;
use super::tests::sign_in;
use crate::api::ApiState;
use crate::service::identity::{AttemptRules, PasswordRules};
use crate::service::testing::{ManualClock, rules, service_with};
use crate::service::{Rules, Source};

const WRONG: &str = "The request you have made requires authentication.";

async fn world(passwords: PasswordRules, attempts: AttemptRules) -> (World, Arc<ManualClock>) {
    let (service, clock) = service_with(Rules { passwords, attempts, ..rules() });
    (World::on(crate::api::router(ApiState { service, public_url: None })).await, clock)
}

impl World {
    /// Tries to sign in as a user: the status, and what is told.
    async fn tries(&self, user: &str, password: &str) -> (u16, String) {
        let request = sign_in(user, password, json!("unscoped"));
        let (status, told) = self.ask("POST", "/v3/auth/tokens", "", request).await;
        (status, told["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn changes(&self, old: &str, new: &str) -> (u16, String) {
        let path = format!("/v3/users/{}/password", self.user);
        let body = json!({"user": {"original_password": old, "password": new}});
        let (status, told) = self.ask("POST", &path, "", body).await;
        (status, told["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn resets(&self, new: &str) -> (u16, Value) {
        let path = format!("/v3/users/{}", self.user);
        self.ask("PATCH", &path, &self.admin, json!({"user": {"password": new}})).await
    }

    async fn shown_end(&self) -> Value {
        let path = format!("/v3/users/{}", self.user);
        self.ask("GET", &path, &self.admin, Value::Null).await.1["user"]["password_expires_at"].clone()
    }
}

#[tokio::test]
async fn a_short_password_is_refused_wherever_one_is_set() {
    let (world, _) =
        world(PasswordRules { chars_min: 6, ..Default::default() }, AttemptRules::default()).await;
    let made = json!({"user": {"name": "bob", "password": "short"}});
    let (status, told) = world.ask("POST", "/v3/users", &world.admin, made).await;
    assert_eq!(status, 400);
    assert!(told["error"]["message"].as_str().unwrap().contains("at least 6"), "{told}");
    assert_eq!(world.resets("short").await.0, 400);
    assert_eq!(world.changes("ann-pw", "short").await.0, 400);
    assert_eq!(world.changes("ann-pw", "longer").await.0, 204);
    // Counted are characters, not bytes.
    assert_eq!(world.changes("longer", "öööööö").await.0, 204);
}

#[tokio::test]
async fn the_latest_passwords_are_not_chosen_again_nor_changed_at_once() {
    let rules = PasswordRules { history: 2, age_min_s: 100, ..Default::default() };
    let (world, clock) = world(rules, AttemptRules::default()).await;
    let (status, told) = world.changes("ann-pw", "second").await;
    assert!(status == 400 && told.contains("minimum age"), "{told}");
    clock.step_seconds(100);
    assert_eq!(world.changes("ann-pw", "second").await.0, 204);
    clock.step_seconds(100);
    for old in ["second", "ann-pw"] {
        let (status, told) = world.changes("second", old).await;
        assert!(status == 400 && told.contains("last 2 passwords"), "{told}");
    }
    assert_eq!(world.changes("second", "third").await.0, 204);
    // Set back, the clock holds nobody up.
    clock.step_seconds(-1000);
    assert_eq!(world.changes("third", "ann-pw").await.0, 204);
    // An administrator sets what it wants.
    assert_eq!(world.resets("third").await.0, 200);
}

#[tokio::test]
async fn a_password_ends_and_can_still_be_changed() {
    let rules = PasswordRules { life_s: 1000, ..Default::default() };
    let (world, clock) = world(rules, AttemptRules::default()).await;
    let request = sign_in("ann", "ann-pw", json!("unscoped"));
    let (_, told) = world.ask("POST", "/v3/auth/tokens", "", request).await;
    let end = told["token"]["user"]["password_expires_at"].clone();
    assert!(end.as_str().is_some_and(|end| end.starts_with("2023-11-14T22:30:")), "{end}");
    assert_eq!(world.shown_end().await, end);
    clock.step_seconds(1001);
    let (status, told) = world.tries("ann", "ann-pw").await;
    assert_eq!(status, 401);
    assert_eq!(told, format!("The password is expired and needs to be changed for user: {}.", world.user));
    // Whoever did not prove it hears nothing of that.
    assert_eq!(world.tries("ann", "wrong").await, (401, WRONG.into()));
    assert_eq!(world.changes("ann-pw", "ann-pw2").await.0, 204);
    assert_eq!(world.tries("ann", "ann-pw2").await.0, 201);
    // The first administrator's has no end before it was changed once.
    assert_eq!(world.tries("admin", "admin-pw").await.0, 201);
}

#[tokio::test]
async fn a_password_that_somebody_else_set_is_changed_first() {
    let passwords = PasswordRules { change_first: true, ..Default::default() };
    let (service, _) = service_with(Rules { passwords, ..rules() });
    let router: Router = crate::api::router(ApiState { service, public_url: None });
    let admin = super::tests::admin(&router).await;
    let send = |method: &'static str, path: String, token: String, body: Value| {
        let router = router.clone();
        async move {
            let answer = super::tests::send(&router, method, &path, &token, body).await;
            (answer.status().as_u16(), super::tests::body(answer).await)
        }
    };
    let bob = json!({"user": {"name": "bob", "password": "first"}});
    let (_, made) = send("POST", "/v3/users".into(), admin.clone(), bob).await;
    assert!(made["user"]["password_expires_at"].is_string());
    let enter = |password: &'static str| {
        send("POST", "/v3/auth/tokens".into(), String::new(), sign_in("bob", password, json!("unscoped")))
    };
    assert_eq!(enter("first").await.0, 401);
    let path = format!("/v3/users/{}/password", made["user"]["id"].as_str().unwrap());
    let change = json!({"user": {"original_password": "first", "password": "own"}});
    assert_eq!(send("POST", path, String::new(), change).await.0, 204);
    assert_eq!(enter("own").await.0, 201);
}

#[tokio::test]
async fn a_user_is_locked_out_and_unlocked_and_nobody_hears_whether_there_is_one() {
    let attempts = AttemptRules { lock_after: 3, lock_s: 300, per_minute: 0 };
    let (world, clock) = world(PasswordRules::default(), attempts).await;
    let lock = format!("/tintype/v1/users/{}/lock", world.user);
    for user in ["ann", "nobody"] {
        for _ in 0..3 {
            assert_eq!(world.tries(user, "wrong").await, (401, WRONG.into()), "{user}");
        }
    }
    // The right one too, here and where it is changed; what is there already goes on.
    assert_eq!(world.tries("ann", "ann-pw").await, (401, WRONG.into()));
    assert_eq!(world.tries("nobody", "ann-pw").await, (401, WRONG.into()));
    assert_eq!(world.changes("ann-pw", "other").await, (401, WRONG.into()));
    assert_eq!(world.ask("GET", "/v2/images", &world.ann, Value::Null).await.0, 200);
    let (_, told) = world.ask("GET", &lock, &world.admin, Value::Null).await;
    assert_eq!(told["locked"], true);
    assert!(told["until"].is_string());
    // Only who may change users ends it; nobody looks at their own.
    for method in ["GET", "DELETE"] {
        assert_eq!(world.ask(method, &lock, &world.ann, Value::Null).await.0, 403, "{method}");
        assert_eq!(world.ask(method, &lock, "", Value::Null).await.0, 401, "{method}");
        let nothing = "/tintype/v1/users/nothing/lock";
        assert_eq!(world.ask(method, nothing, &world.admin, Value::Null).await.0, 404, "{method}");
    }
    assert_eq!(world.ask("DELETE", &lock, &world.admin, Value::Null).await.0, 204);
    assert_eq!(world.tries("ann", "ann-pw").await.0, 201);
    let (_, told) = world.ask("GET", &lock, &world.admin, Value::Null).await;
    assert_eq!(told, json!({"locked": false, "until": null}));
    // By itself, and by a reset.
    for _ in 0..3 {
        world.tries("ann", "wrong").await;
    }
    clock.step_seconds(299);
    assert_eq!(world.tries("ann", "ann-pw").await.0, 401);
    clock.step_seconds(2);
    assert_eq!(world.tries("ann", "ann-pw").await.0, 201);
    for _ in 0..3 {
        world.tries("ann", "wrong").await;
    }
    let admin = super::tests::admin(&world.router).await;
    let path = format!("/v3/users/{}", world.user);
    assert_eq!(world.ask("PATCH", &path, &admin, json!({"user": {"password": "new"}})).await.0, 200);
    assert_eq!(world.tries("ann", "new").await.0, 201);
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_turned_away_and_told_for_how_long() {
    let attempts = AttemptRules { lock_after: 0, lock_s: 60, per_minute: 3 };
    let (world, clock) = world(PasswordRules::default(), attempts).await;
    let send = |source: &'static str, user: &'static str, password: &'static str| {
        let body = sign_in(user, password, json!("unscoped")).to_string();
        let request = Request::builder().method("POST").uri("/v3/auth/tokens").header("host", "box:9292");
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Source::Peer(source.parse().unwrap()));
        world.router.clone().oneshot(request)
    };
    for _ in 0..3 {
        assert_eq!(send("192.0.2.1", "nobody", "wrong").await.unwrap().status(), 401);
    }
    let refused = send("192.0.2.1", "ann", "ann-pw").await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(send("192.0.2.2", "ann", "ann-pw").await.unwrap().status(), 201);
    clock.step_seconds(60);
    assert_eq!(send("192.0.2.1", "ann", "ann-pw").await.unwrap().status(), 201);
    // What succeeds counts for nothing.
    for _ in 0..5 {
        assert_eq!(send("192.0.2.1", "ann", "ann-pw").await.unwrap().status(), 201);
    }
}
