//! What every request passes through, whatever its protocol: an id, a line in the log, and a net
//! under panics.
//!
//! Invariant: every response carries a request id. Must not know any path; never logs headers or
//! query strings, which may hold secrets.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::context::{ApiState, PLAIN_REQUEST_ID, REQUEST_ID, RequestId};
use super::secret_paths;

/// Longest request id that is adopted from a client, its `req-` included.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The one layer around all routes.
pub async fn pass(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let (method, path) = (request.method().clone(), secret_paths::shown(request.uri().path()).into_owned());
    let (id, adopted) = request_id(&state, request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = if adopted {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| after_panic())
    } else {
        drop(request);
        refuse_id()
    };
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_millis();
    tracing::info!(target: "tintype::access", %method, path, status, duration_ms, request_id = id, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value.clone());
        response.headers_mut().insert(PLAIN_REQUEST_ID, value);
    }
    response
}

/// The client's id where it sent a usable one, else a fresh one; `false` when the client's is refused.
fn request_id(state: &ApiState, headers: &HeaderMap) -> (String, bool) {
    let fresh = || format!("req-{}", state.service.entropy.uuid());
    let Some(sent) = headers.get(REQUEST_ID) else { return (fresh(), true) };
    match sent.to_str().ok().and_then(adopt) {
        Some(id) => (id, true),
        None => (fresh(), false),
    }
}

fn adopt(sent: &str) -> Option<String> {
    let id = if sent.starts_with("req-") { sent.to_owned() } else { format!("req-{sent}") };
    (sent.len() <= REQUEST_ID_CHARS_MAX).then_some(id)
}

fn refuse_id() -> Response {
    let text = format!("the {REQUEST_ID} header takes at most {REQUEST_ID_CHARS_MAX} characters of ASCII\n");
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text).into_response()
}

fn after_panic() -> Response {
    // The panic hook has logged where it was; here only the client is told.
    tracing::error!("a request panicked");
    (StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_adopted_with_its_prefix() {
        assert_eq!(adopt("req-abc").as_deref(), Some("req-abc"));
        assert_eq!(adopt("abc").as_deref(), Some("req-abc"));
        assert_eq!(adopt(&"x".repeat(65)), None);
    }
}
