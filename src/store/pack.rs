//! Packs: chunks grouped into compressed frames, and the footer that lists them.
//!
//! Invariant: a chunk's ordinal never changes; frames cover ascending ordinals, and ordinals no
//! frame covers are holes that compaction left.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::compress::Compressors;
use super::error::Error;
use super::format::{FRAME_BYTES, FRAME_BYTES_MAX, Header};
use super::object::{Builder, Object, Section, Written};
use super::seal::{DomainKey, TAG_BYTES};
use crate::db::codec::{self, Record};
use crate::model::ByteRange;
use crate::objects::Objects;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameEntry {
    /// Ordinal of its first chunk.
    pub first: u32,
    /// Chunks in it.
    pub count: u32,
    /// Where it lies in the object.
    pub offset: u64,
    /// Stored bytes.
    pub stored_bytes: u32,
    /// Bytes before compression.
    pub raw_bytes: u32,
    /// 0 plain, 1 zstd.
    pub codec: u8,
}

/// The list of a pack's chunks. Lengths and names are those of live chunks, in ordinal order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackFooter {
    /// The pack's number.
    pub pack: u64,
    /// The generation of this object.
    pub generation: u32,
    /// The deduplication scope; zeros are the whole store.
    pub scope: [u8; 16],
    /// The frames, in order.
    pub frames: Vec<FrameEntry>,
    /// Length of each chunk.
    pub lengths: Vec<u32>,
    /// BLAKE3 of each chunk.
    pub names: Vec<[u8; 32]>,
    /// Positions in `names`, in the order of the names.
    pub sorted: Vec<u32>,
}

impl Record for PackFooter {
    const VERSION: u8 = 1;
    const NAME: &'static str = "pack footer";
}

/// A footer made ready for look-ups, and the object it belongs to.
pub struct Pack {
    /// Its number.
    pub number: u64,
    /// Its footer.
    pub footer: PackFooter,
    /// Position in the lists of each frame's first chunk.
    bases: Vec<u32>,
    /// Where each frame begins when all frames are laid end to end, and where the last one ends.
    starts: Vec<u64>,
    object: Object,
}

impl Pack {
    /// Reads a pack's footer.
    pub fn open(
        objects: Arc<dyn Objects>,
        header: Header,
        footer: Section,
        key: Option<&DomainKey>,
    ) -> Result<Pack, Error> {
        let object = Object::new(objects, header, key);
        let bytes = object.section(footer)?;
        let footer: PackFooter =
            codec::decode(&bytes).map_err(|e| Error::damaged(pack_name(header.number), e))?;
        Pack::new(header.number, footer, object)
    }

    /// A footer that is already in memory.
    pub fn new(number: u64, footer: PackFooter, object: Object) -> Result<Pack, Error> {
        let contradiction = || Error::damaged(pack_name(number), "its footer contradicts itself");
        let mut bases = Vec::with_capacity(footer.frames.len());
        let mut starts = Vec::with_capacity(footer.frames.len() + 1);
        let (mut base, mut start) = (0usize, 0u64);
        for frame in &footer.frames {
            bases.push(base as u32);
            starts.push(start);
            let end = base + frame.count as usize;
            let lengths = footer.lengths.get(base..end).ok_or_else(contradiction)?;
            let raw_bytes: u64 = lengths.iter().map(|bytes| u64::from(*bytes)).sum();
            if raw_bytes != u64::from(frame.raw_bytes) || frame.raw_bytes as usize > FRAME_BYTES_MAX {
                return Err(contradiction());
            }
            base = end;
            start += raw_bytes;
        }
        starts.push(start);
        if footer.pack != number || footer.lengths.len() != base || footer.names.len() != base {
            return Err(contradiction());
        }
        Ok(Pack { number, footer, bases, starts, object })
    }

    /// Memory it takes, about.
    pub fn weight(&self) -> usize {
        self.footer.names.len() * 44 + self.footer.frames.len() * 44 + 256
    }

