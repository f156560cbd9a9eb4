//! Bodies, paths and headers that nobody means well with, in every text and number of every protocol: each answer is a
//! refusal in the protocol's own form, or the record with exactly what was sent.

use std::cell::Cell;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::ApiState;
use crate::base::limits::{JSON_BODY_BYTES_MAX, JSON_DEPTH_MAX};
use crate::service::identity::{DomainRef, ProjectRef, Proof, ScopeWish, SignIn, UserRef};
use crate::service::testing::{password, service};

/// A text of every kind that programs are known to trip over. None has an end that a name would be trimmed of.
const TEXTS: [&str; 22] = [
    "plain",
    "Grüße",
    "e\u{301}\u{323}\u{308}",
    "\u{212b}\u{fb01}",
    "שלום\u{202e}gpj",
    "عربى",
    "漢字かな",
    "한글",
    "ไทย",
    "😀👨‍👩‍👧",
    "𐍈𝔘𠜎",
    "\u{e000}\u{f8ff}",
    "\u{f0000}\u{10fffd}",
    "\u{ffff}\u{10ffff}",
    "a\u{feff}b\u{200b}c",
    "'; DROP TABLE images; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "${jndi:ldap://x}%s%n%(x)s",
    "a\tb\nc\r\nd",
    "a\u{0}b",
    "\u{1}\u{7f}\u{85}",
];

/// Values of JSON that are no text.
const OTHER_TYPES: [&str; 7] = ["1", "1.5", "true", "[]", "[\"x\"]", "{}", "{\"a\":{\"b\":[]}}"];

/// Numbers that fit nowhere.
const NUMBERS: [&str; 9] = [
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "340282366920938463463374607431768211456",
    "1e308",
    "1e400",
    "-1e400",
    "0.5",
    "-2",
];

/// Where a text goes: method, path, body with `$` for the text as JSON and `#` for a number that no other request has;
/// where the answer shows it; and how many characters fit.
struct Place {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    shown: &'static str,
    chars_max: Option<usize>,
}

const fn place(
    method: &'static str,
    path: &'static str,
    body: &'static str,
    shown: &'static str,
    chars_max: Option<usize>,
) -> Place {
    Place { method, path, body, shown, chars_max }
}

const PLACES: [Place; 52] = [
    place("POST", "/v2/images", r#"{"name":$}"#, "/name", Some(255)),
    place("POST", "/v2/images", r#"{"tags":[$]}"#, "/tags/0", Some(255)),
    place("POST", "/v2/images", r#"{"owner":$}"#, "/owner", Some(255)),
    place("POST", "/v2/images", r#"{"custom":$}"#, "/custom", Some(65_535)),
    place("POST", "/v2/images", r#"{"disk_format":$}"#, "", None),
    place("POST", "/v2/images", r#"{"container_format":$}"#, "", None),
    place("POST", "/v2/images", r#"{"visibility":$}"#, "", None),
    place("POST", "/v2/images", r#"{"id":$}"#, "", None),
    place(
        "PATCH",
        "/v2/images/{image}",
        r#"[{"op":"replace","path":"/name","value":$}]"#,
        "/name",
        Some(255),
    ),
    place(
        "PATCH",
        "/v2/images/{image}",
        r#"[{"op":"add","path":"/custom","value":$}]"#,
        "/custom",
        Some(65_535),
    ),
    place("PATCH", "/v2/images/{image}", r#"[{"op":"add","path":$,"value":"x"}]"#, "", None),
    place("POST", "/v2/images/{shared}/members", r#"{"member":$}"#, "/member_id", Some(255)),
    place("POST", "/v2/images/{image}/locations", r#"{"url":$}"#, "", None),
    place("POST", "/v2/images/{image}/import", r#"{"method":{"name":$}}"#, "", None),
    place(
        "POST",
        "/v2/tasks",
        r#"{"type":"import","input":{"import_from":$,"import_from_format":"raw","image_properties":{}}}"#,
        "",
        None,
    ),
    place("POST", "/v2/metadefs/namespaces", r#"{"namespace":$}"#, "/namespace", Some(80)),
    place(
        "POST",
        "/v2/metadefs/namespaces",
        r#"{"namespace":"d#","display_name":$}"#,
        "/display_name",
        Some(80),
    ),
    place(
        "POST",
        "/v2/metadefs/namespaces",
        r#"{"namespace":"t#","description":$}"#,
        "/description",
        Some(500),
    ),
    place("POST", "/v2/metadefs/namespaces/space/objects", r#"{"name":$}"#, "/name", Some(80)),
    place("POST", "/v2/metadefs/namespaces/space/tags", r#"{"tags":[{"name":$}]}"#, "/tags/0/name", Some(80)),
    place(
        "POST",
        "/v2/metadefs/namespaces/space/properties",
        r#"{"name":$,"title":"T","type":"string"}"#,
        "/name",
        Some(80),
    ),
    place(
        "POST",
        "/v2/metadefs/namespaces/space/properties",
        r#"{"name":"p#","title":$,"type":"string"}"#,
        "/title",
        None,
    ),
    place("POST", "/v2/metadefs/namespaces/space/resource_types", r#"{"name":$}"#, "/name", Some(80)),
    place("POST", "/v3/users", r#"{"user":{"name":$}}"#, "/user/name", Some(255)),
    place("POST", "/v3/users", r#"{"user":{"name":"e#","description":$}}"#, "/user/description", None),
    place("POST", "/v3/users", r#"{"user":{"name":"p#","password":$}}"#, "", None),
    place("POST", "/v3/users", r#"{"user":{"name":"x#","default_project_id":$}}"#, "", None),
    place("POST", "/v3/groups", r#"{"group":{"name":$}}"#, "/group/name", Some(255)),
    place("POST", "/v3/groups", r#"{"group":{"name":"g#","description":$}}"#, "/group/description", None),
    place("POST", "/v3/projects", r#"{"project":{"name":$}}"#, "/project/name", Some(255)),
    place(
        "POST",
        "/v3/projects",
        r#"{"project":{"name":"n#","description":$}}"#,
        "/project/description",
        None,
    ),
    place("POST", "/v3/projects", r#"{"project":{"name":"t#","tags":[$]}}"#, "/project/tags/0", None),
    place("POST", "/v3/domains", r#"{"domain":{"name":$,"enabled":false}}"#, "/domain/name", Some(255)),
    place("POST", "/v3/roles", r#"{"role":{"name":$}}"#, "/role/name", Some(255)),
    place("POST", "/v3/regions", r#"{"region":{"id":$}}"#, "/region/id", Some(255)),
    place("POST", "/v3/services", r#"{"service":{"type":$}}"#, "/service/type", Some(255)),
    place("POST", "/v3/services", r#"{"service":{"type":"s#","name":$}}"#, "/service/name", None),
    place(
        "POST",
        "/v3/credentials",
        r#"{"credential":{"type":"x","blob":$,"user_id":"{user}"}}"#,
        "/credential/blob",
        None,
    ),
    place(
        "POST",
        "/v3/users/{user}/application_credentials",
        r#"{"application_credential":{"name":$}}"#,
        "/application_credential/name",
        Some(255),
    ),
    place(
        "POST",
        "/v3/auth/tokens",
        r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":$,"domain":{"id":"default"},"password":"x"}}}}}"#,
        "",
        None,
    ),
    place(
        "POST",
        "/v3/auth/tokens",
        r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"nobody","password":$}}}}}"#,
        "",
        None,
    ),
    place(
        "POST",
        "/v3/auth/tokens",
        r#"{"auth":{"identity":{"methods":["token"],"token":{"id":$}}}}"#,
        "",
        None,
    ),
    place(
        "PATCH",
        "/v2/cloudimages/{image}",
        r#"[{"op":"replace","path":"/name","value":$}]"#,
        "/name",
        Some(128),
    ),
    place(
        "PATCH",
        "/v2/cloudimages/{image}",
        r#"[{"op":"add","path":"/__description","value":$}]"#,
        "/__description",
        Some(1024),
    ),
    place("POST", "/v2/{project}/images/{image}/tags", r#"{"tag":{"key":$,"value":"v"}}"#, "", Some(36)),
    place("POST", "/v2/{project}/images/{image}/tags", r#"{"tag":{"key":"k","value":$}}"#, "", Some(43)),
    place("POST", "/v2/cloudimages/action", r#"{"name":"n","image_url":$,"min_disk":1}"#, "", None),
    place("POST", "/v2/cloudimages/action", r#"{"name":$,"image_url":"b:k","min_disk":1}"#, "", None),
    place("POST", "/v1/cloudimages/{image}/file", r#"{"bucket_url":$}"#, "", None),
    place(
        "POST",
        "/v2/{project}/images/resource_instances/action",
        r#"{"action":"filter","matches":[{"key":"resource_name","value":$}]}"#,
        "",
        None,
    ),
    place("POST", "/v1/cloudimages/members", r#"{"images":["{shared}"],"projects":[$]}"#, "", None),
    place("POST", "/tintype/v1/access-keys", r#"{"description":$}"#, "/description", None),
];

/// Where a number goes: method, path, and body with `$` for it.
const NUMBER_PLACES: [(&str, &str, &str); 12] = [
    ("POST", "/v2/images", r#"{"min_ram":$}"#),
    ("POST", "/v2/images", r#"{"min_disk":$}"#),
    ("PATCH", "/v2/images/{image}", r#"[{"op":"replace","path":"/min_ram","value":$}]"#),
    (
        "POST",
        "/v3/registered_limits",
        r#"{"registered_limits":[{"service_id":"20a095160e340146b53179922cff3c45","resource_name":"image_count_total","default_limit":$}]}"#,
    ),
    (
        "POST",
        "/v3/limits",
        r#"{"limits":[{"project_id":"{project}","service_id":"20a095160e340146b53179922cff3c45","resource_name":"image_count_total","resource_limit":$}]}"#,
    ),
    ("PATCH", "/v2/cloudimages/{image}", r#"[{"op":"add","path":"/min_ram","value":$}]"#),
    ("POST", "/v2/cloudimages/action", r#"{"name":"n","image_url":"b:k","min_disk":$}"#),
    ("POST", "/v2/cloudimages/action", r#"{"name":"n","image_url":"b:k","min_disk":1,"max_ram":$}"#),
    ("POST", "/v2/{project}/images/resource_instances/action", r#"{"action":"filter","limit":$}"#),
    ("POST", "/v2/{project}/images/resource_instances/action", r#"{"action":"filter","offset":$}"#),
    ("PATCH", "/tintype/v1/quotas/default", r#"{"image_count_total":$}"#),
    ("PATCH", "/tintype/v1/quotas/projects/{project}", r#"{"image_size_total":$}"#),
];

struct Scene {
    router: Router,
    token: String,
    project: String,
    user: String,
    image: String,
    shared: String,
    made: Cell<u32>,
}

impl Scene {
    async fn new() -> Scene {
        let service = service().0;
        let default = || DomainRef::Name("Default".into());
        let proof = Proof::Password(UserRef::Name("admin".into(), default()), password("admin-pw"));
        let scope = ScopeWish::Project(ProjectRef::Name("admin".into(), default()));
        let (token, signed_in) = service.sign_in(SignIn { proof, scope }).unwrap();
        let Some(crate::service::identity::Place::Project(project, _)) = &signed_in.place else {
            panic!("a project was asked for")
        };
        let mut made = Scene {
            token: token.expose().to_owned(),
            project: project.id.as_str().to_owned(),
            user: signed_in.user.id.as_str().to_owned(),
            router: super::router(ApiState { service: service.clone(), public_url: None }),
            image: String::new(),
            shared: String::new(),
            made: Cell::new(0),
        };
        let id = |answer: (u16, Value)| {
            assert_eq!(answer.0, 201, "{}", answer.1);
            answer.1["id"].as_str().unwrap_or_default().to_owned()
        };
        let private =
            r##"{"name":"i","disk_format":"raw","container_format":"bare","visibility":"private"}"##;
        made.image = id(made.ask("POST", "/v2/images", private).await);
        made.shared = id(made.ask("POST", "/v2/images", r#"{"name":"s","visibility":"shared"}"#).await);
        // Its records can be changed by the image management API once it has data.
        let file = format!("/v2/images/{}/file", made.image);
        assert_eq!(made.ask("PUT", &file, "data").await.0, 204);
        id(made.ask("POST", "/v2/metadefs/namespaces", r#"{"namespace":"space"}"#).await);
        made
    }

    /// A request of the administrator, with what stands in braces filled in; the answer's body as JSON, where it is.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.ask_with(method, path, body.as_bytes().to_vec(), &[]).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, Vec<u8>)],
    ) -> (u16, Value) {
        let media = match (method, path) {
            ("PATCH", path) if path.starts_with("/v2/images") => {
                "application/openstack-images-v2.1-json-patch"
            }
            ("PUT", path) if path.ends_with("/file") => "application/octet-stream",
            _ => "application/json",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(self.filled(path))
            .header("host", "box:9292")
            .header("accept", "application/json")
            .header("x-auth-token", &self.token)
            .header("content-type", media);
        for (name, value) in headers {
            request = request.header(*name, value.as_slice());
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
        let told = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| panic!("{method} {path}: {}", String::from_utf8_lossy(&bytes))),
        };
        (status, told)
    }

    fn filled(&self, text: &str) -> String {
        let text = text.replace("{image}", &self.image).replace("{shared}", &self.shared);
        text.replace("{project}", &self.project).replace("{user}", &self.user)
    }

    /// A body with `value`, which is JSON, at its place.
    fn body(&self, body: &str, value: &str) -> String {
        self.made.set(self.made.get() + 1);
        let numbered = self.filled(body).replace('#', &format!("-{}", self.made.get()));
        numbered.replace('$', value)
    }

    async fn send(&self, place: &Place, value: &str) -> (u16, Value) {
        self.ask(place.method, place.path, &self.body(place.body, value)).await
    }
}

/// A refusal, in the form of the protocol that the path belongs to.
fn expect_refusal(what: &str, path: &str, status: u16, told: &Value) {
    assert!((400..500).contains(&status), "{what}: {status} {told}");
    let text = match path {
        path if path.starts_with("/v2/images") || path.starts_with("/v2/metadefs") || path == "/v2/tasks" => {
            told["message"].as_str()
        }
        _ => told["error"]["message"].as_str().or(told["error_msg"].as_str()),
    };
    assert!(text.is_some_and(|text| !text.is_empty() && text.len() < 5000), "{what}: {status} {told}");
}

#[tokio::test]
async fn texts_of_every_plane_are_kept_exactly_or_refused_in_words() {
    let scene = Scene::new().await;
    let mut kept = 0;
    for place in &PLACES {
        for text in TEXTS {
            let what = format!("{} {} {} with {text:?}", place.method, place.path, place.body);
            let (status, told) = scene.send(place, &json!(text).to_string()).await;
            if status >= 300 {
                expect_refusal(&what, place.path, status, &told);
            } else if !place.shown.is_empty() {
                assert_eq!(told.pointer(place.shown), Some(&json!(text)), "{what}: {told}");
                kept += 1;
            }
        }
    }
    assert!(kept > 400, "{kept} texts were kept");
}

#[tokio::test]
async fn lengths_count_characters_and_not_bytes() {
    let scene = Scene::new().await;
    for place in &PLACES {
        let Some(max) = place.chars_max else { continue };
        // Letters of one, of two and of four bytes; and case in names does not tell two apart.
        for letter in ["a", "ß", "𠜎"] {
            let what = format!("{} {} of {letter}", place.path, place.body);
            let (status, told) = scene.send(place, &json!(letter.repeat(max)).to_string()).await;
            assert!((200..300).contains(&status), "{what}: {status} {told}");
            let (status, told) = scene.send(place, &json!(letter.repeat(max + 1)).to_string()).await;
            expect_refusal(&what, place.path, status, &told);
        }
    }
}

#[tokio::test]
async fn what_is_no_text_is_refused_where_a_text_belongs() {
    let scene = Scene::new().await;
    let takes_more = |place: &Place, value: &str| match place.body {
        // A number or a truth value counts as its text; so does an object, as a blob.
        body if place.path.starts_with("/v2/cloudimages/{") && body.contains("value") => {
            matches!(value, "1" | "1.5" | "true")
        }
        body if body.contains("blob") => value.starts_with('{'),
        // What is kept beside the record is kept as it is.
        body => body.contains("\"e#\""),
    };
    for place in &PLACES {
        for value in OTHER_TYPES {
            let what = format!("{} {} {} with {value}", place.method, place.path, place.body);
            let (status, told) = scene.send(place, value).await;
            // A search without a text to look for looks for none.
            if status < 300 && (takes_more(place, value) || place.path.ends_with("resource_instances/action"))
            {
                continue;
            }
            expect_refusal(&what, place.path, status, &told);
        }
    }
}

#[tokio::test]
async fn half_a_character_is_no_text() {
    let scene = Scene::new().await;
    for place in &PLACES {
        for escape in
            [r#""\ud800""#, r#""\udc00\ud800""#, r#""\ud83d""#, r#""a\udfffb""#, r#""\u12""#, "\"\u{1}\""]
        {
            let what = format!("{} {} with {escape}", place.path, place.body);
            let (status, told) = scene.send(place, escape).await;
            expect_refusal(&what, place.path, status, &told);
            assert_eq!(status, 400, "{what}");
        }
        let body = scene.body(place.body, "\"$\"").replace('$', "\u{fffd}");
        let bytes: Vec<u8> = body.into_bytes();
        // The replacement character's bytes, spoilt: no UTF-8.
        let spoilt: Vec<u8> = bytes.iter().map(|byte| if *byte == 0xef { 0xff } else { *byte }).collect();
        let (status, told) = scene.ask_with(place.method, place.path, spoilt, &[]).await;
        expect_refusal(place.path, place.path, status, &told);
    }
}

#[tokio::test]
async fn numbers_that_fit_nowhere_are_refused() {
    let scene = Scene::new().await;
    for (method, path, body) in NUMBER_PLACES {
        for number in NUMBERS {
            // Of a search, that fits: it asks for more than there is.
            if body.contains("filter") && number == NUMBERS[0] {
                continue;
            }
            let (status, told) = scene.ask(method, path, &scene.body(body, number)).await;
            let what = format!("{method} {path} {body} with {number}");
            expect_refusal(&what, path, status, &told);
            assert_eq!(status, 400, "{what}");
        }
    }
    for (path, names) in [
        ("/v2/images", &["limit", "size_min", "size_max"][..]),
        ("/v2/tasks", &["limit"]),
        ("/v2/metadefs/namespaces", &["limit"]),
        ("/v2/cloudimages", &["limit"]),
        ("/v1/cloudimages/tags", &["page", "limit"]),
        ("/tintype/v1/jobs", &["limit"]),
        ("/tintype/v1/audit/records", &["limit", "after"]),
        ("/tintype/v1/deleted-images", &["limit"]),
    ] {
        for name in names {
            for number in ["18446744073709551616", "-1", "1e400", "0x10", "NaN", "٣"] {
                let (status, told) =
                    scene.ask("GET", &format!("{path}?{name}={}", percent(number)), "").await;
                assert_eq!(status, 400, "{path} {name} {number}: {told}");
            }
        }
    }
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused_before_anything_is_done() {
    let scene = Scene::new().await;
    let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
    let deeper = "{\"a\":".repeat(200_000);
    let large = format!("\"{}\"", "x".repeat(JSON_BODY_BYTES_MAX));
    let mut tried = std::collections::BTreeSet::new();
    for place in &PLACES {
        if !tried.insert((place.method, place.path)) {
            continue;
        }
        for bad in
            ["", " ", "{", "}", "nul", "{\"a\":1,}", "{} {}", "\u{feff}{}", "'x'", "\"\\x\"", &deep, &deeper]
        {
            let (status, told) = scene.ask(place.method, place.path, bad).await;
            let what = format!("{} {} with {:?}", place.method, place.path, &bad[..bad.len().min(40)]);
            expect_refusal(&what, place.path, status, &told);
        }
        for other in ["null", "1", "true", "\"x\"", "[1]", "[[]]"] {
            let (status, told) = scene.ask(place.method, place.path, other).await;
            expect_refusal(
                &format!("{} {} with {other}", place.method, place.path),
                place.path,
                status,
                &told,
            );
        }
        let (status, told) = scene.send(place, &large).await;
        expect_refusal(place.path, place.path, status, &told);
        assert_eq!(status, 413, "{} {}: {told}", place.method, place.path);
    }
}

#[tokio::test]
async fn of_a_key_that_is_there_twice_the_last_counts_or_neither() {
    let scene = Scene::new().await;
    for (path, body, shown) in [
        ("/v2/images", r#"{"name":"one","name":"two"}"#, "/name"),
        ("/v3/users", r#"{"user":{"name":"one"},"user":{"name":"two","name":"three"}}"#, "/user/name"),
    ] {
        let (status, told) = scene.ask("POST", path, body).await;
        let last = if path == "/v2/images" { "two" } else { "three" };
        assert_eq!((status, told.pointer(shown)), (201, Some(&json!(last))), "{told}");
    }
    let twice = r#"{"tag":{"key":"a","key":"b","value":"v"}}"#;
    let path = "/v2/{project}/images/{image}/tags";
    assert_eq!(scene.ask("POST", path, twice).await.0, 204);
    let (_, told) = scene.ask("GET", path, "").await;
    assert_eq!(told["tags"], json!([{"key": "b", "value": "v"}]));
    let (status, told) =
        scene.ask("POST", "/tintype/v1/access-keys", r#"{"user":"admin","user":"admin"}"#).await;
    assert!(status == 400 && told["error"]["message"].as_str().unwrap().contains("duplicate"), "{told}");
}

#[tokio::test]
async fn headers_and_queries_of_any_size_and_bytes_are_answered() {
    let scene = Scene::new().await;
    let huge = "x".repeat(1 << 20);
    let many: String = (0..5000).map(|number| format!("&name={number}")).collect();
    for path in ["/v2/images", "/v3/users", "/v2/cloudimages", "/tintype/v1/access-keys"] {
        let names = ["x-auth-token", "accept", "range", "if-none-match", "x-subject-token", "authorization"];
        for name in names {
            for value in
                [huge.clone().into_bytes(), b"\xff\xfe".to_vec(), "😀".as_bytes().to_vec(), Vec::new()]
            {
                let (method, body) = ("GET", Vec::new());
                let mut request = Request::builder().method(method).uri(path).header("host", "box:9292");
                request = request.header(name, value.as_slice());
                let request = request.body(Body::from(body)).unwrap();
                let status = scene.router.clone().oneshot(request).await.unwrap().status().as_u16();
                assert!((400..500).contains(&status), "{path} {name}: {status}");
            }
        }
        for query in
            [&many[1..], "%ff=%ff", "name=%00", "name=%ed%a0%80", "a=1;b=2", "=&=&=", "name=%F0%9F%98%80"]
        {
            let (method, path) = ("GET", format!("{path}?{query}"));
            let request = Request::builder().method(method).uri(&path).header("x-auth-token", &scene.token);
            let request = request.header("host", "box:9292").body(Body::empty()).unwrap();
            let status = scene.router.clone().oneshot(request).await.unwrap().status().as_u16();
            assert!(status < 500, "{}: {status}", &path[..path.len().min(60)]);
        }
    }
}

#[tokio::test]
async fn paths_of_any_bytes_lead_to_answers() {
    let scene = Scene::new().await;
    let parts = [
        "%00",
        "%ff",
        "%ed%a0%80",
        "%2e%2e%2f",
        "..",
        "%F0%9F%98%80",
        "%E2%80%AE",
        "%",
        "%zz",
        "a%2Fb",
        "%0d%0a",
    ];
    for (method, path) in [
        ("GET", "/v2/images/@"),
        ("PUT", "/v2/images/{image}/tags/@"),
        ("GET", "/v2/images/{shared}/members/@"),
        ("GET", "/v2/metadefs/namespaces/@"),
        ("GET", "/v2/tasks/@"),
        ("GET", "/v2/schemas/@"),
        ("GET", "/v3/users/@"),
        ("GET", "/v3/projects/@"),
        ("GET", "/v3/users/@/application_credentials/@"),
        ("PATCH", "/v2/cloudimages/@"),
        ("GET", "/v2/@/images/tags"),
        ("GET", "/v1/{project}/jobs/@"),
        ("GET", "/v3/@/traces"),
        ("GET", "/tintype/v1/jobs/@"),
        ("GET", "/tintype/v1/policies/@"),
        ("GET", "/tintype/v1/access-keys/@"),
        ("GET", "/tintype/v1/images/@/file"),
        ("GET", "/tintype/v1/audit/records/@"),
        ("DELETE", "/tintype/v1/key/domains/@"),
    ] {
        for part in parts.iter().map(|part| (*part).to_owned()).chain(["x".repeat(20_000)]) {
            let path = path.replace('@', &part);
            let (status, told) = scene.ask(method, &path, "").await;
            let what = &path[..path.len().min(80)];
            assert!(status < 500, "{method} {what}: {status} {told}");
            // Each protocol says no in its own form.
            assert!(status < 400 || told.is_object(), "{method} {what}: {status} {told}");
        }
    }
}
