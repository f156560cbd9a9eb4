//! What `tintype image save` asks for: an image's data as it is stored, or as a file of another format.

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, RANGE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::holes::Holes;

/// Data that is to arrive.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Where it is, below the native API.
    pub(super) path: String,
    /// What it is compared with: as in an image's record, `size`, and digests where there are some.
    pub(super) expected: Value,
    /// What tells it from other data, for the name that it waits under.
    pub(super) mark: Option<String>,
    /// Its entity tag, where that is known before.
    pub(super) tag: Option<String>,
    /// Whether a part of it can be asked for.
    pub(super) has_ranges: bool,
    /// Where it has nothing.
    pub(super) holes: Holes,
}

impl Wanted {
    /// The data as it is stored.
    pub(super) fn stored(id: &str, image: &Value) -> Wanted {
        Wanted {
            path: format!("/images/{id}/file"),
            expected: image.clone(),
            mark: image["os_hash_value"].as_str().map(str::to_owned),
            tag: None,
            has_ranges: true,
            holes: Holes::default(),
        }
    }

    /// A file of the image's disk in a format, as the box describes it. Of one that is packed and has its tables in front, the box
    /// packs the disk to tell the length.
    ///
    /// # Errors
    /// When the box refuses.
    pub(super) async fn formed(client: &Client, id: &str, format: &str) -> Result<Wanted, Failure> {
        let path = format!("/images/{id}/file?format={format}");
        let first = [(RANGE, "bytes=0-0")];
        let head = match client.call(Method::HEAD, Api::Native, &path).await {
            Ok(head) => head,
            // An answer without a body has no words: the reason is in that to another request.
            Err(refused) => {
                let said = client.send_with(Method::GET, Api::Native, &path, &first, None).await;
                return Err(said.err().unwrap_or(refused));
            }
        };
        if head.status() == StatusCode::NO_CONTENT {
            return Err(Failure::failed(format!("image {id} has no data yet")));
        }
        let tag = text(head.headers(), ETAG).map(str::to_owned);
        let has_ranges = text(head.headers(), ACCEPT_RANGES) == Some("bytes");
        let mut size = text(head.headers(), CONTENT_LENGTH).and_then(|length| length.parse().ok());
        if size.is_none() && has_ranges {
            let reply = client.send_with(Method::GET, Api::Native, &path, &first, None).await?;
            let range = text(reply.headers(), CONTENT_RANGE).and_then(|range| range.rsplit_once('/'));
            size = range.and_then(|(_, size)| size.parse::<u64>().ok());
        }
        Ok(Wanted {
            path,
            expected: json!({"size": size}),
            mark: tag.clone(),
            tag,
            has_ranges,
            holes: Holes::default(),
        })
    }

    /// Whether there is a digest that all of it is compared with.
    pub(super) fn has_digest(&self) -> bool {
        ["checksum", "os_hash_value"].iter().any(|digest| self.expected[digest].is_string())
    }

    /// The same with its holes, where the data is the disk itself.
    pub(super) async fn with_holes(self, client: &Client, id: &str) -> Wanted {
        Wanted { holes: Holes::of_disk(client, id).await, ..self }
    }

    /// Its length, where that is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.expected["size"].as_u64()
    }

    /// Whether what arrived of it can be told from other data later, and gone on with.
    pub(super) fn can_go_on(&self) -> bool {
        self.mark.is_some() && self.has_ranges
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
