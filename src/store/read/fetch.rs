//! Getting what was planned: frames from memory, or from the medium, neighbours in one request.

use std::sync::Arc;

use bytes::Bytes;

use super::super::Store;
use super::super::error::Error;
use super::super::pack::{Pack, pack_name};
use super::plan::Part;
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

    fn pieces(&self, parts: &[Part]) -> Result<Vec<Bytes>, Error> {
        let mut pieces = Vec::new();
        for part in parts {
            match *part {
                Part::Zeros(bytes) => push_zeros(&mut pieces, bytes),
                Part::Run { pack, first, count, within } => {
                    let pack = self.pack(pack)?;
                    let wanted = pack
                        .span(first, count)
                        .map(|run| ByteRange { start: run.start + within.start, end: run.start + within.end })
                        .ok_or_else(|| no_run(&pack, first, count))?;
                    self.push_run(&mut pieces, &pack, wanted)?;
                }
            }
        }
        Ok(pieces)
    }

    /// Reads one chunk, to be sure that it is there and what its name says. Blocks on the medium.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the medium's failure.
    pub(in crate::store) fn read_back(&self, (number, ordinal): (u64, u32)) -> Result<(), Error> {
        let pack = self.pack(number)?;
        let chunk = pack.span(ordinal, 1).ok_or_else(|| no_run(&pack, ordinal, 1))?;
        self.frames(&pack, pack.frames_over(chunk)).map(|_| ())
    }

    /// Adds the bytes of `wanted`, a range of the pack's frames laid end to end.
    fn push_run(&self, pieces: &mut Vec<Bytes>, pack: &Arc<Pack>, wanted: ByteRange) -> Result<(), Error> {
        let indexes = pack.frames_over(wanted);
        let frames = self.frames(pack, indexes.clone())?;
        for (index, frame) in indexes.zip(frames) {
            let span = pack.frame_span(index);
            let from = wanted.start.max(span.start) - span.start;
            let to = wanted.end.min(span.end) - span.start;
            pieces.push(frame.slice(from as usize..to as usize));
        }
        Ok(())
    }

    /// Frames that follow each other.
    fn frames(&self, pack: &Pack, indexes: std::ops::Range<usize>) -> Result<Vec<Bytes>, Error> {
        let cache = &self.inner.frames;
        let key = |index| (pack.number, pack.generation(), index);
        if indexes.len() == 1 {
            // Equal reads of one frame at the same time cost one.
            let index = indexes.start;
            let read = || pack.frames(index..index + 1).map(|mut frames| frames.remove(0));
            return Ok(vec![cache.get_or_insert_with(&key(index), read)?]);
        }
        let mut frames = Vec::with_capacity(indexes.len());
        let mut at = indexes.start;
        while at < indexes.end {
            if let Some(frame) = cache.get(&key(at)) {
                frames.push(frame);
                at += 1;
                continue;
            }
            let missing = (at..indexes.end).take_while(|i| cache.peek(&key(*i)).is_none()).count();
            // At least the one that was missing just now, whatever came in since.
            let until = at + missing.max(1);
            for (index, frame) in (at..until).zip(pack.frames(at..until)?) {
                cache.insert(key(index), frame.clone());
                frames.push(frame);
            }
            at = until;
        }
        Ok(frames)
    }
}

fn no_run(pack: &Pack, first: u32, count: u32) -> Error {
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
