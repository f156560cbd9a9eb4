//! Signed requests through the whole router: what is taken, and that nothing else is.

use axum::Router;
use axum::http::Request as HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::model::AccessId;
use crate::model::identity::{Assignment, Scope};
use crate::service::Service;
use crate::service::identity::{NameFilter, NewAccessKey, NewProject, NewUser};
use crate::service::testing::service;

/// A client with an access key of the administrator.
pub(in crate::api) struct Signer {
    pub service: Service,
    pub router: Router,
    pub project: String,
    access: AccessId,
    secret: String,
    /// What a temporary key came with.
    security_token: Option<String>,
}

/// A request before it is signed, or one that was tampered with after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Sketch {
    pub method: String,
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Sketch {
    pub(in crate::api) fn new(method: &str, uri: &str, body: impl Into<Vec<u8>>) -> Sketch {
        let headers = [("host", "box:9292"), ("content-type", "application/json"), ("user-agent", "sdk/3")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Sketch { method: method.into(), uri: uri.into(), headers, body: body.into() }
    }

    pub(in crate::api) fn with(mut self, name: &str, value: &str) -> Sketch {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(in crate::api) fn typed(mut self, media: &str) -> Sketch {
        *self.header_mut("content-type").unwrap() = media.into();
        self
    }

    fn header_mut(&mut self, name: &str) -> Option<&mut String> {
        self.headers.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn request(&self) -> Option<HttpRequest<Body>> {
        let mut request = HttpRequest::builder().method(self.method.as_str()).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = if self.body.is_empty() { Body::empty() } else { Body::from(self.body.clone()) };
        request.body(body).ok()
    }
}

impl Signer {
    pub(in crate::api) fn new() -> Signer {
        let (service, _) = service();
        Signer::on(service)
    }

    pub(in crate::api) fn on(service: Service) -> Signer {
        let admin = service.local_admin().unwrap();
        Signer::with_key(service, &admin, NewAccessKey::default())
    }

    /// Another client of the same box: a member of a project of its own.
    pub(in crate::api) fn tenant(&self, name: &str) -> Signer {
        let service = self.service.clone();
        let admin = service.local_admin().unwrap();
        let project = NewProject {
            name: name.into(),
            domain: None,
            description: None,
            enabled: true,
            tags: Vec::new(),
            extra: Default::default(),
        };
        let project = service.create_project(&admin, project).unwrap().id;
        let user = NewUser {
            name: name.into(),
            domain: None,
            enabled: true,
            default_project: Some(project.clone()),
            password: None,
            extra: Default::default(),
        };
        let user = service.create_user(&admin, user).unwrap().id;
        let filter = NameFilter { domain: None, name: Some("member".into()) };
        let role = service.list_roles(&admin, &filter).unwrap().remove(0).id;
        let grant = Assignment { user, scope: Scope::Project(project), role };
        service.grant_role(&admin, grant).unwrap();
        Signer::with_key(service, &admin, NewAccessKey { user: Some(name.into()), ..Default::default() })
    }

    fn with_key(service: Service, admin: &crate::service::Actor, new: NewAccessKey) -> Signer {
        let (known, secret) = service.create_access_key(admin, new).unwrap();
        let router = crate::api::router(ApiState { service: service.clone(), public_url: None });
        let project = known.key.project.0;
        Signer {
            service,
            router,
            project,
            access: known.key.access,
            secret: secret.expose().to_owned(),
            security_token: None,
        }
    }

    /// Signs every header as the SDK does, dated now.
    pub(in crate::api) fn sign(&self, sketch: Sketch) -> Sketch {
        let now = self.service.now().rfc3339_seconds().replace(['-', ':'], "");
        let sketch = sketch.with(DATE, &now);
        let sketch = match &self.security_token {
            Some(token) => sketch.with(SECURITY_TOKEN, token),
            None => sketch,
        };
        let mut names: Vec<String> = sketch.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        let parts = sketch.request().unwrap().into_parts().0;
        let declared = sketch.headers.iter().find(|(name, _)| name == CONTENT_DIGEST);
        let digest = match declared {
            Some((_, value)) if !sketch.body.is_empty() => value.clone(),
            _ => hex::encode(Sha256::digest(&sketch.body)),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(canonical::text(&parts, &names, &digest).unwrap().as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let value = format!(
            "{ALGORITHM} Access={}, SignedHeaders={}, Signature={signature}",
            self.access,
            names.join(";")
        );
        sketch.with("authorization", &value)
    }

    /// Status and body of the answer.
    pub(in crate::api) async fn send(&self, sketch: &Sketch) -> (u16, Value) {
        let response = self.router.clone().oneshot(sketch.request().unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(in crate::api) async fn ask(&self, method: &str, uri: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(&self.sign(Sketch::new(method, uri, body))).await
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    /// Another character in place of one of `text`, or one more, or one less.
    fn disturb(&mut self, text: &mut String) {
        const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCXYZ-_~";
        let letter = char::from(LETTERS[self.below(LETTERS.len())]);
        let at = self.below(text.len());
        match self.below(3) {
            0 => text.insert(at, letter),
            1 => drop(text.remove(at)),
            _ => text.replace_range(at..=at, &letter.to_string()),
        }
    }
}

/// Changes something that was signed.
fn tamper(numbers: &mut Numbers, sketch: &mut Sketch) {
    const SIGNED: [&str; 4] = ["host", "content-type", "user-agent", DATE];
    let signed = SIGNED[numbers.below(SIGNED.len())];
    match numbers.below(9) {
        0 => {
            let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get"];
            sketch.method = methods[numbers.below(methods.len())].into();
        }
        1 => {
            let mut rest = sketch.uri.split_off(1);
            numbers.disturb(&mut rest);
            sketch.uri.push_str(&rest);
        }
        2 => {
            let joint = if sketch.uri.contains('?') { '&' } else { '?' };
            let pairs = ["limit=1", "owner=x", "a", "name=", "%41=b"];
            sketch.uri = format!("{}{joint}{}", sketch.uri, pairs[numbers.below(pairs.len())]);
        }
        3 => sketch.header_mut(signed).into_iter().for_each(|value| numbers.disturb(value)),
        4 => sketch.headers.retain(|(name, _)| name != signed),
        5 => {
            let again = sketch.header_mut(signed).cloned();
            sketch.headers.extend(again.map(|value| (signed.to_owned(), value)));
        }
        6 => match numbers.below(3) {
            0 => sketch.body.clear(),
            1 => sketch.body.push(b' '),
            _ if !sketch.body.is_empty() => {
                let at = numbers.below(sketch.body.len());
                sketch.body[at] ^= 1 << numbers.below(8);
            }
            _ => sketch.body.push(b'{'),
        },
        // Beside no body it says nothing.
        7 if !sketch.body.is_empty() => sketch.headers.push((CONTENT_DIGEST.into(), UNSIGNED.into())),
        _ => {
            // Behind the algorithm: without it the request is a stranger's, who may see what anyone may.
            if let Some(value) = sketch.header_mut("authorization") {
                let mut rest = value.split_off(ALGORITHM.len() + 1);
                numbers.disturb(&mut rest);
                value.push_str(&rest);
            }
        }
    }
}

/// Whether a route could not tell the two apart: a last slash and the case of an escape mean nothing.
fn is_same(a: &Sketch, b: &Sketch) -> bool {
    let form = |sketch: &Sketch| Sketch { uri: sketch.uri.to_lowercase(), ..sketch.clone() };
    a == b || (a.uri.eq_ignore_ascii_case(&b.uri) && a.uri.contains('%') && form(a) == form(b))
}

#[tokio::test]
async fn no_mutation_of_a_signed_request_is_taken() {
    let signer = Signer::new();
    let mut numbers = Numbers(20_261_126);
    let originals = [
        Sketch::new("GET", "/v2/images?limit=5&name=a%20b%2A&tag=k%3Dv", ""),
        Sketch::new("GET", "/v2/schemas/image", ""),
        Sketch::new("POST", "/v2/images", r#"{"name": "x", "tags": ["a"]}"#),
        Sketch::new("DELETE", "/v2/images/33ad552d-1149-471c-8190-ff6776174a00/tags/a%20b", ""),
    ];
    let mut tried = 0;
    while tried < 10_000 {
        let original = originals[tried % originals.len()].clone();
        let original = signer.sign(original.with("x-attempt", &tried.to_string()));
        let mut mutated = original.clone();
        for _ in 0..=numbers.below(2) {
            tamper(&mut numbers, &mut mutated);
        }
        // Text that is no request at all cannot be sent.
        if is_same(&mutated, &original) || mutated.request().is_none() {
            continue;
        }
        tried += 1;
        let (status, body) = signer.send(&mutated).await;
        assert_eq!(status, 401, "{mutated:?}\nof {original:?}\nwas answered {body}");
        if tried % 1000 == 0 {
            let (status, body) = signer.send(&original).await;
            assert_ne!(status, 401, "the original itself is taken: {body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_the_gateways() {
    let signer = Signer::new();
    let (status, body) =
        signer.send(&Sketch::new("GET", "/v2/images", "").with("authorization", ALGORITHM)).await;
    assert_eq!((status, body["error_code"].as_str()), (401, Some("APIGW.0301")));
    assert!(body["request_id"].as_str().unwrap().starts_with("req-"), "{body}");
    for other in ["SDK-HMAC-SM3 Access=a", "V11-HMAC-SHA256 Credential=a", "SDK-HMAC-SHA256x Access=a"] {
        let (status, body) =
            signer.send(&Sketch::new("GET", "/v2/images", "").with("authorization", other)).await;
        assert!(status == 401 && body["error_msg"].as_str().unwrap().contains("not spoken here"), "{body}");
    }
    // What is meant for somebody else is none of this layer's business.
    let (status, body) =
        signer.send(&Sketch::new("GET", "/v3", "").with("authorization", "Basic eA==")).await;
    assert_eq!((status, body["error_code"].as_str()), (200, None));
}

#[tokio::test]
async fn the_signature_decides_and_a_write_counts_once() {
    let signer = Signer::new();
    let post = || Sketch::new("POST", "/v2/images", r#"{"name": "x"}"#);
    let signed = signer.sign(post().with("x-auth-token", "nonsense"));
    assert_eq!(signer.send(&signed).await.0, 201);
    let (status, body) = signer.send(&signed).await;
    assert!(status == 401 && body["error_msg"].as_str().unwrap().contains("taken before"), "{body}");
    let read = signer.sign(Sketch::new("GET", "/v2/images", ""));
    assert_eq!(signer.send(&read).await.0, 200);
    assert_eq!(signer.send(&read).await.0, 200, "two equal reads within a second have one signature");
    let elsewhere = signer.sign(Sketch::new("GET", "/v2/images", "").with(PROJECT, "other"));
    assert_eq!(signer.send(&elsewhere).await.0, 401);
}

#[tokio::test]
async fn a_body_is_what_was_signed_or_is_not_taken() {
    let signer = Signer::new();
    let new = serde_json::json!({"disk_format": "raw", "container_format": "bare"});
    let image = signer.ask("POST", "/v2/images", &new).await.1;
    let path = format!("/v2/images/{}", image["id"].as_str().unwrap());
    let put = |body: &[u8], digest: &str| {
        Sketch::new("PUT", &format!("{path}/file"), body)
            .typed("application/octet-stream")
            .with(CONTENT_DIGEST, digest)
    };
    let data = vec![7; 3 << 20];
    let digest = hex::encode(Sha256::digest(&data));
    // Longer than what is held, with a digest that is signed: hashed as it arrives.
    let mut broken = signer.sign(put(&data, &digest));
    broken.body[1 << 20] ^= 1;
    assert_eq!(signer.send(&broken).await.0, 400);
    assert_eq!(signer.ask("GET", &path, &Value::Null).await.1["status"], "queued");
    let (status, body) = signer.send(&signer.sign(put(&data, "abc"))).await;
    assert_eq!((status, body["error_code"].as_str()), (401, Some("APIGW.0301")));
    let mut undeclared = put(&data, &digest);
    undeclared.headers.retain(|(name, _)| name != CONTENT_DIGEST);
    assert_eq!(signer.send(&signer.sign(undeclared)).await.0, 413);
    // The broken one used its signature up.
    let again = put(&data, &digest).with("x-attempt", "2");
    assert_eq!(signer.send(&signer.sign(again)).await.0, 204);
    assert_eq!(signer.ask("GET", &path, &Value::Null).await.1["status"], "active");
    // A client may leave its body out of the signature, as the SDK does with types of its own.
    let patch = r#"[{"op": "replace", "path": "/name", "value": "y"}]"#;
    let sketch = Sketch::new("PATCH", &path, patch)
        .typed("application/openstack-images-v2.1-json-patch")
        .with(CONTENT_DIGEST, UNSIGNED);
    assert_eq!(signer.send(&signer.sign(sketch)).await.1["name"], "y");
}

/// Makes a temporary key as the clients do, with a token of the administrator.
async fn temporary(signer: &Signer, sent: Value) -> (u16, Value) {
    let sign_in = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "admin", "domain": {"id": "default"}, "password": "admin-pw"}}},
        "scope": {"project": {"id": signer.project}},
    }});
    let request = HttpRequest::post("/v3/auth/tokens").body(Body::from(sign_in.to_string())).unwrap();
    let response = signer.router.clone().oneshot(request).await.unwrap();
    let token = response.headers()["x-subject-token"].to_str().unwrap().to_owned();
    let sketch = Sketch::new("POST", "/v3.0/OS-CREDENTIAL/securitytokens", sent.to_string())
        .with("x-auth-token", &token);
    signer.send(&sketch).await
}

#[tokio::test]
async fn a_temporary_key_signs_with_its_token_among_what_is_signed() {
    let mut signer = Signer::new();
    let wish =
        |token: Value| serde_json::json!({"auth": {"identity": {"methods": ["token"], "token": token}}});
    let (status, made) = temporary(&signer, wish(serde_json::json!({"duration_seconds": "1800"}))).await;
    assert_eq!(status, 201, "{made}");
    let made = &made["credential"];
    for sent in [
        serde_json::json!({}),
        serde_json::json!({"auth": {"identity": {"methods": ["assume_role"]}}}),
        wish(serde_json::json!({"duration_seconds": "soon"})),
        wish(serde_json::json!({"duration_seconds": 60})),
        wish(serde_json::json!({"id": 7})),
    ] {
        assert_eq!(temporary(&signer, sent.clone()).await.0, 400, "{sent}");
    }
    let unknown = wish(serde_json::json!({"id": "no token"}));
    assert_eq!(temporary(&signer, unknown).await.0, 401);
    // With a signature nobody makes another one.
    let again = Sketch::new("POST", "/v3.0/OS-CREDENTIAL/securitytokens", wish(Value::Null).to_string());
    assert_eq!(signer.send(&signer.sign(again)).await.0, 400);

    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    signer.access = AccessId(text("access"));
    signer.secret = text("secret");
    signer.security_token = Some(text("securitytoken"));
    let list = || Sketch::new("GET", "/v2/cloudimages?limit=1", "");
    assert_eq!(signer.send(&signer.sign(list())).await.0, 200);
    // A token that was not signed could be another one.
    let token = signer.security_token.take().unwrap();
    let unsigned = signer.sign(list().with("accept", "*/*")).with(SECURITY_TOKEN, &token);
    let (status, told) = signer.send(&unsigned).await;
    assert_eq!(status, 401);
    assert!(told.to_string().contains("must be among the signed headers"), "{told}");
}
