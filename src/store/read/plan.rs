//! What a range of a stream is made of. Pure: reads nothing.

use super::super::error::Error;
use super::super::layouts::Room;
use super::super::manifest::{Extent, Manifest};
use super::super::recipe::{Composition, Segment};
use crate::model::ByteRange;

/// Zeros planned at once, so that a sparse disk does not make one batch of terabytes.
const ZEROS_MAX: u64 = 64 << 20;

/// Extents looked at to tell how far a stretch goes.
const STRETCH_EXTENTS: usize = 64;

/// A manifest made ready for look-ups by offset.
pub struct Layout {
    manifest: Manifest,
    /// Where each extent begins, in the stream or in the material of its recipe.
    starts: Vec<u64>,
    /// What the stream is made of, where that is not just what the extents name.
    composition: Option<Composition>,
    /// What it takes of the memory for layouts, where that is counted.
    _room: Option<Room>,
}

/// A stretch of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// That many zeros.
    Zeros(u64),
    /// Chunks of one pack, laid end to end.
    Run {
        /// The pack's number.
        pack: u64,
        /// Ordinal of the first chunk.
        first: u32,
        /// How many chunks.
        count: u32,
        /// The bytes wanted of them.
        within: ByteRange,
    },
    /// A unit that is made of others.
    Packed {
        /// What it holds.
        plain: Vec<Part>,
        /// Its corrections.
        corrections: Vec<Part>,
        /// Its length.
        packed_bytes: u32,
        /// Its sum.
        sum: [u8; 4],
        /// The bytes wanted of it.
        within: ByteRange,
    },
}

/// The beginning of a range.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// What it is made of, in order.
    pub parts: Vec<Part>,
    /// Where in the stream it begins.
    pub start: u64,
    /// Where in the stream it ends.
    pub end: u64,
    /// Bytes of it that are stored, zeros not counted.
    pub data_bytes: u64,
}

impl Layout {
    /// What one takes without extents.
    const OWN_BYTES: usize = 512;

    /// A manifest's layout.
    pub fn new(mut manifest: Manifest) -> Layout {
        // Decoding leaves up to twice as much.
        manifest.extents.shrink_to_fit();
        let mut starts = Vec::with_capacity(manifest.extents.len());
        let mut at = 0u64;
        for extent in &manifest.extents {
            starts.push(at);
            at = at.saturating_add(extent.bytes());
        }
        let composition = manifest.recipe.take().map(Composition::new);
        Layout { manifest, starts, composition, _room: None }
    }

    /// The same, which keeps its room for as long as it is there.
    pub fn within(self, room: Room) -> Layout {
        Layout { _room: Some(room), ..self }
    }

    /// The manifest, but for its recipe.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the stream is made of, where that is not just what the extents name.
    pub fn composition(&self) -> Option<&Composition> {
        self.composition.as_ref()
    }

    /// The stream's length.
    pub fn size_bytes(&self) -> u64 {
        self.manifest.size_bytes
    }

    /// Memory it takes, in bytes, about: 40 for each extent.
    pub fn weight(&self) -> u64 {
        let extents = self.manifest.extents.capacity() * size_of::<Extent>();
        let starts = self.starts.capacity() * size_of::<u64>();
        let composition = self.composition.as_ref().map_or(0, Composition::weight);
        (extents + starts + composition + self.manifest.record.len() + Layout::OWN_BYTES) as u64
    }

    /// The most that the layout of a manifest can take whose object has so many bytes: extents have 28
    /// bytes there, zeros 12, and two of these never follow each other.
    pub fn most(object_bytes: u64) -> u64 {
        object_bytes.saturating_mul(2).saturating_add(Layout::OWN_BYTES as u64)
    }

    /// How many bytes from `at` on, which lies before the end, are alike, and whether they are zeros. What follows may be
    /// alike too.
    pub fn stretch_at(&self, at: u64) -> (u64, bool) {
        let Some(composition) = &self.composition else { return self.stored_stretch_at(at) };
        match composition.segment_at(at) {
            Some(Segment::Stored(range)) => {
                let (bytes, is_zero) = self.stored_stretch_at(range.start);
                (bytes.min(range.len()), is_zero)
            }
            Some(packed) => (packed.bytes(), false),
            None => (self.size_bytes().saturating_sub(at), false),
        }
    }