    /// Frame and position in the lists of the chunk with this ordinal.
    fn position(&self, ordinal: u32) -> Option<(usize, usize)> {
        let frame = self.footer.frames.partition_point(|f| f.first <= ordinal).checked_sub(1)?;
        let inside = ordinal - self.footer.frames.get(frame)?.first;
        (inside < self.footer.frames[frame].count).then(|| (frame, (self.bases[frame] + inside) as usize))
    }

    /// The name of the chunk with this ordinal.
    pub fn name(&self, ordinal: u32) -> Option<&[u8; 32]> {
        self.position(ordinal).and_then(|(_, position)| self.footer.names.get(position))
    }

    /// The bytes that `count` chunks from ordinal `first` on cover, in the frames laid end to
    /// end; `None` when the pack has not all of them.
    pub fn span(&self, first: u32, count: u32) -> Option<ByteRange> {
        let last = first.checked_add(count.checked_sub(1)?)?;
        let (frame, position) = self.position(first)?;
        let (last_frame, last_position) = self.position(last)?;
        // A hole inside the run would shift everything behind it.
        if last_position - position != (count - 1) as usize {
            return None;
        }
        let start = self.chunk_start(frame, position);
        let end = self.chunk_start(last_frame, last_position) + u64::from(self.footer.lengths[last_position]);
        Some(ByteRange { start, end })
    }

    fn chunk_start(&self, frame: usize, position: usize) -> u64 {
        let before = &self.footer.lengths[self.bases[frame] as usize..position];
        self.starts[frame] + before.iter().map(|bytes| u64::from(*bytes)).sum::<u64>()
    }

    /// The frames that hold a range of the frames laid end to end.
    pub fn frames_over(&self, range: ByteRange) -> std::ops::Range<usize> {
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let end = self.starts.partition_point(|start| *start < range.end);
        first..end.min(self.footer.frames.len())
    }

    /// Where a frame lies when all are laid end to end.
    pub fn frame_span(&self, index: usize) -> ByteRange {
        ByteRange { start: self.starts[index], end: self.starts[index + 1] }
    }

    /// Ordinal and name of every live chunk.
    pub fn chunks(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        let ordinals = self.footer.frames.iter().flat_map(|f| f.first..f.first.saturating_add(f.count));
        ordinals.zip(&self.footer.names)
    }

    /// Some frames that follow each other, decompressed, every chunk of them verified. Frames that
    /// lie side by side cost the medium one request.
    pub fn frames(&self, indexes: std::ops::Range<usize>) -> Result<Vec<Bytes>, Error> {
        let sections: Vec<Section> = indexes
            .clone()
            .map(|index| {
                let entry = &self.footer.frames[index];
                Section { offset: entry.offset, bytes: entry.stored_bytes, counter: index as u64 }
            })
            .collect();
        let stored = self.object.sections(&sections)?;
        indexes.zip(stored).map(|(index, stored)| self.unpack(index, stored)).collect()
    }

    fn unpack(&self, index: usize, stored: Vec<u8>) -> Result<Bytes, Error> {
        let damaged = |reason: String| Error::damaged(pack_name(self.number), reason);
        let entry = &self.footer.frames[index];
        let raw = match entry.codec {
            0 => stored,
            1 => zstd::bulk::decompress(&stored, entry.raw_bytes as usize)
                .map_err(|e| damaged(format!("frame {index} does not decompress: {e}")))?,
            other => return Err(damaged(format!("frame {index} has the unknown codec {other}"))),
        };
        self.verify(index, entry, &raw).map_err(damaged)?;
        Ok(Bytes::from(raw))
    }

