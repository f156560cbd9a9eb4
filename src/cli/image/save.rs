//! `tintype image save`: an image's data, verified on arrival, in a file or on standard output.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Method;
use md5::Md5;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Progress;

/// Arguments of `tintype image save`.
#[derive(Args)]
pub struct Save {
    /// Id or name
    image: String,
    /// File to write, or - for standard output
    file: PathBuf,
}

impl Save {
    /// Writes the data. A file appears under its name only when it is complete and verified.
    ///
    /// # Errors
    /// When the data does not arrive whole, is not what the record says, or cannot be written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find(client, &self.image).await?;
        let id = super::id(&image)?;
        let pieces = client.call(Method::GET, Api::Image, &format!("/v2/images/{id}/file")).await?.bytes();
        if self.file == Path::new("-") {
            let cannot = |e: &std::io::Error| Failure::output(e);
            copy(pieces, &mut tokio::io::stdout(), &image, cannot).await?;
            return Ok(());
        }
        let written = write_file(&self.file, pieces, &image).await?;
        let sentence = format!("Saved {id} to {} ({written} bytes, verified)", self.file.display());
        output.done(&sentence, &json!({"id": id, "file": self.file, "size_bytes": written}))
    }
}

async fn write_file(
    path: &Path,
    pieces: BoxStream<'static, Result<Bytes, Failure>>,
    image: &Value,
) -> Result<u64, Failure> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| Failure::usage(format!("{}: names no file", path.display())))?);
    name.push(".part");
    let part = path.with_file_name(name);
    let cannot = |e: &std::io::Error| Failure::file(&part, e);
    let mut file = tokio::fs::File::create(&part).await.map_err(|e| cannot(&e))?;
    let outcome = async {
        let written = copy(pieces, &mut file, image, cannot).await?;
        file.sync_all().await.map_err(|e| cannot(&e))?;
        tokio::fs::rename(&part, path).await.map_err(|e| Failure::file(path, &e))?;
        Ok(written)
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        // What arrived is not the image: it must not be taken for it.
        let _ = tokio::fs::remove_file(&part).await;
    }
    outcome
}

/// Passes the bytes on and compares their digest with the record's.
async fn copy(
    mut pieces: BoxStream<'static, Result<Bytes, Failure>>,
    sink: &mut (dyn AsyncWrite + Send + Unpin),
    image: &Value,
    cannot: impl Fn(&std::io::Error) -> Failure,
) -> Result<u64, Failure> {
    let mut progress = Progress::bytes(image["size"].as_u64());
    let mut verify = Verify::of(image);
    let mut written = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        verify.update(&piece);
        sink.write_all(&piece).await.map_err(|e| cannot(&e))?;
        written += piece.len() as u64;
        progress.add(piece.len() as u64);
    }
    sink.flush().await.map_err(|e| cannot(&e))?;
    drop(progress);
    verify.finish(image, written)?;
    Ok(written)
}

/// The strongest digest that the record has.
enum Verify {
    Sha512(Box<Sha512>),
    Md5(Md5),
    Length,
}

impl Verify {
    fn of(image: &Value) -> Verify {
        if image["os_hash_algo"] == "sha512" {
            Verify::Sha512(Box::default())
        } else if image["checksum"].is_string() {
            Verify::Md5(Md5::new())
        } else {
            Verify::Length
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Verify::Sha512(hash) => hash.update(bytes),
            Verify::Md5(hash) => hash.update(bytes),
            Verify::Length => {}
        }
    }

    fn finish(self, image: &Value, written: u64) -> Result<(), Failure> {
        let (what, found, wanted) = match self {
            Verify::Sha512(hash) => ("sha512", hex::encode(hash.finalize()), image["os_hash_value"].as_str()),
            Verify::Md5(hash) => ("md5", hex::encode(hash.finalize()), image["checksum"].as_str()),
            Verify::Length => return check_length(image, written),
        };
        if wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(&found)) {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "the data that arrived is not the image: its {what} is {found}, the record says {}",
            wanted.unwrap_or("nothing")
        )))
    }
}

fn check_length(image: &Value, written: u64) -> Result<(), Failure> {
    match image["size"].as_u64() {
        Some(size) if size != written => Err(Failure::failed(format!("{written} of {size} bytes arrived"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> BoxStream<'static, Result<Bytes, Failure>> {
        futures::stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"bc"))]).boxed()
    }

    #[tokio::test]
    async fn a_file_appears_only_when_its_bytes_are_the_images() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let good = json!({"size": 3, "checksum": "900150983cd24fb0d6963f7d28e17f72"});
        assert_eq!(write_file(&path, pieces(), &good).await.ok(), Some(3));
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        std::fs::remove_file(&path).unwrap();
        for bad in [json!({"checksum": "00"}), json!({"os_hash_algo": "sha512"}), json!({"size": 4})] {
            assert!(write_file(&path, pieces(), &bad).await.is_err());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{bad}");
        }
    }
}
