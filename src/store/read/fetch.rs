//! Getting what was planned: frames from memory, or from the medium, neighbours in one request.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use quick_cache::sync::GuardResult;

use super::super::Store;
use super::super::error::Error;
use super::super::frames::{FrameKey, Guard};
use super::super::pack::{OpenFrame, Pack, pack_name};
use super::super::recipe;
use super::super::stored::Stored;
use super::plan::{Batch, Part};
use crate::model::ByteRange;

/// Zeros are handed out in pieces of this size.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

impl Store {
    /// The bytes of planned parts, in order, verified. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the medium's failure.
    pub(super) fn fetch(&self, parts: &[Part]) -> Result<Vec<Bytes>, Error> {
        self.pieces(parts).inspect_err(|error| self.inner.activity.failed_read(error))
    }

    /// Bytes from the end of a batch to the end of its last frame, or of its last run where that is
    /// nearer; 0 where the pack's footer is not in memory.
    pub(super) fn to_frame_end(&self, batch: &Batch) -> u64 {
        let Some(Part::Run { pack, first, count, within }) = batch.parts.last() else { return 0 };
        let Some(pack) = self.inner.index.pack(*pack) else { return 0 };
        let Some(run) = pack.span(*first, *count) else { return 0 };
        let end = run.start + within.end;
        let frame = pack.frames_over(ByteRange { start: end.saturating_sub(1), end }).next();
        frame.map_or(0, |frame| pack.frame_span(frame).end.min(run.end).saturating_sub(end))
    }

    fn pieces(&self, parts: &[Part]) -> Result<Vec<Bytes>, Error> {
        let mut pieces = Vec::new();
        for part in parts {
            match *part {
                Part::Zeros(bytes) => push_zeros(&mut pieces, bytes),
                Part::Packed { ref plain, ref corrections, packed_bytes, sum, within } => {
                    let (plain, corrections) = (self.joined(plain)?, self.joined(corrections)?);
                    let unit = recipe::unit(&plain, &corrections, packed_bytes, sum)?;
                    pieces.push(Bytes::from(unit).slice(within.start as usize..within.end as usize));
                }
                Part::Run { pack, first, count, within } => {
                    let before = pieces.len();
                    let found = self.pack(pack);
                    let object = found.as_ref().ok().map(|pack| pack.object_id());
                    let read = found.and_then(|p| self.push_chunks(&mut pieces, &p, (first, count), within));
                    if let Err(error) = read {
                        if !self.may_try_again(pack, object, (first, count), &error) {
                            return Err(error);
                        }
                        pieces.truncate(before);
                        self.push_chunks(&mut pieces, &*self.pack(pack)?, (first, count), within)?;
                    }
                }
            }
        }
        Ok(pieces)
    }

    /// The bytes of parts, in one piece.
    fn joined(&self, parts: &[Part]) -> Result<Vec<u8>, Error> {
        Ok(self.pieces(parts)?.concat())
    }

    /// Adds the bytes `within` some chunks that follow each other.
    fn push_chunks(
        &self,
        pieces: &mut Vec<Bytes>,
        pack: &Pack,
        (first, count): (u32, u32),
        within: ByteRange,
    ) -> Result<(), Error> {
        let wanted = pack
            .span(first, count)
            .map(|run| ByteRange { start: run.start + within.start, end: run.start + within.end })
            .ok_or_else(|| no_run(pack, first, count))?;
        self.push_run(pieces, pack, wanted)
    }

    /// What follows a failed read of a pack's chunks: damage is looked into and written down. Where
    /// the pack has another object by now, or its object was repaired, the read is worth a second try.
    fn may_try_again(
        &self,
        number: u64,
        object: Option<[u8; 16]>,
        chunks: (u32, u32),
        error: &Error,
    ) -> bool {
        let again =
            matches!(error, Error::Damaged { .. }) && self.suspect(Stored::Pack(number), object, chunks);
        if again {
            self.inner.activity.failed_read(error);
            self.inner.index.remove(number);
        }
        again
    }

    /// Reads one chunk, to be sure that it is there and what its name says. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the medium's failure.
    pub(in crate::store) fn read_back(&self, (number, ordinal): (u64, u32)) -> Result<(), Error> {
        let pack = self.pack(number)?;
        let chunk = pack.span(ordinal, 1).ok_or_else(|| no_run(&pack, ordinal, 1))?;
        self.push_run(&mut Vec::new(), &pack, chunk)
    }

