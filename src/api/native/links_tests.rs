//! Links as a fetcher without a token sees them, as those who make them do, and as records tell of them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt;

use super::*;
use crate::api::context::LocalAdmin;
use crate::model::{Interface, Rating, Trace};
use crate::service::audit::{Query, RECORDS_MAX};
use crate::service::testing::{self, ManualClock};
use crate::service::{Service, Source};

struct World {
    service: Service,
    clock: Arc<ManualClock>,
    router: Router,
    image: String,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// All of it but what differs between any two answers.
    fn shape(&self) -> (u16, Vec<(String, String)>, String) {
        let headers = self.headers.iter().filter(|(name, _)| !name.as_str().ends_with("request-id"));
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), String::from_utf8(self.body.clone()).unwrap())
    }
}

impl World {
    /// A box with an image of this data.
    async fn new(data: &[u8]) -> World {
        World::of("raw", data).await
    }

    /// The same, of this format.
    async fn of(format: &str, data: &[u8]) -> World {
        let (service, clock) = testing::service();
        let public_url = Some("https://images.example".to_owned());
        let router = crate::api::router(ApiState { service: service.clone(), public_url });
        let mut world = World { service, clock, router, image: String::new() };
        let record =
            json!({"name": "my disk", "disk_format": format, "container_format": "bare"}).to_string();
        let created = world.admin("POST", "/v2/images", &[], record).await;
        world.image = created.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/v2/images/{}/file", world.image);
        let octets = [("content-type", "application/octet-stream")];
        assert_eq!(world.admin("PUT", &path, &octets, data.to_vec()).await.status, 204);
        world
    }

    async fn send(&self, request: Request) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn admin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.extension(LocalAdmin).body(body.into()).unwrap()).await
    }

    /// As somebody at an address, who has nothing but the path.
    async fn at(&self, address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let source = Source::Peer(address.parse().unwrap());
        let mut request = Request::builder().method(method).uri(path).extension(source);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.at("192.0.2.7", "GET", path, headers).await
    }

    async fn make(&self, asked: Value) -> Answer {
        self.admin("POST", &format!("/tintype/v1/images/{}/links", self.image), &[], asked.to_string()).await
    }

    /// A link's id and the path of its address.
    async fn link(&self, asked: Value) -> (String, String) {
        let made = self.make(asked).await;
        assert_eq!((made.status, made.header(CACHE_CONTROL)), (201, "no-store"), "{made:?}");
        let made = made.json();
        let url = made["url"].as_str().unwrap();
        let path = url.strip_prefix("https://images.example").unwrap();
        (made["id"].as_str().unwrap().to_owned(), path.to_owned())
    }

    fn traces(&self) -> Vec<Trace> {
        let query = Query { limit: RECORDS_MAX, oldest_first: true, ..Query::default() };
        self.service.audit_traces(&self.service.local_admin().unwrap(), &query).unwrap().traces
    }
}

