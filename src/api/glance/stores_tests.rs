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
use crate::service::stores::{StoreInfo, StoreKind, Stores};
use crate::service::testing::{rules, service, service_with_places, work_off};
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
    }
}

fn two() -> Box2 {
    let place = |name: &str| {
        let way = Entrance::new(Arc::new(Memory::new()), name.into(), Box::new(|| Ok(())));
        PlaceMedium { name: name.into(), way: Some(way) }
    };
    let (service, _clock) = service_with_places(Memory::new(), vec![place("cold"), place("shut")], rules());
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
    ]});
    assert_eq!((status, listed), (200, wanted));
    let (status, detailed) = b.ask("GET", "/v2/info/stores/detail").await;
    assert_eq!(status, 200);
    let cold = &detailed["stores"][2];
    assert_eq!((&cold["id"], &cold["type"], &cold["weight"]), (&json!("cold"), &json!("file"), &json!(-1)));
    assert_eq!(cold["properties"]["data_dir"], "/srv/cold");
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
