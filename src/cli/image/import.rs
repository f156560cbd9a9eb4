//! `tintype image import`: a file or standard input becomes an image.
//!
//! A file goes up in parts ([`Sending`]), so that neither a broken connection nor the end of either
//! side costs what has arrived. Standard input cannot be read again, and goes up in one request.

use std::path::{Path, PathBuf};

use axum::body::Body;
use clap::Args;
use futures::TryStreamExt;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::super::client::{Api, Client, Payload};
use super::super::failure::{Failure, Remedy};
use super::super::output::Output;
use super::super::progress::Progress;
use super::send::Sending;
use crate::model::image::DISK_FORMATS;
use crate::service::images::{CUSTOM_KEY_PROPERTY, KEY_PROPERTY, OWN_KEY};

/// Bytes read at once.
pub(super) const READ_BYTES: usize = 1 << 20;

/// Arguments of `tintype image import`.
#[derive(Args)]
pub struct Import {
    /// File to read, or - for standard input
    file: PathBuf,
    /// Name of the image [default: the file's name without its ending]
    #[arg(long)]
    name: Option<String>,
    /// What the data is [default: from the file's ending, else raw]
    #[arg(long, value_parser = DISK_FORMATS)]
    disk_format: Option<String>,
    /// What surrounds the data
    #[arg(long, default_value = "bare")]
    container_format: String,
    /// Who may see it
    #[arg(long, default_value = "shared", value_parser = ["private", "shared", "community", "public"])]
    visibility: String,
    /// A property the image carries
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// A tag the image carries
    #[arg(long)]
    tag: Vec<String>,
    /// Seal it with this key of the project, which is made where there is none (a sealed box)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["own_key", "custom_key"])]
    key: Option<String>,
    /// Seal it with a key of its own, which goes when the image is deleted (a sealed box)
    #[arg(long, conflicts_with = "custom_key")]
    own_key: bool,
    /// Seal it with this custom key (id or alias; a sealed box)
    #[arg(long, value_name = "KEY")]
    custom_key: Option<String>,
    /// Go on with an unfinished import of this file, under the same name
    #[arg(long)]
    resume: bool,
}

