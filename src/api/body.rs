//! Bodies of image data: a request's, as use cases take it, and an answer's, as it goes out.
//!
//! Invariants: nothing of them is held here but the first piece of an answer; a client that stops sending ends its body; an answer
//! begins when its first bytes are there, so that what cannot be had is refused with its reason.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::model::ImageId;
use crate::service::Error;
use crate::service::images::BodyBroken;

/// How long a body may stand still before it counts as broken off.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// The body's data, ended with an error when the client stops sending.
pub fn frames(body: Body) -> impl Stream<Item = Result<Bytes, BodyBroken>> + Send + 'static {
    stream::unfold(Some(body.into_data_stream()), |stream| async {
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

/// A body of these bytes of an image, the first of which are there.
///
/// # Errors
/// Why there are none. What goes wrong later can only break the body off.
pub async fn begun<S, E>(bytes: S, id: ImageId) -> Result<Body, Error>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Error> + Send + 'static,
{
    let mut bytes = Box::pin(bytes.map_err(Into::into));
    let Some(first) = bytes.try_next().await? else { return Ok(Body::empty()) };
    let rest = bytes.or_else(move |error: Error| async move {
        tracing::error!(image = %id, %error, "data on its way out ends early");
        // A connection that breaks off keeps back what was not written yet: whoever asks for the rest would ask for the same
        // again, and never hear the reason.
        tokio::task::yield_now().await;
        Err(std::io::Error::other(error.message))
    });
    Ok(Body::from_stream(stream::iter([Ok(first)]).chain(rest)))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http_body_util::BodyExt;

    use super::*;
    use crate::service::ErrorKind;

    #[tokio::test]
    async fn what_cannot_begin_is_refused_and_what_breaks_off_is_sent_as_far_as_it_came() {
        let id = ImageId::parse("00000000-0000-4000-8000-000000000000").unwrap();
        let bad = || Err(Error::new(ErrorKind::UnsupportedContent, "bad data"));
        let good = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        let refused = begun(stream::iter([bad(), good("a")]), id).await.unwrap_err();
        assert_eq!((refused.kind, refused.message.as_str()), (ErrorKind::UnsupportedContent, "bad data"));
        let mut body = begun(stream::iter([good("a"), good("b"), bad()]), id).await.unwrap();
        for text in ["a", "b"] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        assert!(body.frame().now_or_never().is_none(), "what came is written first");
        assert!(body.frame().await.unwrap().is_err());
        let nothing = stream::empty::<Result<Bytes, Error>>();
        assert!(begun(nothing, id).await.unwrap().frame().await.is_none());
    }
}
