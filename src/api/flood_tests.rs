//! Floods of requests of strangers: whatever they send, nothing of it is kept, neither in the catalog nor in memory.
//!
//! Entries are counted, not time: what grows with requests that nobody signed in for grows for ever.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

use super::ApiState;
use crate::db::Rows as _;
use crate::service::testing::{kept_of_requests, service};
use crate::service::{Service, derived_tables, fact_tables};

/// Requests of the flood.
const REQUESTS: u32 = 100_000;
/// Requests before anything is counted: what is bounded is full then.
const BEFORE: u32 = 3000;

/// The number of rows of each table, and of commits so far.
fn rows(service: &Service) -> Vec<(String, u64)> {
    let read = service.db().read().unwrap();
    let tables = fact_tables().into_iter().chain(derived_tables());
    let mut rows: Vec<(String, u64)> =
        tables.map(|table| (table.name.to_owned(), read.count(&table).unwrap())).collect();
    rows.push(("commits".into(), read.journal_next().unwrap()));
    rows
}

/// The request of this number: a bad token, a bad signature, a bad password, each in several protocols.
fn request(number: u32) -> Request<Body> {
    let unknown = blake3::hash(&number.to_le_bytes()).to_hex().to_string();
    let request =
        |method: &str, path: &str| Request::builder().method(method).uri(path).header("host", "box:9292");
    let path = match number / 3 % 5 {
        0 => "/v2/images".to_owned(),
        1 => "/v3/users".to_owned(),
        2 => "/v2/cloudimages".to_owned(),
        3 => "/tintype/v1/jobs".to_owned(),
        _ => format!("/v2/images/{unknown}/file"),
    };
    match number % 3 {
        0 => request("GET", &path).header("x-auth-token", &unknown).body(Body::empty()).unwrap(),
        1 => {
            let signed = format!(
                "SDK-HMAC-SHA256 Access={}, SignedHeaders=host;x-sdk-date, Signature={unknown}",
                &unknown[..20].to_uppercase()
            );
            let request = request("GET", &path).header("authorization", signed);
            request.header("x-sdk-date", "20231114T221320Z").body(Body::empty()).unwrap()
        }
        _ => {
            let body = format!(
                r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":
                {{"name":"{unknown}","domain":{{"id":"default"}},"password":"{unknown}"}}}}}}}}}}"#
            );
            request("POST", "/v3/auth/tokens").body(Body::from(body)).unwrap()
        }
    }
}

/// Sends the requests of these numbers, of which none is let in.
async fn flood(router: &Router, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let response = router.clone().oneshot(request(number)).await.unwrap();
        assert_eq!(response.status(), 401, "request {number}");
    }
}

async fn figures(router: &Router) -> usize {
    let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 22).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap().lines().count()
}

#[tokio::test]
async fn s39_a_hundred_thousand_strangers_leave_nothing_behind() {
    let (service, _) = service();
    let router = super::router(ApiState { service: service.clone(), public_url: None });
    flood(&router, 0..BEFORE).await;
    // Its own request is counted the first time.
    figures(&router).await;
    let before = (rows(&service), kept_of_requests(&service), figures(&router).await);
    flood(&router, BEFORE..BEFORE + REQUESTS).await;
    assert_eq!((rows(&service), kept_of_requests(&service), figures(&router).await), before);
}
