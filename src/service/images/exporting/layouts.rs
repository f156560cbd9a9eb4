//! What made files are made of: found once for a disk and a form, and kept for whoever asks next.
//!
//! Invariants: all layouts in memory, in use or kept for later, stay below a bound, and what is kept for later takes half of it at
//! most; whoever asks for one that is being found waits for it.

use std::ops::ControlFlow;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flow::Crew;
use super::measuring::{self, Measuring};
use crate::disk::writing::{self, Blocks, Form, Layout, Names, Sizes, Unfit, VmdkStream};
use crate::model::ContentId;
use crate::service::images::guests::GuestDisk;
use crate::service::images::guests::ReadAs;
use crate::service::images::upload::in_background;
use crate::service::{Error, ErrorKind};

/// What exports may hold in memory, of all readers together.
#[derive(Debug, Clone)]
pub struct ExportRules {
    /// Bytes that were made and not taken yet. Beside them each reader may hold a little.
    pub ahead_bytes: u64,
    /// Layouts of files.
    pub layout_bytes: u64,
}

impl Default for ExportRules {
    fn default() -> ExportRules {
        ExportRules { ahead_bytes: 16 << 20, layout_bytes: 16 << 20 }
    }
}

/// A unit of memory for layouts.
const UNIT_BYTES: u64 = 1024;
/// Layouts that the cache expects. It divides its room among as many shards as have 32 each, and keeps nothing that is larger than a
/// shard's: what a large disk takes has to find the whole.
const EXPECTED: usize = 32;
/// What any layout takes, in bytes.
const OWN_BYTES: u64 = 512;
/// Blocks that are noted between two looks at how much that takes.
const LOOK_EVERY: u64 = 1024;

/// What a file is made of.
pub(super) enum Made {
    /// All of it is known.
    File(Box<dyn Layout>),
    /// Where there is data, of a form whose rest is known when that is packed.
    Shape(Arc<Blocks>),
}

/// The same, and its room in memory.
pub(super) struct Kept {
    pub(super) made: Made,
    /// Says where there is data.
    pub(super) digest: [u8; 32],
    bytes: u64,
    _room: OwnedSemaphorePermit,
}

/// Of which stream, read as what, in which form, and whether its units were packed.
type Key = (ContentId, ReadAs, Form, bool);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Kept>> for ByBytes {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        kept.bytes
    }
}

/// The layouts of a service. A clone is the same.
#[derive(Clone)]
pub(super) struct Layouts {
    kept: Arc<Cache<Key, Arc<Kept>, ByBytes>>,
    room: Arc<Semaphore>,
    bytes_max: u64,
}

impl Layouts {
    pub(super) fn new(rules: &ExportRules) -> Layouts {
        let units = usize::try_from(rules.layout_bytes / UNIT_BYTES).unwrap_or(usize::MAX);
        let for_later = rules.layout_bytes / 2;
        Layouts {
            kept: Arc::new(Cache::with_weighter(EXPECTED, for_later.max(1), ByBytes)),
            room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            bytes_max: rules.layout_bytes,
        }
    }

    /// What a disk is in a form, without packing any of it.
    pub(super) async fn of(
        &self,
        disk: &Arc<GuestDisk>,
        form: Form,
        names: &Names,
        crew: &Crew,
    ) -> Result<Arc<Kept>, Error> {
        self.kept
            .get_or_insert_async(&key(disk, form, false), async {
                let turn = crew.turn().await?;
                let (layouts, disk, names) = (self.clone(), disk.clone(), *names);
                let found = in_background(move || {
                    let found = layouts.find(&disk, form, &names);
                    // Not before, when whoever asked has left.
                    drop(turn);
                    found
                });
                found.await.map(Arc::new)
            })
            .await
    }

