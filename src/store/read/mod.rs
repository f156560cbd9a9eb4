//! Ranges of a stream: range → extents → frames → verified bytes, in order.
//!
//! [`plan`] says what a range is made of, [`fetch`] gets it, [`course`] gets the next ones meanwhile, with
//! turns from [`fetchers`], and [`ahead`] hands them to a client; what cannot be read of a stream comes from
//! another copy of it ([`elsewhere`]). Who must not wait gets what memory has ([`near`]).
//! Invariant: what leaves here was compared with the name it was stored under, and memory held
//! for a client that does not take its bytes is bounded. Must not know how clients ask.

mod ahead;
mod course;
mod elsewhere;
mod fetch;
mod fetchers;
mod near;
mod plan;
mod spots;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;

pub(super) use fetch::no_run;
pub(super) use fetchers::Fetchers;
pub(super) use plan::Layout;
pub use spots::Spot;

use self::elsewhere::Others;
use self::plan::Batch;
use super::Store;
use super::error::Error;
use super::manifest::{Extent, Manifest};
use super::pins::Held;
use super::recipe::Recipe;
use crate::model::{ByteRange, ContentId};

/// Data fetched at once, so that neighbouring frames cost the medium one request.
const BATCH_BYTES: u64 = 1 << 20;

/// Fetches at work at once, of all readers: one a core decodes as fast as any number would, and a few
/// more keep a medium busy that answers late; many where it is `distant`, as far as there is memory.
pub(super) fn fetches_at_once(distant: bool, memory_bytes: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let distant_max = FETCHES_DISTANT_MIN.min(memory_bytes / FETCH_BYTES);
    cores.max(FETCHES_MIN).max(if distant { distant_max } else { 0 })
}

/// See [`fetches_at_once`].
const FETCHES_MIN: usize = 4;
/// Answers of a bucket take tens of milliseconds.
const FETCHES_DISTANT_MIN: usize = 32;
/// Memory of the store for each of those, in bytes: a frame, and what it is made of.
const FETCH_BYTES: usize = 512 << 10;

/// A published stream, open for reading. Holding it keeps its packs from being deleted.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    layout: Arc<Layout>,
    others: Arc<Others>,
    _held: Arc<Held>,
}

impl Reader {
    pub(super) fn new(store: Store, layout: Arc<Layout>, held: Held) -> Reader {
        Reader { store, layout, others: Arc::default(), _held: Arc::new(held) }
    }

    /// The same, for work that nobody waits for.
    pub(super) fn for_upkeep(mut self) -> Reader {
        if let Some(held) = Arc::get_mut(&mut self._held) {
            held.for_upkeep();
        }
        self
    }

    /// The stream's length.
    pub fn size_bytes(&self) -> u64 {
        self.layout.size_bytes()
    }

    /// The stream's name.
    pub fn content(&self) -> ContentId {
        ContentId(self.manifest().content)
    }

    /// How many bytes from `at` on, which lies before the end, are alike, and whether they are zeros that are stored nowhere.
    /// What follows may be alike too. Reads nothing.
    pub fn stretch_at(&self, at: u64) -> (u64, bool) {
        self.layout.stretch_at(at)
    }

    /// What comes out of the compressed unit that begins at byte `at`, where it is stored like that and not as the unit, and can
    /// be read: another copy of the stream may have the unit itself. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub fn unpacked_at(&self, at: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(plain) = self.layout.unit_at(at) else { return Ok(None) };
        let batch = self.layout.plan_stored(plain, u64::MAX)?;
        match self.store.fetch(&batch.parts) {
            Ok(parts) => Ok(Some(parts.concat())),
            Err(error) if self.others.may_help(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How the stream is made of what its extents name, where it is not just that.
    pub(super) fn recipe(&self) -> Option<Recipe> {
        self.layout.composition().map(|composition| composition.recipe().clone())
    }

    /// Whether the stream is made by a recipe.
    pub fn is_made(&self) -> bool {
        self.layout.composition().is_some()
    }

    /// What is known of the stream, but for its recipe.
    pub(super) fn manifest(&self) -> &Manifest {
        self.layout.manifest()
    }

    /// What the stream is made of, in order.
    pub(super) fn extents(&self) -> &[Extent] {
        &self.layout.manifest().extents
    }

    /// Plans the beginning of `range`, some `data_max` stored bytes of it. It ends where a frame ends, when
    /// memory knows where that is: what comes next then needs no frame that this one needs too.
    fn plan(&self, range: ByteRange, data_max: u64) -> Result<Batch, Error> {
        let batch = self.layout.plan(range, data_max)?;
        match self.store.to_frame_end(&batch) {
            0 => Ok(batch),
            more => self.layout.plan(range, data_max + more),
        }
    }

    /// The bytes of `range`, in order, verified; ends with an error where they are damaged. Needs a
    /// tokio runtime to be polled in.
    pub fn stream(&self, range: ByteRange) -> BoxStream<'static, Result<Bytes, Error>> {
        ahead::stream(self.clone(), range)
    }

    /// The bytes of `range`, which lies within the stream, in pieces as they lie in memory. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub fn pieces_at(&self, range: ByteRange) -> Result<Vec<Bytes>, Error> {
        let (mut rest, mut pieces) = (range, Vec::new());
        while !rest.is_empty() {
            let batch = self.layout.plan(rest, BATCH_BYTES)?;
            pieces.extend(self.fetch(&batch)?);
            rest.start = batch.end;
        }
        Ok(pieces)
    }

    /// Fills `out` from `offset`. Blocks on the medium.
    ///
    /// # Errors
    /// Past the end, damage, or the medium's failure.
    pub fn read_at(&self, offset: u64, mut out: &mut [u8]) -> Result<(), Error> {
        let mut rest = ByteRange { start: offset, end: offset.saturating_add(out.len() as u64) };
        while !rest.is_empty() {
            let batch = self.layout.plan(rest, BATCH_BYTES)?;
            for piece in self.fetch(&batch)? {
                let (now, later) = std::mem::take(&mut out).split_at_mut(piece.len());
                now.copy_from_slice(&piece);
                out = later;
            }
            rest.start = batch.end;
        }
        Ok(())
    }
}
