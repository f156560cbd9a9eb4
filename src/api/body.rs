//! A request's body of image data, as use cases take it.
//!
//! Invariant: nothing of it is held here, and a client that stops sending ends it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt};

use crate::service::images::BodyBroken;

/// How long a body may stand still before it counts as broken off.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// The body's data, ended with an error when the client stops sending.
pub fn frames(body: Body) -> impl Stream<Item = Result<Bytes, BodyBroken>> + Send + 'static {
    futures::stream::unfold(Some(body.into_data_stream()), |stream| async {
        let mut stream = stream?;
        match tokio::time::timeout(IDLE_MAX, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(BodyBroken(error.to_string())), None)),
            Err(_) => {
                let waited = IDLE_MAX.as_secs();
                Some((Err(BodyBroken(format!("nothing arrived for {waited} seconds"))), None))
            }
        }
    })
}
