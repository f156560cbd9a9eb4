//! Image data out, with what HTTP has for it: entity tags, conditions, one range.
//!
//! Who may read what, and when, is the Image API's rule; its own path keeps to its reference instead.
//! Invariant: equal entity tags mean equal bytes, since the tag is the data's digest.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Refusal;
use super::named::Path;
use super::{image_id, signed_in};
use crate::api::context::ApiState;
use crate::api::entity_tags::names;
use crate::model::range::RangeError;
use crate::model::{ByteRange, Image, ImageId};
use crate::service::images::Download;
use crate::service::{Actor, Error};

/// What of the data is asked for, after all conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// A part of it.
    Part(ByteRange),
    /// Nothing: the client has it already.
    Unchanged,
    /// Nothing: it is not what the client means.
    Changed,
    /// Nothing: there is no such part.
    Outside,
}

async fn open(state: &ApiState, actor: Actor, id: ImageId) -> Result<Download, Refusal> {
    // Held by nobody for longer than it takes to open the data, or to find that it cannot be reached.
    let _turn = state.service.store().turn().await.map_err(Error::from)?;
    Ok(state.blocking(move |service| service.download_image(&actor, &id)).await?)
}

/// Hands out an image's data, or a part of it; to HEAD only what would come.
pub(super) async fn download(
    State(state): State<ApiState>,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let (actor, id) = (signed_in(&state, &parts).await?, image_id(&image)?);
    let mut download = open(&state, actor.clone(), id).await?;
    if download.awaits_data() {
        state.service.fetch_by_reference(&id).await?;
        download = open(&state, actor, id).await?;
    }
    let Download { image, reader: Some(reader) } = download else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let size = reader.size_bytes();
    let tag = tag(&image);
    let (status, range) = match wanted(&parts.method, &parts.headers, tag.as_deref(), size) {
        Wanted::Whole => (StatusCode::OK, ByteRange::whole(size)),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unchanged => (StatusCode::NOT_MODIFIED, ByteRange { start: 0, end: 0 }),
        Wanted::Changed => {
            let message = format!("image {id} has not, or no longer, the data that If-Match names");
            return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message));
        }
        Wanted::Outside => {
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("image {id} has {size} bytes, and the range is outside of them"),
            );
            let mut response = refusal.into_response();
            set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(response);
        }
    };
    let bytes = reader
        .stream(range)
        .inspect_err(move |error| tracing::error!(image = %id, %error, "a download ends early"));
    let mut response = Response::new(Body::from_stream(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(tag) = &tag {
        set(headers, ETAG, tag);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        return Ok(response);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, range.len().into());
    let name = image.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string());
    set(headers, CONTENT_DISPOSITION, &disposition(&name, image.disk_format.as_deref()));
    if status == StatusCode::PARTIAL_CONTENT {
        set(headers, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    Ok(response)
}

/// What the conditions and the range of a request come to (RFC 9110, section 13.2.2).
pub(super) fn wanted(method: &Method, headers: &HeaderMap, tag: Option<&str>, size: u64) -> Wanted {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if text(IF_MATCH).is_some_and(|tags| !names(tags, tag, false)) {
        return Wanted::Changed;
    }
    if text(IF_NONE_MATCH).is_some_and(|tags| names(tags, tag, true)) {
        return Wanted::Unchanged;
    }
    let same = text(IF_RANGE).is_none_or(|asked| Some(asked.trim()) == tag);
    let Some(range) = text(RANGE).filter(|_| same && *method == Method::GET) else { return Wanted::Whole };
    match ByteRange::parse_header(range, size) {
        Ok(range) => Wanted::Part(range),
        Err(RangeError::Unsatisfiable) if range.trim_start().starts_with("bytes=") => Wanted::Outside,
        // Other units, and several ranges at once, may be passed over.
        Err(_) => Wanted::Whole,
    }
}

/// The data's entity tag: its BLAKE3.
fn tag(image: &Image) -> Option<String> {
    image.digests.as_ref().map(|digests| format!("\"{}\"", hex::encode(digests.blake3)))
}

/// What a browser calls the file: the image's name, with its format as the ending.
fn disposition(name: &str, format: Option<&str>) -> String {
    let name = match format {
        Some(format) if !name.ends_with(&format!(".{format}")) => format!("{name}.{format}"),
        _ => name.to_owned(),
    };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-".contains(c) { c } else { '_' }).collect();
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(&name, NON_ALPHANUMERIC)
    )
}

/// Sets a header whose value fits one.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&'static str, &str)]) -> Wanted {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        wanted(&Method::GET, &headers, Some("\"t\""), 10)
    }

    fn part(start: u64, end: u64) -> Wanted {
        Wanted::Part(ByteRange { start, end })
    }

    #[test]
    fn a_range_is_served_only_of_the_data_it_was_begun_with() {
        assert_eq!(asked(&[("range", "bytes=4-")]), part(4, 10));
        assert_eq!(asked(&[("range", "bytes=4-"), ("if-range", "\"t\"")]), part(4, 10));
        assert_eq!(asked(&[("range", "bytes=4-"), ("if-range", "\"other\"")]), Wanted::Whole);
        assert_eq!(asked(&[("range", "bytes=4-"), ("if-range", "W/\"t\"")]), Wanted::Whole);
        assert_eq!(asked(&[("range", "bytes=10-")]), Wanted::Outside);
        assert_eq!(asked(&[("range", "bytes=0-1,3-4")]), Wanted::Whole);
        assert_eq!(asked(&[("range", "lines=0-1")]), Wanted::Whole);
        let head =
            wanted(&Method::HEAD, &HeaderMap::from_iter([(RANGE, "bytes=1-2".parse().unwrap())]), None, 10);
        assert_eq!(head, Wanted::Whole);
    }

    #[test]
    fn conditions_come_before_the_range() {
        assert_eq!(asked(&[("if-match", "\"a\", \"t\""), ("range", "bytes=0-0")]), part(0, 1));
        assert_eq!(asked(&[("if-match", "\"a\"")]), Wanted::Changed);
        assert_eq!(asked(&[("if-match", "W/\"t\"")]), Wanted::Changed);
        assert_eq!(asked(&[("if-match", "*")]), Wanted::Whole);
        assert_eq!(asked(&[("if-none-match", "W/\"t\""), ("range", "bytes=0-0")]), Wanted::Unchanged);
        assert_eq!(asked(&[("if-none-match", "\"a\"")]), Wanted::Whole);
    }

    #[test]
    fn no_name_leaves_its_header() {
        let shown = disposition("a\"b\r\nä/..", Some("qcow2"));
        assert!(shown.starts_with("attachment; filename=\"a_b___"), "{shown}");
        assert!(shown.ends_with("%C3%A4%2F%2E%2E%2Eqcow2"), "{shown}");
        let named = disposition("disk.qcow2", Some("qcow2"));
        assert!(named.starts_with("attachment; filename=\"disk.qcow2\";"), "{named}");
    }
}
