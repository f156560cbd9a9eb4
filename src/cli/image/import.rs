//! `tintype image import`: a file or standard input becomes an image.
//!
//! A file goes up in parts ([`Sending`]), so that neither a broken connection nor the end of either
//! side costs what has arrived. Standard input cannot be read again, and goes up in one request; so does what is to be stored in
//! another format, which the box converts when all of it has arrived.

use std::io;
use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use clap::Args;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use http::{HeaderName, Method};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::super::client::{Api, Client, Payload};
use super::super::failure::{Failure, Remedy};
use super::super::following;
use super::super::interruption::Interruption;
use super::super::output::Output;
use super::super::progress::Progress;
use super::capture::Local;
use super::new::NewImage;
use super::reading::{Data, Trouble};
use super::send::{Found, Sending};
use super::start::{self, Start};
use crate::disk::Budgets;
use crate::disk::ova::Archive;
use crate::disk::probe::Format;
use crate::service::images::DISK_PROPERTY;

/// Bytes read at once.
pub(super) const READ_BYTES: usize = 1 << 20;

/// Names the store that the data of one request is to go to.
const STORE: HeaderName = HeaderName::from_static("x-image-meta-store");

/// Arguments of `tintype image import`.
#[derive(Args)]
pub struct Import {
    /// File to read, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    new: NewImage,
    /// Store its data in this store of the box; without it in the default one
    #[arg(long, conflicts_with = "resume")]
    store: Option<String>,
    /// Go on with an unfinished import of this file, under the same name
    #[arg(long)]
    resume: bool,
    /// Of a machine's archive (ova) with several disks, read this one: its number, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    disk: Option<u16>,
    /// Store the disk in this format, whatever it comes in: raw, qcow2, vmdk, vhd, vhdx, vdi, or an ova
    #[arg(long, value_name = "FORMAT", value_parser = ["raw", "qcow2"], conflicts_with_all = ["resume", "store"])]
    convert: Option<String>,
}

/// The data is not the image's: what that leaves behind on the box.
enum Undelivered {
    /// Something that goes on, or can be gone on with.
    Kept(Failure),
    /// An image that nothing can fill any more.
    Lost(Failure),
}