    /// The same of what the extents name.
    fn stored_stretch_at(&self, at: u64) -> (u64, bool) {
        let first = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let is_zero = |extent: &Extent| matches!(extent, Extent::Zeros { .. });
        let here = self.manifest.extents.get(first).is_some_and(is_zero);
        let next = (first + 1..self.starts.len().min(first + STRETCH_EXTENTS))
            .find(|next| is_zero(&self.manifest.extents[*next]) != here)
            .unwrap_or(first + STRETCH_EXTENTS);
        let end = self.starts.get(next).copied().unwrap_or_else(|| self.stored_bytes());
        (end.saturating_sub(at), here)
    }

    /// Plans the beginning of `range`: as much as has `data_max` (not 0) stored bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the range goes past the stream's end, or its extents do not reach it.
    pub fn plan(&self, range: ByteRange, data_max: u64) -> Result<Batch, Error> {
        if range.end > self.size_bytes() {
            return Err(self.damaged("a read went past its end"));
        }
        match &self.composition {
            None => self.plan_stored(range, data_max),
            Some(composition) => self.plan_made(composition, range, data_max),
        }
    }

    /// Plans the beginning of a range of a stream that is made by a recipe.
    fn plan_made(&self, composition: &Composition, range: ByteRange, data_max: u64) -> Result<Batch, Error> {
        let mut batch = Batch { parts: Vec::new(), start: range.start, end: range.start, data_bytes: 0 };
        while batch.end < range.end && batch.data_bytes < data_max {
            let segment = composition
                .segment_at(batch.end)
                .ok_or_else(|| self.damaged("its recipe ends before it does"))?;
            let wanted = segment.bytes().min(range.end - batch.end);
            match segment {
                Segment::Stored(stored) => {
                    let stored = ByteRange { end: stored.start + wanted, ..stored };
                    let planned = self.plan_stored(stored, data_max - batch.data_bytes)?;
                    let taken = planned.end - planned.start;
                    batch.parts.extend(planned.parts);
                    batch.data_bytes += planned.data_bytes;
                    batch.end += taken;
                    if taken < wanted {
                        return Ok(batch);
                    }
                }
                Segment::Packed { plain, corrections, packed_bytes, sum, skip } => {
                    composition.expect_known()?;
                    let all = |range| Ok::<_, Error>(self.plan_stored(range, u64::MAX)?.parts);
                    let (plain, corrections) = (all(plain)?, all(corrections)?);
                    let within = ByteRange { start: skip, end: skip + wanted };
                    batch.parts.push(Part::Packed { plain, corrections, packed_bytes, sum, within });
                    batch.data_bytes += wanted;
                    batch.end += wanted;
                }
            }
        }
        Ok(batch)
    }

    /// Where what a unit holds lies in the material, if one begins at byte `at` of the stream.
    pub fn unit_at(&self, at: u64) -> Option<ByteRange> {
        match self.composition.as_ref()?.segment_at(at)? {
            Segment::Packed { plain, skip: 0, .. } => Some(plain),
            _ => None,
        }
    }

    /// The extent that has the byte `at` of what the extents name, and where in the extent that is.
    ///
    /// # Errors
    /// [`Error::Damaged`] where they end before it.
    pub fn extent_at(&self, at: u64) -> Result<(Extent, u64), Error> {
        let index = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let found = self.manifest.extents.get(index).zip(self.starts.get(index));
        found
            .map(|(extent, start)| (*extent, at - start))
            .filter(|(extent, skip)| *skip < extent.bytes())
            .ok_or_else(|| self.damaged("its extents end before it does"))
    }

    /// Bytes that the extents name.
    fn stored_bytes(&self) -> u64 {
        let last = self.starts.last().zip(self.manifest.extents.last());
        last.map_or(0, |(start, extent)| start.saturating_add(extent.bytes()))
    }