    /// Adds the bytes of `wanted`, a range of the pack's frames laid end to end.
    fn push_run(&self, pieces: &mut Vec<Bytes>, pack: &Pack, wanted: ByteRange) -> Result<(), Error> {
        let indexes = pack.frames_over(wanted);
        let frames = self.frames(pack, indexes.clone(), wanted)?;
        for (index, frame) in indexes.zip(frames) {
            pieces.push(match pack.prove(index, &frame, wanted) {
                Ok(piece) => piece,
                // It came from memory, and nobody had asked for these chunks yet.
                Err(error @ Error::Damaged { .. }) => self.prove_anew(pack, index, wanted, &error)?,
                Err(error) => return Err(error),
            });
        }
        Ok(())
    }

    /// Reads a frame again, as what came before does not hold what is wanted of it.
    fn prove_anew(
        &self,
        pack: &Pack,
        index: usize,
        wanted: ByteRange,
        error: &Error,
    ) -> Result<Bytes, Error> {
        tracing::warn!(%error, "what came is damaged; it is read again");
        self.inner.frames.kept.remove(&frame_key(pack, index));
        let frame = self.frame(pack, index, wanted)?;
        pack.prove(index, &frame, wanted)
    }

    /// Frames that follow each other. Equal reads of a frame at the same time cost one: whoever comes
    /// first reads it. What others read is waited for last, and by nobody for whom others wait; so
    /// neighbouring fetches, which share a frame, go on side by side.
    fn frames(&self, pack: &Pack, indexes: Range<usize>, wanted: ByteRange) -> Result<Vec<OpenFrame>, Error> {
        let mut found: Vec<Option<OpenFrame>> = vec![None; indexes.len()];
        let mut at = if indexes.len() > 1 { indexes.start } else { indexes.end };
        while at < indexes.end {
            let places = &mut found[at - indexes.start..];
            match self.inner.frames.kept.get_value_or_guard(&frame_key(pack, at), Some(Duration::ZERO)) {
                GuardResult::Value(frame) => {
                    places[0] = Some(frame);
                    at += 1;
                }
                GuardResult::Guard(first) => {
                    let run = self.read_run(pack, first, at..indexes.end, wanted)?;
                    at += run.len();
                    places.iter_mut().zip(run).for_each(|(place, frame)| *place = Some(frame));
                }
                GuardResult::Timeout => at += 1,
            }
        }
        let waited = |(index, frame): (usize, Option<OpenFrame>)| {
            frame.map_or_else(|| self.frame(pack, index, wanted), Ok)
        };
        indexes.zip(found).map(waited).collect()
    }

    /// One frame; waits for whoever reads it.
    fn frame(&self, pack: &Pack, index: usize, wanted: ByteRange) -> Result<OpenFrame, Error> {
        let read = || pack.open_frames(index..index + 1, wanted).map(|mut frames| frames.remove(0));
        self.inner.frames.kept.get_or_insert_with(&frame_key(pack, index), read)
    }

    /// Reads the first of these frames, which is ours to read, and those after it that nobody has or
    /// reads, in one request.
    fn read_run(
        &self,
        pack: &Pack,
        first: Guard<'_>,
        indexes: Range<usize>,
        wanted: ByteRange,
    ) -> Result<Vec<OpenFrame>, Error> {
        let mut guards = vec![first];
        for index in indexes.start + 1..indexes.end {
            match self.inner.frames.kept.get_value_or_guard(&frame_key(pack, index), Some(Duration::ZERO)) {
                GuardResult::Guard(guard) => guards.push(guard),
                GuardResult::Value(_) | GuardResult::Timeout => break,
            }
        }
        // Where this fails the guards go, and whoever waited for them reads, and fails, for itself.
        let frames = pack.open_frames(indexes.start..indexes.start + guards.len(), wanted)?;
        for (guard, frame) in guards.into_iter().zip(&frames) {
            // Refused only where the frame was let go of meanwhile, which costs nothing but the next read.
            let _ = guard.insert(frame.clone());
        }
        Ok(frames)
    }
}

pub(super) fn frame_key(pack: &Pack, index: usize) -> FrameKey {
    (pack.number, pack.generation(), index)
}

pub(in crate::store) fn no_run(pack: &Pack, first: u32, count: u32) -> Error {
    let reason = format!("an image needs {count} of its chunks from {first} on, and it has not all of them");
    Error::damaged(pack_name(pack.number), reason)
}

fn push_zeros(pieces: &mut Vec<Bytes>, mut bytes: u64) {
    while bytes > 0 {
        let now = bytes.min(ZEROS.len() as u64);
        pieces.push(Bytes::from_static(&ZEROS[..now as usize]));
        bytes -= now;
    }
}
