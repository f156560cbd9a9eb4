//! A file on its way into an image, in parts: goes on where the box stands, however often the way to it
//! breaks.
//!
//! Invariant: what is sent next is the file's own byte at the offset the box names, and a file that is
//! no longer what began the upload is never taken for it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::super::client::{Api, Client, Payload};
use super::super::failure::{Failure, Status};
use super::super::interruption::Interruption;
use super::super::progress::Progress;
use super::import::READ_BYTES;
use super::patience::Patience;
use super::reading::{Data, Trouble};

const TUS_RESUMABLE: (HeaderName, &str) = (HeaderName::from_static("tus-resumable"), "1.0.0");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// Looks for an upload that moves from one to the next, at most: the first ends what was broken off.
const LOOKS_MAX: usize = 3;

/// An upload of a file or a disk.
pub struct Sending {
    data: Data,
    image: String,
    upload: String,
    total: u64,
    offset: u64,
}

/// What a look for an unfinished upload finds.
pub enum Found {
    /// The one of this file.
    Begun(Sending),
    /// None of it: why those that are there are others'.
    Others(Vec<String>),
}

impl Sending {
    /// Begins a new one, whose data goes to the store of this name, or the default one.
    ///
    /// # Errors
    /// When the box refuses.
    pub async fn begin(
        client: &Client,
        data: Data,
        image: &str,
        total: u64,
        store: Option<&str>,
    ) -> Result<Sending, Failure> {
        let path = format!("/images/{image}/uploads");
        let length = total.to_string();
        let metadata = store.map(|store| format!("store {}", STANDARD.encode(store)));
        let mut headers = vec![TUS_RESUMABLE, (UPLOAD_LENGTH, length.as_str())];
        headers.extend(metadata.as_deref().map(|metadata| (UPLOAD_METADATA, metadata)));
        let reply = client.send_with(Method::POST, Api::Native, &path, &headers, None).await?;
        let place = reply.headers().get(http::header::LOCATION).and_then(|place| place.to_str().ok());
        let upload = place.and_then(|place| place.rsplit('/').next()).map(str::to_owned);
        let upload = upload.ok_or_else(|| Failure::failed("the server's answer names no upload"))?;
        let offset = offset(reply.headers())?;
        Ok(Sending { data, image: image.to_owned(), upload, total, offset })
    }

    /// The unfinished upload of an image, if it began with this very file; else why it is not that.
    ///
    /// # Errors
    /// When the file cannot be read or the box refuses.
    pub async fn find(client: &Client, file: &Path, image: &str, total: u64) -> Result<Found, Failure> {
        for _ in 0..LOOKS_MAX {
            if let Some(found) = Sending::look(client, file, image, total).await? {
                return Ok(found);
            }
        }
        Ok(Found::Others(vec!["somebody else goes on with it now".to_owned()]))
    }

    /// Looks for it once; `None` where more has arrived than was compared with the file.
    async fn look(client: &Client, file: &Path, image: &str, total: u64) -> Result<Option<Found>, Failure> {
        let (mut others, mut has_moved) = (Vec::new(), false);
        let found = client.get(Api::Native, &format!("/images/{image}/uploads")).await?;
        for upload in found["uploads"].as_array().into_iter().flatten() {
            let (Some(id), Some(offset)) = (upload["id"].as_str(), upload["offset"].as_u64()) else {
                continue;
            };
            if let Some(why) = differs(upload, file, offset, total).await? {
                others.push(why);
                continue;
            }
            let (data, image, upload) = (Data::File(file.to_owned()), image.to_owned(), id.to_owned());
            let sending = Sending { data, image, upload, total, offset };
            // It ends the request that was broken off, which may have brought more since; also the upload, where all has
            // arrived and nobody was told.
            if sending.ask(client).await? == offset {
                return Ok(Some(Found::Begun(sending)));
            }
            has_moved = true;
        }
        Ok((!has_moved).then_some(Found::Others(others)))
    }