    /// The same as [`Layout::plan`], of what the extents name.
    pub fn plan_stored(&self, range: ByteRange, data_max: u64) -> Result<Batch, Error> {
        let mut batch = Batch { parts: Vec::new(), start: range.start, end: range.start, data_bytes: 0 };
        let mut zeros = 0;
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        for (extent, start) in self.manifest.extents.iter().zip(&self.starts).skip(first) {
            if batch.end == range.end || batch.data_bytes >= data_max || zeros >= ZEROS_MAX {
                return Ok(batch);
            }
            let from = batch.end - start;
            let wanted = (range.end - batch.end).min(extent.bytes().saturating_sub(from));
            let taken = match *extent {
                Extent::Zeros { .. } => {
                    let taken = wanted.min(ZEROS_MAX - zeros);
                    zeros += taken;
                    batch.parts.push(Part::Zeros(taken));
                    taken
                }
                Extent::Run { pack, first, count, .. } => {
                    let taken = wanted.min(data_max - batch.data_bytes);
                    let within = ByteRange { start: from, end: from + taken };
                    batch.data_bytes += taken;
                    batch.parts.push(Part::Run { pack, first, count, within });
                    taken
                }
            };
            batch.end += taken;
            if taken < wanted {
                return Ok(batch);
            }
        }
        if batch.end < range.end {
            return Err(self.damaged("its extents end before it does"));
        }
        Ok(batch)
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::damaged(format!("content {}", hex::encode(self.manifest.content)), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digests;
    use crate::store::cutter::choose;

    fn layout(size_bytes: u64, extents: Vec<Extent>) -> Layout {
        Layout::new(Manifest {
            content: [0; 16],
            size_bytes,
            digests: (&Digests { md5: None, secure: None, blake3: [0; 32] }).into(),
            cutter: choose(&[]),
            extents,
            record: Vec::new(),
            recipe: None,
        })
    }

    fn run(bytes: u64, pack: u64) -> Extent {
        Extent::Run { bytes, pack, first: 7, count: 3 }
    }

    fn part(pack: u64, start: u64, end: u64) -> Part {
        Part::Run { pack, first: 7, count: 3, within: ByteRange { start, end } }
    }

    #[test]
    fn a_range_is_cut_from_the_extents_it_crosses() {
        let layout = layout(350, vec![run(100, 1), Extent::Zeros { bytes: 50 }, run(200, 2)]);
        let batch = layout.plan(ByteRange { start: 90, end: 160 }, 1000).unwrap();
        assert_eq!(batch.parts, [part(1, 90, 100), Part::Zeros(50), part(2, 0, 10)]);
        assert_eq!((batch.end, batch.data_bytes), (160, 20));
        // An extent's first byte belongs to it, not to the one before.
        assert_eq!(layout.plan(ByteRange { start: 150, end: 151 }, 1).unwrap().parts, [part(2, 0, 1)]);
    }

    #[test]
    fn a_batch_ends_at_its_bound_and_the_next_goes_on_there() {
        let layout = layout(300, vec![run(100, 1), run(200, 2)]);
        let mut rest = ByteRange::whole(300);
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let batch = layout.plan(rest, 120).unwrap();
            assert!(batch.data_bytes <= 120);
            parts.extend(batch.parts);
            rest.start = batch.end;
        }
        assert_eq!(parts, [part(1, 0, 100), part(2, 0, 20), part(2, 20, 140), part(2, 140, 200)]);
    }

    #[test]
    fn terabytes_of_zeros_come_in_bounded_steps() {
        let layout = layout(1 << 40, vec![Extent::Zeros { bytes: 1 << 40 }]);
        let batch = layout.plan(ByteRange::whole(1 << 40), 1).unwrap();
        assert_eq!((batch.end, batch.data_bytes), (ZEROS_MAX, 0));
    }

    #[test]
    fn a_stretch_goes_as_far_as_its_extents_are_alike() {
        let layout = layout(380, vec![run(100, 1), run(50, 2), Extent::Zeros { bytes: 200 }, run(30, 3)]);
        let told = [0, 149, 150, 349, 350, 379].map(|at| layout.stretch_at(at));
        assert_eq!(told, [(150, false), (1, false), (200, true), (1, true), (30, false), (1, false)]);
    }

    #[test]
    fn p3_what_the_extents_do_not_cover_is_damage() {
        let layout = layout(300, vec![run(100, 1)]);
        assert!(layout.plan(ByteRange::whole(300), 1000).is_err());
        assert!(layout.plan(ByteRange { start: 250, end: 300 }, 1000).is_err());
        assert!(layout.plan(ByteRange { start: 0, end: 301 }, 10).is_err());
        assert!(layout.plan(ByteRange::whole(100), 1000).is_ok());
    }
}
