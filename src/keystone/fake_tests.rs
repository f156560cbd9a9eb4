//! A small Keystone for tests: it issues one account's tokens, tells of others that it was told of, and fails on demand.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Account, Keystone};
use crate::base::Time;

/// The account's password.
pub const PASSWORD: &str = "service-pw";

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As Keystone does.
    Well,
    /// It fails at everything.
    Down,
    /// It lets the account in, but not look at tokens.
    Forbids,
    /// It refuses each of the account's tokens.
    Distrusts,
    /// It answers questions about tokens as no Keystone does.
    Rambles,
    /// The same, with a 404.
    Misses,
    /// It sends whoever asks elsewhere.
    Redirects,
    /// It says more than anybody reads.
    Floods,
}

/// A running one.
#[derive(Clone)]
pub struct Fake {
    /// Its address.
    pub url: String,
    state: Arc<Inner>,
}

struct Inner {
    mood: Mutex<Mood>,
    /// What it says of tokens.
    tokens: Mutex<HashMap<String, Value>>,
    /// Tokens of the account that it takes.
    own: Mutex<HashSet<String>>,
    own_ends: Mutex<Time>,
    signed_in: AtomicUsize,
    issued: AtomicUsize,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    at_once_most: AtomicUsize,
    delay: Mutex<Duration>,
    /// What it says of limits: of all projects, and of single ones.
    limits: Mutex<(Value, Value)>,
    /// Whether the account holds a role on the system.
    has_system: AtomicBool,
    asked_limits: AtomicUsize,
}

