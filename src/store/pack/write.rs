//! Filling one pack, for a stream or from the generation before.
//!
//! Invariant: chunks come in the order of their ordinals, frames are written in the order in which they
//! were filled, wherever they were compressed, and no frame exceeds what a reader takes.

use super::super::error::Error;
use super::super::format::{FRAME_BYTES_MAX, Header};
use super::super::object::{Builder, Written};
use super::super::seal::DomainKey;
use super::footer::{FrameEntry, PackFooter};
use super::line::{Line, Ready};
use crate::db::codec;
use crate::objects::Objects;

/// Fills one pack.
pub struct PackWriter {
    header: Header,
    builder: Builder,
    footer: PackFooter,
    frame_bytes: usize,
    raw: Vec<u8>,
    in_frame: u32,
    raw_total: u64,
    line: Line,
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
    /// Starts the pack that `header` names, in a deduplication scope. A frame is closed when it holds
    /// `frame_bytes`, and goes through `line`.
    pub fn start(
        objects: &dyn Objects,
        header: Header,
        scope: [u8; 16],
        key: Option<&DomainKey>,
        frame_bytes: usize,
        line: Line,
    ) -> Result<PackWriter, Error> {
        Ok(PackWriter {
            builder: Builder::start(objects, &header, key)?,
            footer: PackFooter::empty(header.number, header.generation, scope),
            header,
            frame_bytes: frame_bytes.min(FRAME_BYTES_MAX),
            raw: line.room(),
            in_frame: 0,
            raw_total: 0,
            line,
        })
    }

    /// The pack's number.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Whether that many bytes are stored, the open frame not counted.
    pub fn has_stored(&mut self, bytes: u64) -> Result<bool, Error> {
        // As if each frame had been written at once: where a pack ends must not depend on the hour.
        while self.builder.bytes() + self.line.bytes() >= bytes {
            match self.line.pop()? {
                Some(frame) => self.write(frame)?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Adds a new chunk; gives its ordinal.
    pub fn push(&mut self, name: [u8; 32], chunk: &[u8]) -> Result<u32, Error> {
        let ordinal = self.footer.names.len() as u32;
        self.keep(ordinal, name, chunk)?;
        Ok(ordinal)
    }

    /// Adds a chunk that has its ordinal already, greater than all before.
    pub fn keep(&mut self, ordinal: u32, name: [u8; 32], chunk: &[u8]) -> Result<(), Error> {
        if self.raw.len() + chunk.len() > FRAME_BYTES_MAX {
            self.close_frame()?;
        }
        self.raw.extend_from_slice(chunk);
        self.in_frame += 1;
        self.raw_total += chunk.len() as u64;
        self.footer.push(ordinal, name, chunk.len() as u32);
        if self.raw.len() >= self.frame_bytes { self.close_frame() } else { Ok(()) }
    }

    /// Adds a whole frame as another object has it: its stored bytes (opened), their codec, and its
    /// chunks as ordinal, name and length.
    pub fn keep_frame(
        &mut self,
        mut stored: Vec<u8>,
        codec: u8,
        chunks: impl Iterator<Item = (u32, [u8; 32], u32)>,
    ) -> Result<(), Error> {
        self.close_frame()?;
        self.write_line()?;
        let (mut count, mut raw_bytes) = (0, 0);
        for (ordinal, name, length) in chunks {
            self.footer.push(ordinal, name, length);
            count += 1;
            raw_bytes += length;
        }
        self.raw_total += u64::from(raw_bytes);
        let section = self.builder.append(&mut stored)?;
        let (offset, stored_bytes) = (section.offset, section.bytes);
        self.footer.frames.push(FrameEntry { count, offset, stored_bytes, raw_bytes, codec });
        Ok(())
    }

    /// Ends the open frame.
    pub fn close_frame(&mut self) -> Result<(), Error> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let next = self.line.room();
        let mut raw = std::mem::replace(&mut self.raw, next);
        let chunks = std::mem::take(&mut self.in_frame);
        while let Some(frame) = self.line.pop_ready()? {
            self.write(frame)?;
        }
        while let Some(refused) = self.line.push(raw, chunks) {
            raw = match self.line.pop()? {
                // There may be a place now.
                Some(frame) => self.write(frame).map(|()| refused)?,
                None => return self.line.compress(refused, chunks).and_then(|frame| self.write(frame)),
            };
        }
        Ok(())
    }

    /// Writes all frames of the line.
    fn write_line(&mut self) -> Result<(), Error> {
        while let Some(frame) = self.line.pop()? {
            self.write(frame)?;
        }
        Ok(())
    }

    fn write(&mut self, frame: Ready) -> Result<(), Error> {
        let Ready { mut bytes, codec, raw_bytes, chunks: count } = frame;
        let section = self.builder.append(&mut bytes)?;
        self.line.give_back(bytes);
        let (offset, stored_bytes) = (section.offset, section.bytes);
        self.footer.frames.push(FrameEntry { count, offset, stored_bytes, raw_bytes, codec });
        Ok(())
    }

    /// Ends the pack; returns once its object is durable.
    pub fn finish(mut self) -> Result<FinishedPack, Error> {
        self.close_frame()?;
        self.write_line()?;
        self.line.give_back(std::mem::take(&mut self.raw));
        let names = &self.footer.names;
        let mut sorted: Vec<u32> = (0..names.len() as u32).collect();
        sorted.sort_unstable_by_key(|position| names[*position as usize]);
        self.footer.sorted = sorted;
        let written = self.builder.finish(codec::encode(&self.footer))?;
        Ok(FinishedPack { header: self.header, written, footer: self.footer, raw_bytes: self.raw_total })
    }
}
