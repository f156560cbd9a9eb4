//! Ranges of a stream: range → extents → frames → verified bytes, in order.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use super::Store;
use super::error::Error;
use super::manifest::{Extent, Manifest};
use super::pins::Held;
use crate::model::ByteRange;

/// Pieces a slow client may leave waiting.
const AHEAD: usize = 2;
/// Zeros are handed out in pieces of this size.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// A published stream, open for reading. Holding it keeps its packs from being deleted.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    manifest: Arc<Manifest>,
    // Where each extent begins.
    starts: Arc<Vec<u64>>,
    _held: Arc<Held>,
}

impl Reader {
    pub(super) fn new(store: Store, manifest: Arc<Manifest>, held: Held) -> Reader {
        let mut starts = Vec::with_capacity(manifest.extents.len());
        let mut at = 0u64;
        for extent in &manifest.extents {
            starts.push(at);
            at = at.saturating_add(extent.bytes());
        }
        Reader { store, manifest, starts: Arc::new(starts), _held: Arc::new(held) }
    }

    /// The stream's length.
    pub fn size_bytes(&self) -> u64 {
        self.manifest.size_bytes
    }

    /// The bytes of `range`, in order, verified; ends with an error where they are damaged.
    pub fn stream(&self, range: ByteRange) -> BoxStream<'static, Result<Bytes, Error>> {
        let (send, receive) = mpsc::channel(AHEAD);
        let reader = self.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = reader.visit(range, &mut |bytes| send.blocking_send(Ok(bytes)).is_ok());
            if let Err(error) = outcome {
                tracing::error!(%error, "a read failed");
                // A client that left does not hear of it.
                let _ = send.blocking_send(Err(error));
            }
        });
        futures::stream::unfold(receive, |mut receive| async move {
            receive.recv().await.map(|item| (item, receive))
        })
        .boxed()
    }

    /// Fills `out` from `offset`. Blocks on the medium.
    ///
    /// # Errors
    /// Past the end, damage, or the medium's failure.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let range = ByteRange { start: offset, end: offset.saturating_add(out.len() as u64) };
        if range.end > self.size_bytes() {
            return Err(self.damaged("a read went past its end"));
        }
        let mut filled = 0;
        self.visit(range, &mut |bytes| {
            out[filled..filled + bytes.len()].copy_from_slice(&bytes);
            filled += bytes.len();
            true
        })
    }

    /// Hands out the bytes of `range` in order, until `give` says stop.
    fn visit(&self, range: ByteRange, give: &mut dyn FnMut(Bytes) -> bool) -> Result<(), Error> {
        let mut at = range.start;
        let mut index = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        while at < range.end {
            let (Some(extent), Some(start)) = (self.manifest.extents.get(index), self.starts.get(index))
            else {
                return Err(self.damaged("its extents end before it does"));
            };
            let part = ByteRange { start: at - start, end: (range.end - start).min(extent.bytes()) };
            let goes_on = match *extent {
                Extent::Zeros { .. } => give_zeros(part.len(), give),
                Extent::Run { pack, first, count, .. } => self.visit_run(pack, first, count, part, give)?,
            };
            if !goes_on {
                return Ok(());
            }
            at = start + part.end;
            index += 1;
        }
        Ok(())
    }

    fn visit_run(
        &self,
        number: u64,
        first: u32,
        count: u32,
        part: ByteRange,
        give: &mut dyn FnMut(Bytes) -> bool,
    ) -> Result<bool, Error> {
        let pack = self.store.pack(number)?;
        let mut at = 0u64;
        let mut frame: Option<(usize, Bytes)> = None;
        for ordinal in first..first.saturating_add(count) {
            let place = pack
                .place(ordinal)
                .ok_or_else(|| self.damaged(format!("pack {number} has no chunk {ordinal}")))?;
            let end = at + place.bytes as u64;
            if end > part.start {
                let bytes = match &frame {
                    Some((index, bytes)) if *index == place.frame => bytes.clone(),
                    _ => self.store.frame(&pack, place.frame)?,
                };
                let from = place.start + part.start.saturating_sub(at) as usize;
                let to = place.start + (part.end.min(end) - at) as usize;
                if to > bytes.len() {
                    return Err(self.damaged(format!("chunk {ordinal} of pack {number} is cut short")));
                }
                if !give(bytes.slice(from..to)) {
                    return Ok(false);
                }
                frame = Some((place.frame, bytes));
            }
            at = end;
            if at >= part.end {
                return Ok(true);
            }
        }
        Err(self.damaged(format!("a run in pack {number} is shorter than its extent")))
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::damaged(format!("content {}", hex::encode(self.manifest.content)), reason)
    }
}

fn give_zeros(mut bytes: u64, give: &mut dyn FnMut(Bytes) -> bool) -> bool {
    while bytes > 0 {
        let now = bytes.min(ZEROS.len() as u64);
        if !give(Bytes::from_static(&ZEROS[..now as usize])) {
            return false;
        }
        bytes -= now;
    }
    true
}
