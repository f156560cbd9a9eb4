//! Making an image in another region: the work of a copy across.
//!
//! The image's bytes go there in slices, each durable there before the next is sent, so that a broken way costs
//! what came since the last one. Invariants: the image there counts as made only when its length and its digest
//! are those of the one here; a copy that somebody ended leaves none there, as far as the other box can be
//! reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::across::{Region, expect_leaves, is_of_origin};
use super::formats::Outgoing;
use super::hindered;
use super::patience::{Patience, is_passing};
use crate::catalog::images;
use crate::model::job::Task;
use crate::model::{Image, ImageId, Status};
use crate::objects::exchange::PIECE_BYTES;
use crate::peers::{self, Found, Upload, Visit};
use crate::service::images::upload::in_background;
use crate::service::jobs::{JobAtWork, asker};
use crate::service::rights::REGION;
use crate::service::upkeep::Step;
use crate::service::{Error, ErrorKind, Hindrance, Reason, Service, custom_keys};
use crate::store::Reader;

/// What the job says that it is at.
const PHASE: &str = "sending";
/// Bytes that are sent before they must be durable there.
const SLICE_BYTES: u64 = 1 << 30;
/// Pieces that may wait for the network.
const AHEAD: usize = 2;
/// How long the other box may take nothing, in seconds.
const STALL_S: u64 = 120;

/// What came of it, in figures.
type Figures = BTreeMap<String, u64>;

/// Why a try came to nothing.
enum Fault {
    Here(Error),
    There(peers::Error),
}

/// What came of a try: the job comes back either way.
type Tried = (JobAtWork, Result<Figures, Fault>);

/// What is sent, as it is here.
struct Outbound {
    image: Image,
    remote: ImageId,
    region: String,
    project: String,
    record: Value,
    reader: Arc<Reader>,
}

impl Service {
    /// Does a copy into another region, to its recorded end.
    ///
    /// # Errors
    /// When the end cannot be recorded.
    pub(in crate::service) async fn perform_copy_across(&self, mut job: JobAtWork) -> Result<(), Error> {
        let mut patience = Patience::default();
        let outcome = loop {
            let tried;
            (job, tried) = self.try_across(job).await?;
            let error = match tried {
                Ok(figures) => break Ok(figures),
                Err(fault) => Error::from(fault),
            };
            let mut goes_on = is_passing(&error);
            if goes_on {
                (job, goes_on) = patience.another(job, &error, "waiting for the other region").await?;
            }
            if !goes_on {
                break Err(error);
            }
        };
        let arrived_otherwise = Some(Reason::Transfer(Hindrance::ArrivedOtherwise));
        if job.was_cancelled() || outcome.as_ref().is_err_and(|error| error.reason == arrived_otherwise) {
            self.take_back(&job).await;
            job = self.name_anew(job).await?;
        }
        in_background(move || job.finish(outcome.as_ref().cloned())).await
    }

    async fn try_across(&self, mut job: JobAtWork) -> Result<Tried, Error> {
        let service = self.clone();
        let looked = in_background(move || {
            let outbound = service.outbound(&mut job);
            Ok((job, outbound))
        });
        let (mut job, outbound) = match looked.await? {
            (job, Ok(outbound)) => (job, outbound),
            (job, Err(error)) => return Ok((job, Err(Fault::Here(error)))),
        };
        let size = outbound.reader.size_bytes();
        let (visit, mut upload) = match self.open_across(&job, &outbound).await {
            Ok((visit, Some(upload))) => (visit, upload),
            Ok((_, None)) => return Ok((job, Ok(figures(size)))),
            Err(fault) => return Ok((job, Err(fault))),
        };
        while upload.offset < size {
            let sent;
            (job, sent) = send_slice(job, &visit, &upload, &outbound.reader).await?;
            upload.offset = match sent {
                Ok(offset) if offset > upload.offset => offset,
                Ok(_) => return Ok((job, Err(Fault::There(none_taken())))),
                Err(fault) => return Ok((job, Err(fault))),
            };
        }
        let job = in_background(move || {
            let _ = job.step(&Step { phase: "comparing", done: size, total: Some(size) });
            Ok(job)
        })
        .await?;
        if job.was_stopped() {
            return Ok((job, Ok(Figures::new())));
        }
        let arrived = self.expect_arrived(&visit, &outbound).await;
        Ok((job, arrived.map(|()| figures(size))))
    }