impl Fake {
    /// Starts one on the present runtime.
    pub async fn start() -> Fake {
        let state = Arc::new(Inner {
            mood: Mutex::new(Mood::Well),
            tokens: Mutex::default(),
            own: Mutex::default(),
            own_ends: Mutex::new(Time::parse("2099-01-01T00:00:00Z").unwrap()),
            signed_in: AtomicUsize::default(),
            issued: AtomicUsize::default(),
            asked: AtomicUsize::default(),
            at_once: AtomicUsize::default(),
            at_once_most: AtomicUsize::default(),
            delay: Mutex::default(),
            limits: Mutex::new((json!([]), json!([]))),
            has_system: AtomicBool::new(true),
            asked_limits: AtomicUsize::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v3", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v3/auth/tokens", get(show).post(issue))
            .route("/v3/registered_limits", get(registered_limits))
            .route("/v3/limits", get(limits))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Fake { url, state }
    }

    /// A client of it.
    pub fn client(&self) -> Keystone {
        client(&self.url, PASSWORD)
    }

    /// Has it know a token.
    pub fn knows(&self, token: &str, said: Value) {
        self.state.tokens.lock().unwrap().insert(token.to_owned(), said);
    }

    /// What it says of limits from now on: of all projects, and of single ones.
    pub fn limits(&self, registered: Value, own: Value) {
        *self.state.limits.lock().unwrap() = (registered, own);
    }

    /// Takes the account's role on the system from it.
    pub fn has_no_system(&self) {
        self.state.has_system.store(false, Ordering::SeqCst);
    }

    /// How often it was asked about limits of single projects.
    pub fn asked_limits(&self) -> usize {
        self.state.asked_limits.load(Ordering::SeqCst)
    }

    /// Has it know a token no more.
    pub fn revokes(&self, token: &str) {
        self.state.tokens.lock().unwrap().remove(token);
    }

    /// Has it refuse the account's tokens so far.
    pub fn revokes_own(&self) {
        self.state.own.lock().unwrap().clear();
    }

    /// How it answers from now on.
    pub fn is(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// When the account's next tokens end.
    pub fn own_end(&self, at: Time) {
        *self.state.own_ends.lock().unwrap() = at;
    }

    /// How long it takes to answer about a token.
    pub fn takes(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// How often the account signed in to its project.
    pub fn signed_in(&self) -> usize {
        self.state.signed_in.load(Ordering::SeqCst)
    }

    /// How often it was asked about a token.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// The most questions that it had at once.
    pub fn at_once_most(&self) -> usize {
        self.state.at_once_most.load(Ordering::SeqCst)
    }
}

/// A client of a Keystone anywhere.
pub fn client(url: &str, password: &str) -> Keystone {
    Keystone::new(Account {
        url: url.to_owned(),
        user: "tintype".into(),
        user_domain: "Default".into(),
        password: password.to_owned().into(),
        project: "service".into(),
        project_domain: "Default".into(),
        certificates: Vec::new(),
    })
    .unwrap()
}

/// What it says of a token of this user in this project, with these roles.
pub fn in_project(user: &str, project: &str, roles: &[&str], end: Time) -> Value {
    let mut said = unscoped(user, end);
    said["token"]["project"] = json!({
        "id": format!("{project}-id"), "name": project, "domain": {"id": "default", "name": "Default"}
    });
    said["token"]["is_domain"] = false.into();
    said["token"]["roles"] = roles.iter().map(|role| json!({"id": role, "name": role})).collect();
    said
}

/// What it says of a token of this user without a scope.
pub fn unscoped(user: &str, end: Time) -> Value {
    json!({"token": {
        "methods": ["password"],
        "user": {
            "id": format!("{user}-id"), "name": user, "domain": {"id": "d1", "name": "Staff"},
            "password_expires_at": null
        },
        "audit_ids": ["x"],
        "expires_at": end.rfc3339_micros(),
        "issued_at": "2020-01-01T00:00:00.000000Z"
    }})
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let error = json!({"code": status.as_u16(), "message": message, "title": "x"});
    (status, axum::Json(json!({ "error": error }))).into_response()
}

async fn issue(State(state): State<Arc<Inner>>, body: Bytes) -> Response {
    let mood = *state.mood.lock().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!(user["name"], "tintype");
    let is_system = body["auth"]["scope"]["system"]["all"] == true;
    assert!(is_system || body["auth"]["scope"]["project"]["name"] == "service");
    match mood {
        Mood::Down => return refusal(StatusCode::SERVICE_UNAVAILABLE, "down"),
        _ if user["password"] != PASSWORD => return refusal(StatusCode::UNAUTHORIZED, "no"),
        _ if is_system && !state.has_system.load(Ordering::SeqCst) => {
            return refusal(StatusCode::UNAUTHORIZED, "no role");
        }
        _ => {}
    }
    let number = state.issued.fetch_add(1, Ordering::SeqCst);
    if !is_system {
        state.signed_in.fetch_add(1, Ordering::SeqCst);
    }
    let token = format!("{}-{number}", if is_system { "system" } else { "own" });
    state.own.lock().unwrap().insert(token.clone());
    let end = *state.own_ends.lock().unwrap();
    let mut said = in_project("tintype", "service", &["service"], end);
    said["token"]["catalog"] = json!([{"type": "image", "id": "glance", "endpoints": [
        {"interface": "public", "region": "north", "url": "http://images"},
        {"interface": "internal", "region": "north", "url": "http://inside"},
        {"interface": "public", "region": "south", "url": "http://other"}
    ]}, {"type": "identity", "endpoints": []}]);
    (StatusCode::CREATED, [("x-subject-token", token)], axum::Json(said)).into_response()
}

async fn registered_limits(State(state): State<Arc<Inner>>, uri: Uri, headers: HeaderMap) -> Response {
    assert_eq!(uri.query(), Some("service_id=glance"));
    let said = state.limits.lock().unwrap().0.clone();
    told(&state, &headers, &json!({ "registered_limits": said }))
}

/// As Keystone does, tells those of other projects to who holds a role on the system alone.
async fn limits(State(state): State<Arc<Inner>>, uri: Uri, headers: HeaderMap) -> Response {
    state.asked_limits.fetch_add(1, Ordering::SeqCst);
    assert!(uri.query().unwrap().starts_with("service_id=glance&project_id="), "{uri}");
    let is_system = headers["x-auth-token"].to_str().unwrap().starts_with("system");
    let said = if is_system { state.limits.lock().unwrap().1.clone() } else { json!([]) };
    told(&state, &headers, &json!({ "limits": said }))
}

fn told(state: &Inner, headers: &HeaderMap, body: &Value) -> Response {
    let token = headers["x-auth-token"].to_str().unwrap();
    let is_own = state.own.lock().unwrap().contains(token);
    match *state.mood.lock().unwrap() {
        Mood::Down => refusal(StatusCode::SERVICE_UNAVAILABLE, "down"),
        _ if !is_own => refusal(StatusCode::UNAUTHORIZED, "no"),
        _ => axum::Json(body.clone()).into_response(),
    }
}

async fn show(State(state): State<Arc<Inner>>, headers: HeaderMap) -> Response {
    state.asked.fetch_add(1, Ordering::SeqCst);
    let now = state.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    state.at_once_most.fetch_max(now, Ordering::SeqCst);
    let delay = *state.delay.lock().unwrap();
    tokio::time::sleep(delay).await;
    state.at_once.fetch_sub(1, Ordering::SeqCst);
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (own, subject) = (text("x-auth-token").unwrap(), text("x-subject-token").unwrap());
    let mood = *state.mood.lock().unwrap();
    let takes_own = state.own.lock().unwrap().contains(&own);
    match mood {
        Mood::Down => return refusal(StatusCode::SERVICE_UNAVAILABLE, "down"),
        Mood::Distrusts => return refusal(StatusCode::UNAUTHORIZED, "no"),
        _ if !takes_own => return refusal(StatusCode::UNAUTHORIZED, "no"),
        Mood::Forbids => return refusal(StatusCode::FORBIDDEN, "identity:validate_token"),
        Mood::Rambles => return axum::Json(json!({"token": {"user": "somebody"}})).into_response(),
        Mood::Misses => return (StatusCode::NOT_FOUND, "<h1>not here</h1>").into_response(),
        Mood::Redirects => return Redirect::temporary("http://127.0.0.1:1/").into_response(),
        Mood::Floods => return "x".repeat(2 << 20).into_response(),
        Mood::Well => {}
    }
    let said = state.tokens.lock().unwrap().get(&subject).cloned();
    let has_rules = said.as_ref().is_some_and(|said| !said["token"]["application_credential"].is_null());
    match said {
        Some(said) if !has_rules || headers.contains_key("openstack-identity-access-rules") => {
            ([("x-subject-token", subject)], axum::Json(said)).into_response()
        }
        _ => refusal(StatusCode::NOT_FOUND, "Failed to validate token"),
    }
}
