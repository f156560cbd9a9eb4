//! `tintype image save`: an image's data, verified on arrival, in a file or on standard output.
//!
//! What has arrived of a file waits beside it under a name that tells which data it is of, so that the
//! next try goes on from there. Invariant: a file appears under its own name only when its bytes are the
//! image's.

use std::path::{Path, PathBuf};

use clap::Args;
use futures::StreamExt;
use http::header::{ETAG, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::client::{Api, Client};
use super::super::failure::{Failure, Remedy};
use super::super::output::Output;
use super::super::progress::Progress;
use super::patience::Patience;
use super::verify::Verify;

/// Bytes read at once of what arrived before.
const READ_BYTES: usize = 1 << 20;

/// Arguments of `tintype image save`.
#[derive(Args)]
pub struct Save {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
    /// File to write, or - for standard output
    file: PathBuf,
}

impl Save {
    /// Writes the data. A file appears under its name only when it is complete and verified; what a
    /// broken transfer left is gone on with.
    ///
    /// # Errors
    /// When the data does not arrive whole, is not what the record says, or cannot be written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let image = super::find_to_read(client, &self.image).await?;
        let id = super::id(&image)?;
        if self.file == Path::new("-") {
            let mut arrival = Arrival::new(&image);
            let out = &mut tokio::io::stdout();
            arrival.take(client, id, out, |e: &std::io::Error| Failure::output(e)).await?;
            let written = arrival.arrived;
            return arrival.verify.finish(&image, written);
        }
        let written = write_file(client, &self.file, id, &image).await?;
        let sentence = format!("Saved {id} to {} ({written} bytes, verified)", self.file.display());
        output.done(&sentence, &json!({"id": id, "file": self.file, "size_bytes": written}))
    }
}

async fn write_file(client: &Client, path: &Path, id: &str, image: &Value) -> Result<u64, Failure> {
    let part = part_of(path, image)?;
    let cannot = |e: &std::io::Error| Failure::file(&part, e);
    let mut arrival = Arrival::new(image);
    let mut options = File::options();
    let mut file = options.read(true).append(true).create(true).open(&part).await.map_err(|e| cannot(&e))?;
    arrival.count(&mut file).await.map_err(|e| cannot(&e))?;
    match arrival.take(client, id, &mut file, cannot).await {
        Err(failure) if failure.remedy != Remedy::None && arrival.can_go_on(image) => {
            let message = format!("{failure}; what has arrived is kept: the same command goes on");
            Err(Failure { message, ..failure })
        }
        taken => settle(taken, arrival, &mut file, &part, path, image).await,
    }
}

/// Gives the file its name when its bytes are the image's, and removes it when they are not.
async fn settle(
    taken: Result<(), Failure>,
    arrival: Arrival,
    file: &mut File,
    part: &Path,
    path: &Path,
    image: &Value,
) -> Result<u64, Failure> {
    let written = arrival.arrived;
    if let Err(failure) = taken.and_then(|()| arrival.verify.finish(image, written)) {
        // It must not be taken for the image.
        let _ = tokio::fs::remove_file(part).await;
        return Err(failure);
    }
    file.sync_all().await.map_err(|e| Failure::file(part, &e))?;
    tokio::fs::rename(part, path).await.map_err(|e| Failure::file(path, &e))?;
    Ok(written)
}

/// Where the data waits until it is whole: another name for other data.
fn part_of(path: &Path, image: &Value) -> Result<PathBuf, Failure> {
    let file =
        path.file_name().ok_or_else(|| Failure::usage(format!("{}: names no file", path.display())))?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file);
    if let Some(digest) = image["os_hash_value"].as_str() {
        name.push(format!(
            ".{}",
            digest.chars().filter(char::is_ascii_hexdigit).take(16).collect::<String>()
        ));
    }
    name.push(".part");
    Ok(path.with_file_name(name))
}

/// Data on its way in.
struct Arrival {
    arrived: u64,
    verify: Verify,
    progress: Progress,
    total: Option<u64>,
    /// Names the data that has begun to arrive.
    tag: Option<String>,
}

