//! Copies into another region, which is another box on this machine: what arrives there, what is refused, and what
//! becomes of a copy whose way breaks.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::api::context::ApiState;
use crate::api::signature::tests::Signer;
use crate::model::ImageId;
use crate::model::job::JobId;
use crate::peers::{Account, Peer};
use crate::service::images::{Region, Regions};
use crate::service::testing::{self, work_off};
use crate::service::{Actor, ErrorKind, Rules, Service};

/// What happens to a request on its way, once.
#[derive(Clone)]
enum Mischief {
    /// It does not reach the other box.
    Lost(&'static str),
    /// It does, and the answer is lost.
    Unanswered(&'static str),
    /// Of its body, only so many bytes arrive before the way breaks.
    Cut(usize),
    /// A byte of its body is another.
    Flipped,
    /// Somebody ends the job meanwhile.
    Cancelled(Box<(Service, Actor, JobId)>),
}

type Plan = Arc<Mutex<Vec<Mischief>>>;

/// Two boxes: a client of the near one, the far one, and what happens between them.
struct Boxes {
    near: Signer,
    far: Service,
    plan: Plan,
    outer: TempDir,
}

fn is_data(request: &Request) -> bool {
    request.method() == "PATCH"
}

async fn meddle(plan: Plan, request: Request, next: Next) -> Response {
    let mischief = {
        let mut plan = plan.lock().unwrap();
        let fits = plan.first().is_some_and(|mischief| match mischief {
            Mischief::Lost(method) | Mischief::Unanswered(method) => request.method().as_str() == *method,
            Mischief::Cut(_) | Mischief::Flipped | Mischief::Cancelled(_) => is_data(&request),
        });
        fits.then(|| plan.remove(0))
    };
    let broken = || StatusCode::BAD_GATEWAY.into_response();
    match mischief {
        None => next.run(request).await,
        Some(Mischief::Lost(_)) => broken(),
        Some(Mischief::Unanswered(_)) => {
            next.run(request).await;
            broken()
        }
        Some(Mischief::Cut(bytes)) => {
            let (parts, body) = request.into_parts();
            let start = to_bytes(body, 64 << 20).await.unwrap().slice(..bytes);
            let pieces = [Ok(start), Err(std::io::Error::other("cut"))];
            let body = Body::from_stream(futures::stream::iter(pieces));
            next.run(Request::from_parts(parts, body)).await;
            broken()
        }
        Some(Mischief::Flipped) => {
            let (parts, body) = request.into_parts();
            let mut bytes = to_bytes(body, 64 << 20).await.unwrap().to_vec();
            bytes[9] ^= 1;
            next.run(Request::from_parts(parts, Body::from(Bytes::from(bytes)))).await
        }
        Some(Mischief::Cancelled(job)) => {
            let (service, actor, id) = *job;
            tokio::task::spawn_blocking(move || service.cancel_job(&actor, id)).await.unwrap().unwrap();
            next.run(request).await
        }
    }
}

async fn boxes(password: &str) -> Boxes {
    boxes_with(password, testing::rules()).await
}

/// The same, with other rules of the far box.
async fn boxes_with(password: &str, rules: Rules) -> Boxes {
    let (far, _) = testing::service_with(rules);
    let plan = Plan::default();
    let meddling = plan.clone();
    let router: Router = crate::api::router(ApiState { service: far.clone(), public_url: None });
    let router =
        router.layer(middleware::from_fn(move |request, next| meddle(meddling.clone(), request, next)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let region = |name: &str, url: &str, projects: &[&str]| Region {
        name: name.into(),
        agency: "carrier".into(),
        projects: projects.iter().map(ToString::to_string).collect(),
        peer: Peer::new(Account {
            url: url.into(),
            user: "admin".into(),
            domain: "Default".into(),
            password: Zeroizing::new(password.to_owned()),
            certificates: Vec::new(),
        })
        .unwrap(),
    };
    let regions = vec![
        region("east", &url, &["*"]),
        region("closed", &url, &["else"]),
        region("away", "http://127.0.0.1:1", &["*"]),
    ];
    let outer = tempfile::tempdir().unwrap();
    let (service, _) = testing::service_with_buckets(outer.path(), testing::rules());
    Boxes { near: Signer::on(service.with_regions(Regions::new(regions))), far, plan, outer }
}

fn body(region: &str) -> Value {
    json!({"name": "far", "region": region, "project_name": "admin", "agency_name": "carrier", "description": "sent"})
}

fn content() -> Vec<u8> {
    (0..5_000_000u32).map(|n| (n / 5 % 251) as u8).collect()
}

impl Boxes {
    /// An image of the near box with [`content`].
    async fn image(&self) -> String {
        std::fs::write(self.outer.path().join("in/a.raw"), content()).unwrap();
        let asked =
            json!({"name": "near", "image_url": "in:a.raw", "min_disk": 3, "os_version": "CentOS 7.0 64bit"});
        let (_, began) = self.near.ask("POST", "/v2/cloudimages/action", &asked).await;
        self.done(began["job_id"].as_str().unwrap()).await["entities"]["image_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn ask(&self, image: &str, body: &Value) -> (u16, Value) {
        self.near.ask("POST", &format!("/v1/cloudimages/{image}/cross_region_copy"), body).await
    }

    async fn done(&self, job: &str) -> Value {
        work_off(&self.near.service).await;
        let path = format!("/v1/{}/jobs/{job}", self.near.project);
        self.near.ask("GET", &path, &Value::Null).await.1
    }

    /// The job of a copy, as it ended.
    async fn copied(&self, image: &str, body: &Value) -> Value {
        let (status, began) = self.ask(image, body).await;
        assert_eq!(status, 200, "{began}");
        self.done(began["job_id"].as_str().unwrap()).await
    }

    fn arrived(&self, job: &Value) -> Result<(crate::model::Image, Vec<u8>), ErrorKind> {
        let admin = self.far.local_admin().unwrap();
        let id = ImageId(job["entities"]["image_id"].as_str().unwrap().parse().unwrap());
        let image = self.far.show_image(&admin, &id).map_err(|error| error.kind)?;
        let reader = self.far.download_image(&admin, &id).map_err(|error| error.kind)?.reader.unwrap();
        let mut bytes = vec![0; reader.size_bytes() as usize];
        reader.read_at(0, &mut bytes).unwrap();
        Ok((image, bytes))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_across_is_the_image_in_the_other_box_with_its_attributes() {
    let boxes = boxes("admin-pw").await;
    let image = boxes.image().await;
    let job = boxes.copied(&image, &body("east")).await;
    assert_eq!(
        (&job["status"], &job["job_type"]),
        (&json!("SUCCESS"), &json!("imsCopyImageCrossRegionJob")),
        "{job}"
    );
    let (arrived, bytes) = boxes.arrived(&job).unwrap();
    assert!(bytes == content());
    assert_eq!((arrived.name.as_deref(), arrived.min_disk_gib), (Some("far"), 3));
    for (name, value) in [
        ("__originalimagename", image.clone()),
        ("__data_origin", format!("image,RegionOne,{image}")),
        ("__os_version", "CentOS 7.0 64bit".to_owned()),
        ("__description", "sent".to_owned()),
    ] {
        assert_eq!(arrived.properties.get(name), Some(&value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_way_costs_what_came_since_and_makes_no_second_image() {
    let boxes = boxes("admin-pw").await;
    let image = boxes.image().await;
    *boxes.plan.lock().unwrap() = vec![
        Mischief::Lost("POST"),
        Mischief::Unanswered("POST"),
        Mischief::Unanswered("POST"),
        Mischief::Cut(3_000_000),
        Mischief::Lost("HEAD"),
        Mischief::Unanswered("PATCH"),
        Mischief::Lost("GET"),
    ];
    let job = boxes.copied(&image, &body("east")).await;
    assert_eq!(job["status"], "SUCCESS", "{job}");
    assert!(boxes.plan.lock().unwrap().is_empty(), "all of it happened");
    assert!(boxes.arrived(&job).unwrap().1 == content());
    let admin = boxes.far.local_admin().unwrap();
    let listed =
        boxes.far.list_images(&admin, crate::service::images::Listing { limit: 10, ..Default::default() });
    assert_eq!(listed.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_otherwise_or_was_ended_is_taken_back() {
    let boxes = boxes("admin-pw").await;
    let image = boxes.image().await;
    *boxes.plan.lock().unwrap() = vec![Mischief::Flipped];
    let job = boxes.copied(&image, &body("east")).await;
    assert_eq!((&job["status"], &job["error_code"]), (&json!("FAIL"), &json!("IMG.0014")), "{job}");
    assert!(job["fail_reason"].as_str().unwrap().contains("digest"), "{job}");
    assert_eq!(boxes.arrived(&job).unwrap_err(), ErrorKind::NotFound);
    let (admin, id) = (boxes.near.service.local_admin().unwrap(), job["job_id"].as_str().unwrap());
    boxes.near.service.retry_job(&admin, JobId::parse(id).unwrap()).unwrap();
    let again = boxes.done(id).await;
    assert_eq!(again["status"], "SUCCESS", "{again}");
    assert!(boxes.arrived(&again).unwrap().1 == content());

    let (_, began) = boxes
        .ask(
            &image,
            &json!({"name": "x", "region": "east", "project_name": "admin", "agency_name": "carrier"}),
        )
        .await;
    let id = JobId::parse(began["job_id"].as_str().unwrap()).unwrap();
    let admin = boxes.near.service.local_admin().unwrap();
    let cancelled = Mischief::Cancelled(Box::new((boxes.near.service.clone(), admin, id)));
    *boxes.plan.lock().unwrap() = vec![cancelled];
    let job = boxes.done(&id.to_string()).await;
    assert_eq!(job["status"], "FAIL", "{job}");
    assert!(boxes.plan.lock().unwrap().is_empty());
    assert_eq!(boxes.arrived(&job).unwrap_err(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_across_is_refused_for_has_its_code() {
    let boxes = boxes("admin-pw").await;
    let image = boxes.image().await;
    let with = |name: &str, value: &str| {
        let mut body = body("east");
        body[name] = json!(value);
        body
    };
    for (body, wanted) in [
        (with("region", "none"), "IMG.0147"),
        (with("region", "closed"), "IMG.0147"),
        (with("region", ""), "IMG.0147"),
        (with("region", "RegionOne"), "IMG.0142"),
        (with("agency_name", "other"), "IMG.0151"),
        (with("agency_name", ""), "IMG.0151"),
        (with("project_name", ""), "IMG.0104"),
        (with("name", ""), "IMG.0013"),
    ] {
        let (status, answer) = boxes.ask(&image, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(wanted)), "{body}: {answer}");
    }
    // What only the other box can tell is told by the job.
    for (body, wanted) in [(with("project_name", "none"), "IMG.0145"), (with("region", "away"), "IMG.0014")] {
        let job = boxes.copied(&image, &body).await;
        assert_eq!((&job["status"], &job["error_code"]), (&json!("FAIL"), &json!(wanted)), "{job}");
    }
    for number in 0..5 {
        assert_eq!(boxes.ask(&image, &with("name", &format!("copy {number}"))).await.0, 200);
    }
    let (_, answer) = boxes.ask(&image, &with("name", "one more")).await;
    assert_eq!(answer["error"]["code"], "IMG.0149", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_too_large_there_fails_the_job() {
    let boxes = boxes_with("admin-pw", Rules { image_bytes_max: 1_000_000, ..testing::rules() }).await;
    let image = boxes.image().await;
    let job = boxes.copied(&image, &body("east")).await;
    assert_eq!((&job["status"], &job["error_code"]), (&json!("FAIL"), &json!("IMG.0146")), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_let_in_fails_the_job_and_tells_no_password() {
    let boxes = boxes("hunter2").await;
    let image = boxes.image().await;
    let job = boxes.copied(&image, &body("east")).await;
    assert_eq!((&job["status"], &job["error_code"]), (&json!("FAIL"), &json!("IMG.0151")), "{job}");
    assert!(!job.to_string().contains("hunter2"));
}