    /// The image it fills.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Sends what is missing.
    ///
    /// # Errors
    /// When the box refuses, or cannot be reached for too long, or it is interrupted, or what is sent cannot be read; it may
    /// be gone on with then, where the failure has a remedy.
    pub async fn run(mut self, client: &Client, interruption: &Interruption) -> Result<(), Failure> {
        let mut patience = Patience::default();
        let progress = Arc::new(Mutex::new(Progress::bytes(Some(self.total))));
        while self.offset < self.total {
            locked(&progress).stand_at(self.offset);
            match interruption.and_end(self.send_rest(client, &progress, interruption)).await {
                Ok(offset) => self.offset = offset,
                Err(failure) if failure.status == Status::Interrupted => return Err(failure),
                Err(failure) => {
                    interruption.or(self.recover(client, failure, &mut patience, &progress)).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends everything from the offset on; gives the new offset.
    async fn send_rest(
        &self,
        client: &Client,
        progress: &Arc<Mutex<Progress>>,
        interruption: &Interruption,
    ) -> Result<u64, Failure> {
        let (progress, trouble) = (progress.clone(), Trouble::default());
        let pieces = self.data.pieces(self.offset, self.total, &trouble).await?.inspect_ok(move |bytes| {
            locked(&progress).add(bytes.len() as u64);
        });
        let payload = Payload {
            content_type: "application/offset+octet-stream",
            length: Some(self.total - self.offset),
            body: Body::from_stream(interruption.cut(pieces)),
        };
        let headers = [TUS_RESUMABLE, (UPLOAD_OFFSET, &self.offset.to_string())];
        let path = self.path();
        let sent = client.send_with(Method::PATCH, Api::Native, &path, &headers, Some(payload)).await;
        offset(trouble.explain(sent)?.headers())
    }

    /// Waits until the box tells where the upload stands, and goes on from there.
    async fn recover(
        &mut self,
        client: &Client,
        mut failure: Failure,
        patience: &mut Patience,
        progress: &Arc<Mutex<Progress>>,
    ) -> Result<(), Failure> {
        loop {
            patience.wait(client, failure, self.offset, |text| locked(progress).say(text)).await?;
            match self.ask(client).await {
                Ok(offset) => {
                    self.offset = offset;
                    return Ok(());
                }
                Err(again) => failure = again,
            }
        }
    }

    /// Where the box says it stands.
    async fn ask(&self, client: &Client) -> Result<u64, Failure> {
        let path = self.path();
        let reply = client.send_with(Method::HEAD, Api::Native, &path, &[TUS_RESUMABLE], None).await?;
        offset(reply.headers())
    }

    fn path(&self) -> String {
        format!("/images/{}/uploads/{}", self.image, self.upload)
    }
}

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn offset(headers: &HeaderMap) -> Result<u64, Failure> {
    let offset = headers.get(UPLOAD_OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| Failure::failed("the server's answer names no offset of the upload"))
}

/// Why an upload that stands at this byte is not that of a file of so many bytes.
async fn differs(upload: &Value, file: &Path, offset: u64, total: u64) -> Result<Option<String>, Failure> {
    if upload["length"] != total || offset > total {
        let length = upload["length"].as_u64();
        let length = length.map_or_else(|| "an unknown length".into(), |bytes| format!("{bytes} bytes"));
        return Ok(Some(format!("it began with a file of {length}, and this one has {total}")));
    }
    let is_same = upload["blake3"] == begins_with(file, offset).await?.as_str();
    Ok((!is_same).then(|| format!("the {offset} bytes that have arrived are not this file's first ones")))
}

/// BLAKE3 of a file's first bytes.
async fn begins_with(file: &Path, bytes: u64) -> Result<String, Failure> {
    let failed = |e: std::io::Error| Failure::file(file, &e);
    let mut rest = tokio::fs::File::open(file).await.map_err(failed)?.take(bytes);
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        match rest.read(&mut piece).await.map_err(failed)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => hasher.update(&piece[..read]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_known_by_its_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, b"abcdef").unwrap();
        assert_eq!(begins_with(&path, 3).await.ok(), Some(blake3::hash(b"abc").to_hex().to_string()));
        assert_eq!(begins_with(&path, 0).await.ok(), Some(blake3::hash(b"").to_hex().to_string()));
        assert!(begins_with(&dir.path().join("none"), 0).await.is_err());
    }
}
