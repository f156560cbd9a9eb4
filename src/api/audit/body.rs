//! A request's body that leaves a copy of its start on its way.
//!
//! Invariant: what passes is what came, with the same length told; at most [`KEPT_BYTES_MAX`] bytes are held, and
//! none of image data.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::mask;
use crate::service::Origin;
use crate::service::audit::{REQUEST_BYTES_MAX, cut};

/// Longest body of which a copy is kept: enough for what real clients send.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// The body, watched where it may be of interest.
pub(super) fn keep(parts: &Parts, body: Body, origin: Arc<Origin>) -> Body {
    let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || media.contains("octet-stream") {
        return body;
    }
    Body::new(Watched { body, kept: Vec::new(), bytes: 0, origin, told: false })
}

struct Watched {
    body: Body,
    kept: Vec<u8>,
    bytes: usize,
    origin: Arc<Origin>,
    told: bool,
}

impl Watched {
    fn see(&mut self, data: &Bytes) {
        self.bytes += data.len();
        // Whatever is no JSON from its first byte on is data.
        let is_json = self.kept.first().or(data.first()).is_none_or(|first| b"{[ \t\r\n".contains(first));
        if self.bytes <= KEPT_BYTES_MAX && is_json {
            self.kept.extend_from_slice(data);
        } else {
            self.kept = Vec::new();
        }
    }

    fn tell(&mut self) {
        if std::mem::replace(&mut self.told, true) || self.bytes == 0 {
            return;
        }
        if self.kept.is_empty() {
            if self.bytes > KEPT_BYTES_MAX {
                self.origin.set_body(format!("{} bytes, of which no copy was kept", self.bytes));
            }
        } else if let Some(masked) = mask::masked(&self.kept) {
            self.origin.set_body(cut(masked, REQUEST_BYTES_MAX));
        }
        self.kept = Vec::new();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tell();
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.see(data);
                }
            }
            Poll::Ready(None) => self.tell(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
