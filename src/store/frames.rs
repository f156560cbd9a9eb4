//! Frames that were read lately, decompressed, for who reads them next: in memory that the rest of the store does not need now.
//!
//! An eighth of the store's memory is always theirs. Lent to them is what the index has not filled of its quarter, and, while
//! next to nothing arrives, what streams on their way in may hold, and cost beside that.
//!
//! Invariant: what was lent is given back before it is needed: by the time that streams have taken more than a small part, or
//! the index has grown, so many frames have gone. Must not know what is in a frame.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};

use super::format::FRAME_BYTES;
use super::pack::OpenFrame;

/// Of the store's memory in eighths: what frames always have, what the index may fill, and what streams take. These hold half of it
/// and a sixteenth (see [`Store::open`](super::Store::open)), and whoever chose how much memory the store has left them as much
/// again for threads and contexts.
const OWN: u64 = 1;
const INDEX: u64 = 2;
const STREAMS: u64 = 9;
const PARTS: u64 = 8;
/// The bound is the whole of what may ever be theirs, halved until it fits: the cache rounds what it remembers of frames that are
/// gone down at each change, and this way always to the same.
const HALVINGS_MAX: u32 = 4;
/// Streams that are there together may bring one byte in so many of the memory before it is given back to them.
const UNNOTICED_SHARE: u64 = 64;
/// Frames that the cache expects at least.
const EXPECTED_MIN: usize = 16;

/// The pack, its generation, and the frame's place in it.
pub type FrameKey = (u64, u32, usize);
/// The right, and the duty, to read a frame.
pub type Guard<'c> =
    PlaceholderGuard<'c, FrameKey, OpenFrame, Weight, quick_cache::DefaultHashBuilder, Lifecycle>;
type Lifecycle = DefaultLifecycle<FrameKey, OpenFrame>;

/// Weighs frames by the memory they take.
#[derive(Clone)]
pub struct Weight;

impl quick_cache::Weighter<FrameKey, OpenFrame> for Weight {
    fn weight(&self, _: &FrameKey, frame: &OpenFrame) -> u64 {
        frame.weight() as u64
    }
}

/// The frames.
pub struct Frames {
    /// Where they are looked up.
    pub kept: Cache<FrameKey, OpenFrame, Weight>,
    memory_bytes: u64,
    others: Mutex<Others>,
}

/// Who else needs memory, and what that leaves.
#[derive(Default)]
struct Others {
    index_bytes: u64,
    streams: usize,
    /// What these have brought since the first of them came.
    brought_bytes: u64,
    /// What frames may take.
    bound_bytes: u64,
}

/// A stream on its way in.
pub struct Incoming(Arc<Frames>);

impl Frames {
    /// No frames yet, of a store that has so much memory.
    pub fn new(memory_bytes: usize) -> Frames {
        let memory_bytes = memory_bytes as u64;
        let most = most_bytes(memory_bytes);
        let expected = (most as usize / FRAME_BYTES).max(EXPECTED_MIN);
        let others = Others { bound_bytes: most, ..Others::default() };
        Frames {
            kept: Cache::with_weighter(expected, most, Weight),
            memory_bytes,
            others: Mutex::new(others),
        }
    }

    /// The index holds more now: so many bytes, asked for here, so that of two who tell of it at once the later one is right.
    pub fn beside_index(&self, bytes: impl FnOnce() -> usize) {
        let mut others = self.others();
        others.index_bytes = bytes() as u64;
        self.fit(&mut others);
    }

    /// One more stream comes in.
    pub fn incoming(self: &Arc<Frames>) -> Incoming {
        self.others().streams += 1;
        Incoming(self.clone())
    }

