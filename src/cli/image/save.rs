//! `tintype image save`: an image's data, verified on arrival, in a file, on a device, or on standard output.
//!
//! What has arrived of a file waits beside it under a name that tells which data it is of, so that the
//! next try goes on from there. Invariant: a file appears under its own name only when its bytes are the
//! image's, and nothing but a file is replaced.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use tokio::fs::File;

use super::super::client::Client;
use super::super::destination::{self, Destination};
use super::super::failure::{Failure, Remedy};
use super::super::interruption::Interruption;
use super::super::output::{Output, printable};
use super::arrival::Arrival;
use super::part;
use super::sink::Sink;
use super::wanted::Wanted;
use crate::disk::writing::Form;

/// Arguments of `tintype image save`.
#[derive(Args)]
pub struct Save {
    /// Id, name, or family:NAME for the latest of a family
    image: String,
    /// File to write, or - for standard output. A block device is written in place: what was on it is gone. A
    /// pipe or a character device takes the data as standard output does
    file: PathBuf,
    /// Format that the file is to have, whatever the image is stored as; as it is stored without
    #[arg(long, value_parser = PossibleValuesParser::new(Form::ALL.map(Form::as_str)))]
    format: Option<String>,
}

impl Save {
    /// Writes the data. A file appears under its name only when it is complete and verified; what a
    /// broken transfer left is gone on with.
    ///
    /// # Errors
    /// When the data does not arrive whole, is not what the record says, or cannot be written.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let destination = match self.file == Path::new("-") {
            true => None,
            false => Some(Destination::of(&self.file)?),
        };
        let image = super::find_to_read(client, &self.image).await?;
        let id = super::id(&image)?;
        let wanted = match &self.format {
            None => Wanted::stored(id, &image),
            Some(format) => Wanted::formed(client, id, format).await?,
        };
        let is_disk = is_bare_disk(self.format.as_deref(), &image);
        let wanted = if is_disk { wanted.with_holes(client, id).await } else { wanted };
        let Some(destination) = destination else {
            let out = Sink::Out(Box::new(tokio::io::stdout()));
            return stream(client, out, wanted, Failure::output).await.map(drop);
        };
        let checked = checked(self.format.as_deref(), &wanted);
        let path = self.file.as_path();
        let named = path.display();
        let (written, sentence) = match &destination {
            Destination::File(file) => {
                let written = write_file(client, file, wanted).await?;
                (written, format!("Saved {id} to {named} ({written} bytes, {checked})"))
            }
            Destination::Device => {
                if self.format.is_none() && !is_disk && image["disk_format"] != "iso" {
                    let format = printable(image["disk_format"].as_str().unwrap_or("no disk"));
                    eprintln!(
                        "{named}: gets the file as it is stored ({format}), not the guest's disk, which --format raw writes"
                    );
                }
                let (written, rest) = write_device(client, path, wanted).await?;
                let behind = match rest {
                    0 => String::new(),
                    rest => format!(", and the {rest} bytes behind it are as they were"),
                };
                let gone = "what the device had there is gone";
                (
                    written,
                    format!("Saved {id} to the device {named} ({written} bytes, {checked}): {gone}{behind}"),
                )
            }
            Destination::Stream => {
                let out = File::from_std(destination::open_stream(path)?);
                let cannot = |e: &std::io::Error| Failure::file(path, e);
                let written = stream(client, Sink::Out(Box::new(out)), wanted, cannot).await?;
                (written, format!("Saved {id} to {named} ({written} bytes, {checked})"))
            }
        };
        let mut facts = facts(id, &self, written);
        if destination == Destination::Device {
            facts["device"] = json!(true);
        }
        output.done(&sentence, &facts)
    }
}

/// Whether what comes is a guest's disk, byte for byte.
fn is_bare_disk(format: Option<&str>, image: &Value) -> bool {
    match format {
        Some(format) => format == Form::Raw.as_str(),
        None => image["disk_format"] == "raw" && image["container_format"] == "bare",
    }
}

/// What the file was compared with.
fn checked(format: Option<&str>, wanted: &Wanted) -> String {
    match format {
        None => "verified".to_owned(),
        Some(format) if wanted.total().is_some() => {
            format!("made as {format}; that is its length, and the box has no digest of it")
        }
        Some(format) => format!("made as {format}; its end arrived, and the box knows no length before"),
    }
}

