//! What uploads cost: commits and objects, one upload alone and many small ones at once.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use futures::future::join_all;
use redb::backends::InMemoryBackend;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::api::context::{ApiState, LocalAdmin};
use crate::db::StorageBackend;
use crate::objects::{Memory, Objects as _};
use crate::service::testing::{assembled, catalog_on, rules};
use crate::store;

/// Small uploads at once.
const UPLOADS: usize = 64;
/// As long as a busy disk takes.
const SYNC: Duration = Duration::from_millis(20);

/// A disk that is slow to sync, so that commits take longer than what leads to them.
#[derive(Debug, Default)]
struct Disk(InMemoryBackend);

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        std::thread::sleep(SYNC);
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

async fn send(router: Router, method: &str, path: &str, media: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, media);
    let answer = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec())
}

async fn registered(router: Router) -> String {
    let body = json!({"disk_format": "raw", "container_format": "bare"}).to_string().into_bytes();
    let (status, record) = send(router, "POST", "/v2/images", "application/json", body).await;
    assert_eq!(status, 201);
    let record: Value = serde_json::from_slice(&record).unwrap();
    record["file"].as_str().unwrap().to_owned()
}

/// Fills an image with data that no other has.
async fn filled(router: Router, file: String, number: usize) {
    let data = (number + 1).to_le_bytes().repeat(500);
    let (status, _) = send(router, "PUT", &file, "application/octet-stream", data).await;
    assert_eq!(status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_uploads_at_once_share_their_commits() {
    let (disk, objects) = (Disk::default(), Memory::new());
    let service = assembled(catalog_on(disk), None, objects.clone(), store::Options::default(), rules()).0;
    let db = service.db().clone();
    let router =
        crate::api::router(ApiState { service, public_url: None }).layer(axum::Extension(LocalAdmin));
    let files = join_all((0..=UPLOADS).map(|_| registered(router.clone()))).await;
    let stored = || {
        let mut count = 0;
        for prefix in ["pack/", "manifest/"] {
            objects.list(prefix, &mut |_| count += 1).unwrap();
        }
        count
    };
    let counted = || (db.read().unwrap().journal_next().unwrap() as usize, stored());
    let before = counted();
    filled(router.clone(), files[UPLOADS].clone(), 0).await;
    let alone = counted();
    // One commit takes the image, the other has the pack, the stream and the active image.
    assert_eq!(alone.0 - before.0, 2, "commits of an upload");
    assert_eq!(alone.1 - before.1, 2, "objects of an upload: a pack and a manifest");
    let tasks: Vec<_> = files
        .into_iter()
        .take(UPLOADS)
        .zip(1..)
        .map(|(file, number)| tokio::spawn(filled(router.clone(), file, number)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let together = counted();
    let commits = together.0 - alone.0;
    assert!(commits * 2 <= UPLOADS, "{commits} commits of {UPLOADS} uploads");
    assert_eq!(together.1 - alone.1, 2 * UPLOADS);
}
