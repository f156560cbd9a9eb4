//! Packs: chunks grouped into compressed frames, and the footer that lists them.
//!
//! Invariant: a chunk's ordinal never changes, whatever object the pack lies in; what is read is
//! compared with its names. While a [`Pack`] exists, its object is not deleted.

mod footer;
mod frame;
mod line;
mod write;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use footer::{FrameEntry, PackFooter};
pub use frame::OpenFrame;
pub use line::Line;
pub use write::{FinishedPack, PackWriter};

use super::decompress::{self, Decompressor};
use super::error::Error;
use super::format::Header;
use super::object::{Object, Section, Written};
use super::pins::Lease;
use super::recycle;
use super::seal::DomainKey;
use crate::db::codec;
use crate::model::ByteRange;
use crate::objects::{ObjectKey, Objects};

/// A footer made ready for look-ups, and the object it belongs to.
pub struct Pack {
    /// Its number.
    pub number: u64,
    /// Its footer.
    pub footer: PackFooter,
    /// Position in the lists of each run's first chunk.
    run_bases: Vec<u32>,
    /// Position in the lists of each frame's first chunk.
    frame_bases: Vec<u32>,
    /// Where each frame begins when all frames are laid end to end, and where the last one ends.
    starts: Vec<u64>,
    object: Object,
    _lease: Lease,
}

/// A frame as it lies in the object, and what it holds.
pub struct Frame {
    /// Stored bytes, opened.
    pub stored: Vec<u8>,
    /// How they are compressed.
    pub codec: u8,
    /// The chunks, one after the other.
    pub raw: Bytes,
    /// Their positions in the footer's lists.
    pub positions: Range<usize>,
}

impl Pack {
    /// Reads a pack's footer.
    pub fn open(
        objects: Arc<dyn Objects>,
        header: Header,
        written: &Written,
        key: Option<&DomainKey>,
        lease: Lease,
    ) -> Result<Pack, Error> {
        let object = Object::new(objects, header, key);
        let proven = object.footer_of(written);
        let bytes = match &proven {
            // The hash is of a whole block: the damage may be beside the footer, and then only the
            // chunks that lie there are lost. They prove themselves.
            Err(Error::Damaged { .. }) if !object.has_proven_footer(written) => {
                object.section(written.footer)?
            }
            _ => proven.clone()?,
        };
        let footer: PackFooter =
            codec::decode(&bytes).map_err(|e| Error::damaged(pack_name(header.number), e))?;
        if let Err(error) = proven {
            tracing::warn!(%error, "the last blocks of {} are damaged", pack_name(header.number));
            if !footer.is_gapless() {
                // What no sum proves must at least be in order, or chunks would be taken for others.
                return Err(error);
            }
        }
        Pack::new(header.number, footer, object, lease)
    }

    /// A footer that is already in memory.
    pub fn new(number: u64, footer: PackFooter, object: Object, lease: Lease) -> Result<Pack, Error> {
        if footer.pack != number || !footer.is_sound() {
            return Err(Error::damaged(pack_name(number), "its footer contradicts itself"));
        }
        let run_bases = bases(footer.runs.iter().map(|run| run.count));
        let frame_bases = bases(footer.frames.iter().map(|frame| frame.count));
        let mut starts = Vec::with_capacity(footer.frames.len() + 1);
        starts.push(0);
        for frame in &footer.frames {
            starts.push(starts[starts.len() - 1] + u64::from(frame.raw_bytes));
        }
        Ok(Pack { number, footer, run_bases, frame_bases, starts, object, _lease: lease })
    }

    /// Memory it takes, about.
    pub fn weight(&self) -> usize {
        self.footer.names.len() * 44 + self.footer.frames.len() * 44 + self.footer.runs.len() * 12 + 256
    }

