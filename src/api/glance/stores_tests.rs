//! A box with two stores, as clients of the Image API see it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::context::{ApiState, LocalAdmin};
use crate::model::StorePlace;
use crate::objects::{Entrance, Memory};
use crate::service::Service;
use crate::service::images::ImportRules;
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::service::testing::{member, rules, service, service_with_places, work_off};
use crate::service::{Actor, ErrorKind, Rules};
use crate::store::PlaceMedium;

struct Box2 {
    service: Service,
    router: Router,
}

fn info(place: u8, name: &str, weight: i64) -> StoreInfo {
    StoreInfo {
        place: StorePlace(place),
        name: name.into(),
        description: if place == 1 { "slow disks".into() } else { String::new() },
        weight,
        read_only: name == "shut",
        is_default: place == 0,
        kind: StoreKind::File,
        location: format!("/srv/{name}"),
        recipes: crate::service::images::RecipePolicy::Off,
    }
}

fn two() -> Box2 {
    let place = |name: &str| {
        let way = Entrance::new(Arc::new(Memory::new()), name.into(), Box::new(|| Ok(())));
        PlaceMedium { name: name.into(), way: Some(way) }
    };
    let imports = ImportRules { web_store: Some("web".into()), ..ImportRules::default() };
    let rules = Rules { imports, ..rules() };
    let (service, _clock) = service_with_places(Memory::new(), vec![place("cold"), place("shut")], rules);
    let stores = Stores::new(vec![info(0, "fast", 10), info(1, "cold", -1), info(2, "shut", 0)]);
    of(service.with_stores(stores))
}

fn of(service: Service) -> Box2 {
    let state = ApiState { service: service.clone(), public_url: None };
    Box2 { service, router: crate::api::router(state).layer(axum::Extension(LocalAdmin)) }
}