fn guest() -> Vec<u8> {
    let mut disk: Vec<u8> = (0..150_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    disk.resize(1 << 20, 0);
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_link_gets_what_the_download_gives() {
    let disk = guest();
    let world = World::new(&disk).await;
    let (_, path) = world.link(json!({"ttl_s": 600})).await;
    assert!(path.ends_with("/my_disk.img"), "{path}");
    let whole = world.get(&path, &[]).await;
    assert!(whole.status == 200 && whole.body == disk);
    let file = format!("/tintype/v1/images/{}/file", world.image);
    let download = world.admin("GET", &file, &[], Body::empty()).await;
    for header in [ETAG, CONTENT_LENGTH, CONTENT_DISPOSITION] {
        assert_eq!(whole.header(&header), download.header(&header), "{header}");
    }
    assert_eq!(whole.header(CACHE_CONTROL), "private, no-cache");
    let head = world.at("192.0.2.7", "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header(CONTENT_LENGTH), disk.len().to_string());
    let tag = whole.header(ETAG);
    let part = world.get(&path, &[("range", "bytes=5-9"), ("if-range", tag)]).await;
    assert_eq!((part.status, &part.body[..]), (206, &disk[5..10]));
    assert_eq!(part.header(CONTENT_RANGE), format!("bytes 5-9/{}", disk.len()));
    assert_eq!(world.get(&path, &[("if-none-match", tag)]).await.status, 304);
    assert_eq!(world.get(&path, &[("if-match", "\"other\"")]).await.status, 412);
    assert_eq!(world.get(&path, &[("range", "bytes=1048576-")]).await.status, 416);
    // The name is for the fetcher alone.
    let renamed = path.replace("my_disk.img", "x");
    assert_eq!(world.get(&renamed, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_gives_the_format_that_it_was_made_for() {
    let world = World::new(&guest()).await;
    for form in Form::ALL {
        let (_, path) = world.link(json!({"ttl_s": 600, "format": form.as_str()})).await;
        let ending = if form == Form::Raw { "img" } else { form.disk_format() };
        assert!(path.ends_with(&format!("/my_disk.{ending}")), "{path}");
        let file = format!("/tintype/v1/images/{}/file?format={}", world.image, form.as_str());
        let download = world.admin("GET", &file, &[], Body::empty()).await;
        let linked = world.get(&format!("{path}?format=raw"), &[]).await;
        assert_eq!((linked.status, linked.header(ETAG)), (200, download.header(ETAG)), "{}", form.as_str());
        assert!(linked.body == download.body, "{}", form.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_tree_gives_the_files_of_a_disc_and_nothing_else() {
    use crate::disk::inside::fixtures::{Content, iso};
    let disc =
        iso(&[("/dists/stable/Release", Content::File(b"release")), ("/a", Content::File(b"a"))], true);
    let world = World::of("iso", &disc).await;
    let (_, path) = world.link(json!({"ttl_s": 600, "tree": true})).await;
    assert!(path.ends_with("/tree"), "{path}");
    let file = world.get(&format!("{path}/dists/stable/Release"), &[]).await;
    assert_eq!((file.status, &file.body[..]), (200, &b"release"[..]));
    assert_eq!(file.header(CACHE_CONTROL), "private, no-cache");
    let part = world.get(&format!("{path}//a"), &[("range", "bytes=0-0")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"a"[..]));
    let head = world.at("192.0.2.7", "HEAD", &format!("{path}/a"), &[]).await;
    assert_eq!((head.status, head.header(CONTENT_LENGTH)), (200, "1"));
    for top in ["", "/"] {
        let listed = world.get(&format!("{path}{top}"), &[]).await.json();
        assert_eq!(listed["path"], "/", "{top}");
        assert_eq!(listed["entries"].as_array().map(Vec::len), Some(2));
    }
    // A page leads on from where it is, and does not have the address.
    let page = |below: &'static str| {
        let (world, path) = (&world, &path);
        async move {
            let page = world.get(&format!("{path}{below}"), &[("accept", "text/html")]).await;
            String::from_utf8(page.body).unwrap()
        }
    };
    for (below, link) in [
        ("", "<a href=\"./tree/dists/\">"),
        ("/", "<a href=\"./dists/\">"),
        ("/dists", "<a href=\"./dists/stable/\">"),
        ("/dists/", "<a href=\"./stable/\">"),
        ("/dists/", "<a href=\"./../\">"),
    ] {
        let page = page(below).await;
        assert!(page.contains(link) && !page.contains(path.split('/').nth(5).unwrap()), "{below}: {page}");
    }
    // What is not there looks like a link that does not hold, and leaves nothing.
    let before = world.traces().len();
    let missing = world.get(&format!("{path}/none"), &[]).await.shape();
    assert_eq!(missing, world.get("/tintype/v1/links/x/y/z", &[]).await.shape());
    assert_eq!(world.traces().len(), before);
    // Neither the image itself by such a link, nor files by one to the image.
    let as_image = path.replace("/tree", "/my_disk.iso");
    assert_eq!(world.get(&as_image, &[]).await.shape(), missing);
    let (_, plain) = world.link(json!({"ttl_s": 600})).await;
    assert_eq!(world.get(&plain, &[]).await.status, 200);
    let base = plain.rsplit_once('/').unwrap().0;
    for below in ["/tree/", "/tree/a"] {
        assert_eq!(world.get(&format!("{base}{below}"), &[]).await.shape(), missing, "{below}");
    }
    let (_, for_net) = world.link(json!({"ttl_s": 600, "tree": true, "net": "10.0.0.0/8"})).await;
    assert_eq!(world.get(&format!("{for_net}/a"), &[]).await.shape(), missing);
    assert_eq!(world.at("10.1.1.1", "GET", &format!("{for_net}/a"), &[]).await.status, 200);
    assert_eq!(world.make(json!({"ttl_s": 600, "tree": true, "format": "raw"})).await.status, 400);
    let deactivate = format!("/v2/images/{}/actions/deactivate", world.image);
    assert_eq!(world.admin("POST", &deactivate, &[], Body::empty()).await.status, 204);
    assert_eq!(world.get(&format!("{path}/a"), &[]).await.shape(), missing);
    // There is no tree of a disk that is no ISO.
    let other = World::new(&guest()).await;
    assert_eq!(other.make(json!({"ttl_s": 600, "tree": true})).await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_that_does_not_hold_is_refused_alike() {
    let world = World::new(b"data").await;
    let (id, path) = world.link(json!({"ttl_s": 60})).await;
    let (_, for_net) = world.link(json!({"ttl_s": 600, "net": "10.0.0.0/8"})).await;
    let (revoked, gone) = world.link(json!({"ttl_s": 600})).await;
    let (_, later) = world.link(json!({"ttl_s": 600})).await;
    let unlink = format!("/tintype/v1/images/{}/links/{revoked}", world.image);
    assert_eq!(world.admin("DELETE", &unlink, &[], Body::empty()).await.status, 204);
    assert_eq!(world.get(&path, &[]).await.status, 200);
    assert_eq!(world.at("10.1.1.1", "GET", &for_net, &[]).await.status, 200);
    let other = if path.contains(&format!("{id}/A")) { "B" } else { "A" };
    let at = path.find(&id).unwrap() + id.len() + 1;
    let forged = format!("{}{other}{}", &path[..at], &path[at + 1..]);
    let unknown = path.replace(&id, &"ab".repeat(16));
    let mut refused = Vec::new();
    for path in [forged.as_str(), &unknown, &gone, &for_net, "/tintype/v1/links/x/y/z"] {
        refused.push(world.get(path, &[]).await.shape());
    }
    // A header that names another address changes nothing.
    refused.push(world.get(&for_net, &[("x-forwarded-for", "10.1.1.1")]).await.shape());
    world.clock.step_seconds(60);
    refused.push(world.get(&path, &[]).await.shape());
    let deactivate = format!("/v2/images/{}/actions/deactivate", world.image);
    assert_eq!(world.admin("POST", &deactivate, &[], Body::empty()).await.status, 204);
    refused.push(world.get(&later, &[]).await.shape());
    let delete = format!("/v2/images/{}", world.image);
    assert_eq!(world.admin("DELETE", &delete, &[], Body::empty()).await.status, 204);
    refused.push(world.get(&later, &[]).await.shape());
    assert_eq!(refused[0].0, 404);
    for (number, other) in refused.iter().enumerate() {
        assert_eq!(*other, refused[0], "refusal {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_the_first_use_and_refusals_are_on_record_without_the_signature_and_strangers_are_not() {
    let world = World::new(b"data").await;
    let (id, path) = world.link(json!({"ttl_s": 600, "net": "192.0.2.0/24"})).await;
    let signature = path.split('/').nth(5).unwrap().to_owned();
    assert_eq!(signature.len(), 43);
    let before = world.traces().len();
    for _ in 0..3 {
        assert_eq!(world.get(&path, &[]).await.status, 200);
        assert_eq!(world.get(&path, &[("range", "bytes=9-")]).await.status, 416);
    }
    let used = world.traces().split_off(before);
    let told = &used[0].content;
    assert_eq!((used.len(), told.operation.as_str(), &told.resource_id), (1, "useImageLink", &id));
    assert_eq!((told.source.as_str(), told.interface), ("192.0.2.7", Interface::Native));
    assert_eq!(told.call, format!("GET /tintype/v1/links/{id}/***"));
    assert_eq!(world.at("198.51.100.1", "GET", &path, &[]).await.status, 404);
    let refused = world.traces().split_off(before + 1);
    let told = &refused[0].content;
    assert_eq!((refused.len(), told.operation.as_str(), &told.resource_id), (1, "useImageLink", &id));
    assert_eq!((told.rating, told.code.as_str()), (Rating::Warning, "404"));
    assert_eq!(told.message, "it is for 192.0.2.0/24, and 198.51.100.1 is outside");
    // Whoever proves nothing leaves nothing.
    for stranger in [path.replace(&signature, &"A".repeat(43)), path.replace(&id, &"0".repeat(32))] {
        assert_eq!(world.get(&stranger, &[]).await.status, 404);
    }
    let traces = world.traces();
    assert_eq!(traces.len(), before + 2);
    assert!(traces.iter().all(|trace| !format!("{:?}", trace.content).contains(&signature)));
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_address_in_the_place_of_an_id_leaves_no_signature_behind() {
    let world = World::new(b"data").await;
    let (id, path) = world.link(json!({"ttl_s": 600})).await;
    let signature = path.split('/').nth(5).unwrap().to_owned();
    let pasted = utf8_percent_encode(&format!("https://images.example{path}"), NON_ALPHANUMERIC).to_string();
    let unlink = format!("/tintype/v1/images/{}/links/{pasted}", world.image);
    let follow = format!("/tintype/v1/links/{id}%2F{signature}%2Fx");
    // Where nothing lies the versions of the Image API are told.
    for (method, path, status) in [("DELETE", &unlink, 404), ("GET", &follow, 300)] {
        let before = world.traces().len();
        let refused = world.admin(method, path, &[], Body::empty()).await;
        assert_eq!(refused.status, status, "{method}");
        let said = String::from_utf8(refused.body).unwrap();
        assert!(!said.contains(&signature), "{said}");
        let told = world.traces().split_off(before);
        let ids: Vec<&str> = told.iter().map(|trace| trace.content.resource_id.as_str()).collect();
        assert!(ids == [""] || status == 300 && ids.is_empty(), "{method} {ids:?}");
    }
    assert!(world.traces().iter().all(|trace| !format!("{:?}", trace.content).contains(&signature)));
    assert_eq!(world.get(&path, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_listed_without_their_address_and_bad_ones_are_not_made() {
    let world = World::new(b"data").await;
    let (id, path) = world.link(json!({"ttl_s": 600, "format": "qcow2", "net": "2001:db8::1"})).await;
    let all = format!("/tintype/v1/images/{}/links", world.image);
    let listed = world.admin("GET", &all, &[], Body::empty()).await.json();
    let link = &listed["links"][0];
    assert_eq!(
        (&link["id"], &link["format"], &link["net"]),
        (&json!(id), &json!("qcow2"), &json!("2001:db8::1/128"))
    );
    assert_eq!(
        (&link["first_used_at"], &link["url"], &link["user_id"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(!listed.to_string().contains(path.split('/').nth(5).unwrap()));
    assert_eq!(world.at("2001:db8::1", "HEAD", &path, &[]).await.status, 200);
    let listed = world.admin("GET", &all, &[], Body::empty()).await.json();
    assert!(listed["links"][0]["first_used_at"].is_string());
    for bad in [
        json!({}),
        json!({"ttl_s": 59}),
        json!({"ttl_s": "1h"}),
        json!({"ttl_s": 604_801}),
        json!({"ttl_s": 60, "format": "zip"}),
        json!({"ttl_s": 60, "net": "10.0.0.0/33"}),
        json!({"ttl_s": 60, "net": "example.org"}),
        json!({"ttl_s": 60, "url": "x"}),
    ] {
        assert_eq!(world.make(bad.clone()).await.status, 400, "{bad}");
    }
    for (method, path) in [("GET", all.clone()), ("POST", all.clone()), ("DELETE", format!("{all}/{id}"))] {
        assert_eq!(world.at("192.0.2.7", method, &path, &[]).await.status, 401, "{method} {path}");
    }
}

#[test]
fn a_name_needs_no_quoting_and_ends_as_its_format_does() {
    let long = "n".repeat(500);
    for (name, ending, expected) in [
        (Some("../../\u{e9}/x?#%"), "qcow2", Some("_..___x___.qcow2".to_owned())),
        (Some("disk.img"), "img", Some("disk.img".to_owned())),
        (Some("..."), "vdi", None),
        (None, "iso", None),
        (Some(long.as_str()), "vmdk", Some(format!("{}.vmdk", "n".repeat(64)))),
    ] {
        assert_eq!(plain_name(name, ending), expected);
    }
}