    /// The same where it takes packing.
    pub(super) async fn measured(
        &self,
        packing: &Measuring,
        form: Form,
        names: &Names,
        crew: &Crew,
        step: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Arc<Kept>, Error> {
        self.kept
            .get_or_insert_async(&key(&packing.disk, form, true), async {
                let blocks = &packing.blocks;
                // All that the layout can take: afterwards somebody else might have it.
                let tables = 2 * VmdkStream::bytes_for(blocks) + Sizes::bytes_for(blocks.count());
                let room = self.reserve(OWN_BYTES + blocks.kept_bytes() + tables)?;
                let sizes = measuring::measure(crew.clone(), packing.clone(), step).await?;
                let digest = blocks.digest();
                let layout = writing::layout(form, Blocks::clone(blocks), Some(sizes), names);
                Ok(Arc::new(self.keep(Made::File(layout.map_err(unfit)?), digest, Some(room))?))
            })
            .await
    }

    fn find(&self, disk: &GuestDisk, form: Form, names: &Names) -> Result<Kept, Error> {
        let blocks = self.blocks(disk, form)?;
        writing::check(form, &blocks).map_err(unfit)?;
        let digest = blocks.digest();
        let made = match form.is_compressed() {
            true => Made::Shape(Arc::new(blocks)),
            false => Made::File(writing::layout(form, blocks, None, names).map_err(unfit)?),
        };
        self.keep(made, digest, None)
    }

    /// Goes over a disk and notes where there is data, in the form's blocks. Reads no data.
    fn blocks(&self, disk: &GuestDisk, form: Form) -> Result<Blocks, Error> {
        let size = disk.size_bytes();
        let Some(block_bytes) = form.block_bytes(size) else { return Ok(Blocks::new(size, 512)) };
        let (mut blocks, mut at, mut seen) = (Blocks::new(size, block_bytes), 0, 0_u64);
        while at < size {
            let extent = disk.extent_at(at)?;
            if !extent.is_zero {
                blocks.add(at..at + extent.bytes);
            }
            at += extent.bytes;
            seen += 1;
            if seen.is_multiple_of(LOOK_EVERY) && blocks.kept_bytes() > self.bytes_max {
                return Err(too_many_pieces(blocks.kept_bytes(), self.bytes_max));
            }
        }
        Ok(blocks)
    }

    /// Takes room for what was made, where none was taken before.
    fn keep(&self, made: Made, digest: [u8; 32], room: Option<OwnedSemaphorePermit>) -> Result<Kept, Error> {
        let bytes = OWN_BYTES
            + match &made {
                Made::File(layout) => layout.kept_bytes(),
                Made::Shape(blocks) => blocks.kept_bytes(),
            };
        let room = room.map_or_else(|| self.reserve(bytes), Ok)?;
        Ok(Kept { made, digest, bytes, _room: room })
    }

    /// Room for the tables of a file that goes out in one pass.
    pub(super) fn reserve_stream(&self, disk: &Blocks) -> Result<OwnedSemaphorePermit, Error> {
        self.reserve(VmdkStream::bytes_for(disk))
    }

    fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Error> {
        if bytes > self.bytes_max {
            return Err(too_many_pieces(bytes, self.bytes_max));
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(units.min(self.units())).map_err(|_| {
            let message = "many large disks are leaving, and there is no memory for one more now; try again";
            Error::new(ErrorKind::Unavailable, message)
        })
    }

    fn units(&self) -> u32 {
        u32::try_from(self.bytes_max / UNIT_BYTES).unwrap_or(u32::MAX)
    }
}

fn key(disk: &GuestDisk, form: Form, is_packed: bool) -> Key {
    (disk.content(), disk.read_as(), form, is_packed)
}

fn unfit(unfit: Unfit) -> Error {
    Error::invalid(unfit.to_string())
}

fn too_many_pieces(bytes: u64, most: u64) -> Error {
    Error::too_large(format!(
        "what tells where the disk's data is takes {bytes} bytes of memory, and {most} are there for it: \
         download the image as it is stored, or have store.memory_bytes raised"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_of_half_of_the_memory_is_kept_for_later() {
        let layouts = Layouts::new(&ExportRules { layout_bytes: 64 << 20, ..ExportRules::default() });
        assert_eq!(layouts.kept.num_shards(), 1);
    }
}