    /// Keeps what there is room for beside the others.
    fn fit(&self, others: &mut Others) {
        let bound = bound_bytes(self.memory_bytes, others);
        if bound != others.bound_bytes {
            others.bound_bytes = bound;
            self.kept.set_capacity(bound);
        }
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Incoming {
    /// It has brought so many bytes more, which are about to be worked on.
    pub fn brought(&self, bytes: u64) {
        let mut others = self.0.others();
        others.brought_bytes = others.brought_bytes.saturating_add(bytes);
        self.0.fit(&mut others);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut others = self.0.others();
        others.streams = others.streams.saturating_sub(1);
        if others.streams == 0 {
            others.brought_bytes = 0;
            self.0.fit(&mut others);
        }
    }
}

/// What may ever be theirs.
fn most_bytes(memory_bytes: u64) -> u64 {
    // A multiple of what it is divided by, among the cache's own parts too.
    (memory_bytes / PARTS * (OWN + INDEX + STREAMS)) & !0xffff
}

fn bound_bytes(memory_bytes: u64, others: &Others) -> u64 {
    let part = memory_bytes / PARTS;
    let of_index = (part * INDEX).saturating_sub(others.index_bytes);
    let is_noticed = others.brought_bytes > memory_bytes / UNNOTICED_SHARE;
    let of_streams = if is_noticed { 0 } else { part * STREAMS };
    let room = part * OWN + of_index + of_streams;
    let most = most_bytes(memory_bytes);
    (0..HALVINGS_MAX)
        .map(|halvings| most >> halvings)
        .find(|bound| *bound <= room)
        .unwrap_or(most >> HALVINGS_MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const MEMORY: usize = 64 << 20;

    /// Puts in more frames than there can ever be room for; says how many bytes stay.
    fn filled(frames: &Frames) -> u64 {
        for place in 0..2 * MEMORY / FRAME_BYTES {
            let raw = Bytes::from(vec![0; FRAME_BYTES]);
            frames.kept.insert((1, 0, place), OpenFrame::new(raw, FRAME_BYTES, 1));
        }
        frames.kept.weight()
    }

    #[test]
    fn p5_what_others_do_not_need_is_lent() {
        let eighths = |index_bytes, streams, brought_bytes| {
            let others = Others { index_bytes, streams, brought_bytes, bound_bytes: 0 };
            bound_bytes(MEMORY as u64, &others) as f64 * 8.0 / MEMORY as f64
        };
        let part = MEMORY as u64 / 8;
        assert_eq!(eighths(0, 0, 0), 12.0);
        // A few small ones.
        assert_eq!(eighths(0, 3, MEMORY as u64 / 64), 12.0);
        assert_eq!(eighths(0, 1, u64::MAX), 3.0);
        assert_eq!(eighths(2 * part, 0, 0), 6.0);
        assert_eq!(eighths(2 * part, 1, u64::MAX), 0.75);
        // More than it should have.
        assert_eq!(eighths(u64::MAX, 1, u64::MAX), 0.75);
    }

    #[test]
    fn p5_what_was_lent_is_back_before_it_is_needed() {
        let frames = Arc::new(Frames::new(MEMORY));
        let lent = filled(&frames);
        assert!(lent > MEMORY as u64, "{lent}");
        let (one, other) = (frames.incoming(), frames.incoming());
        one.brought(1000);
        assert_eq!(frames.kept.weight(), lent);
        other.brought(MEMORY as u64 / 64);
        assert!(frames.kept.weight() <= MEMORY as u64 * 3 / 8);
        frames.beside_index(|| MEMORY);
        assert!(frames.kept.weight() <= MEMORY as u64 / 8);
        drop(other);
        assert!(filled(&frames) <= MEMORY as u64 / 8, "one of them is still there");
        drop(one);
        frames.beside_index(|| 0);
        assert!(filled(&frames) > MEMORY as u64);
    }

    #[test]
    fn the_smallest_store_keeps_frames_of_any_size() {
        use super::super::format::FRAME_BYTES_MAX;
        let frames = Arc::new(Frames::new(6 << 20));
        frames.beside_index(|| usize::MAX);
        frames.incoming().brought(u64::MAX);
        frames.kept.insert((1, 0, 0), OpenFrame::new(Bytes::new(), FRAME_BYTES_MAX, 1));
        assert!(frames.kept.get(&(1, 0, 0)).is_some());
    }
}
