//! An accepted answer, and how refusals become words.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::super::failure::{Failure, Remedy, Status};

/// Longest answer that is held whole.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// Longest refusal that is read.
const REFUSAL_BYTES_MAX: usize = 1 << 20;

/// An answer whose status said yes.
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Reply {
    /// Takes a response whose status is a success.
    ///
    /// # Errors
    /// The server's own words, when it refused.
    pub(super) async fn accept(response: Response<Body>) -> Result<Reply, Failure> {
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(Reply { status: head.status, headers: head.headers, body });
        }
        let text = match Limited::new(body, REFUSAL_BYTES_MAX).collect().await {
            Ok(text) => text.to_bytes(),
            Err(_) => Bytes::new(),
        };
        Err(refusal(head.status, &String::from_utf8_lossy(&text)))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole body as JSON; null when it is empty.
    ///
    /// # Errors
    /// When the transfer breaks or the body is no JSON.
    pub async fn json(self) -> Result<Value, Failure> {
        let body = Limited::new(self.body, WHOLE_BYTES_MAX).collect().await.map_err(broken)?.to_bytes();
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|e| Failure::failed(format!("the server's answer is no JSON: {e}")))
    }

    /// The body as it arrives.
    pub fn bytes(self) -> BoxStream<'static, Result<Bytes, Failure>> {
        self.body.into_data_stream().map(|piece| piece.map_err(broken)).boxed()
    }
}

fn broken(cause: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the transfer broke off: {cause}")).with(Remedy::Patience)
}

fn refusal(status: StatusCode, text: &str) -> Failure {
    let words = words(text).unwrap_or_else(|| status.to_string());
    match status {
        StatusCode::NOT_FOUND => Failure::not_found(words),
        StatusCode::GONE => Failure { status: Status::Gone, ..Failure::failed(words) },
        StatusCode::UNAUTHORIZED => {
            Failure::unreachable(format!("not signed in: {words}")).with(Remedy::SignIn)
        }
        StatusCode::CONFLICT => Failure::failed(words).with(Remedy::Look),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Failure::failed(words).with(Remedy::Patience)
        }
        _ => Failure::failed(words),
    }
}

/// What a refusal says: the message of a JSON error, or the text of a page.
fn words(text: &str) -> Option<String> {
    if let Ok(body) = serde_json::from_str::<Value>(text) {
        let message = [&body["error"]["message"], &body["message"], &body["error"]];
        return message.into_iter().find_map(Value::as_str).map(str::to_owned);
    }
    let page = text.split_once("<body>").map_or(text, |(_, body)| body);
    let mut plain = String::new();
    let mut inside = false;
    for c in page.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                plain.push(' ');
            }
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    let plain =
        plain.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'").replace("&quot;", "\"");
    let plain = plain.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ");
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_the_servers_words() {
        let json = r#"{"error": {"code": 409, "message": "the name is taken"}}"#;
        assert_eq!(refusal(StatusCode::CONFLICT, json).message, "the name is taken");
        let page = "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1>\
                    No image &lt;x&gt;<br /></body></html>";
        let failure = refusal(StatusCode::NOT_FOUND, page);
        assert_eq!(failure.message, "404 Not Found No image <x>");
        assert_eq!(failure.status, Status::NotFound);
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "").message, "502 Bad Gateway");
    }
}
