//! Data on its way in, however often the way to the box breaks.

use futures::StreamExt;
use http::header::{ETAG, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::super::client::{Api, Client};
use super::super::failure::Failure;
use super::super::progress::Progress;
use super::holes::Next;
use super::patience::Patience;
use super::sink::Sink;
use super::verify::Verify;
use super::wanted::Wanted;

/// Bytes of a hole that are passed at once.
const ZEROS_BYTES: u64 = 64 << 20;
/// Bytes read at once of what arrived before.
const READ_BYTES: usize = 1 << 20;

/// Data on its way in.
pub(super) struct Arrival {
    /// Bytes that have.
    pub(super) arrived: u64,
    verify: Verify,
    progress: Progress,
    wanted: Wanted,
    /// Names the data that has begun to arrive.
    tag: Option<String>,
}

impl Arrival {
    pub(super) fn new(wanted: Wanted) -> Arrival {
        let (verify, progress) = (Verify::of(&wanted.expected), Progress::bytes(wanted.total()));
        Arrival { arrived: 0, verify, progress, tag: wanted.tag.clone(), wanted }
    }

    /// Whether another process can go on.
    pub(super) fn can_go_on(&self) -> bool {
        self.arrived > 0 && self.wanted.can_go_on()
    }

    /// Compares what arrived with what was wanted.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.verify.finish(&self.wanted.expected, self.arrived)
    }

    /// Takes what an earlier try left for the beginning.
    pub(super) async fn count(&mut self, file: &mut File) -> std::io::Result<()> {
        let mut piece = vec![0; READ_BYTES];
        loop {
            match file.read(&mut piece).await? {
                0 => return Ok(()),
                read => self.pass(&piece[..read]),
            }
        }
    }

    pub(super) fn pass(&mut self, piece: &[u8]) {
        self.verify.update(piece);
        self.arrived += piece.len() as u64;
        self.progress.add(piece.len() as u64);
    }

    /// Takes the rest.
    pub(super) async fn take(
        &mut self,
        client: &Client,
        sink: &mut Sink,
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.take_on(client, sink, &cannot).await;
            // Also what a broken transfer brought.
            sink.flush().await.map_err(|e| cannot(&e))?;
            let Err(failure) = outcome else { return Ok(()) };
            let reached = self.arrived;
            patience.wait(client, failure, reached, |text| self.progress.say(text)).await?;
        }
    }

    /// Takes the rest, unless something goes wrong: holes as they are told, and a request for what lies between two of them.
    async fn take_on(
        &mut self,
        client: &Client,
        sink: &mut Sink,
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        loop {
            if self.arrived > 0 && self.wanted.total() == Some(self.arrived) {
                return Ok(());
            }
            match self.wanted.holes.next(self.arrived) {
                Next::Hole(bytes) => {
                    let bytes = bytes.min(ZEROS_BYTES);
                    sink.skip(bytes).await.map_err(|e| cannot(&e))?;
                    self.verify.zeros(bytes);
                    self.arrived += bytes;
                    self.progress.add(bytes);
                    // Digests of zeros take their time too: whoever interrupts it is heard in between.
                    tokio::task::yield_now().await;
                }
                Next::Data(end) => {
                    self.take_data(client, end, sink, &cannot).await?;
                    if end.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes what comes up to a byte, in one request.
    async fn take_data(
        &mut self,
        client: &Client,
        end: Option<u64>,
        sink: &mut Sink,
        cannot: impl Fn(&std::io::Error) -> Failure,
    ) -> Result<(), Failure> {
        if self.arrived > 0 && !self.wanted.has_ranges {
            return Err(Failure::failed(
                "what is packed on its way cannot be gone on with: save it again; where that breaks off too, the disk may \
                 be damaged, and --format raw tells why",
            ));
        }
        let is_part = self.arrived > 0 || end.is_some();
        let last = end.map(|end| (end - 1).to_string()).unwrap_or_default();
        let range = format!("bytes={}-{last}", self.arrived);
        let mut headers = Vec::new();
        if is_part {
            headers.push((RANGE, range.as_str()));
            headers.extend(self.tag.as_deref().map(|tag| (IF_RANGE, tag)));
        }
        let path = &self.wanted.path;
        let reply = client.send_with(Method::GET, Api::Native, path, &headers, None).await?;
        if reply.status() == StatusCode::NO_CONTENT {
            return Err(Failure::failed("the image has no data yet"));
        }
        if is_part && reply.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Failure::failed("the image's data changed while it arrived; save it again"));
        }
        self.tag = reply.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut pieces = reply.bytes();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            sink.write(&piece).await.map_err(|e| cannot(&e))?;
            self.pass(&piece);
        }
        match end {
            // What goes on behind the hole would go to another place.
            Some(end) if end != self.arrived => {
                Err(Failure::failed(format!("the data ends at byte {}, before a hole", self.arrived)))
            }
            _ => Ok(()),
        }
    }
}
