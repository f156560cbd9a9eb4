//! Imports and captures that something gets in the way of: the file, the box, or a request from before.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use clap::Parser;
use http::StatusCode;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::super::super::client::Target;
use super::super::super::failure::Status;
use super::super::capture::Capture;
use super::*;
use crate::api::context::{ApiState, LocalAdmin};
use crate::api::server::{self, Listener};
use crate::daemon::data_dir::DataDir;
use crate::disk::Source;
use crate::service::testing;

const MIB: u64 = 1 << 20;

/// What happens when a request comes: perhaps an answer in the place of the box's own.
type Hook = Arc<dyn Fn(&Method, &str) -> Option<StatusCode> + Send + Sync>;

/// The arguments of a command.
#[derive(Parser)]
struct Line<T: Args> {
    #[command(flatten)]
    command: T,
}

fn parsed<T: Args>(arguments: &[&str]) -> T {
    Line::<T>::try_parse_from([&["tintype"], arguments].concat()).ok().unwrap().command
}

fn nothing() -> Hook {
    Arc::new(|_, _| None)
}

/// A box, the folder of its control socket and of files, and its routes for another client.
struct Bench {
    dir: tempfile::TempDir,
    routes: Router,
}

impl Bench {
    fn new() -> Bench {
        let state = ApiState { service: testing::service().0, public_url: None };
        let routes = crate::api::router(state).layer(axum::Extension(LocalAdmin));
        Bench { dir: tempfile::tempdir().unwrap(), routes }
    }

    /// A client of the box whose requests come past the hook.
    async fn client(&self, hook: Hook) -> Client {
        let data = self.dir.path();
        std::fs::write(data.join("catalog.redb"), b"").unwrap();
        let socket = DataDir::open(data).unwrap().control_socket();
        let listener = Listener::Control(UnixListener::bind(socket).unwrap());
        let router = self.routes.clone().layer(from_fn(move |request: Request, next: Next| {
            let hook = hook.clone();
            async move {
                match hook(request.method(), request.uri().path()) {
                    Some(status) => status.into_response(),
                    None => next.run(request).await,
                }
            }
        }));
        tokio::spawn(server::serve(listener, router, server::Options::default(), CancellationToken::new()));
        let target = Target { data: Some(data.to_owned()), config: None, cloud: None };
        target.connect().await.ok().unwrap()
    }

    /// A file of so many bytes, and its path.
    fn file(&self, bytes: u64) -> (File, String) {
        let path = self.dir.path().join("disk.raw");
        std::fs::write(&path, vec![7; bytes as usize]).unwrap();
        (File::options().write(true).open(&path).unwrap(), path.to_str().unwrap().to_owned())
    }

    /// What another client sends of an upload, from this byte on.
    fn patch(&self, upload: &str, offset: u64, bytes: Vec<u8>) {
        let request = Request::builder().method(Method::PATCH).uri(upload);
        let request = request.header("tus-resumable", "1.0.0").header("upload-offset", offset);
        let request = request.header("content-type", "application/offset+octet-stream");
        let sent = self.routes.clone().oneshot(request.body(Body::from(bytes)).unwrap());
        let answer = block_in_place(|| Handle::current().block_on(sent)).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
}

async fn images(client: &Client) -> Vec<Value> {
    client.get(Api::Image, "/v2/images").await.unwrap()["images"].as_array().unwrap().clone()
}

const QUIET: Output = Output { json: true };

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_another_length_at_its_end_is_no_image() {
    for (way, length, how) in [
        ("parts", 1000, "shorter"),
        ("parts", 4 * MIB, "longer"),
        ("one", 1000, "shorter"),
        ("one", 4 * MIB, "longer"),
        ("capture", 1000, "shorter"),
    ] {
        let bench = Bench::new();
        let (file, path) = bench.file(3 * MIB);
        // It is open, and its length is known, when the image is registered.
        let hook: Hook = Arc::new(move |method, path| {
            if (method, path) == (&Method::POST, "/v2/images") {
                file.set_len(length).unwrap();
            }
            None
        });
        let client = bench.client(hook).await;
        let ended = match way {
            "parts" => parsed::<Import>(&[&path]).run(&client, QUIET).await,
            "one" => parsed::<Import>(&[&path, "--convert", "raw"]).run(&client, QUIET).await,
            _ => parsed::<Capture>(&[&path]).run(&client, QUIET).await,
        };
        let failure = ended.unwrap_err();
        let said = format!("{path}: became {how} while it was read (3145728 -> {length} bytes)");
        assert_eq!((failure.message, failure.status), (said, Status::Failed), "{way}");
        assert_eq!(images(&client).await, [Value::Null; 0], "{way}");
    }
}

/// A disk whose second MiB cannot be read.
struct Worn;

impl Source for Worn {
    fn size_bytes(&self) -> u64 {
        3 * MIB
    }