impl Import {
    /// Registers the image and sends its data. Nothing is left of it when the box refuses; when it
    /// cannot be reached any more, what has arrived stays there for `--resume`.
    ///
    /// # Errors
    /// When the file cannot be read or the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (source, total) = self.open().await?;
        let sending = match total {
            Some(total) if self.resume => Some(self.find(client, total).await?),
            None if self.resume => {
                return Err(Failure::usage("--resume needs a file, as nothing else can be read again"));
            }
            _ => None,
        };
        if let Some(sending) = sending {
            let id = sending.image().to_owned();
            sending.run(client).await.map_err(|failure| self.hint(failure))?;
            return output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?);
        }
        let mut record = self.record();
        if let Some(key) = &self.custom_key {
            // An alias is the native API's word; images carry ids.
            let path = format!("/custom-keys/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
            record[CUSTOM_KEY_PROPERTY] = client.get(Api::Native, &path).await?["id"].take();
        }
        let reply = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await?;
        let created = reply.json().await?;
        let id = super::id(&created)?;
        let sent = match total {
            Some(total) => match Sending::begin(client, &self.file, id, total).await {
                Ok(sending) => sending.run(client).await,
                // Nothing has arrived that could be gone on with.
                Err(failure) => Err(failure.with(Remedy::None)),
            },
            None => {
                let path = format!("/v2/images/{id}/file");
                client.send(Method::PUT, Api::Image, &path, Some(payload(source))).await.map(drop)
            }
        };
        if let Err(failure) = sent {
            if total.is_some() && failure.remedy != Remedy::None {
                return Err(self.hint(failure));
            }
            // Best effort: the upload's own failure is what the person must see.
            let _ = client.call(Method::DELETE, Api::Image, &format!("/v2/images/{id}")).await;
            return Err(failure);
        }
        output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?)
    }

    /// The unfinished import of this file.
    async fn find(&self, client: &Client, total: u64) -> Result<Sending, Failure> {
        let name = self.name().unwrap_or_default();
        let query = super::list::query(&[("name", name), ("status", "saving")]);
        for image in super::list::all(client, &query).await? {
            if let Some(sending) = Sending::find(client, &self.file, super::id(&image)?, total).await? {
                return Ok(sending);
            }
        }
        let file = self.file.display();
        Err(Failure::not_found(format!(
            "no unfinished import of {file} as \"{name}\"; without --resume a new one begins"
        )))
    }

    /// Says how to go on with what the box kept.
    fn hint(&self, failure: Failure) -> Failure {
        if failure.remedy == Remedy::None {
            return failure;
        }
        let message = format!("{failure}; what has arrived is kept: the same command with --resume goes on");
        Failure { message, ..failure }
    }

    async fn open(&self) -> Result<(Box<dyn AsyncRead + Send + Unpin>, Option<u64>), Failure> {
        if self.file == Path::new("-") {
            return Ok((Box::new(tokio::io::stdin()), None));
        }
        let failed = |e: std::io::Error| Failure::file(&self.file, &e);
        let file = tokio::fs::File::open(&self.file).await.map_err(failed)?;
        let facts = file.metadata().await.map_err(failed)?;
        if facts.is_dir() {
            return Err(Failure::usage(format!("{}: is a directory", self.file.display())));
        }
        // Devices and pipes say nothing of their length.
        Ok((Box::new(file), facts.is_file().then_some(facts.len())))
    }

    fn record(&self) -> Value {
        let mut record = json!({
            "disk_format": self.disk_format(),
            "container_format": self.container_format,
            "visibility": self.visibility,
            "tags": self.tag,
        });
        if let Some(name) = self.name() {
            record["name"] = name.into();
        }
        let own = self.own_key.then_some(OWN_KEY);
        if let Some(name) = self.key.as_deref().or(own) {
            record[KEY_PROPERTY] = name.into();
        }
        for (key, value) in &self.property {
            record[key] = value.as_str().into();
        }
        record
    }

    fn name(&self) -> Option<&str> {
        let stem = self.file.file_stem().and_then(|s| s.to_str()).filter(|s| *s != "-");
        self.name.as_deref().or(stem)
    }

    fn disk_format(&self) -> &str {
        let ending = self.file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match (&self.disk_format, DISK_FORMATS.iter().find(|f| **f == ending)) {
            (Some(format), _) => format,
            (None, Some(format)) => format,
            (None, None) => "raw",
        }
    }
}

fn payload(source: Box<dyn AsyncRead + Send + Unpin>) -> Payload {
    let mut progress = Progress::bytes(None);
    let pieces = ReaderStream::with_capacity(source, READ_BYTES);
    let body = Body::from_stream(pieces.inspect_ok(move |bytes| progress.add(bytes.len() as u64)));
    Payload { content_type: "application/octet-stream", length: None, body }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has the form KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(file: &str) -> Import {
        Import {
            key: None,
            own_key: false,
            custom_key: None,
            file: file.into(),
            name: None,
            disk_format: None,
            container_format: "bare".into(),
            visibility: "shared".into(),
            property: vec![("os".into(), "debian=12".into())],
            tag: vec![],
            resume: false,
        }
    }

    #[test]
    fn the_files_name_says_what_it_is() {
        let record = import("/x/deb.ian.qcow2").record();
        assert_eq!((&record["name"], &record["disk_format"]), (&json!("deb.ian"), &json!("qcow2")));
        assert_eq!(record["os"], "debian=12");
        assert_eq!(import("disk.img").record()["disk_format"], "raw");
        assert!(import("-").record().get("name").is_none());
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=x").is_err());
    }
}