    fn region_of(&self, job: &JobAtWork, name: &str) -> Result<&Region, Error> {
        let project = job.job().project;
        let known = project.as_ref().map(|id| self.known_project(&self.db.read()?, id)).transpose()?;
        self.regions.find(project.as_ref(), known.flatten().as_ref(), name)
    }

    /// Looks at everything again that the copy rests on.
    fn outbound(&self, job: &mut JobAtWork) -> Result<Outbound, Error> {
        let asked = job.job();
        let Some(Task::CopyAcross { image: id, remote, region, project, name, description }) =
            asked.task.clone()
        else {
            return Err(Error::invalid("this job is no copy into another region"));
        };
        let _ = job.step(&Step { phase: "signing in", done: asked.done_bytes, total: asked.total_bytes });
        let read = self.db.read()?;
        let image = images::get(&read, &id)?.filter(|image| image.status == Status::Active);
        let not_active =
            || Error::conflict(format!("image {id} is not active any more")).because(Reason::NotActive);
        let image = image.ok_or_else(not_active)?;
        custom_keys::expect_opens(&read, &image, &asker(&asked))?;
        expect_leaves(&image)?;
        let reader = Arc::new(self.reader_of(&image)?.ok_or_else(not_active)?);
        let record = record(&image, &remote, &name, description.as_deref());
        Ok(Outbound { image, remote, region, project, record, reader })
    }

    /// Signs in there and finds or makes the image; without an upload where it is made already.
    async fn open_across(
        &self,
        job: &JobAtWork,
        outbound: &Outbound,
    ) -> Result<(Visit, Option<Upload>), Fault> {
        let region = self.region_of(job, &outbound.region).map_err(Fault::Here)?;
        let visit = region.peer.visit(&outbound.project).await.map_err(Fault::There)?;
        match visit.image(&outbound.remote).await.map_err(Fault::There)? {
            None => visit.create(&outbound.record).await.map_err(Fault::There)?,
            Some(found) if found.status == "active" => {
                self.expect_arrived(&visit, outbound).await?;
                return Ok((visit, None));
            }
            Some(_) => {}
        }
        let size = outbound.reader.size_bytes();
        let upload = visit.upload(&outbound.remote, size).await.map_err(Fault::There)?;
        Ok((visit, Some(upload)))
    }

    /// Compares what arrived with what was sent.
    async fn expect_arrived(&self, visit: &Visit, outbound: &Outbound) -> Result<(), Fault> {
        let found = visit.image(&outbound.remote).await.map_err(Fault::There)?;
        let Some(found) = found.filter(|found| found.status == "active") else {
            return Err(Fault::There(peers::Error::Unreachable(
                "the image did not become active there".into(),
            )));
        };
        match differs(&outbound.image, &found) {
            None => Ok(()),
            Some(what) => {
                let message = format!(
                    "{what} of image {} that arrived in the other region is another than here; it was taken back",
                    outbound.remote
                );
                Err(Fault::Here(hindered(ErrorKind::Unavailable, Hindrance::ArrivedOtherwise, message)))
            }
        }
    }

    /// Chooses another id for the image there: no box takes one twice, and the job may be asked for again.
    async fn name_anew(&self, mut job: JobAtWork) -> Result<JobAtWork, Error> {
        let id = ImageId(self.entropy.uuid());
        in_background(move || {
            if let Some(Task::CopyAcross { image, region, project, name, description, .. }) = job.job().task {
                job.amend(Task::CopyAcross { image, remote: id, region, project, name, description })?;
            }
            Ok(job)
        })
        .await
    }

    /// Deletes the image there, as far as the other box can be reached.
    async fn take_back(&self, job: &JobAtWork) {
        let Some(Task::CopyAcross { remote, region, project, .. }) = job.job().task else { return };
        let deleted = async {
            let region = self.region_of(job, &region).map_err(Fault::Here)?;
            let visit = region.peer.visit(&project).await.map_err(Fault::There)?;
            visit.delete(&remote).await.map_err(Fault::There)
        };
        if let Err(fault) = deleted.await {
            tracing::warn!(job = %job.id(), image = %remote, fault = %Error::from(fault), "an image that is none stays in the other region");
        }
    }
}

fn figures(size: u64) -> Figures {
    [("image_bytes".to_owned(), size)].into()
}

fn none_taken() -> peers::Error {
    peers::Error::Unreachable("it took no bytes".to_owned())
}