    /// The length of its chunks together, before compression.
    pub fn raw_bytes(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The generation of its object.
    pub fn generation(&self) -> u32 {
        self.footer.generation
    }

    /// Bytes of its object up to the end of its last frame.
    pub fn frames_bytes(&self) -> u64 {
        self.footer.frames.last().map_or(0, |frame| frame.offset + u64::from(frame.stored_bytes))
    }

    /// Position in the lists of the chunk with this ordinal.
    fn position(&self, ordinal: u32) -> Option<usize> {
        let run = self.footer.runs.partition_point(|run| run.first <= ordinal).checked_sub(1)?;
        let inside = ordinal - self.footer.runs[run].first;
        (inside < self.footer.runs[run].count).then(|| (self.run_bases[run] + inside) as usize)
    }

    /// The ordinal of the chunk at this position in the lists.
    pub fn ordinal(&self, position: usize) -> u32 {
        let run = self.run_bases.partition_point(|base| *base as usize <= position).saturating_sub(1);
        self.footer.runs[run].first + position as u32 - self.run_bases[run]
    }

    /// The name of the chunk with this ordinal.
    pub fn name(&self, ordinal: u32) -> Option<&[u8; 32]> {
        self.position(ordinal).and_then(|position| self.footer.names.get(position))
    }

    /// The length of the chunk with this ordinal.
    pub fn length(&self, ordinal: u32) -> Option<u32> {
        self.position(ordinal).and_then(|position| self.footer.lengths.get(position)).copied()
    }

    /// The ordinals of a frame's chunks.
    pub fn frame_ordinals(&self, index: usize) -> impl Iterator<Item = u32> {
        let base = self.frame_bases[index] as usize;
        (base..base + self.footer.frames[index].count as usize).map(|position| self.ordinal(position))
    }

    /// The id of the object it was read from.
    pub fn object_id(&self) -> [u8; 16] {
        self.object.id()
    }

    /// The name of that object on the medium.
    pub fn key(&self) -> ObjectKey {
        self.object.key()
    }

    /// The bytes that `count` chunks from ordinal `first` on cover, in the frames laid end to
    /// end; `None` when the pack has not all of them.
    pub fn span(&self, first: u32, count: u32) -> Option<ByteRange> {
        let last = first.checked_add(count.checked_sub(1)?)?;
        let (position, last_position) = (self.position(first)?, self.position(last)?);
        // A hole inside the run would shift everything behind it.
        if last_position - position != (count - 1) as usize {
            return None;
        }
        let end = self.chunk_start(last_position) + u64::from(self.footer.lengths[last_position]);
        Some(ByteRange { start: self.chunk_start(position), end })
    }

    fn chunk_start(&self, position: usize) -> u64 {
        let frame = self.frame_bases.partition_point(|base| *base as usize <= position).saturating_sub(1);
        let before = &self.footer.lengths[self.frame_bases[frame] as usize..position];
        self.starts[frame] + before.iter().map(|bytes| u64::from(*bytes)).sum::<u64>()
    }

    /// The frames that hold a range of the frames laid end to end.
    pub fn frames_over(&self, range: ByteRange) -> Range<usize> {
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let end = self.starts.partition_point(|start| *start < range.end);
        first..end.min(self.footer.frames.len())
    }

    /// The bytes of the object in which some frames that follow each other lie.
    pub fn stored_span(&self, indexes: Range<usize>) -> Range<u64> {
        let frames = &self.footer.frames[indexes];
        let start = frames.first().map_or(0, |frame| frame.offset);
        start..frames.last().map_or(start, |frame| frame.offset + u64::from(frame.stored_bytes))
    }

    /// Where a frame lies when all are laid end to end.
    pub fn frame_span(&self, index: usize) -> ByteRange {
        ByteRange { start: self.starts[index], end: self.starts[index + 1] }
    }

    /// Ordinal and name of every chunk it has.
    pub fn chunks(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.footer.ordinals().zip(&self.footer.names)
    }

    /// Some frames that follow each other, decompressed, every chunk of them verified. Frames that
    /// lie side by side cost the medium one request.
    pub fn frames(&self, indexes: Range<usize>) -> Result<Vec<Bytes>, Error> {
        self.each_frame(indexes, |index, _, frame| self.prove(index, frame, self.frame_span(index)))
    }

    /// As [`Pack::frames`], with the stored bytes beside what they hold.
    pub fn whole_frames(&self, indexes: Range<usize>) -> Result<Vec<Frame>, Error> {
        self.each_frame(indexes, |index, stored, frame| {
            let FrameEntry { count, codec, .. } = self.footer.frames[index];
            let base = self.frame_bases[index] as usize;
            let raw = self.prove(index, frame, self.frame_span(index))?;
            Ok(Frame { stored: stored.to_vec(), codec, raw, positions: base..base + count as usize })
        })
    }

    /// As [`Pack::frames`], verifying of each no more than reaches into `wanted`, a range of the frames
    /// laid end to end.
    pub fn open_frames(&self, indexes: Range<usize>, wanted: ByteRange) -> Result<Vec<OpenFrame>, Error> {
        self.each_frame(indexes, |index, _, frame| {
            self.prove(index, frame, wanted)?;
            Ok(frame.clone())
        })
    }

    /// The bytes of a frame that lie in `wanted`, a range of the frames laid end to end; verified.
    pub fn prove(&self, index: usize, frame: &OpenFrame, wanted: ByteRange) -> Result<Bytes, Error> {
        let span = self.frame_span(index);
        let from = wanted.start.clamp(span.start, span.end) - span.start;
        let to = wanted.end.clamp(span.start, span.end) - span.start;
        let base = self.frame_bases[index] as usize;
        let positions = base..base + self.footer.frames[index].count as usize;
        let chunks =
            self.footer.lengths[positions.clone()].iter().copied().zip(&self.footer.names[positions]);
        frame.prove((from as usize, to as usize), chunks).map_err(|place| {
            let reason = format!("chunk {} is changed", self.ordinal(base + place));
            Error::damaged(pack_name(self.number), reason)
        })
    }

    /// What `make` makes of each of some frames: of its index, its stored bytes, and what they hold.
    fn each_frame<T>(
        &self,
        indexes: Range<usize>,
        make: impl Fn(usize, &[u8], &OpenFrame) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let section = |index: usize| {
            let entry = &self.footer.frames[index];
            Section { offset: entry.offset, bytes: entry.stored_bytes, counter: index as u64 }
        };
        let sections: Vec<Section> = indexes.clone().map(section).collect();
        self.object.trusting(|| {
            decompress::with(|Decompressor { zstd, stored }| {
                let mut made = Vec::with_capacity(sections.len());
                self.object.sections(&sections, stored, |stored| {
                    let index = indexes.start + made.len();
                    made.push(make(index, stored, &self.unpack(index, stored, zstd)?)?);
                    Ok(())
                })?;
                Ok(made)
            })
        })
    }

    fn unpack(
        &self,
        index: usize,
        stored: &[u8],
        zstd: &mut zstd::bulk::Decompressor<'static>,
    ) -> Result<OpenFrame, Error> {
        let damaged = |reason: String| Error::damaged(pack_name(self.number), reason);
        let entry = &self.footer.frames[index];
        let mut raw = recycle::room(entry.raw_bytes as usize);
        match entry.codec {
            0 => raw.extend_from_slice(stored),
            1 => {
                zstd.decompress_to_buffer(stored, &mut raw)
                    .map_err(|e| damaged(format!("frame {index} does not decompress: {e}")))?;
            }
            other => return Err(damaged(format!("frame {index} has the unknown codec {other}"))),
        }
        if raw.len() != entry.raw_bytes as usize {
            return Err(damaged(format!("frame {index} has {} bytes, not {}", raw.len(), entry.raw_bytes)));
        }
        let room_bytes = raw.capacity();
        Ok(OpenFrame::new(recycle::share(raw), room_bytes, entry.count as usize))
    }
}

/// Where each of some groups begins when they are laid end to end.
fn bases(counts: impl Iterator<Item = u32>) -> Vec<u32> {
    let begin = |base: &mut u32, count: u32| {
        let begins = *base;
        *base += count;
        Some(begins)
    };
    counts.scan(0, begin).collect()
}

/// How errors call a pack.
pub fn pack_name(number: u64) -> String {
    format!("pack {number}")
}