    fn verify(&self, index: usize, entry: &FrameEntry, raw: &[u8]) -> Result<(), String> {
        if raw.len() != entry.raw_bytes as usize {
            return Err(format!("frame {index} has {} bytes, not {}", raw.len(), entry.raw_bytes));
        }
        let base = self.bases[index] as usize;
        let chunks = base..base + entry.count as usize;
        let mut rest = raw;
        for (at, (length, name)) in
            self.footer.lengths[chunks.clone()].iter().zip(&self.footer.names[chunks]).enumerate()
        {
            let (chunk, after) = rest.split_at(*length as usize);
            if blake3::hash(chunk).as_bytes() != name {
                return Err(format!("chunk {} is changed", entry.first as usize + at));
            }
            rest = after;
        }
        Ok(())
    }
}

/// How errors call a pack.
pub fn pack_name(number: u64) -> String {
    format!("pack {number}")
}

/// Fills one pack.
pub struct PackWriter {
    header: Header,
    builder: Builder,
    footer: PackFooter,
    raw: Vec<u8>,
    in_frame: u32,
    raw_total: u64,
    compressors: Arc<Compressors>,
}

/// A finished pack, durable but not yet named by a row.
pub struct FinishedPack {
    /// Its header.
    pub header: Header,
    /// Where its footer lies.
    pub written: Written,
    /// Its footer.
    pub footer: PackFooter,
    /// Bytes before compression.
    pub raw_bytes: u64,
}

impl PackWriter {
    /// Starts the pack that `header` names, in a deduplication scope.
    pub fn start(
        objects: &dyn Objects,
        header: Header,
        scope: [u8; 16],
        key: Option<&DomainKey>,
        compressors: Arc<Compressors>,
    ) -> Result<PackWriter, Error> {
        Ok(PackWriter {
            builder: Builder::start(objects, &header, key)?,
            footer: PackFooter {
                pack: header.number,
                generation: header.generation,
                scope,
                frames: Vec::new(),
                lengths: Vec::new(),
                names: Vec::new(),
                sorted: Vec::new(),
            },
            header,
            raw: Vec::with_capacity(FRAME_BYTES_MAX + TAG_BYTES),
            in_frame: 0,
            raw_total: 0,
            compressors,
        })
    }

    /// The pack's number.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Bytes stored so far, the open frame not counted.
    pub fn stored_bytes(&self) -> u64 {
        self.builder.bytes()
    }

    /// Adds a chunk; gives its ordinal.
    pub fn push(&mut self, name: [u8; 32], chunk: &[u8]) -> Result<u32, Error> {
        if self.raw.len() + chunk.len() > FRAME_BYTES_MAX {
            self.close_frame()?;
        }
        let ordinal = self.footer.names.len() as u32;
        self.raw.extend_from_slice(chunk);
        self.in_frame += 1;
        self.raw_total += chunk.len() as u64;
        self.footer.names.push(name);
        self.footer.lengths.push(chunk.len() as u32);
        if self.raw.len() >= FRAME_BYTES {
            self.close_frame()?;
        }
        Ok(ordinal)
    }

    fn close_frame(&mut self) -> Result<(), Error> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let raw_bytes = self.raw.len() as u32;
        let builder = &mut self.builder;
        let (codec, section) = self.compressors.compress(&mut self.raw, |frame| builder.append(frame))?;
        self.footer.frames.push(FrameEntry {
            first: self.footer.names.len() as u32 - self.in_frame,
            count: self.in_frame,
            offset: section.offset,
            stored_bytes: section.bytes,
            raw_bytes,
            codec,
        });
        self.raw.clear();
        self.in_frame = 0;
        Ok(())
    }

    /// Ends the pack; returns once its object is durable.
    pub fn finish(mut self) -> Result<FinishedPack, Error> {
        self.close_frame()?;
        let names = &self.footer.names;
        let mut sorted: Vec<u32> = (0..names.len() as u32).collect();
        sorted.sort_unstable_by_key(|position| names[*position as usize]);
        self.footer.sorted = sorted;
        let written = self.builder.finish(codec::encode(&self.footer))?;
        Ok(FinishedPack { header: self.header, written, footer: self.footer, raw_bytes: self.raw_total })
    }
}
