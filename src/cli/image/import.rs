//! `tintype image import`: a file or standard input becomes an image.

use std::path::{Path, PathBuf};

use axum::body::Body;
use clap::Args;
use futures::TryStreamExt;
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::super::client::{Api, Client, Payload};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Progress;
use crate::model::image::DISK_FORMATS;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

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
}

impl Import {
    /// Registers the image and streams its data; nothing is left of it when that fails.
    ///
    /// # Errors
    /// When the file cannot be read or the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (source, total) = self.open().await?;
        let reply = client.call_json(Method::POST, Api::Image, "/v2/images", &self.record()).await?;
        let created = reply.json().await?;
        let id = super::id(&created)?;
        let path = format!("/v2/images/{id}/file");
        let sent = client.send(Method::PUT, Api::Image, &path, Some(payload(source, total)));
        if let Err(failure) = sent.await {
            // Best effort: the upload's own failure is what the person must see.
            let _ = client.call(Method::DELETE, Api::Image, &format!("/v2/images/{id}")).await;
            return Err(failure);
        }
        output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?)
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
        let stem = self.file.file_stem().and_then(|s| s.to_str()).filter(|s| *s != "-");
        if let Some(name) = self.name.as_deref().or(stem) {
            record["name"] = name.into();
        }
        for (key, value) in &self.property {
            record[key] = value.as_str().into();
        }
        record
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

fn payload(source: Box<dyn AsyncRead + Send + Unpin>, total: Option<u64>) -> Payload {
    let mut progress = Progress::bytes(total);
    let pieces = ReaderStream::with_capacity(source, READ_BYTES);
    let body = Body::from_stream(pieces.inspect_ok(move |bytes| progress.add(bytes.len() as u64)));
    Payload { content_type: "application/octet-stream", length: total, body }
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
            file: file.into(),
            name: None,
            disk_format: None,
            container_format: "bare".into(),
            visibility: "shared".into(),
            property: vec![("os".into(), "debian=12".into())],
            tag: vec![],
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
