//! What watches a server: is it alive, may it get requests, how is it doing. Needs no token.
//!
//! Invariant: nothing here names an image, a user or a project. Must not wait for
//! writes: a probe has to answer while they are slow.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::context::ApiState;
use super::figures;
use super::metrics::{Figure, Metrics};
use super::routing::{Routes, get};
use crate::service::Service;

/// Version of the exposition format that the metrics encoder writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The probes' routes.
pub(super) fn routes(metrics: Metrics) -> Routes {
    Routes::new()
        .route("/healthcheck", get(healthcheck))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move |state: State<ApiState>| scrape(state, metrics)))
}

/// Glance's own sign of life, for load balancers set up for it.
async fn healthcheck() -> impl IntoResponse {
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")])
}

/// Whether requests can succeed. A server that drains has closed its listener already, so the
/// one reason to say no is a commit that failed. Without its bucket a box still answers for all
/// that is recorded, and taking it out of service would help nobody: it says so and stays ready.
async fn ready(State(state): State<ApiState>) -> Response {
    match state.service.db().poisoned() {
        None if state.service.store().trouble().is_some() => {
            "ready, but image data cannot be reached now; the log says why\n".into_response()
        }
        None => "ready\n".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "a commit failed; the server must be restarted\n")
            .into_response(),
    }
}

async fn scrape(State(state): State<ApiState>, metrics: Metrics) -> Response {
    let mut moment = match state.blocking(Service::figures).await {
        Ok(figures) => figures::of_store(&figures),
        Err(error) => {
            tracing::warn!(%error, "a scrape goes without the store's figures");
            Vec::new()
        }
    };
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of this process that is in use";
        moment.push(Figure::gauge("process_resident_memory_bytes", help, bytes));
    }
    ([(header::CONTENT_TYPE, OPENMETRICS)], metrics.text(&moment)).into_response()
}

/// This process's resident memory, as the kernel tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_known_here() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