impl Arrival {
    fn new(image: &Value) -> Arrival {
        let total = image["size"].as_u64();
        Arrival { arrived: 0, verify: Verify::of(image), progress: Progress::bytes(total), total, tag: None }
    }

    /// Whether another process can go on: where the record has no digest, nothing tells the data apart.
    fn can_go_on(&self, image: &Value) -> bool {
        self.arrived > 0 && image["os_hash_value"].is_string()
    }

    /// Takes what an earlier try left for the beginning.
    async fn count(&mut self, file: &mut File) -> std::io::Result<()> {
        let mut piece = vec![0; READ_BYTES];
        loop {
            match file.read(&mut piece).await? {
                0 => return Ok(()),
                read => self.pass(&piece[..read]),
            }
        }
    }

    fn pass(&mut self, piece: &[u8]) {
        self.verify.update(piece);
        self.arrived += piece.len() as u64;
        self.progress.add(piece.len() as u64);
    }

    /// Takes the rest, however often the way to the box breaks.
    async fn take(
        &mut self,
        client: &Client,
        id: &str,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.take_once(client, id, sink, &cannot).await;
            // Also what a broken transfer brought.
            sink.flush().await.map_err(|e| cannot(&e))?;
            let Err(failure) = outcome else { return Ok(()) };
            let reached = self.arrived;
            patience.wait(client, failure, reached, |text| self.progress.say(text)).await?;
        }
    }

    /// Takes the rest in one request.
    async fn take_once(
        &mut self,
        client: &Client,
        id: &str,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        if self.arrived > 0 && self.total == Some(self.arrived) {
            return Ok(());
        }
        let range = format!("bytes={}-", self.arrived);
        let mut headers = Vec::new();
        if self.arrived > 0 {
            headers.push((RANGE, range.as_str()));
            headers.extend(self.tag.as_deref().map(|tag| (IF_RANGE, tag)));
        }
        let path = format!("/images/{id}/file");
        let reply = client.send_with(Method::GET, Api::Native, &path, &headers, None).await?;
        if reply.status() == StatusCode::NO_CONTENT {
            return Err(Failure::failed(format!("image {id} has no data yet")));
        }
        if self.arrived > 0 && reply.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Failure::failed("the image's data changed while it arrived; save it again"));
        }
        self.tag = reply.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut pieces = reply.bytes();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            sink.write_all(&piece).await.map_err(|e| cannot(&e))?;
            self.pass(&piece);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_appears_only_when_its_bytes_are_the_images() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let good = [
            json!({"size": 3, "checksum": "900150983cd24fb0d6963f7d28e17f72"}),
            json!({"size": 3, "checksum": null, "os_hash_algo": "sha256", "os_hash_value": sha256}),
            json!({"size": 3, "checksum": null, "os_hash_algo": null, "os_hash_value": null}),
        ];
        let save = async |image: &Value| {
            let part = part_of(&path, image)?;
            let mut file = File::create(&part).await.unwrap();
            let mut arrival = Arrival::new(image);
            for piece in [&b"a"[..], b"bc"] {
                file.write_all(piece).await.unwrap();
                arrival.pass(piece);
            }
            settle(Ok(()), arrival, &mut file, &part, &path, image).await
        };
        for good in good {
            assert_eq!(save(&good).await.ok(), Some(3), "{good}");
            assert_eq!(std::fs::read(&path).unwrap(), b"abc");
            std::fs::remove_file(&path).unwrap();
        }
        for bad in [
            json!({"checksum": "00"}),
            json!({"os_hash_algo": "sha512"}),
            json!({"os_hash_algo": "sha256", "os_hash_value": "00"}),
            json!({"size": 4}),
        ] {
            assert!(save(&bad).await.is_err());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{bad}");
        }
    }

    #[test]
    fn other_data_waits_under_another_name() {
        let part = |digest: &str| part_of(Path::new("/x/disk"), &json!({"os_hash_value": digest})).ok();
        assert_eq!(part("0123456789abcdef0123"), Some("/x/.disk.0123456789abcdef.part".into()));
        assert_ne!(part("00"), part("01"));
        assert_eq!(part("../../y"), Some("/x/.disk..part".into()));
    }
}
