//! Writing a pack's next generation.
//!
//! Invariant: what is written was read back and compared with its name first, so that damage is
//! never carried over under a fresh trailer; frames that stay whole keep their compressed bytes.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::super::format::{FRAME_BYTES, FRAME_BYTES_MAX, Header, fresh_id};
use super::super::pack::{FinishedPack, Frame, Line, Pack, PackWriter, pack_name};
use super::super::pins::Held;
use super::super::rows::PackRow;
use super::super::steps::Stop;
use super::super::{Error, Store};
use super::run::Run;

/// Bytes read at once, before compression.
const SLICE_BYTES: u64 = 1 << 20;

/// How a generation is written.
pub struct Manner<'l> {
    /// The ordinals that stay; `None` keeps all.
    pub live: Option<&'l RoaringBitmap>,
    /// Whether everything is compressed again, with the policy's level and in the largest frames.
    pub stronger: bool,
    /// The most bytes its frames may take; beyond, it is given up.
    pub bytes_max: u64,
}

/// A generation that is durable, and what keeps its object until a row names it.
pub struct Generation {
    /// The pack.
    pub finished: FinishedPack,
    /// Protects its object.
    pub held: Held,
}

impl Run<'_, '_> {
    /// Writes the generation after `old`; `None` when it would take too much.
    pub(super) fn write(
        &mut self,
        row: &PackRow,
        old: &Pack,
        manner: &Manner<'_>,
    ) -> Result<Option<Generation>, Stop> {
        let store = self.store;
        let mut held = store.inner.pins.hold();
        let mut writer = store.start_generation(row, old.number, manner.stronger, &mut held)?;
        let mut at = 0;
        while at < old.footer.frames.len() {
            let slice = slice(old, at);
            for frame in old.whole_frames(slice.clone())? {
                keep(&mut writer, old, frame, manner)?;
            }
            if writer.has_stored(manner.bytes_max.saturating_add(1))? {
                return Ok(None);
            }
            self.step(old.frame_span(slice.end - 1).end - old.frame_span(slice.start).start)?;
            at = slice.end;
        }
        writer.close_frame()?;
        if writer.has_stored(manner.bytes_max.saturating_add(1))? {
            return Ok(None);
        }
        Ok(Some(Generation { finished: writer.finish()?, held }))
    }
}

impl Store {
    /// Starts the next generation of a pack, under a fresh id.
    fn start_generation(
        &self,
        row: &PackRow,
        number: u64,
        stronger: bool,
        held: &mut Held,
    ) -> Result<PackWriter, Error> {
        let id = fresh_id(&*self.inner.entropy, row.realm().place);
        let generation = row
            .generation
            .checked_add(1)
            .ok_or_else(|| Error::damaged(pack_name(number), "its generation is the last there can be"))?;
        let header = Header { id, generation, ..row.header(number) };
        let (header, key) = self.sealing(held, header, row.domain)?;
        let (frame_bytes, compressors) = if stronger {
            (FRAME_BYTES_MAX, self.inner.recompressors.clone())
        } else {
            (FRAME_BYTES, self.inner.compressors.clone())
        };
        let line = Line::new(compressors, None);
        PackWriter::start(&*self.inner.objects, header, row.scope, key.as_deref(), frame_bytes, line)
    }
}

/// The frames from `at` on that are read at once; one at least.
fn slice(pack: &Pack, at: usize) -> Range<usize> {
    let end = pack.frame_span(at).start + SLICE_BYTES;
    let frames = pack.footer.frames.len();
    let until = (at + 1..frames).find(|index| pack.frame_span(*index).end > end).unwrap_or(frames);
    at..until
}

/// Takes over what stays of a frame.
fn keep(writer: &mut PackWriter, old: &Pack, frame: Frame, manner: &Manner<'_>) -> Result<(), Error> {
    let stays = |ordinal| manner.live.is_none_or(|live| live.contains(ordinal));
    let chunk =
        |position: usize| (old.ordinal(position), old.footer.names[position], old.footer.lengths[position]);
    if !manner.stronger && frame.positions.clone().all(|position| stays(old.ordinal(position))) {
        return writer.keep_frame(frame.stored, frame.codec, frame.positions.map(chunk));
    }
    let mut rest = &frame.raw[..];
    for (ordinal, name, length) in frame.positions.map(chunk) {
        let (data, after) = rest.split_at(length as usize);
        if stays(ordinal) {
            writer.keep(ordinal, name, data)?;
        }
        rest = after;
    }
    Ok(())
}

/// Bytes, before compression, of the chunks of a pack that stay.
///
/// # Errors
/// [`Error::Damaged`] when streams name chunks it has not.
pub fn kept_bytes(pack: &Pack, live: &RoaringBitmap) -> Result<u64, Error> {
    let (mut chunks, mut bytes) = (0, 0);
    for (ordinal, length) in pack.footer.ordinals().zip(&pack.footer.lengths) {
        if live.contains(ordinal) {
            chunks += 1;
            bytes += u64::from(*length);
        }
    }
    if chunks != live.len() {
        let reason = format!("streams name {} of its chunks, and it has {chunks} of these", live.len());
        return Err(Error::damaged(pack_name(pack.number), reason));
    }
    Ok(bytes)
}