fn facts(id: &str, save: &Save, written: u64) -> Value {
    let mut facts = json!({"id": id, "file": save.file, "size_bytes": written});
    if let Some(format) = &save.format {
        facts["format"] = json!(format);
    }
    facts
}

/// Hands the data on as it comes; gives how much there was.
async fn stream(
    client: &Client,
    mut out: Sink,
    wanted: Wanted,
    cannot: impl Fn(&std::io::Error) -> Failure,
) -> Result<u64, Failure> {
    let (interruption, mut arrival) = (Interruption::listen(), Arrival::new(wanted));
    let taken = interruption.or(arrival.take(client, &mut out, cannot)).await;
    taken.map_err(Failure::nothing_is_kept)?;
    let written = arrival.arrived;
    arrival.finish().map(|()| written)
}

/// Writes the data on a device; gives how much there was, and how much of the device is behind it.
async fn write_device(client: &Client, path: &Path, wanted: Wanted) -> Result<(u64, u64), Failure> {
    let named = path.display();
    let Some(total) = wanted.total() else {
        return Err(Failure::usage(format!(
            "{named}: nobody knows before how long the data will be, and so whether the device can take it: save \
             it to a file, or in another format"
        )));
    };
    let (device, size) = destination::open_device(path, total)?;
    let cannot = |e: &std::io::Error| Failure::file(path, e);
    let (mut sink, mut arrival) = (Sink::Device(File::from_std(device)), Arrival::new(wanted));
    let taken = Interruption::listen().or(arrival.take(client, &mut sink, cannot)).await;
    let written = arrival.arrived;
    let ended = match taken.and_then(|()| arrival.finish()) {
        Ok(()) => sink.end(written).await.map_err(|e| cannot(&e)),
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => Ok((written, size - written)),
        Err(failure) if written == 0 => Err(failure),
        Err(failure) => {
            let message = format!(
                "{failure}; the device {named} has a part of the image now, and what it had there is gone: the same \
                 command begins anew"
            );
            Err(Failure { message, ..failure })
        }
    }
}

async fn write_file(client: &Client, path: &Path, wanted: Wanted) -> Result<u64, Failure> {
    let part = part::path_of(path, wanted.mark.as_deref())?;
    let cannot = |e: &std::io::Error| Failure::file(&part, e);
    // What cannot be gone on with begins anew; so does what a machine that went down may have lost a part of, where nothing would
    // tell.
    let goes_on = wanted.has_ranges && (wanted.has_digest() || part::is_of_this_boot(&part));
    let mut file = part::open(&part, goes_on)?;
    let (interruption, mut arrival) = (Interruption::listen(), Arrival::new(wanted));
    arrival.count(&mut file).await.map_err(|e| cannot(&e))?;
    let mut sink = Sink::File(file);
    let taken = interruption.or(arrival.take(client, &mut sink, cannot)).await;
    match taken {
        Err(failure) if failure.remedy != Remedy::None && arrival.can_go_on() => {
            // Also what a transfer brought that was interrupted.
            sink.flush().await.map_err(|e| cannot(&e))?;
            let message = format!("{failure}; what has arrived is kept: the same command goes on");
            Err(Failure { message, ..failure })
        }
        taken => settle(taken.map_err(Failure::nothing_is_kept), arrival, &mut sink, &part, path).await,
    }
}

/// Gives the file its name when its bytes are what was wanted, and removes it when they are not.
async fn settle(
    taken: Result<(), Failure>,
    arrival: Arrival,
    sink: &mut Sink,
    part: &Path,
    path: &Path,
) -> Result<u64, Failure> {
    let written = arrival.arrived;
    if let Err(failure) = taken.and_then(|()| arrival.finish()) {
        // It must not be taken for the image.
        let _ = tokio::fs::remove_file(part).await;
        return Err(failure);
    }
    sink.end(written).await.map_err(|e| Failure::file(part, &e))?;
    tokio::fs::rename(part, path).await.map_err(|e| Failure::file(path, &e))?;
    Ok(written)
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
            let wanted = Wanted::stored("x", image);
            let part = part::path_of(&path, wanted.mark.as_deref())?;
            let mut sink = Sink::File(File::create(&part).await.unwrap());
            let mut arrival = Arrival::new(wanted);
            for piece in [&b"a"[..], b"bc"] {
                sink.write(piece).await.unwrap();
                arrival.pass(piece);
            }
            settle(Ok(()), arrival, &mut sink, &part, &path).await
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
}
