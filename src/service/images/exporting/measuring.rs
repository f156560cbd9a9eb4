//! Packing a disk's units: to learn how long they get, and to hand them out.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::filling::packed;
use super::flow::{Crew, Flow, Work};
use crate::disk::writing::{Blocks, Packed, Sizes, UNIT_BYTES};
use crate::model::ByteRange;
use crate::service::Error;
use crate::service::images::guests::GuestDisk;

/// Packs units, by ordinal: stretches are of the disk's blocks with data, laid end to end.
pub(super) struct Packing {
    pub(super) disk: Arc<GuestDisk>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) as_: Packed,
}

/// The same, of which only lengths are kept.
#[derive(Clone)]
pub(super) struct Measuring {
    pub(super) disk: Arc<GuestDisk>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) as_: Packed,
}

/// The number of a unit, and what it packs to.
pub(super) type Unit = (u64, Vec<u8>);

impl Work for Packing {
    type Out = Vec<Unit>;

    fn make(&self, range: ByteRange) -> Result<Vec<Unit>, Error> {
        units(&range)
            .map(|ordinal| {
                let unit = self.blocks.block(ordinal);
                Ok((unit, packed(&self.disk, unit, self.as_)?))
            })
            .collect()
    }
}

impl Work for Measuring {
    type Out = Vec<usize>;

    fn make(&self, range: ByteRange) -> Result<Vec<usize>, Error> {
        units(&range)
            .map(|ordinal| Ok(packed(&self.disk, self.blocks.block(ordinal), self.as_)?.len()))
            .collect()
    }
}

/// Stretches end on whole units.
fn units(range: &ByteRange) -> std::ops::Range<u64> {
    range.start / UNIT_BYTES..range.end.div_ceil(UNIT_BYTES)
}

/// The stretch that is all of them.
pub(super) fn whole(blocks: &Blocks) -> ByteRange {
    ByteRange::whole(blocks.count() * UNIT_BYTES)
}

/// Packs all units; `step` hears of bytes done and in all, and can end it.
pub(super) async fn measure(
    crew: Crew,
    measuring: Measuring,
    mut step: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
) -> Result<Sizes, Error> {
    let all = whole(&measuring.blocks);
    let mut flow = Flow::new(crew, measuring, all);
    let (mut sizes, mut done) = (Sizes::default(), 0);
    while let Some(made) = flow.next().await {
        for bytes in made?.out {
            sizes.push(bytes);
            done += UNIT_BYTES;
        }
        if step(done, all.len()).is_break() {
            return Err(Error::conflict("the work was ended before the disk was packed"));
        }
    }
    Ok(sizes)
}
