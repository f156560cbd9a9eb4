//! Image data in and out, streamed.
//!
//! Invariant: no body is held in memory; a download that meets damage is refused, or ends the connection where it has begun,
//! instead of the bytes being wrong.

use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use futures::TryStreamExt;

use super::call::{Call, no_content};
use super::error::Refusal;
use crate::api::body::{begun, frames};
use crate::api::query;
use crate::model::range::RangeError;
use crate::model::{ByteRange, ImageId};
use crate::service::images::{Download, WholeDownload};
use crate::service::{Actor, Error, Service};

const OCTETS: &str = "application/octet-stream";
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// Names the store that an upload's data is to go to.
const STORE: &str = "x-image-meta-store";
/// Carries the size that an upload will have, beside what HTTP says.
const IMAGE_SIZE: &str = "x-openstack-image-size";

/// Fills an image.
pub(super) async fn upload(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    expect_octets(call.headers())?;
    let declared = declared_bytes(call.headers())?;
    let store = named_store(call.headers())?;
    let begin = move |service: &Service, actor: &Actor| {
        service.begin_upload_to(actor, &id, declared, store.as_deref())
    };
    let upload = call.run(begin).await?;
    let body = std::mem::take(&mut call.body);
    upload.receive(Box::pin(frames(body))).await?;
    Ok(no_content())
}

/// Hands out an image's data, or one range of it.
pub(super) async fn download(mut call: Call, id: ImageId) -> Result<Response, Refusal> {
    call.expect_no_body().await?;
    let preferred = preferred_stores(&call.parts.uri)?;
    let mut download = open(&call, id, preferred.clone()).await?;
    if download.awaits_data() {
        call.state.service.fetch_by_reference(&id).await?;
        download = open(&call, id, preferred).await?;
    }
    let Download { image, reader: Some(reader) } = download else { return Ok(no_content()) };
    let size = reader.size_bytes();
    let asked = asked_range(call.headers(), size)?;
    let range = asked.unwrap_or(ByteRange::whole(size));
    let mut noted = match asked {
        None => {
            let told = image.clone();
            call.run(move |service, _| Ok(service.begin_whole_download(&told))).await?
        }
        Some(_) => None,
    };
    let mut left = size;
    let bytes = reader.stream(range).inspect_ok(move |piece| {
        // Nobody asks for the end of a stream whose length was said.
        left = left.saturating_sub(piece.len() as u64);
        if left == 0 {
            noted.take().into_iter().for_each(WholeDownload::ended);
        }
    });
    let mut response = Response::new(begun(bytes, id).await?);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    headers.insert(CONTENT_LENGTH, range.len().into());
    if let Some(md5) = image.digests.as_ref().and_then(|digests| digests.md5)
        && let Ok(md5) = HeaderValue::from_str(&hex::encode(md5))
    {
        headers.insert(CONTENT_MD5, md5);
    }
    if asked.is_some()
        && let Ok(shown) = HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start, range.end - 1))
    {
        headers.insert(CONTENT_RANGE, shown);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Opens an image's data, from the stores of these names where they have it.
fn open(
    call: &Call,
    id: ImageId,
    preferred: Option<Vec<String>>,
) -> impl Future<Output = Result<Download, Refusal>> + Send + use<> {
    let (state, actor) = (call.state.clone(), call.actor.clone());
    let open = move |service: &Service| {
        let names = preferred.iter().flatten().map(String::as_str);
        let places = preferred.as_ref().map(|_| service.preferred_stores(names)).transpose()?;
        service.download_from(&actor, &id, &places.unwrap_or_default())
    };
    async move {
        // Held by nobody for longer than it takes to open the data, or to find that it cannot be reached.
        let turn = state.service.store().turn().await.map_err(Error::from)?;
        Ok(state.in_turn(turn, open).await?)
    }
}

/// The store that an upload names for its data.
fn named_store(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(STORE) else { return Ok(None) };
    match value.to_str() {
        Ok(name) => Ok(Some(name.to_owned())),
        Err(_) => Err(Refusal::bad(format!("the header {STORE} must be the name of a store"))),
    }
}

/// The stores that a download is to come from where they have the image: `prefer=one,other`.
fn preferred_stores(uri: &Uri) -> Result<Option<Vec<String>>, Refusal> {
    let pairs = query::pairs(uri).ok_or_else(|| Refusal::bad("the query is not valid"))?;
    let preferred = pairs.into_iter().find(|(name, _)| name == "prefer");
    let names = |text: String| text.split(',').map(|name| name.trim().to_owned()).collect();
    Ok(preferred.map(|(_, text)| names(text)))
}

pub(super) fn expect_octets(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if text.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(OCTETS)) {
        return Ok(());
    }
    let message = format!("image data must be of type {OCTETS}, not {text:?}");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

pub(super) fn declared_bytes(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    for name in [IMAGE_SIZE, CONTENT_LENGTH.as_str()] {
        if let Some(value) = headers.get(name) {
            let bytes = value.to_str().ok().and_then(|text| text.parse().ok());
            return match bytes {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(Refusal::bad(format!("the header {name} must be a number of bytes"))),
            };
        }
    }
    Ok(None)
}

/// The range a client asked for, by `Range` or by the `Content-Range` that older ones send.
fn asked_range(headers: &HeaderMap, size: u64) -> Result<Option<ByteRange>, Refusal> {
    let unsatisfiable = |value: &str| {
        let message = format!("no bytes {value:?} in an image of {size} bytes");
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message)
    };
    if let Some(value) = headers.get(RANGE) {
        let text = value.to_str().unwrap_or("");
        return match ByteRange::parse_header(text, size) {
            Ok(range) => Ok(Some(range)),
            Err(RangeError::Multiple) => Err(Refusal::bad("only one range can be served at a time")),
            Err(RangeError::Unsatisfiable) => Err(unsatisfiable(text)),
        };
    }
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    match legacy_range(text, size) {
        Some(range) => Ok(Some(range)),
        None => Err(unsatisfiable(text)),
    }
}

