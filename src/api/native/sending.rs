//! Data on its way to an HTTP client: entity tags, conditions, one range, and what the file is called.
//!
//! Invariants: a range is served only of the data that it was begun with; nothing of the data is touched before all conditions
//! are met; no answer begins before the first bytes of its range are there, so that what cannot be had is refused with its
//! reason. Must not know what the data is.

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::Refusal;
use crate::api::body::begun;
use crate::api::entity_tags::names;
use crate::model::range::RangeError;
use crate::model::{ByteRange, Image, ImageId};
use crate::service::Error;

/// Data that somebody asked for.
pub(super) struct Sending<'i> {
    /// The image that it is of.
    pub(super) image: &'i Image,
    /// Its entity tag, with quotes.
    pub(super) tag: Option<String>,
    /// Its length; `None` while nobody knows it.
    pub(super) size: Option<u64>,
    /// Whether parts of it can be asked for, once its length is known.
    pub(super) has_ranges: bool,
    /// What its name ends with.
    pub(super) ending: Option<&'static str>,
}

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

impl Sending<'_> {
    /// Answers with what is asked for of it; `open` gives the bytes of a range.
    pub(super) async fn answer<S, E>(
        &self,
        asked: &Parts,
        open: impl FnOnce(ByteRange) -> Result<S, Refusal>,
    ) -> Result<Response, Refusal>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        let id = &self.image.id;
        let wanted = wanted(&asked.method, &asked.headers, self.tag.as_deref(), self.size);
        let whole = ByteRange::whole(self.size.unwrap_or(u64::MAX));
        let (status, range) = match wanted {
            Wanted::Whole => (StatusCode::OK, whole),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::Unchanged => (StatusCode::NOT_MODIFIED, ByteRange { start: 0, end: 0 }),
            Wanted::Changed => {
                let message = format!("image {id} has not, or no longer, the data that If-Match names");
                return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, message));
            }
            Wanted::Outside => return Ok(outside(id, whole.end)),
        };
        let body = match status {
            StatusCode::NOT_MODIFIED => Body::empty(),
            _ if asked.method == Method::HEAD => no_body(self.size),
            _ => begun(open(range)?, *id).await?,
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        self.describe(response.headers_mut(), status, range);
        Ok(response)
    }

    fn describe(&self, headers: &mut HeaderMap, status: StatusCode, range: ByteRange) {
        if let Some(tag) = &self.tag {
            set(headers, ETAG, tag);
        }
        let ranges = if self.has_ranges { "bytes" } else { "none" };
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static(ranges));
        if status == StatusCode::NOT_MODIFIED {
            return;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let image = self.image;
        let name = image.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| image.id.to_string());
        set(headers, CONTENT_DISPOSITION, &disposition(&name, self.ending.or(image.disk_format.as_deref())));
        let Some(size) = self.size else { return };
        headers.insert(CONTENT_LENGTH, range.len().into());
        if status == StatusCode::PARTIAL_CONTENT {
            set(headers, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
        }
    }
}

/// Nothing, where a body of this length would be. An empty one says that it has no byte, which is told to the client when nobody
/// says how many there are.
fn no_body(size: Option<u64>) -> Body {
    match size {
        Some(_) => Body::empty(),
        None => Body::from_stream(stream::empty::<Result<Vec<u8>, std::io::Error>>()),
    }
}

fn outside(id: &ImageId, size: u64) -> Response {
    let message = format!("image {id} has {size} bytes, and the range is outside of them");
    let mut response = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message).into_response();
    set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// What the conditions and the range of a request come to (RFC 9110, section 13.2.2).
pub(super) fn wanted(method: &Method, headers: &HeaderMap, tag: Option<&str>, size: Option<u64>) -> Wanted {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if text(IF_MATCH).is_some_and(|tags| !names(tags, tag, false)) {
        return Wanted::Changed;
    }
    if text(IF_NONE_MATCH).is_some_and(|tags| names(tags, tag, true)) {
        return Wanted::Unchanged;
    }
    let same = text(IF_RANGE).is_none_or(|asked| Some(asked.trim()) == tag);
    let range = text(RANGE).filter(|_| same && *method == Method::GET);
    let (Some(range), Some(size)) = (range, size) else { return Wanted::Whole };
    match ByteRange::parse_header(range, size) {
        Ok(range) => Wanted::Part(range),
        Err(RangeError::Unsatisfiable) if range.trim_start().starts_with("bytes=") => Wanted::Outside,
        // Other units, and several ranges at once, may be passed over.
        Err(_) => Wanted::Whole,
    }
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
        wanted(&Method::GET, &headers, Some("\"t\""), Some(10))
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
        let head = wanted(
            &Method::HEAD,
            &HeaderMap::from_iter([(RANGE, "bytes=1-2".parse().unwrap())]),
            None,
            Some(10),
        );
        assert_eq!(head, Wanted::Whole);
        let range = HeaderMap::from_iter([(RANGE, "bytes=1-2".parse().unwrap())]);
        assert_eq!(wanted(&Method::GET, &range, None, None), Wanted::Whole, "of no known length");
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
