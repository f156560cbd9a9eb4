//! Reads of what is in memory already, for who must not wait.
//!
//! Invariant: as of all reads, what leaves was compared with its name. Reads no medium, and waits for nobody who does; what is
//! damaged is not told here, but where it is read in earnest.

use bytes::Bytes;

use super::super::Store;
use super::fetch::frame_key;
use super::plan::Part;
use super::{BATCH_BYTES, Reader};
use crate::model::ByteRange;

impl Reader {
    /// Fills `out` from `offset`; `false`, and anything in `out`, where memory has not all of it.
    pub fn read_near(&self, offset: u64, mut out: &mut [u8]) -> bool {
        let mut rest = ByteRange { start: offset, end: offset.saturating_add(out.len() as u64) };
        while !rest.is_empty() {
            let Ok(batch) = self.layout.plan(rest, BATCH_BYTES) else { return false };
            for part in &batch.parts {
                let Some(later) = self.store.fill_near(part, out) else { return false };
                out = later;
            }
            rest.start = batch.end;
        }
        true
    }
}

impl Store {
    /// Fills the beginning of `out` with a part; gives the rest of `out`.
    fn fill_near<'o>(&self, part: &Part, out: &'o mut [u8]) -> Option<&'o mut [u8]> {
        match *part {
            Part::Zeros(bytes) => {
                let (now, later) = out.split_at_mut_checked(usize::try_from(bytes).ok()?)?;
                now.fill(0);
                Some(later)
            }
            Part::Packed { .. } => None,
            Part::Run { pack, first, count, within } => {
                let pack = self.inner.index.pack(pack)?;
                let run = pack.span(first, count)?;
                let wanted = ByteRange { start: run.start + within.start, end: run.start + within.end };
                let mut rest = out;
                for index in pack.frames_over(wanted) {
                    let frame = self.inner.frames.kept.get(&frame_key(&pack, index))?;
                    let piece: Bytes = pack.prove(index, &frame, wanted).ok()?;
                    let (now, later) = rest.split_at_mut_checked(piece.len())?;
                    now.copy_from_slice(&piece);
                    rest = later;
                }
                Some(rest)
            }
        }
    }
}