/// `bytes a-b/total`, or `*` for the total.
fn legacy_range(text: &str, size: u64) -> Option<ByteRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total_fits = total == "*" || total.parse() == Ok(size);
    (total_fits && start <= last && last < size).then(|| ByteRange { start, end: last + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    fn range(name: &'static str, value: &str) -> Result<Option<(u64, u64)>, u16> {
        let range = asked_range(&headers(name, value), 3).map_err(|refusal| refusal.status.as_u16())?;
        Ok(range.map(|range| (range.start, range.end)))
    }

    #[test]
    fn ranges_answer_as_the_reference_does() {
        assert_eq!(range("range", "bytes=0-99"), Ok(Some((0, 3))));
        assert_eq!(range("range", "bytes=3-"), Err(416));
        assert_eq!(range("range", "bytes=0-0,2-2"), Err(400));
        assert_eq!(range("content-range", "bytes 0-1/3"), Ok(Some((0, 2))));
        assert_eq!(range("content-range", "bytes 1-2/*"), Ok(Some((1, 3))));
        assert_eq!(range("content-range", "bytes 0-3/*"), Err(416));
        assert_eq!(range("content-range", "garbage"), Err(416));
        assert_eq!(range("if-range", "x"), Ok(None));
    }

    #[test]
    fn only_octets_are_image_data() {
        assert!(expect_octets(&headers("content-type", "application/octet-stream; x=y")).is_ok());
        assert!(expect_octets(&headers("content-type", "application/json")).is_err());
        assert!(expect_octets(&HeaderMap::new()).is_err());
    }

    #[test]
    fn the_declared_size_is_a_number() {
        assert_eq!(declared_bytes(&headers("x-openstack-image-size", "7")).unwrap(), Some(7));
        assert_eq!(declared_bytes(&headers("content-length", "8")).unwrap(), Some(8));
        assert!(declared_bytes(&headers("x-openstack-image-size", "big")).is_err());
        assert_eq!(declared_bytes(&HeaderMap::new()).unwrap(), None);
    }
}
