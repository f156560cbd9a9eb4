//! What a scrape of `/metrics` shows of the port: requests, their time, bytes in and out.
//!
//! Invariant: every label comes from a closed list, so that no client can grow this process by
//! asking for odd paths. Counting never changes what passes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the duration buckets, in seconds: metadata answers in milliseconds, a large upload
/// takes minutes.
const DURATION_BUCKETS_S: [f64; 12] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 300.0, 1800.0];

/// The route of an upload, and that of a part of one: they have a gauge of their own.
const UPLOAD: &str = "/v2/images/{image}/file";
/// See [`UPLOAD`].
const PART: &str = "/tintype/v1/images/{image}/uploads/{upload}";

/// The port's figures. Cheap to share.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    received: Counter,
    sent: Counter,
    uploads: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

/// A figure that is read when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    name: &'static str,
    help: &'static str,
    value: u64,
    grows: bool,
}

impl Figure {
    /// A figure that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name, help, value, grows: false }
    }

    /// A figure that only grows while the process lives.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name, help, value, grows: true }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations: Family<RouteLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_S));
        let (received, sent, uploads) = (Counter::default(), Counter::default(), Gauge::default());
        let mut registry = Registry::with_prefix("tintype");
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until a request's answer began",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register_with_unit(
            "http_received",
            "Body bytes that arrived",
            Unit::Bytes,
            received.clone(),
        );
        registry.register_with_unit("http_sent", "Body bytes that were sent", Unit::Bytes, sent.clone());
        registry.register("uploads_running", "Uploads of image data that are under way", uploads.clone());
        Metrics { inner: Arc::new(Inner { registry, requests, durations, received, sent, uploads }) }
    }
}

impl Metrics {
    /// The figures in the OpenMetrics text format, with `more` of the moment before them.
    pub fn text(&self, more: &[Figure]) -> String {
        let mut text = String::new();
        let mut moment = Registry::default();
        for Figure { name, help, value, grows } in more {
            if *grows {
                moment.register(*name, *help, ConstCounter::new(*value));
            } else {
                moment.register(*name, *help, ConstGauge::new(*value));
            }
        }
        // Writing to a String does not fail.
        let _ = encode_registry(&mut text, &moment);
        let _ = encode(&mut text, &self.inner.registry);
        text
    }
}

/// Counts what passes. One layer around all routes.
pub async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let labels = RouteLabels { method: method(request.method()), route: route(&request) };
    let inner = &metrics.inner;
    let uploads = [("PUT", UPLOAD), ("PATCH", PART)];
    let uploading =
        uploads.contains(&(labels.method, labels.route.as_str())).then(|| Running::of(&inner.uploads));
    let received = inner.received.clone();
    let response = next.run(request.map(|body| Counted::wrap(body, received))).await;
    drop(uploading);
    inner.durations.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    let RouteLabels { method, route } = labels;
    let status = response.status().as_u16();
    inner.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    response.map(|body| Counted::wrap(body, inner.sent.clone()))
}

fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The route's pattern: the router's own, or one of the Image API's, which routes by itself.
fn route(request: &Request) -> String {
    if let Some(path) = request.extensions().get::<MatchedPath>() {
        return path.as_str().to_owned();
    }
    let segments: Vec<&str> = request.uri().path().split('/').skip(1).take(7).collect();
    let pattern = match segments.as_slice() {
        ["" | "versions"] => "/",
        ["v2", "images"] => "/v2/images",
        ["v2", "images", _] => "/v2/images/{image}",
        ["v2", "images", _, "file"] => UPLOAD,
        ["v2", "images", _, "members"] => "/v2/images/{image}/members",
        ["v2", "images", _, "members", _] => "/v2/images/{image}/members/{member}",
        ["v2", "images", _, "tags", _] => "/v2/images/{image}/tags/{tag}",
        ["v2", "images", _, "actions", _] => "/v2/images/{image}/actions/{action}",
        ["v2", "schemas", _] => "/v2/schemas/{schema}",
        ["v2", "info", "usage"] => "/v2/info/usage",
        ["v2", ..] => "/v2/other",
        _ => "other",
    };
    pattern.to_owned()
}

/// One more, until it is dropped: a request that is cut off counts down too.
struct Running(Gauge);

impl Running {
    fn of(gauge: &Gauge) -> Running {
        gauge.inc();
        Running(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A body that counts the bytes of itself that pass.
struct Counted {
    body: Body,
    counter: Counter,
}

impl Counted {
    fn wrap(body: Body, counter: Counter) -> Body {
        if http_body::Body::is_end_stream(&body) { body } else { Body::new(Counted { body, counter }) }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.counter.inc_by(data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::{get, put};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(metrics: &Metrics, method: &str, path: &str, body: &'static str) {
        let router = Router::new()
            .route("/users/{user}", get(|| async { "four" }))
            .fallback(put(|body: Bytes| async move { drop(body) }))
            .layer(from_fn_with_state(metrics.clone(), measure));
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        router.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    }

    #[tokio::test]
    async fn requests_and_bytes_are_counted_by_pattern() {
        let metrics = Metrics::default();
        ask(&metrics, "GET", "/users/ann", "").await;
        ask(&metrics, "GET", "/users/bob", "").await;
        ask(&metrics, "PUT", "/v2/images/1234/file", "123456").await;
        let text = metrics.text(&[
            Figure::gauge("process_resident_memory_bytes", "Memory in use", 7),
            Figure::counter("tintype_store_reclaims", "Reclaims", 8),
        ]);
        for line in [
            "tintype_http_requests_total{method=\"GET\",route=\"/users/{user}\",status=\"200\"} 2",
            "tintype_http_requests_total{method=\"PUT\",route=\"/v2/images/{image}/file\",status=\"200\"} 1",
            "tintype_http_received_bytes_total 6",
            "tintype_http_sent_bytes_total 8",
            "tintype_uploads_running 0",
            "process_resident_memory_bytes 7",
            "tintype_store_reclaims_total 8",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn odd_requests_share_one_label() {
        let metrics = Metrics::default();
        for n in 0..50 {
            ask(&metrics, &format!("ODD{n}"), &format!("/x{n}/y"), "").await;
        }
        let text = metrics.text(&[]);
        assert_eq!(text.matches("http_requests_total{").count(), 1, "{text}");
    }

    #[tokio::test]
    async fn counting_keeps_a_bodys_length() {
        let body = Counted::wrap(Body::from("abc"), Counter::default());
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3));
    }
}
