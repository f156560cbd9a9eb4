//! What is asked of another box by somebody who is signed in there.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use super::{ANSWER_S, Error};
use crate::base::with_causes;
use crate::model::ImageId;

const AUTH_TOKEN: &str = "x-auth-token";
const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const OFFSET: &str = "upload-offset";
const LENGTH: &str = "upload-length";
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Characters of a refusal that are passed on.
const SHOWN_CHARS: usize = 300;

/// Somebody who is signed in to a project of another box.
pub struct Visit {
    http: reqwest::Client,
    base: String,
    token: HeaderValue,
}

/// Data on its way from there.
pub type Data = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// An image there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its state, in the Image API's word.
    pub status: String,
    /// Bytes of its data.
    pub size_bytes: Option<u64>,
    /// By which algorithm its hash was made.
    pub hash_algo: Option<String>,
    /// The hash, in hex.
    pub hash_value: Option<String>,
}

/// Data on its way into an image there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    path: String,
    /// Bytes that are durable there.
    pub offset: u64,
}

impl Visit {
    pub(super) fn new(http: reqwest::Client, base: String, token: HeaderValue) -> Visit {
        Visit { http, base, token }
    }

    /// An image; `None` where there is none of this id.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn image(&self, id: &ImageId) -> Result<Option<Found>, Error> {
        let Some(body) = self.record(id).await? else { return Ok(None) };
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        Ok(Some(Found {
            status: text("status").unwrap_or_default(),
            size_bytes: body["size"].as_u64(),
            hash_algo: text("os_hash_algo"),
            hash_value: text("os_hash_value"),
        }))
    }

    /// An image's record, as the Image API prints it; `None` where there is none of this id.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn record(&self, id: &ImageId) -> Result<Option<Value>, Error> {
        let request = self.bounded(self.http.get(self.url(&format!("/v2/images/{id}"))));
        let response = request.send().await;
        if response.as_ref().is_ok_and(|response| response.status() == StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        json(accepted(response).await?).await.map(Some)
    }

    /// An image's data from `offset` on. The box serves ranges, as every Image API of a release that is kept does.
    ///
    /// # Errors
    /// What the box says, or that it is away; within the stream, that it went away.
    pub async fn data(&self, id: &ImageId, offset: u64) -> Result<Data, Error> {
        let mut request = self.http.get(self.url(&format!("/v2/images/{id}/file")));
        request = request.header(AUTH_TOKEN, self.token.clone());
        if offset > 0 {
            request = request.header(http::header::RANGE, format!("bytes={offset}-"));
        }
        let answer = accepted(request.send().await).await?;
        match (offset, answer.status()) {
            (0, StatusCode::OK) | (1.., StatusCode::PARTIAL_CONTENT) => {}
            (_, status) => {
                return Err(Error::Refused(format!("it answers {status} where data was asked for")));
            }
        }
        let pieces = futures::stream::unfold(answer, |mut answer| async {
            let next = tokio::time::timeout(Duration::from_secs(ANSWER_S), answer.chunk()).await;
            let piece = match next {
                Ok(Ok(Some(piece))) => Ok(piece),
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => Err(Error::Unreachable(with_causes(&error.without_url()))),
                Err(_) => Err(Error::Unreachable(format!("nothing came for {ANSWER_S} s"))),
            };
            Some((piece, answer))
        });
        Ok(Box::pin(pieces))
    }

    /// Registers an image, without data.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn create(&self, record: &Value) -> Result<(), Error> {
        let request = self.bounded(self.http.post(self.url("/v2/images")).json(record));
        accepted(request.send().await).await.map(drop)
    }

    /// The upload to an image that was begun, or a new one of `size_bytes`.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn upload(&self, id: &ImageId, size_bytes: u64) -> Result<Upload, Error> {
        let place = format!("/tintype/v1/images/{id}/uploads");
        let listed =
            json(accepted(self.bounded(self.http.get(self.url(&place))).send().await).await?).await?;
        for found in listed["uploads"].as_array().into_iter().flatten() {
            if let (Some(name), Some(true)) =
                (found["id"].as_str(), found["length"].as_u64().map(|length| length == size_bytes))
            {
                let mut upload = Upload { path: format!("{place}/{name}"), offset: 0 };
                // Also ends it, where all has arrived and nobody was told.
                let request = self.http.head(self.url(&upload.path)).header(TUS.0, TUS.1);
                upload.offset = offset(accepted(self.bounded(request).send().await).await?.headers())?;
                return Ok(upload);
            }
        }
        let request = self.http.post(self.url(&place)).header(TUS.0, TUS.1).header(LENGTH, size_bytes);
        let answer = accepted(self.bounded(request).send().await).await?;
        let path = answer.headers().get(http::header::LOCATION).and_then(|path| path.to_str().ok());
        let path = path.filter(|path| path.starts_with(&place)).map(str::to_owned);
        let path = path.ok_or_else(|| Error::Unreachable("its answer names no upload".to_owned()))?;
        Ok(Upload { path, offset: offset(answer.headers())? })
    }

    /// Sends the next `length` bytes; gives what is durable then. The caller bounds the time.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn send<S>(&self, upload: &Upload, length: u64, pieces: S) -> Result<u64, Error>
    where
        S: Stream<Item = Result<Bytes, String>> + Send + 'static,
    {
        let request = self
            .http
            .patch(self.url(&upload.path))
            .header(AUTH_TOKEN, self.token.clone())
            .header(TUS.0, TUS.1)
            .header(OFFSET, upload.offset)
            .header(http::header::CONTENT_TYPE, "application/offset+octet-stream")
            .header(http::header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(pieces));
        offset(accepted(request.send().await).await?.headers())
    }

    /// Deletes an image; one that is not there counts as deleted.
    ///
    /// # Errors
    /// What the box says, or that it is away.
    pub async fn delete(&self, id: &ImageId) -> Result<(), Error> {
        let response = self.bounded(self.http.delete(self.url(&format!("/v2/images/{id}")))).send().await;
        if response.as_ref().is_ok_and(|response| response.status() == StatusCode::NOT_FOUND) {
            return Ok(());
        }
        accepted(response).await.map(drop)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn bounded(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(AUTH_TOKEN, self.token.clone()).timeout(Duration::from_secs(ANSWER_S))
    }
}

