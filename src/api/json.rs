//! JSON from strangers: a body of bounded length and time, one value, of bounded depth, in UTF-8.
//!
//! Invariant: nothing deeper than [`JSON_DEPTH_MAX`] reaches the parser's stack, and no client
//! holds a request open by not sending it. Must not know what the value means.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::base::limits::{JSON_BODY_BYTES_MAX, JSON_BODY_TIME_MAX_S, JSON_DEPTH_MAX};

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than were allowed.
    TooLarge,
    /// It did not end in time.
    TooSlow,
    /// The client broke it off.
    Broken,
}

impl BodyError {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// What the client hears.
    pub fn message(self) -> String {
        match self {
            BodyError::TooLarge => format!("a JSON body may have at most {JSON_BODY_BYTES_MAX} bytes"),
            BodyError::TooSlow => {
                format!("the request body did not arrive within {JSON_BODY_TIME_MAX_S} seconds")
            }
            BodyError::Broken => "the request body could not be read".into(),
        }
    }
}

/// Reads a whole body of at most `bytes_max` bytes.
///
/// # Errors
/// Why it could not be read.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    read_within(Duration::from_secs(JSON_BODY_TIME_MAX_S), body, bytes_max).await
}

async fn read_within(time_max: Duration, body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Reads one JSON value.
///
/// # Errors
/// What is wrong with it, in words for the client.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| format!("the body is not valid JSON: {error}"))
}

/// Reads one JSON value straight into what it is to be: what is there twice is still seen to be so.
///
/// # Errors
/// What is wrong with it, and where, in words for the client.
pub fn parse_into<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| format!("the body does not fit: {error}"))
}

fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("this request needs a JSON body".into());
    }
    if depth(bytes) > JSON_DEPTH_MAX {
        return Err(format!("the JSON body is nested deeper than {JSON_DEPTH_MAX} levels"));
    }
    Ok(())
}

/// The deepest nesting of brackets outside strings; no parser's stack is at stake in counting.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_ends_within_its_bounds_or_is_refused() {
        assert_eq!(read(Body::from("{}"), 2).await.unwrap(), "{}");
        assert_eq!(read(Body::from("{ }"), 2).await, Err(BodyError::TooLarge));
        let broken: Result<Bytes, std::io::Error> = Err(std::io::ErrorKind::ConnectionReset.into());
        let broken = Body::from_stream(futures::stream::iter([broken]));
        assert_eq!(read(broken, 2).await, Err(BodyError::Broken));
        // A byte now and then: never still for long, and never done.
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        });
        let read = read_within(Duration::from_millis(50), Body::from_stream(trickle), 1 << 20);
        assert_eq!(read.await, Err(BodyError::TooSlow));
    }

    #[test]
    fn nesting_is_counted_outside_strings() {
        assert_eq!(depth(br#"{"a":["[[[[",{"b":"\"]"}]}"#), 3);
        assert_eq!(depth(b"1]]"), 0);
    }

    #[test]
    fn json_that_is_too_deep_or_broken_is_refused() {
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        for bad in [deep.as_str(), "", "{", "{} {}", "\u{feff}{}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert!(parse(b" {} ").is_ok());
    }
}
