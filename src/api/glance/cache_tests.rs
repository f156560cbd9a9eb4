//! The cache, as clients of the Image API see it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::api::context::{ApiState, LocalAdmin};
use crate::objects::{Cached, Memory};
use crate::service::Service;
use crate::service::testing::{assembled, catalog, rules, service, work_off};
use crate::store::Options;

struct CachedBox {
    service: Service,
    router: Router,
    _folder: Option<TempDir>,
}

fn cached() -> CachedBox {
    let folder = tempfile::tempdir().unwrap();
    let objects = Cached::open(Arc::new(Memory::new()), folder.path(), 1 << 30, 0).unwrap();
    let (service, _) = assembled(catalog(), None, objects, Options::default(), rules());
    of(service, Some(folder))
}

fn of(service: Service, folder: Option<TempDir>) -> CachedBox {
    let state = ApiState { service: service.clone(), public_url: None };
    let router = crate::api::router(state).layer(axum::Extension(LocalAdmin));
    CachedBox { service, router, _folder: folder }
}

impl CachedBox {
    async fn send(&self, method: &str, path: &str, header: (&str, &str), body: String) -> (u16, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header(header.0, header.1);
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let (status, body) = self.send(method, path, ("accept", "application/json"), String::new()).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// An image, with or without data; its id.
    async fn image(&self, data: &str) -> String {
        let body = json!({"disk_format": "raw", "container_format": "bare"}).to_string();
        let (_, answer) = self.send("POST", "/v2/images", ("accept", "*/*"), body).await;
        let record: Value = serde_json::from_slice(&answer).unwrap();
        let id = record["id"].as_str().unwrap().to_owned();
        if !data.is_empty() {
            let octets = ("content-type", "application/octet-stream");
            let path = format!("/v2/images/{id}/file");
            assert_eq!(self.send("PUT", &path, octets, data.into()).await.0, 204);
        }
        id
    }

    /// What is listed, once as many images are cached.
    async fn listed(&self, cached: usize) -> Value {
        for _ in 0..500 {
            let (status, listed) = self.ask("GET", "/v2/cache").await;
            assert_eq!(status, 200);
            if listed["cached_images"].as_array().unwrap().len() == cached {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {cached} images");
    }

    async fn minors(&self) -> Vec<String> {
        let (_, versions) = self.ask("GET", "/versions").await;
        let ids = versions["versions"].as_array().unwrap().iter();
        ids.map(|version| version["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_queued_cached_listed_and_dropped() {
    let it = cached();
    let (image, empty) = (it.image("data").await, it.image("").await);
    assert_eq!(it.ask("GET", "/v2/cache").await.1, json!({"cached_images": [], "queued_images": []}));
    let path = format!("/v2/cache/{image}");
    assert_eq!(it.ask("PUT", &path).await.0, 202);
    assert_eq!(it.listed(0).await["queued_images"], json!([image]));
    work_off(&it.service).await;
    let listed = it.listed(1).await;
    assert_eq!(listed["queued_images"], json!([]));
    let entry = &listed["cached_images"][0];
    assert_eq!((&entry["image_id"], &entry["size"], &entry["hits"]), (&json!(image), &json!(4), &json!(0)));
    assert_eq!((&entry["id"], &entry["checksum"]), (&json!(1), &Value::Null));
    assert!(entry["last_accessed"].is_f64() && entry["last_modified"].is_f64(), "{entry}");
    // Again changes nothing.
    assert_eq!(it.ask("PUT", &path).await.0, 202);
    assert_eq!(it.listed(1).await["queued_images"], json!([]));
    assert_eq!(it.ask("GET", &format!("/v2/cache/nodes/{image}")).await.0, 409);
    assert_eq!(it.ask("POST", "/v2/cache/clean").await.0, 200);
    let pruned = json!({"total_files_pruned": 0, "total_bytes_pruned": 0});
    assert_eq!(it.ask("POST", "/v2/cache/prune").await, (200, pruned));
    for (method, path, status) in [
        ("PUT", format!("/v2/cache/{empty}"), 400),
        ("DELETE", format!("/v2/cache/{empty}"), 204),
        ("PUT", "/v2/cache/33ad552d-1149-471c-8190-ff6776174a00".to_owned(), 404),
        ("DELETE", "/v2/cache/33ad552d-1149-471c-8190-ff6776174a00".to_owned(), 404),
        ("PUT", "/v2/cache/no-id".to_owned(), 404),
        ("POST", "/v2/cache".to_owned(), 405),
        ("DELETE", path, 204),
    ] {
        assert_eq!(it.ask(method, &path).await.0, status, "{method} {path}");
    }
    it.listed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_download_fills_the_cache_and_later_ones_are_hits() {
    let it = cached();
    let image = it.image("some data").await;
    let path = format!("/v2/images/{image}/file");
    let (status, part) = it.send("GET", &path, ("range", "bytes=0-3"), String::new()).await;
    assert_eq!((status, part), (206, b"some".to_vec()));
    it.listed(0).await;
    // What memory still has of it is fetched once more.
    assert_eq!(it.ask("DELETE", "/v2/cache").await.0, 204);
    for hits in 0..3 {
        assert_eq!(it.send("GET", &path, ("accept", "*/*"), String::new()).await.1, b"some data");
        let mut listed = it.listed(1).await;
        for _ in 0..500 {
            if listed["cached_images"][0]["hits"] == json!(hits) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            listed = it.listed(1).await;
        }
        assert_eq!(listed["cached_images"][0]["hits"], json!(hits));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_is_cleared_as_its_header_says() {
    let it = cached();
    let (one, two) = (it.image("one").await, it.image("two").await);
    it.ask("PUT", &format!("/v2/cache/{one}")).await;
    work_off(&it.service).await;
    it.ask("PUT", &format!("/v2/cache/{two}")).await;
    let clear = async |target| {
        it.send("DELETE", "/v2/cache", ("x-image-cache-clear-target", target), String::new()).await.0
    };
    assert_eq!(clear("everything").await, 400);
    assert_eq!(it.listed(1).await["queued_images"], json!([two]));
    assert_eq!(clear("queue").await, 204);
    assert_eq!(it.listed(1).await["queued_images"], json!([]));
    it.ask("PUT", &format!("/v2/cache/{two}")).await;
    assert_eq!(clear("cache").await, 204);
    assert_eq!(it.listed(0).await["queued_images"], json!([two]));
    assert_eq!(it.ask("DELETE", "/v2/cache").await.0, 204);
    assert_eq!(it.listed(0).await["queued_images"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn minors_of_the_cache_are_listed_where_there_is_one() {
    let (with, without) = (cached(), of(service().0, None));
    let minors = with.minors().await;
    assert_eq!(minors[..4], ["v2.18", "v2.17", "v2.16", "v2.14"]);
    assert_eq!(without.minors().await[..2], ["v2.17", "v2.13"]);
    assert_eq!(
        (with.ask("GET", "/v2.14/cache").await.0, without.ask("GET", "/v2.14/images").await.0),
        (200, 300)
    );
    assert_eq!(without.ask("GET", "/v2/cache").await.0, 404);
    assert_eq!(without.ask("DELETE", "/v2/cache").await.0, 404);
}
