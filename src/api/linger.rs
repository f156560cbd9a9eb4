//! Answers that reach a client which is still sending.
//!
//! A socket that is closed with unread data in it resets the connection, and the reset destroys
//! the answer on its way. So a body that nobody read to its end is read off when it is small;
//! after a large one the connection ends in two steps, first our side and then, once the client
//! is done or out of time, theirs.
//!
//! Invariant: what is thrown away is never kept, and bounded in time. Must not know any path.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

/// Largest unread body that is read off to keep the connection: any refused JSON document.
const DRAIN_BYTES_MAX: u64 = 64 << 10;
/// How long a client may take to send that much.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a closing connection is read in all: some clients look for the answer only after
/// they have sent everything.
const LINGER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long it may stand still in that time.
const LINGER_IDLE_MAX: Duration = Duration::from_secs(5);
/// What is read off at once.
const LINGER_READ_BYTES: usize = 64 << 10;

/// Whether a connection has to end with its client still sending. Shared by its requests.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Something was left unread.
    pub(super) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether anything was.
    pub(super) fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request body's way back: when the handler drops it unread, the rest lands here.
pub(super) struct Rest {
    body: Arc<Mutex<Option<Body>>>,
    /// The client waits for `100 Continue` and may have sent nothing; reading would invite it to.
    waits: bool,
}

/// Has the rest of a request's body come back when it is dropped.
pub(super) fn watch(request: Request<Body>) -> (Request<Body>, Rest) {
    let slot = Arc::new(Mutex::new(None));
    let rest = Rest { body: slot.clone(), waits: request.headers().contains_key(header::EXPECT) };
    (request.map(|body| Body::new(Watched { body, slot })), rest)
}

impl Rest {
    /// Reads off what was left, if that is little; `false` when some is left still.
    pub(super) async fn finish(self) -> bool {
        let left = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else { return true };
        let little = http_body::Body::size_hint(&body).upper().is_some_and(|bytes| bytes <= DRAIN_BYTES_MAX);
        if self.waits || !little {
            return false;
        }
        let read = async {
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok::<_, axum::Error>(())
        };
        matches!(timeout(DRAIN_TIME_MAX, read).await, Ok(Ok(())))
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
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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

/// A stream lent to the HTTP implementation, which only ever drops it.
pub(super) struct Lent<S> {
    stream: Option<S>,
    back: Option<oneshot::Sender<S>>,
}

/// Lends a stream; it comes back through the second value when the borrower drops it.
pub(super) fn lend<S>(stream: S) -> (Lent<S>, oneshot::Receiver<S>) {
    let (back, returned) = oneshot::channel();
    (Lent { stream: Some(stream), back: Some(back) }, returned)
}

impl<S: Unpin> Lent<S> {
    /// The stream, which is there until the drop.
    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut S>> {
        self.get_mut().stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it: then this closes it, as a drop does.
            let _ = back.send(stream);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

/// Ends a connection whose client may be sending still: tells it that nothing more comes, then
/// throws away what arrives until it closes its side or runs out of time.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let end = Instant::now() + LINGER_TIME_MAX;
    let mut scratch = vec![0; LINGER_READ_BYTES];
    loop {
        let idle = Instant::now() + LINGER_IDLE_MAX;
        match timeout_at(end.min(idle), stream.read(&mut scratch)).await {
            Ok(Ok(bytes)) if bytes > 0 => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: Body) -> Request<Body> {
        Request::new(body)
    }

    fn endless() -> Body {
        let piece: Result<bytes::Bytes, io::Error> = Ok("x".into());
        Body::from_stream(futures::stream::iter([piece]))
    }

    #[tokio::test]
    async fn a_small_body_that_was_refused_is_read_off() {
        let (request, rest) = watch(sent(Body::from("never looked at")));
        drop(request);
        assert!(rest.body.lock().unwrap().is_some());
        assert!(rest.finish().await);
    }

    #[tokio::test]
    async fn a_body_that_was_read_leaves_nothing() {
        let (request, rest) = watch(sent(Body::from("read")));
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&bytes[..], b"read");
        assert!(rest.body.lock().unwrap().is_none());
        assert!(rest.finish().await);
    }

    #[tokio::test]
    async fn a_body_that_is_large_or_of_unknown_length_is_left() {
        let large = Body::from(vec![0; DRAIN_BYTES_MAX as usize + 1]);
        for body in [large, endless()] {
            let (request, rest) = watch(sent(body));
            drop(request);
            assert!(!rest.finish().await);
        }
    }

    #[tokio::test]
    async fn a_client_that_waits_for_leave_is_not_invited_to_send() {
        let mut request = sent(Body::from("not sent yet"));
        request.headers_mut().insert(header::EXPECT, header::HeaderValue::from_static("100-continue"));
        let (request, rest) = watch(request);
        drop(request);
        assert!(!rest.finish().await);
    }

    #[tokio::test]
    async fn a_lent_stream_comes_back() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut lent, back) = lend(ours);
        lent.write_all(b"answer").await.unwrap();
        drop(lent);
        let stream = back.await.unwrap();
        let closing = tokio::spawn(close(stream));
        theirs.write_all(&[0; 1000]).await.unwrap();
        let mut heard = String::new();
        theirs.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
        drop(theirs);
        closing.await.unwrap();
    }
}