/// What is said of the image there.
fn record(image: &Image, remote: &ImageId, name: &str, description: Option<&str>) -> Value {
    let mut record = json!({
        "id": remote.to_string(),
        "name": name,
        "visibility": "private",
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib,
    });
    for (name, value) in image.properties.iter().filter(|(name, _)| !is_of_origin(name)) {
        record[name] = json!(value);
    }
    record["__originalimagename"] = json!(image.id.to_string());
    record["__data_origin"] = json!(format!("image,{REGION},{}", image.id));
    if let Some(text) = description {
        record["__description"] = json!(text);
    }
    record
}

/// What of the image that arrived is another than of the one that was sent.
fn differs(here: &Image, there: &Found) -> Option<&'static str> {
    if here.size_bytes != there.size_bytes {
        return Some("the length");
    }
    let secure = here.digests.as_ref().and_then(|digests| digests.secure)?;
    let is_comparable = there.hash_algo.as_deref() == Some(secure.algorithm().as_str());
    let is_same = there.hash_value.as_deref() == Some(hex::encode(secure.value()).as_str());
    (is_comparable && !is_same).then_some("the digest")
}

/// Sends the next slice while the job goes on and the other box takes something.
async fn send_slice(
    job: JobAtWork,
    visit: &Visit,
    upload: &Upload,
    reader: &Arc<Reader>,
) -> Result<(JobAtWork, Result<u64, Fault>), Error> {
    let size = reader.size_bytes();
    let slice = upload.offset..size.min(upload.offset + SLICE_BYTES);
    let length = slice.end - slice.start;
    let (send, receive) = mpsc::channel(AHEAD);
    let from = reader.clone();
    let read = tokio::spawn(in_background(move || {
        let mut job = job;
        let outcome = read_slice(&mut job, &from, slice, &send);
        Ok((job, outcome))
    }));
    let taken = Arc::new(AtomicU64::new(0));
    let sent = tokio::select! {
        sent = visit.send(upload, length, counted(receive, taken.clone())) => sent,
        () = stalled(&taken) => Err(none_taken()),
    };
    let read = read.await.map_err(|died| Error::new(ErrorKind::Internal, died.to_string()))?;
    let (job, outcome) = read?;
    match outcome {
        Ok(()) => Ok((job, sent.map_err(Fault::There))),
        Err(error) => Ok((job, Err(Fault::Here(error)))),
    }
}

/// Hands out a slice; ends early where the job is to end, or nobody takes anything any more.
fn read_slice(
    job: &mut JobAtWork,
    reader: &Reader,
    slice: std::ops::Range<u64>,
    send: &mpsc::Sender<Result<Bytes, String>>,
) -> Result<(), Error> {
    let (mut at, total) = (slice.start, Some(reader.size_bytes()));
    while at < slice.end {
        if job.step(&Step { phase: PHASE, done: at, total }).is_break() {
            let _ = send.blocking_send(Err("the job was ended".to_owned()));
            return Ok(());
        }
        let mut bytes = vec![0; (slice.end - at).min(PIECE_BYTES as u64) as usize];
        if let Err(error) = Outgoing::read_at(reader, at, &mut bytes) {
            let _ = send.blocking_send(Err("the data here cannot be read".to_owned()));
            return Err(error);
        }
        at += bytes.len() as u64;
        if send.blocking_send(Ok(bytes.into())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The pieces, counted as they are taken.
fn counted(
    receive: mpsc::Receiver<Result<Bytes, String>>,
    taken: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static {
    futures::stream::unfold((receive, taken), |(mut receive, taken)| async move {
        let piece = receive.recv().await?;
        taken.fetch_add(1, Ordering::Relaxed);
        Some((piece, (receive, taken)))
    })
}

/// Returns once nothing was taken for too long.
async fn stalled(taken: &AtomicU64) {
    let mut before = None;
    loop {
        let now = taken.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(Duration::from_secs(STALL_S)).await;
    }
}

impl From<peers::Error> for Error {
    fn from(error: peers::Error) -> Error {
        use peers::Error as Fault;
        let (kind, hindrance) = match &error {
            Fault::Unreachable(_) => (ErrorKind::Unavailable, Hindrance::RegionFails),
            Fault::Denied(_) | Fault::Refused(_) => (ErrorKind::Conflict, Hindrance::RegionRefuses),
            Fault::NoProject(_) => (ErrorKind::Invalid, Hindrance::NoProjectThere),
            Fault::TooLarge(_) => (ErrorKind::TooLarge, Hindrance::TooLargeThere),
        };
        hindered(kind, hindrance, error.to_string())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Here(error) => error,
            Fault::There(error) => error.into(),
        }
    }
}
