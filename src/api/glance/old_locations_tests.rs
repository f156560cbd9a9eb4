//! Locations in records and in patches, as clients see them, on a box that takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::Digest as _;
use tower::ServiceExt as _;

use crate::api::context::{ApiState, LocalAdmin};
use crate::model::quota::{Limit, Resource};
use crate::model::{ImageId, StorePlace};
use crate::objects::{Entrance, Memory};
use crate::service::audit::Query;
use crate::service::images::{ImportRules, LocationChange};
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::service::testing::{member, rules, service_with_places, work_off};
use crate::service::{Actor, ErrorKind, Rules, Service};
use crate::store::PlaceMedium;
use crate::web::{Filter, FilterRules, Web};

const DATA: &[u8] = b"what lies there";

/// A box with two stores, whose clients may hang locations on images, and a web server that it may ask.
struct Box2 {
    service: Service,
    router: Router,
    base: String,
    /// Whether the server has other data now.
    swapped: Arc<AtomicBool>,
}

fn info(place: u8, name: &str, weight: i64) -> StoreInfo {
    StoreInfo {
        place: StorePlace(place),
        name: name.into(),
        description: String::new(),
        weight,
        read_only: false,
        is_default: place == 0,
        kind: StoreKind::File,
        location: "/srv/secret-path".into(),
        recipes: crate::service::images::RecipePolicy::Off,
    }
}

async fn boxed() -> Box2 {
    let swapped = Arc::new(AtomicBool::new(false));
    let asked = swapped.clone();
    let data = move || async move {
        match asked.load(Ordering::Relaxed) {
            false => DATA.to_vec(),
            true => DATA.iter().rev().copied().collect(),
        }
    };
    let short = || async { "short" };
    let server =
        Router::new().route("/data", get(data.clone())).route("/same", get(data)).route("/short", get(short));
    let endless = || async { Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>("x")])) };
    let server = server.route("/unmeasured", get(endless));
    let swap = swapped.clone();
    let leaves = move || async move {
        match swap.load(Ordering::Relaxed) {
            false => Ok(DATA),
            true => Err(StatusCode::NOT_FOUND),
        }
    };
    let server = server.route("/leaves", get(leaves));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, server).await });
    let filter = FilterRules {
        schemes: vec!["http".into()],
        ports: vec![port],
        hosts: Vec::new(),
        networks: vec!["127.0.0.1/32".parse().unwrap()],
    };
    let imports =
        ImportRules { web_store: Some("web".into()), patch_locations: true, ..ImportRules::default() };
    let way = Entrance::new(Arc::new(Memory::new()), "cold".into(), Box::new(|| Ok(())));
    let places = vec![PlaceMedium { name: "cold".into(), way: Some(way) }];
    let (service, _clock) = service_with_places(Memory::new(), places, Rules { imports, ..rules() });
    let service = service
        .with_stores(Stores::new(vec![info(0, "fast", 10), info(1, "cold", 1)]))
        .with_web(Web::new(Filter::new(filter), Vec::new()).unwrap());
    let router = crate::api::router(ApiState { service: service.clone(), public_url: None });
    let router = router.layer(axum::Extension(LocalAdmin));
    Box2 { service, router, base: format!("http://127.0.0.1:{port}"), swapped }
}

