//! Imports and captures that something gets in the way of: the file, the box, or a request from before.

use std::fs::File;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use clap::Parser;
use http::StatusCode;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

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
