//! Uploads in parts that nobody will complete: found and aborted, as the bucket charges for them.
//!
//! The crate that speaks to buckets cannot list them, so the one request it takes is made here, signed
//! by the crate. Invariant: only uploads below the given prefix are named.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{Error as Answer, Result};
use serde::Deserialize;

use super::wire::refusal;

/// Life of the signature of one listing.
const SIGNATURE_LIFE: Duration = Duration::from_secs(300);

/// Of an answer that cannot be used, what is passed on.
const TEXT_CHARS_MAX: usize = 400;

/// An upload that was begun, and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The object it would become.
    pub path: Path,
    /// What the bucket calls it.
    pub id: String,
}

/// A bucket that tells of unfinished uploads.
#[async_trait]
pub trait ListUnfinished: Send + Sync + 'static {
    /// Those below `prefix`; `None` where the bucket has no such request.
    ///
    /// # Errors
    /// Whatever the bucket says.
    async fn unfinished(&self, prefix: &Path) -> Result<Option<Vec<UnfinishedUpload>>>;
}

/// Lists the unfinished uploads of an S3 bucket.
#[derive(Debug)]
pub(super) struct S3Uploads {
    pub(super) store: AmazonS3,
    pub(super) client: HttpClient,
}

/// What S3 answers. Names are S3's own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    upload: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    upload_id: String,
}

#[async_trait]
impl ListUnfinished for S3Uploads {
    async fn unfinished(&self, prefix: &Path) -> Result<Option<Vec<UnfinishedUpload>>> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = match self.page(prefix, after).await {
                Err(error) if is_unknown(&error) => return Ok(None),
                page => page?,
            };
            let Page { is_truncated, next_key_marker, next_upload_id_marker, upload } = page;
            found.extend(upload.into_iter().filter_map(|entry| {
                let path = Path::parse(entry.key).ok()?;
                path.prefix_matches(prefix).then_some(UnfinishedUpload { path, id: entry.upload_id })
            }));
            after = next_key_marker.zip(next_upload_id_marker);
            if !is_truncated || after.is_none() {
                return Ok(Some(found));
            }
        }
    }
}

impl S3Uploads {
    async fn page(&self, prefix: &Path, after: Option<(String, String)>) -> Result<Page> {
        let mut query = vec![("uploads".to_owned(), String::new())];
        if !prefix.as_ref().is_empty() {
            query.push(("prefix".to_owned(), format!("{prefix}/")));
        }
        if let Some((key, id)) = after {
            query.push(("key-marker".to_owned(), key));
            query.push(("upload-id-marker".to_owned(), id));
        }
        let options = SignedUrlOptions::default().with_query(query);
        let url = self.store.signed_url_opts(Method::GET, &Path::ROOT, SIGNATURE_LIFE, &options).await?;
        let request = http::Request::get(url.as_str()).body(HttpRequestBody::empty()).map_err(generic)?;
        let answer = self.client.execute(request).await.map_err(generic)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(generic)?;
        match status {
            StatusCode::OK => quick_xml::de::from_reader(&body[..]).map_err(generic),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(Answer::PermissionDenied {
                path: "the list of unfinished uploads".into(),
                source: String::from_utf8_lossy(&body).into(),
            }),
            status => explain(status, &String::from_utf8_lossy(&body)),
        }
    }
}

/// What another answer means. Some servers call the list missing while nothing was ever uploaded in parts.
fn explain(status: StatusCode, text: &str) -> Result<Page> {
    if status == StatusCode::NOT_FOUND && text.contains("<Code>NoSuchUpload</Code>") {
        return Ok(Page::default());
    }
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    Err(generic(std::io::Error::other(format!(
        "an answer with status {status} to a list of uploads: {text}"
    ))))
}

fn is_unknown(error: &Answer) -> bool {
    matches!(refusal(error), Some(refused) if refused.status == StatusCode::NOT_IMPLEMENTED)
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Answer {
    Answer::Generic { store: "S3", source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_missing_is_empty_and_a_bucket_that_is_missing_an_error() {
        let code = |code: &str| format!("<Error><Code>{code}</Code></Error>");
        let page = explain(StatusCode::NOT_FOUND, &code("NoSuchUpload")).unwrap();
        assert!(page.upload.is_empty() && !page.is_truncated);
        let missing = explain(StatusCode::NOT_FOUND, &code("NoSuchBucket")).unwrap_err();
        assert!(matches!(
            crate::objects::bucket::fault::of_bucket(missing),
            crate::objects::Error::Denied(_)
        ));
        assert!(explain(StatusCode::CONFLICT, &code("NoSuchUpload")).is_err());
    }

    #[test]
    fn what_servers_answer_is_understood() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListMultipartUploadsResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>images</Bucket><KeyMarker/>\
             <NextKeyMarker>box/b</NextKeyMarker><NextUploadIdMarker>2</NextUploadIdMarker>\
             <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>\
             <Upload><Key>box/a</Key><UploadId>1</UploadId><Initiator><ID>x</ID></Initiator></Upload>\
             <Upload><Key>box/b</Key><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_reader(text.as_bytes()).unwrap();
        assert!(page.is_truncated && page.next_key_marker.as_deref() == Some("box/b"));
        let ids: Vec<_> = page.upload.iter().map(|entry| (&*entry.key, &*entry.upload_id)).collect();
        assert_eq!(ids, [("box/a", "1"), ("box/b", "2")]);
        // Others leave out what does not apply.
        let text = "<ListMultipartUploadsResult><Bucket>images</Bucket></ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_reader(text.as_bytes()).unwrap();
        assert!(!page.is_truncated && page.upload.is_empty());
    }
}
