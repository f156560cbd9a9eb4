//! Requests as they go over the wire: counted, bounded in number, and their answers told apart by
//! whether asking again can help.
//!
//! Invariant: no more than the given number of requests are under way, bodies included. An answer
//! that says "not now" becomes an [`HttpError`], as no answer is; one that says "never" becomes
//! [`Refused`]. Must not know what is asked for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_RANGE, RANGE};
use http::{Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService, ReqwestConnector,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counts::Counts;

/// Of an error's body, what is passed on, in bytes: enough for S3's code and message.
const TEXT_BYTES_MAX: usize = 400;

/// Makes clients that share one bound and one set of counts.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    counts: Arc<Counts>,
    slots: Arc<Semaphore>,
}

impl Wire {
    pub(super) fn new(counts: Arc<Counts>, requests_max: usize) -> Wire {
        Wire { counts, slots: Arc::new(Semaphore::new(requests_max)) }
    }
}

impl HttpConnector for Wire {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Metered { inner, wire: self.clone() }))
    }
}

/// An answer that asking again does not change.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    text: String,
}

/// An answer that says "not now".
#[derive(Debug)]
struct Busy(StatusCode, String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket refused a request with {}: {}", self.status, self.text)
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket answered {}: {}", self.0, self.1)
    }
}

impl std::error::Error for Refused {}
impl std::error::Error for Busy {}

#[derive(Debug)]
struct Metered {
    inner: HttpClient,
    wire: Wire,
}

#[async_trait]
impl HttpService for Metered {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let slot = self.wire.slots.clone().acquire_owned().await;
        let slot = slot.map_err(|closed| HttpError::new(HttpErrorKind::Unknown, closed))?;
        let ranged = request.headers().contains_key(RANGE);
        // Answers of these begin before the work is done, so a failure comes inside a success.
        let late = request.method() == Method::POST || request.headers().contains_key("x-amz-copy-source");
        self.wire.counts.requests.add(1);
        let answer = match self.inner.execute(request).await {
            Ok(answer) => judge(answer, ranged, late, slot).await,
            Err(error) => Err(error),
        };
        answer.inspect_err(|error| {
            if refusal(error).is_none() {
                self.wire.counts.requests_failed.add(1);
            }
        })
    }
}

/// Tells answers apart; keeps `slot` for as long as the answer's body is read.
async fn judge(
    mut answer: HttpResponse,
    ranged: bool,
    late: bool,
    slot: OwnedSemaphorePermit,
) -> Result<HttpResponse, HttpError> {
    let status = answer.status();
    if status == StatusCode::OK && ranged && answer.headers().contains_key(CONTENT_RANGE) {
        // Some servers send the range, name it, and get the status wrong.
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if status.is_success() && late {
        let (head, body) = answer.into_parts();
        let body = body.bytes().await?;
        if body.windows(7).any(|window| window == b"<Error>") {
            return Err(busy(StatusCode::INTERNAL_SERVER_ERROR, &body));
        }
        return Ok(HttpResponse::from_parts(head, body.into()));
    }
    match status {
        // What the crate has an error of its own for.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED => {}
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            return Err(busy(status, &answer.into_body().bytes().await?));
        }
        StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => {
            return Err(refused(status, &answer.into_body().bytes().await?));
        }
        _ if status.is_server_error() => return Err(busy(status, &answer.into_body().bytes().await?)),
        _ if status.is_client_error() => return Err(refused(status, &answer.into_body().bytes().await?)),
        _ => {}
    }
    Ok(answer.map(|body| HttpResponseBody::new(Occupying { body, _slot: slot })))
}

fn busy(status: StatusCode, body: &[u8]) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, Busy(status, text(body)))
}

fn refused(status: StatusCode, body: &[u8]) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Refused { status, text: text(body) })
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(TEXT_BYTES_MAX)]).trim().replace('\n', " ")
}

/// The first error of a type among the causes of a failure.
fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The refusal a failure comes from, if it is one.
pub(super) fn refusal<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refused> {
    cause(error)
}

/// Whether asking again may help: there was no answer, not now, or it could not be read.
pub(super) fn is_passing(error: &object_store::Error) -> bool {
    let broken = cause::<HttpError>(error).is_some() || cause::<quick_xml::DeError>(error).is_some();
    broken && refusal(error).is_none()
}

/// A body that occupies its request's slot until it is read or dropped.
struct Occupying {
    body: HttpResponseBody,
    _slot: OwnedSemaphorePermit,
}

impl Body for Occupying {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
    use super::*;

    async fn judged(status: u16, body: &'static str, ranged: bool, late: bool) -> Result<u16, HttpError> {
        let slots = Arc::new(Semaphore::new(1));
        let answer = http::Response::builder().status(status).header(CONTENT_RANGE, "bytes 0-1/2");
        let answer = answer.body(HttpResponseBody::from(body.to_owned())).unwrap();
        let slot = slots.clone().acquire_owned().await.unwrap();
        let outcome = judge(answer, ranged, late, slot).await;
        if let Ok(answer) = &outcome
            && !late
        {
            assert_eq!(slots.available_permits(), 0, "{answer:?} let go of its slot");
        }
        let outcome = outcome.map(|answer| answer.status().as_u16());
        assert_eq!(slots.available_permits(), 1);
        outcome
    }

    fn generic(error: HttpError) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: Box::new(error) }
    }

    #[tokio::test]
    async fn not_now_and_never_are_told_apart() {
        for status in [500, 502, 503, 429, 408] {
            let error = judged(status, "<Code>SlowDown</Code>", false, false).await.unwrap_err();
            assert!(error.to_string().contains("SlowDown"), "{error}");
            assert!(is_passing(&generic(error)), "{status}");
        }
        for status in [400, 405, 416, 501, 507] {
            let error = judged(status, "no", false, false).await.unwrap_err();
            assert_eq!(refusal(&error).unwrap().status, status);
            assert!(!is_passing(&generic(error)), "{status}");
        }
        for status in [401, 403, 404, 409, 412] {
            assert_eq!(judged(status, "", false, false).await.unwrap(), status);
        }
    }

    #[tokio::test]
    async fn a_failure_inside_a_success_is_one() {
        let text = "<Error><Code>InternalError</Code></Error>";
        assert!(is_passing(&generic(judged(200, text, false, true).await.unwrap_err())));
        assert_eq!(judged(200, "<CompleteMultipartUploadResult/>", false, true).await.unwrap(), 200);
        // An object may hold such a text.
        assert_eq!(judged(200, text, false, false).await.unwrap(), 200);
    }

    #[tokio::test]
    async fn a_range_that_is_named_counts_as_one() {
        assert_eq!(judged(200, "ab", true, false).await.unwrap(), 206);
        assert_eq!(judged(200, "ab", false, false).await.unwrap(), 200);
    }
}