    fn read_exact_at(&self, at: u64, _: &mut [u8]) -> io::Result<()> {
        if at == MIB { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_at_once_and_by_its_name() {
    let bench = Bench::new();
    let client = bench.client(nothing()).await;
    let record = json!({"name": "disk", "disk_format": "raw", "container_format": "bare"});
    let created = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await.unwrap();
    let created = created.json().await.unwrap();
    let data = Data::Disk("nbd://box/".into(), Arc::new(Worn));
    let id = created["id"].as_str().unwrap();
    let sending = Sending::begin(&client, data, id, 3 * MIB, None).await.ok().unwrap();
    let began = std::time::Instant::now();
    let failure = sending.run(&client, &Interruption::listen()).await.unwrap_err();
    let said = "nbd://box/: reading 1048576 bytes at 1048576: Input/output error (os error 5)";
    assert_eq!((failure.message.as_str(), failure.remedy), (said, Remedy::Repair));
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
}

/// Goes on with an import of which more arrives, from before, when the box is asked where it stands: all of it
/// bytes of the file, or others.
async fn gone_on_with(is_of_file: bool) -> (Result<(), Failure>, Vec<u8>) {
    let bench = Arc::new(Bench::new());
    let (file, path) = bench.file(3 * MIB);
    file.write_all_at(&[1; 100], MIB + 100).unwrap();
    let (begun, asked) = (Arc::new(std::sync::Mutex::new(String::new())), AtomicBool::new(false));
    let (other, upload) = (bench.clone(), begun.clone());
    let bytes = std::fs::read(&path).unwrap()[MIB as usize..2 * MIB as usize].to_vec();
    let bytes = if is_of_file { bytes } else { vec![7; MIB as usize] };
    let client = bench.client(Arc::new(move |method, _| {
        if method == Method::HEAD && !asked.swap(true, Ordering::Relaxed) {
            other.patch(&upload.lock().unwrap(), MIB, bytes.clone());
        }
        None
    }));
    let client = client.await;
    let record = json!({"name": "disk", "disk_format": "raw", "container_format": "bare"});
    let created = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await.unwrap();
    let id = created.json().await.unwrap()["id"].as_str().unwrap().to_owned();
    let data = Data::File(path.clone().into());
    Sending::begin(&client, data, &id, 3 * MIB, None).await.ok().unwrap();
    let uploads = format!("/images/{id}/uploads");
    let found = client.get(Api::Native, &uploads).await.unwrap();
    *begun.lock().unwrap() = format!("/tintype/v1{uploads}/{}", found["uploads"][0]["id"].as_str().unwrap());
    bench.patch(&begun.lock().unwrap().clone(), 0, vec![7; MIB as usize]);
    let ended = parsed::<Import>(&[&path, "--resume"]).run(&client, QUIET).await;
    let mut stored = Vec::new();
    if ended.is_ok() {
        let reply = client.call(Method::GET, Api::Image, &format!("/v2/images/{id}/file")).await.unwrap();
        let pieces: Vec<Bytes> = reply.bytes().try_collect().await.unwrap();
        stored = pieces.concat();
        assert!(stored == std::fs::read(&path).unwrap());
    }
    (ended, stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_late_of_a_broken_request_is_compared_too() {
    let (ended, stored) = gone_on_with(true).await;
    assert!(ended.is_ok() && stored.len() as u64 == 3 * MIB, "{ended:?}");
    let (ended, _) = gone_on_with(false).await;
    let failure = ended.unwrap_err();
    let said = "the 2097152 bytes that have arrived are not this file's first ones";
    assert!(failure.status == Status::NotFound && failure.message.contains(said), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_taken_back_is_named() {
    for way in ["import", "capture"] {
        let bench = Bench::new();
        let (_, path) = bench.file(MIB);
        let client = bench.client(Arc::new(|method, path| {
            let is_lost = *method == Method::DELETE || path.ends_with("/stage") || path.ends_with("/uploads");
            is_lost.then_some(StatusCode::BAD_GATEWAY)
        }));
        let client = client.await;
        let ended = match way {
            "import" => parsed::<Import>(&[&path, "--convert", "raw"]).run(&client, QUIET).await,
            _ => parsed::<Capture>(&[&path]).run(&client, QUIET).await,
        };
        let failure = ended.unwrap_err();
        let left = images(&client).await;
        let id = left[0]["id"].as_str().unwrap();
        let said = format!(
            "502 Bad Gateway; image {id} is left there, without its data; delete it (tintype image delete {id})"
        );
        assert_eq!(failure.message, said, "{way}");
    }
}