/// An answer that says yes.
pub(super) async fn accepted(answer: Result<Response, reqwest::Error>) -> Result<Response, Error> {
    // The address may have been written with a password in it.
    let answer = answer.map_err(|error| Error::Unreachable(with_causes(&error.without_url())))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = read(answer).await.unwrap_or_default();
    let text: String = String::from_utf8_lossy(&text).chars().take(SHOWN_CHARS).collect();
    let told = format!("{status}: {text}");
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied(told),
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(told),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Error::Unreachable(told),
        // Somebody else's request is still at work on the same upload, or just ended.
        StatusCode::CONFLICT | StatusCode::LOCKED => Error::Unreachable(told),
        status if status.is_server_error() || status.is_redirection() => Error::Unreachable(told),
        _ => Error::Refused(told),
    })
}

async fn json(answer: Response) -> Result<Value, Error> {
    let bytes = read(answer).await?;
    serde_json::from_slice(&bytes).map_err(|_| Error::Unreachable("its answer is no JSON".to_owned()))
}

async fn read(mut answer: Response) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) =
        answer.chunk().await.map_err(|e| Error::Unreachable(with_causes(&e.without_url())))?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unreachable("its answer is too long".to_owned()));
        }
    }
    Ok(bytes)
}

fn offset(headers: &HeaderMap) -> Result<u64, Error> {
    let offset = headers.get(OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| Error::Unreachable("its answer names no offset of the upload".to_owned()))
}