impl Box2 {
    async fn send(&self, method: &str, path: &str, store: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/octet-stream");
        if let Some(store) = store {
            request = request.header("x-image-meta-store", store);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    async fn import(&self, image: &str, store: Option<&str>, body: Value) -> u16 {
        self.send("POST", &format!("{image}/import"), store, body.to_string().into_bytes()).await.0
    }

    async fn staged(&self) -> String {
        let image = self.queued().await;
        let staged = self.send("PUT", &format!("{image}/stage"), None, vec![7; 5000]).await;
        assert_eq!(staged.0, 204);
        image
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let (status, body) = self.send(method, path, None, Vec::new()).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Registers an image; its path.
    async fn queued(&self) -> String {
        let body = json!({"disk_format": "raw", "container_format": "bare"}).to_string();
        let (status, answer) = self.send("POST", "/v2/images", None, body.into_bytes()).await;
        assert_eq!(status, 201);
        let record: Value = serde_json::from_slice(&answer).unwrap();
        assert!(record.get("stores").is_none(), "it has no data yet");
        record["self"].as_str().unwrap().to_owned()
    }

    async fn stores_of(&self, image: &str) -> Value {
        self.ask("GET", image).await.1["stores"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_are_listed_and_their_details_are_the_administrators() {
    let b = two();
    let (status, listed) = b.ask("GET", "/v2/info/stores").await;
    let wanted = json!({"stores": [
        {"id": "fast", "default": "true"},
        {"id": "shut", "read-only": "true"},
        {"id": "cold", "description": "slow disks"},
        {"id": "web", "read-only": "true"},
    ]});
    assert_eq!((status, listed), (200, wanted));
    let (status, detailed) = b.ask("GET", "/v2/info/stores/detail").await;
    assert_eq!(status, 200);
    let cold = &detailed["stores"][2];
    assert_eq!((&cold["id"], &cold["type"], &cold["weight"]), (&json!("cold"), &json!("file"), &json!(-1)));
    assert_eq!(cold["properties"]["data_dir"], "/srv/cold");
    let web = json!({"id": "web", "read-only": "true", "type": "http", "weight": -2, "properties": {}});
    assert_eq!(detailed["stores"][3], web, "it comes after all others");
    let other = Actor { roles: ["service".to_owned()].into(), ..member("p") };
    assert_eq!(b.service.store_details(&other).unwrap().len(), 3);
    assert_eq!(b.service.store_details(&member("p")).unwrap_err().kind, ErrorKind::Forbidden);
    let one = of(service().0);
    for path in ["/v2/info/stores", "/v2/info/stores/detail"] {
        assert_eq!(one.ask("GET", path).await.0, 404, "{path}");
        let stranger = crate::api::router(ApiState { service: b.service.clone(), public_url: None });
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(stranger.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_goes_where_a_client_says_is_copied_and_dropped() {
    let b = two();
    let image = b.queued().await;
    let id = image.rsplit('/').next().unwrap().to_owned();
    let (file, data) = (format!("{image}/file"), vec![7u8; 5000]);
    for (store, status) in [("no", 400), ("shut", 410)] {
        assert_eq!(b.send("PUT", &file, Some(store), data.clone()).await.0, status, "{store}");
        assert_eq!(b.ask("GET", &image).await.1["status"], "queued");
    }
    assert_eq!(b.send("PUT", &file, Some("cold"), data.clone()).await.0, 204);
    assert_eq!(b.stores_of(&image).await, "cold");
    let copies = format!("/tintype/v1/images/{id}/copies");
    let asked = json!({"stores": ["fast"]}).to_string().into_bytes();
    let (status, answer) = b.send("POST", &copies, None, asked.clone()).await;
    assert_eq!(status, 202);
    work_off(&b.service).await;
    let job: Value = serde_json::from_slice(&answer).unwrap();
    let job = b.ask("GET", &format!("/tintype/v1/jobs/{}", job["job_id"].as_str().unwrap())).await.1;
    assert_eq!((&job["kind"], &job["state"]), (&json!("copy-to-stores"), &json!("succeeded")));
    assert_eq!(job["stores"], json!(["store fast"]));
    assert_eq!(b.stores_of(&image).await, "fast,cold", "the heaviest first");
    assert_eq!(b.send("POST", &copies, None, asked).await.0, 400);
    let listed = b.ask("GET", "/v2/images").await.1;
    assert_eq!(listed["images"][0]["stores"], "fast,cold");
    for prefer in ["cold", "shut,cold", "fast"] {
        let (status, read) = b.send("GET", &format!("{file}?prefer={prefer}"), None, Vec::new()).await;
        assert_eq!((status, &read), (200, &data), "{prefer}");
    }
    assert_eq!(b.ask("GET", &format!("{file}?prefer=no")).await.0, 400);
    for (store, status) in [("no", 409), ("shut", 404), ("fast", 204), ("cold", 403)] {
        assert_eq!(b.ask("DELETE", &format!("/v2/stores/{store}/{id}")).await.0, status, "{store}");
    }
    assert_eq!(b.stores_of(&image).await, "cold");
    let nobody = uuid::Uuid::nil();
    assert_eq!(b.ask("DELETE", &format!("/v2/stores/cold/{nobody}")).await.0, 404);
    let queued = b.queued().await;
    let queued = queued.rsplit('/').next().unwrap();
    assert_eq!(b.ask("DELETE", &format!("/v2/stores/cold/{queued}")).await.0, 409);
    let figures = b.ask("GET", "/tintype/v1/stats").await.1;
    assert_eq!(figures["stores"][2]["name"], "cold");
    assert_eq!(figures["stores"][2]["packs"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_with_one_store_says_nothing_of_it() {
    let b = of(service().0);
    let image = b.queued().await;
    let file = format!("{image}/file");
    assert_eq!(b.send("PUT", &file, Some("main"), vec![7; 10]).await.0, 204);
    assert_eq!(b.stores_of(&image).await, Value::Null);
    assert_eq!(b.ask("GET", &format!("{file}?prefer=main")).await.0, 400);
    let id = image.rsplit('/').next().unwrap();
    assert_eq!(b.ask("DELETE", &format!("/v2/stores/main/{id}")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_names_its_store_in_its_metadata() {
    let b = two();
    let image = b.queued().await;
    let id = image.rsplit('/').next().unwrap().to_owned();
    let begin = |metadata: &'static str| {
        let request = Request::post(format!("/tintype/v1/images/{id}/uploads"))
            .header("tus-resumable", "1.0.0")
            .header("upload-length", "0")
            .header("upload-metadata", metadata);
        b.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    // "store" is "no"; then no Base64; then "cold" beside another name.
    for (metadata, status) in [("store bm8=", 400), ("store %%", 400), ("filename eA==,store Y29sZA==", 201)]
    {
        assert_eq!(begin(metadata).await.unwrap().status().as_u16(), status, "{metadata}");
    }
    assert_eq!(b.stores_of(&image).await, "cold");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_stores_are_listed_among_versions_and_ways_in() {
    let (b, one) = (two(), of(service().0));
    let minors = async |b: &Box2| {
        let listed = b.ask("GET", "/versions").await.1;
        let ids = listed["versions"].as_array().unwrap().iter().map(|version| version["id"].clone());
        ids.map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (several, single) = (minors(&b).await, minors(&one).await);
    for minor in ["v2.8", "v2.9", "v2.10", "v2.11", "v2.15"] {
        assert!(several.iter().any(|listed| listed == minor), "{minor}");
        assert!(single.iter().all(|listed| listed != minor), "{minor}");
        assert_eq!(b.ask("GET", &format!("/{minor}/images")).await.0, 200);
        assert_eq!(one.ask("GET", &format!("/{minor}/images")).await.0, 300);
        assert_eq!(one.ask("GET", &format!("/{minor}")).await.0, 300);
    }
    let methods = async |b: &Box2| b.ask("GET", "/v2/info/import").await.1["import-methods"]["value"].clone();
    assert_eq!(methods(&b).await, json!(["glance-direct", "web-download", "copy-image"]));
    assert_eq!(methods(&one).await, json!(["glance-direct", "web-download"]));
    for (b, stores) in [(&b, Some("fast,shut,cold,web")), (&one, None)] {
        let request = Request::post("/v2/images").body(Body::from("{}")).unwrap();
        let made = b.router.clone().oneshot(request).await.unwrap();
        let told = made.headers().get("openstack-image-store-ids").map(|value| value.to_str().unwrap());
        assert_eq!(told, stores);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_into_several_stores_are_taken_or_refused_as_the_reference_has_it() {
    let b = two();
    let direct = |more: Value| {
        let mut body = json!({"method": {"name": "glance-direct"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let staged = b.staged().await;
    for (store, more, status) in [
        (None, json!({"all_stores": "yes"}), 400),
        (None, json!({"all_stores_must_succeed": 1}), 400),
        (None, json!({"stores": "cold"}), 400),
        (None, json!({"stores": [1]}), 400),
        (None, json!({"stores": ["cold"], "all_stores": true}), 400),
        (Some("cold"), json!({"all_stores": true}), 400),
        (Some("cold"), json!({"stores": ["fast"]}), 400),
        (None, json!({"stores": ["cold", "no"]}), 409),
        (Some("no"), json!({}), 409),
        (Some("web"), json!({}), 409),
        (None, json!({"stores": ["shut"]}), 410),
    ] {
        assert_eq!(b.import(&staged, store, direct(more.clone())).await, status, "{store:?} {more}");
    }
    let all = json!({"all_stores": true, "all_stores_must_succeed": false});
    assert_eq!(b.import(&staged, None, direct(all)).await, 202);
    let held = b.ask("GET", &staged).await.1;
    assert_eq!((&held["status"], &held["stores"]), (&json!("uploading"), &Value::Null));
    assert_eq!(held["os_glance_importing_to_stores"], "fast,cold");
    assert_eq!(b.import(&staged, None, direct(json!({}))).await, 409, "a task holds it");
    work_off(&b.service).await;
    let active = b.ask("GET", &staged).await.1;
    assert_eq!((&active["status"], &active["stores"]), (&json!("active"), &json!("fast,cold")));
    assert_eq!(active["os_glance_importing_to_stores"], "");
    assert_eq!(active["os_glance_failed_import"], "");
    let tasks = b.ask("GET", &format!("{staged}/tasks")).await.1;
    assert_eq!(tasks["tasks"][0]["input"]["backend"], json!(["fast", "cold"]));
    assert_eq!(tasks["tasks"][0]["input"]["import_req"]["all_stores"], true);
    assert_eq!(tasks["tasks"][0]["status"], "success");
    for (store, body) in [(Some("cold"), direct(json!({}))), (None, direct(json!({"stores": ["cold"]})))] {
        let staged = b.staged().await;
        assert_eq!(b.import(&staged, store, body).await, 202);
        work_off(&b.service).await;
        assert_eq!(b.stores_of(&staged).await, "cold");
    }
    let staged = b.staged().await;
    assert_eq!(b.import(&staged, None, direct(json!({}))).await, 202);
    let task = &b.ask("GET", &format!("{staged}/tasks")).await.1["tasks"][0];
    assert_eq!(task["input"]["backend"], json!(["fast"]), "the default store");
    work_off(&b.service).await;
    assert_eq!(b.stores_of(&staged).await, "fast");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_to_more_stores_are_imports_of_what_an_image_has() {
    let b = two();
    let image = b.queued().await;
    let copy = |more: Value| {
        let mut body = json!({"method": {"name": "copy-image"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    assert_eq!(b.import(&image, None, copy(json!({"all_stores": true}))).await, 409, "it is queued");
    assert_eq!(b.send("PUT", &format!("{image}/file"), None, vec![7; 5000]).await.0, 204);
    assert_eq!(b.import(&image, None, json!({"method": {"name": "glance-direct"}})).await, 409);
    assert_eq!(b.import(&image, None, copy(json!({"stores": ["fast"]}))).await, 400);
    assert_eq!(b.import(&image, None, copy(json!({"stores": ["no"]}))).await, 409);
    let converted = copy(json!({"stores": ["cold"], "tintype_convert": "raw"}));
    assert_eq!(b.import(&image, None, converted).await, 400);
    let all = copy(json!({"all_stores": true, "all_stores_must_succeed": false}));
    assert_eq!(b.import(&image, None, all.clone()).await, 202);
    let held = b.ask("GET", &image).await.1;
    assert_eq!((&held["status"], &held["os_glance_importing_to_stores"]), (&json!("active"), &json!("cold")));
    work_off(&b.service).await;
    let copied = b.ask("GET", &image).await.1;
    assert_eq!((&copied["stores"], &copied["os_glance_failed_import"]), (&json!("fast,cold"), &json!("")));
    assert_eq!(copied.get("os_glance_import_task"), None);
    let task = &b.ask("GET", &format!("{image}/tasks")).await.1["tasks"][0];
    assert_eq!((&task["type"], &task["status"]), (&json!("api_image_import"), &json!("success")));
    assert_eq!(b.import(&image, None, all.clone()).await, 202, "nothing is left to do");
    let tasks = b.ask("GET", &format!("{image}/tasks")).await.1;
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1, "so there is no task");
    let one = of(service().0);
    let image = one.queued().await;
    assert_eq!(one.import(&image, None, all).await, 400, "it is not offered beside one store");
}