impl Box2 {
    async fn send(&self, method: &str, path: &str, media: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header("content-type", media);
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    async fn show(&self, image: &str) -> Value {
        serde_json::from_slice(&self.send("GET", image, "", Vec::new()).await.1).unwrap()
    }

    async fn queued(&self, formats: Value) -> String {
        let (status, made) = self.send("POST", "/v2/images", "", formats.to_string().into_bytes()).await;
        assert_eq!(status, 201);
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(made["locations"], json!([]), "none while there is no data");
        made["self"].as_str().unwrap().to_owned()
    }

    async fn raw(&self) -> String {
        self.queued(json!({"disk_format": "raw", "container_format": "bare"})).await
    }

    async fn patch(&self, image: &str, op: &str, path: &str, value: Value) -> u16 {
        let mut operation = json!({"op": op, "path": path});
        if !value.is_null() {
            operation["value"] = value;
        }
        let media = "application/openstack-images-v2.1-json-patch";
        self.send("PATCH", image, media, json!([operation]).to_string().into_bytes()).await.0
    }

    fn at(&self, path: &str) -> Value {
        json!({"url": format!("{}{path}", self.base), "metadata": {}})
    }

    /// An image of what the server has, whose owner declares these digests of it.
    async fn declared(&self, md5: &str, sha512: &str) -> String {
        let image = self.raw().await;
        let mut location = self.at("/data");
        location["validation_data"] =
            json!({"checksum": md5, "os_hash_algo": "sha512", "os_hash_value": sha512});
        assert_eq!(self.patch(&image, "add", "/locations/-", location).await, 200);
        image
    }

    async fn located(&self) -> String {
        let image = self.raw().await;
        assert_eq!(self.patch(&image, "add", "/locations/-", self.at("/data")).await, 200);
        image
    }

    async fn read(&self, image: &str) -> (u16, Vec<u8>) {
        self.send("GET", &format!("{image}/file"), "", Vec::new()).await
    }

    fn admin(&self) -> Actor {
        self.service.local_admin().unwrap()
    }
}

fn id(image: &str) -> ImageId {
    ImageId::parse(image.rsplit('/').next().unwrap()).unwrap()
}

fn digests(data: &[u8]) -> (String, String) {
    (hex::encode(md5::Md5::digest(data)), hex::encode(sha2::Sha512::digest(data)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_by_reference_is_active_at_once_and_its_data_is_the_boxs_from_its_first_read() {
    let b = boxed().await;
    let image = b.raw().await;
    let value = json!({"url": format!("{}/data", b.base), "metadata": {"foo": "bar"}});
    assert_eq!(b.patch(&image, "add", "/locations/-", value.clone()).await, 200);
    let record = b.show(&image).await;
    let told = json!([{"url": value["url"], "metadata": {"foo": "bar", "store": "web"}}]);
    assert_eq!(
        (&record["status"], &record["locations"], &record["stores"]),
        (&json!("active"), &told, &json!("web"))
    );
    assert_eq!((&record["size"], &record["virtual_size"]), (&json!(DATA.len()), &Value::Null));
    for digest in ["checksum", "os_hash_algo", "os_hash_value"] {
        assert_eq!(record[digest], Value::Null, "{digest} of what nobody has read");
    }
    assert_eq!(b.service.usage(&b.admin()).unwrap().image_bytes, 0, "the box has nothing of it");
    // Whoever cannot wait is told what to do.
    let copies = format!("/tintype/v1/images/{}/copies", id(&image));
    assert_eq!(
        b.send("POST", &copies, "", json!({"stores": ["cold"]}).to_string().into_bytes()).await.0,
        409
    );
    assert_eq!(b.read(&image).await, (200, DATA.to_vec()));
    // From then on the server is not asked any more.
    b.swapped.store(true, Ordering::Relaxed);
    assert_eq!(b.read(&image).await, (200, DATA.to_vec()));
    let record = b.show(&image).await;
    let (md5, sha512) = digests(DATA);
    assert_eq!((&record["checksum"], &record["os_hash_value"]), (&json!(md5), &json!(sha512)));
    assert_eq!((&record["virtual_size"], &record["locations"]), (&json!(DATA.len()), &told));
    assert_eq!(b.service.usage(&b.admin()).unwrap().image_bytes, DATA.len() as u64);
    assert_eq!(
        b.send("POST", &copies, "", json!({"stores": ["cold"]}).to_string().into_bytes()).await.0,
        202
    );
    work_off(&b.service).await;
    assert_eq!(b.show(&image).await["stores"], "cold,web");
    assert_eq!(b.service.check(&b.admin(), &mut |_| ()).unwrap().damaged.len(), 0);
    // It goes as any image does.
    assert_eq!(b.send("DELETE", &image, "", Vec::new()).await.0, 204);
    b.service.give_back(crate::store::Reach::Everything).unwrap();
    assert_eq!(b.service.store().stats().unwrap().contents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_data_that_is_not_what_was_declared_is_never_handed_out() {
    let b = boxed().await;
    let (md5, sha512) = digests(DATA);
    let (good, wrong) =
        (b.declared(&md5, &sha512).await, b.declared(&"1".repeat(32), &"deadbeef".repeat(16)).await);
    let record = b.show(&wrong).await;
    assert_eq!((&record["checksum"], &record["os_hash_algo"]), (&json!("1".repeat(32)), &json!("sha512")));
    assert_eq!(record["os_hash_value"], "deadbeef".repeat(16), "as its owner declares, at once");
    assert!(!record["locations"].to_string().contains("validation_data"));
    let (status, said) = b.read(&wrong).await;
    assert_eq!(status, 503);
    assert!(String::from_utf8_lossy(&said).contains("other data than the image"), "{said:?}");
    assert_eq!(b.read(&good).await, (200, DATA.to_vec()));
    let half = b.declared(&"1".repeat(32), &sha512).await;
    assert_eq!(b.read(&half).await.0, 503, "one digest that differs is enough");
    // Without digests the length alone is known, and the formats.
    let shorter = b.located().await;
    let disk = b.queued(json!({"disk_format": "qcow2", "container_format": "bare"})).await;
    assert_eq!(b.patch(&disk, "add", "/locations/-", b.at("/data")).await, 200);
    assert_eq!(b.read(&disk).await.0, 415, "what it brings is looked at");
    b.service.give_back(crate::store::Reach::Everything).unwrap();
    assert_eq!(b.service.store().stats().unwrap().contents, 1, "what was refused is not kept");
    assert_eq!(b.read(&shorter).await.0, 200);
    // Two readers at once are one fetch, and the native way out waits too.
    let late = b.located().await;
    let native = format!("/tintype/v1/images/{}/file", id(&late));
    let (one, two) = tokio::join!(b.read(&late), b.send("GET", &native, "", Vec::new()));
    assert_eq!((one, two), ((200, DATA.to_vec()), (200, DATA.to_vec())));
    let query = Query { limit: 1000, ..Query::default() };
    let told = b.service.audit_traces(&b.admin(), &query).unwrap().traces;
    let refused = told.iter().filter(|trace| format!("{trace:?}").contains("refused at its first read"));
    assert_eq!(refused.count(), 3, "each is on record");
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_a_reader_is_not_told_where_data_lies_that_cannot_be_had() {
    let b = boxed().await;
    let image = b.raw().await;
    let signed = b.at("/leaves?signature=secret");
    assert_eq!(b.patch(&image, "add", "/locations/-", signed).await, 200);
    b.swapped.store(true, Ordering::Relaxed);
    let native = format!("/tintype/v1/images/{}/file", id(&image));
    for (status, said) in [b.read(&image).await, b.send("GET", &native, "", Vec::new()).await] {
        let said = String::from_utf8_lossy(&said);
        assert_eq!(status, 503, "{said}");
        assert!(said.contains("cannot be had from its location just now"), "{said}");
        assert!(!said.contains("leaves") && !said.contains("secret"), "{said}");
    }
    b.swapped.store(false, Ordering::Relaxed);
    assert_eq!(b.read(&image).await, (200, DATA.to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn s25_too_many_locations_are_refused_before_any_of_them_is_asked() {
    let b = boxed().await;
    let image = b.raw().await;
    // Nothing is there, which whoever asks finds out.
    let all =
        |count: usize| json!((0..count).map(|number| b.at(&format!("/none#{number}"))).collect::<Vec<_>>());
    assert_eq!(b.patch(&image, "replace", "/locations", all(10)).await, 400);
    assert_eq!(b.patch(&image, "replace", "/locations", all(11)).await, 413);
    let adds = (0..11).map(
        |number| json!({"op": "add", "path": "/locations/-", "value": b.at(&format!("/none#{number}"))}),
    );
    let adds = json!(adds.collect::<Vec<_>>()).to_string().into_bytes();
    let media = "application/openstack-images-v2.1-json-patch";
    assert_eq!(b.send("PATCH", &image, media, adds).await.0, 413);
    assert_eq!(b.show(&image).await["status"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_are_taken_or_refused_as_the_reference_has_it() {
    let b = boxed().await;
    let image = b.raw().await;
    for (op, path, value, status) in [
        ("add", "/locations", b.at("/data"), 400),
        ("add", "/locations/x", b.at("/data"), 400),
        ("add", "/locations/-/url", b.at("/data"), 400),
        ("add", "/locations/-", json!({"url": "x"}), 400),
        ("add", "/locations/-", json!({"metadata": {}}), 400),
        ("add", "/locations/-", json!({"url": format!("{}/data", b.base), "metadata": {"n": 1}}), 400),
        ("add", "/locations/-", json!({"url": "gopher://info.cern.ch", "metadata": {}}), 400),
        ("add", "/locations/-", json!({"url": "file:///etc/passwd", "metadata": {}}), 400),
        ("add", "/locations/-", json!({"url": "swift+config://x", "metadata": {}}), 400),
        ("add", "/locations/-", json!({"url": "http://169.254.169.254/", "metadata": {}}), 400),
        (
            "add",
            "/locations/-",
            json!({"url": format!("tintype://fast/{}", id(&image)), "metadata": {}}),
            400,
        ),
        ("add", "/locations/-", b.at("/none"), 400),
        ("add", "/locations/-", b.at("/unmeasured"), 400),
        (
            "add",
            "/locations/-",
            json!({"url": format!("{}/data", b.base), "metadata": {"store": "fast"}}),
            400,
        ),
        ("replace", "/locations", json!([]), 403),
        ("replace", "/locations", json!({}), 400),
        ("replace", "/locations/0", b.at("/data"), 400),
        ("remove", "/locations", Value::Null, 403),
        ("remove", "/locations/0", Value::Null, 409),
        ("remove", "/locations/-", Value::Null, 400),
    ] {
        assert_eq!(b.patch(&image, op, path, value.clone()).await, status, "{op} {path} {value}");
    }
    assert_eq!(b.show(&image).await["status"], "queued");
    let bare = b.queued(json!({})).await;
    assert_eq!(b.patch(&bare, "add", "/locations/-", b.at("/data")).await, 400, "its formats are unknown");
    assert_eq!(b.patch(&image, "replace", "/locations", json!([b.at("/data"), b.at("/same")])).await, 200);
    let two = b.show(&image).await["locations"].clone();
    assert_eq!(two.as_array().unwrap().len(), 2);
    let mut changed = two.clone();
    changed[0]["metadata"]["date"] = "2015-10-15".into();
    for (op, path, value, status) in [
        ("replace", "/locations", two.clone(), 200),
        ("replace", "/locations", json!([two[0]]), 400),
        ("replace", "/locations", json!([two[0], b.at("/data#other")]), 400),
        ("replace", "/locations", json!([]), 403),
        ("replace", "/locations", changed.clone(), 200),
        ("add", "/locations/-", b.at("/same"), 400),
        ("add", "/locations/-", b.at("/short"), 400),
        ("add", "/locations/0", b.at("/data#first"), 200),
        ("add", "/locations/99", b.at("/data#last"), 200),
        ("remove", "/locations/9", Value::Null, 400),
        ("remove", "/locations/3", Value::Null, 200),
        ("remove", "/locations/0", Value::Null, 200),
    ] {
        assert_eq!(b.patch(&image, op, path, value.clone()).await, status, "{op} {path} {value}");
    }
    assert_eq!(b.show(&image).await["locations"], changed);
    for number in 2..10 {
        assert_eq!(b.patch(&image, "add", "/locations/-", b.at(&format!("/data#{number}"))).await, 200);
    }
    assert_eq!(b.patch(&image, "add", "/locations/-", b.at("/data#10")).await, 413);
    for _ in 0..9 {
        assert_eq!(b.patch(&image, "remove", "/locations/0", Value::Null).await, 200);
    }
    assert_eq!(b.patch(&image, "remove", "/locations/0", Value::Null).await, 403, "the last one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_that_were_declared_or_found_are_not_contradicted() {
    let b = boxed().await;
    let (md5, sha512) = digests(DATA);
    let image = b.located().await;
    let said = |data: Value| {
        let mut location = b.at("/data#more");
        location["validation_data"] = data;
        location
    };
    let good = json!({"checksum": md5, "os_hash_algo": "sha512", "os_hash_value": sha512});
    let with = |key: &str, value: &str| {
        let mut data = good.clone();
        data[key] = value.into();
        data
    };
    for (data, status) in [
        (json!("x"), 400),
        (json!({"os_hash_algo": "sha512"}), 400),
        (json!({"os_hash_algo": "sha512", "os_hash_value": 1}), 400),
        (json!({"os_hash_algo": "sha512", "os_hash_value": sha512, "more": "x"}), 400),
        (with("os_hash_algo", "sha256"), 409),
        (with("os_hash_value", &"zz".repeat(64)), 409),
        (with("os_hash_value", "beef"), 409),
        (with("checksum", "beef"), 409),
    ] {
        assert_eq!(b.patch(&image, "add", "/locations/-", said(data.clone())).await, status, "{data}");
    }
    // What was read tells: it is compared with that.
    assert_eq!(b.read(&image).await.0, 200);
    assert_eq!(b.patch(&image, "add", "/locations/-", said(with("checksum", &"2".repeat(32)))).await, 409);
    assert_eq!(b.patch(&image, "add", "/locations/-", said(good.clone())).await, 200);
    let declared = b.declared(&"1".repeat(32), &"deadbeef".repeat(16)).await;
    assert_eq!(b.patch(&declared, "add", "/locations/-", said(good)).await, 409);
    assert_eq!(b.show(&declared).await["locations"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s26_own_data_tells_nothing_of_its_place_and_locations_are_for_owners() {
    let b = boxed().await;
    let image = b.raw().await;
    assert_eq!(b.send("PUT", &format!("{image}/file"), "application/octet-stream", vec![7; 50]).await.0, 204);
    let record = b.show(&image).await;
    let own = json!([{"url": format!("tintype://fast/{}", id(&image)), "metadata": {"store": "fast"}}]);
    assert_eq!(record["locations"], own);
    assert!(!record.to_string().contains("secret-path"));
    assert_eq!(b.patch(&image, "add", "/locations/-", b.at("/data")).await, 409, "it lies in no other place");
    assert_eq!(b.patch(&image, "replace", "/locations", own).await, 409);
    assert_eq!(b.patch(&image, "remove", "/locations/0", Value::Null).await, 403);
    let listed: Value = serde_json::from_slice(&b.send("GET", "/v2/images", "", Vec::new()).await.1).unwrap();
    assert_eq!(listed["images"][0]["locations"], record["locations"]);
    // Others see the image, and not where it lies; and they change nothing.
    let located = b.located().await;
    assert_eq!(b.patch(&located, "replace", "/visibility", json!("public")).await, 200);
    let image = b.service.show_image(&member("other"), &id(&located)).unwrap();
    let told = b.service.beside(&member("other"), std::slice::from_ref(&image)).unwrap();
    assert_eq!((told[0].locations.as_ref(), told[0].web_store.as_deref()), (None, Some("web")));
    let owner = Actor { scope: b.admin().scope, ..member("one") };
    assert!(b.service.beside(&owner, &[image]).unwrap()[0].locations.is_some());
    let change = async |actor: &Actor, change: LocationChange| {
        let image = id(&located);
        let changed = b.service.update_image_and_locations(actor, &image, Vec::new(), vec![change]);
        changed.await.err().map(|error| error.kind)
    };
    let refused = Some(ErrorKind::Forbidden);
    assert_eq!(change(&member("other"), LocationChange::Replace(Vec::new())).await, refused);
    assert_eq!(change(&owner, LocationChange::Remove(0)).await, refused, "an administrator's to do");
    // A project that has no room for the data need not begin; one that has none when it is read is told so.
    let late = b.located().await;
    let limit = vec![(Resource::ImageSizeTotal, Limit::of_number(0))];
    b.service.set_default_quotas(&b.admin(), limit).unwrap();
    let full = b.raw().await;
    assert_eq!(b.patch(&full, "add", "/locations/-", b.at("/data")).await, 413);
    assert_eq!(b.read(&late).await.0, 413);
    // Where the operator takes none, nothing of it is there.
    let (closed, _clock) = service_with_places(Memory::new(), Vec::new(), rules());
    let router = crate::api::router(ApiState { service: closed, public_url: None });
    let b = Box2 { router: router.layer(axum::Extension(LocalAdmin)), ..b };
    let made = b
        .send("POST", "/v2/images", "", br#"{"disk_format": "raw", "container_format": "bare"}"#.into())
        .await;
    let made: Value = serde_json::from_slice(&made.1).unwrap();
    assert_eq!(made.get("locations"), None);
    let image = made["self"].as_str().unwrap();
    assert_eq!(b.patch(image, "add", "/locations/-", b.at("/data")).await, StatusCode::FORBIDDEN.as_u16());
}