impl Import {
    /// Registers the image and sends its data. Nothing is left of it when the box refuses; when it
    /// cannot be reached any more, what has arrived stays there for `--resume`.
    ///
    /// # Errors
    /// When the file cannot be read or the box refuses.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let (source, total) = self.open().await?;
        if self.resume {
            return self.go_on(client, total, output).await;
        }
        let (start, source) = self.start(source, total.is_some()).await?;
        let record = self.record(client, &start).await?;
        let interruption = Interruption::listen();
        let reply = client.call_json(Method::POST, Api::Image, "/v2/images", &record).await?;
        let created = reply.json().await?;
        let id = super::id(&created)?;
        match self.deliver(client, id, source, total, &interruption).await {
            Ok(()) => output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?),
            Err(Undelivered::Kept(failure)) => Err(failure),
            Err(Undelivered::Lost(failure)) => Err(super::take_back(client, id, failure).await),
        }
    }

    /// Sends what is missing of an import that broke off.
    async fn go_on(&self, client: &Client, total: Option<u64>, output: Output) -> Result<(), Failure> {
        let total = total
            .ok_or_else(|| Failure::usage("--resume needs a file, as nothing else can be read again"))?;
        let sending = self.find(client, total).await?;
        let id = sending.image().to_owned();
        let sent = sending.run(client, &Interruption::listen()).await;
        sent.map_err(|failure| match failure.remedy {
            Remedy::None => super::left(&id, failure),
            _ => self.hint(failure),
        })?;
        output.record(&client.get(Api::Image, &format!("/v2/images/{id}")).await?)
    }

    /// What the image is registered with, as far as its first bytes and the arguments say.
    async fn record(&self, client: &Client, start: &Start) -> Result<Value, Failure> {
        if start.is_empty() {
            return Err(Failure::usage(format!("{}: there is nothing in it", self.file.display())));
        }
        let container = start.container();
        if container == Some(Format::Ova) {
            self.expect_choice()?;
        }
        if let Some(format) = container.filter(|_| self.new.goes_by_bytes(&self.file)) {
            let file = self.file.display();
            let format = format.as_str();
            eprintln!(
                "{file}: taken for {format}, which it is by its bytes (--disk-format is believed instead)"
            );
        }
        let mut record = self.new.record(&self.file, container);
        let is_raw = record["disk_format"] == "raw" && record["container_format"] == "bare";
        if is_raw
            && self.convert.is_none()
            && let Some(remark) = start.remark_on_raw()
        {
            eprintln!("{}: {remark}", self.file.display());
        }
        if let Some(number) = self.disk {
            record[DISK_PROPERTY] = number.to_string().into();
        }
        self.new.seal(client, &mut record).await?;
        Ok(record)
    }

    /// Makes the data the image's.
    async fn deliver(
        &self,
        client: &Client,
        id: &str,
        source: start::Data,
        total: Option<u64>,
        interruption: &Interruption,
    ) -> Result<(), Undelivered> {
        if self.convert.is_some() {
            let ordered = self.order_conversion(client, id, source, total, interruption).await;
            let job = ordered.map_err(Undelivered::Lost)?;
            return follow_conversion(client, id, &job, interruption).await;
        }
        let Some(total) = total else {
            let sent = self.send_at_once(client, id, source, interruption).await;
            return sent.map_err(Undelivered::Lost);
        };
        let file = Data::File(self.file.clone());
        let begun = Sending::begin(client, file, id, total, self.store.as_deref()).await;
        let sent = begun.map_err(Undelivered::Lost)?.run(client, interruption).await;
        sent.map_err(|failure| match failure.remedy {
            Remedy::None => Undelivered::Lost(failure),
            _ => Undelivered::Kept(self.hint(failure)),
        })
    }

    /// Sends what can be read once, in one request.
    async fn send_at_once(
        &self,
        client: &Client,
        id: &str,
        source: start::Data,
        interruption: &Interruption,
    ) -> Result<(), Failure> {
        let path = format!("/v2/images/{id}/file");
        let store = self.store.as_deref().map(|store| (STORE, store));
        let headers: Vec<_> = store.into_iter().collect();
        self.put(client, &path, &headers, (source, None), interruption).await
    }

    /// Puts all of the data there, in one request.
    async fn put(
        &self,
        client: &Client,
        path: &str,
        headers: &[(HeaderName, &str)],
        (source, total): (start::Data, Option<u64>),
        interruption: &Interruption,
    ) -> Result<(), Failure> {
        let trouble = Trouble::default();
        let pieces = match total {
            Some(total) => Data::File(self.file.clone()).pieces(0, total, &trouble).await?,
            None => trouble.watch(self.called(), ReaderStream::with_capacity(source, READ_BYTES)),
        };
        let payload = payload(pieces, total, interruption);
        let sent = client.send_with(Method::PUT, Api::Image, path, headers, Some(payload));
        trouble.explain(interruption.and_end(sent).await).map(drop)
    }

    /// What is read, for a person.
    fn called(&self) -> String {
        match self.file == Path::new("-") {
            true => "standard input".to_owned(),
            false => self.file.display().to_string(),
        }
    }

    /// What the data is by its bytes, and the data.
    async fn start(&self, source: start::Data, is_file: bool) -> Result<(Start, start::Data), Failure> {
        let started = match is_file {
            true => Start::of_file(&self.file).map(|start| (start, source)),
            false => Start::of_stream(source).await,
        };
        started.map_err(|e| Failure::file(&self.file, &e))
    }

    /// Refuses a machine with several disks none of which is chosen, or without the one that is, before any of it is sent.
    fn expect_choice(&self) -> Result<(), Failure> {
        if self.convert.is_none() && self.disk.is_none() {
            return Ok(());
        }
        // Of what can be read once, or is not in order, the box says more.
        let Ok(file) = Local::open(&self.file) else { return Ok(()) };
        let Ok(archive) = Archive::read(&file, &Budgets::default()) else { return Ok(()) };
        match (self.disk, archive.disks().len()) {
            (Some(chosen), there) if usize::from(chosen) > there => Err(Failure::usage(format!(
                "{}: there is no disk {chosen}: the machine has {there} ({})",
                self.file.display(),
                archive.listed()
            ))),
            (Some(_), _) | (None, 1) => Ok(()),
            (None, several) => Err(Failure::usage(format!(
                "{}: the machine has {several} disks ({}): say by --disk which one, and import it once for each",
                self.file.display(),
                archive.listed()
            ))),
        }
    }

    /// Has the box take the data in, and then store it in the format that is wanted: by a job, whose id it gives.
    async fn order_conversion(
        &self,
        client: &Client,
        id: &str,
        source: start::Data,
        total: Option<u64>,
        interruption: &Interruption,
    ) -> Result<String, Failure> {
        if !client.works_off_jobs() {
            return Err(Failure::failed(
                "a disk is converted by a job, and no server runs on this box: start one (tintype serve)",
            ));
        }
        let path = format!("/v2/images/{id}/stage");
        self.put(client, &path, &[], (source, total), interruption).await?;
        let asked = json!({"method": {"name": "glance-direct"}, "tintype_convert": self.convert});
        let path = format!("/v2/images/{id}/import");
        client.call_json(Method::POST, Api::Image, &path, &asked).await?;
        let tasks = client.get(Api::Image, &format!("/v2/images/{id}/tasks")).await?;
        let task = tasks["tasks"][0]["id"].as_str();
        // A task is a job, whose id the native API writes without hyphens.
        let job = task.map(|task| task.replace('-', ""));
        job.ok_or_else(|| Failure::failed("the server's answer names no task"))
    }

    /// The unfinished import of this file.
    async fn find(&self, client: &Client, total: u64) -> Result<Sending, Failure> {
        let name = self.new.name(&self.file).unwrap_or_default();
        let query = super::list::query(&[("name", name), ("status", "saving")]);
        let file = self.file.display();
        let mut others = Vec::new();
        for image in super::list::all(client, &query).await? {
            let id = super::id(&image)?;
            match Sending::find(client, &self.file, id, total).await? {
                Found::Begun(sending) => return Ok(sending),
                Found::Others(why) => others.extend(why.into_iter().map(|why| format!("image {id}: {why}"))),
            }
        }
        if others.is_empty() {
            return Err(Failure::not_found(format!(
                "no unfinished import of {file} as \"{name}\"; without --resume a new one begins"
            )));
        }
        Err(Failure::not_found(format!(
            "{file} is another file than the one whose import as \"{name}\" is unfinished, or was changed since then \
             ({}): without --resume a new import begins, and \"image delete\" gives up the old one",
            others.join("; ")
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

    async fn open(&self) -> Result<(start::Data, Option<u64>), Failure> {
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
}

/// Waits for the job that makes the image; one that nobody waits for any more goes on.
async fn follow_conversion(
    client: &Client,
    id: &str,
    job: &str,
    interruption: &Interruption,
) -> Result<(), Undelivered> {
    match interruption.or(following::follow(client, job, None)).await {
        Ok(ended) => following::expect_success(ended).map(drop).map_err(Undelivered::Lost),
        Err(failure) if failure.remedy == Remedy::None => Err(Undelivered::Lost(failure)),
        Err(failure) => {
            let message = format!(
                "{failure}; job {job}, which makes image {id}, goes on: tintype job wait {job} follows it"
            );
            Err(Undelivered::Kept(Failure { message, ..failure }))
        }
    }
}

fn payload(
    pieces: BoxStream<'static, io::Result<Bytes>>,
    length: Option<u64>,
    interruption: &Interruption,
) -> Payload {
    let mut progress = Progress::bytes(length);
    let pieces = pieces.inspect_ok(move |bytes| progress.add(bytes.len() as u64));
    let body = Body::from_stream(interruption.cut(pieces));
    Payload { content_type: "application/octet-stream", length, body }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
