//! What every request passes through, whatever its protocol: an id, a line in the log, a net
//! under panics, and an end for bodies that nobody read.
//!
//! Invariant: every response carries a request id, and a refusal reaches a client that is still
//! sending. Must not know any path; never logs headers or query strings, which may hold secrets.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http_body_util::BodyExt;

use super::context::{ApiState, REQUEST_ID, RequestId};

/// Longest request id that is adopted from a client, its `req-` included.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// What is read and thrown away of an upload that was refused: enough for a client that looks
/// at the answer only after it has sent everything it had buffered.
const DRAIN_BYTES_MAX: usize = 1 << 20;
/// How long a refused upload may take to send that much.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// The one layer around all routes.
pub async fn pass(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let started = tokio::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (id, adopted) = request_id(&state, request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (request, unread) = watch_body(request);
    let mut response = if adopted {
        AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| after_panic())
    } else {
        drop(request);
        refuse_id()
    };
    if let Some(unread) = unread
        && !response.status().is_success()
    {
        unread.drain().await;
    }
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_millis();
    tracing::info!(target: "tintype::access", %method, path, status, duration_ms, request_id = id, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
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

/// A request body's way back: when the handler drops it unread, the rest lands here.
struct Unread(Arc<Mutex<Option<Body>>>);

fn watch_body(request: Request) -> (Request, Option<Unread>) {
    // A client that waits for `100 Continue` has sent nothing yet, and reading would invite it to.
    let waits = request.headers().contains_key(header::EXPECT);
    if waits || http_body::Body::is_end_stream(request.body()) {
        return (request, None);
    }
    let slot = Arc::new(Mutex::new(None));
    let unread = Unread(slot.clone());
    let request = request.map(|body| Body::new(Watched { body, slot }));
    (request, Some(unread))
}

impl Unread {
    async fn drain(self) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else { return };
        let read = async {
            let mut bytes = 0;
            while bytes < DRAIN_BYTES_MAX
                && let Some(Ok(frame)) = body.frame().await
            {
                bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
            }
        };
        // Past the deadline the connection is closed instead, by hyper, as the body is dropped.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, read).await;
    }
}

struct Watched {
    body: Body,
    slot: Arc<Mutex<Option<Body>>>,
}

impl http_body::Body for Watched {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !http_body::Body::is_end_stream(&self.body) {
            let body = std::mem::replace(&mut self.body, Body::empty());
            *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
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

    #[tokio::test]
    async fn a_body_that_was_refused_is_drained() {
        let request = Request::new(Body::from("never looked at"));
        let (request, unread) = watch_body(request);
        let unread = unread.unwrap();
        drop(request);
        assert!(unread.0.lock().unwrap().is_some());
        unread.drain().await;
    }

    #[tokio::test]
    async fn a_body_that_was_read_leaves_nothing() {
        let (request, unread) = watch_body(Request::new(Body::from("read")));
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&bytes[..], b"read");
        assert!(unread.unwrap().0.lock().unwrap().is_none());
    }
}
