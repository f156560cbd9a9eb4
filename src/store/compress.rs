//! Compresses frames with contexts that all streams share: a context is large, and streams are
//! many but seldom at it at the same moment.
//!
//! Invariant: there are never more contexts than there is use for, however many streams there are;
//! a stream that finds none waits for one. Whoever has one takes no other, nor waits for anything else.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::Error;
use super::format::FRAME_BYTES_MAX;
use super::seal::TAG_BYTES;

/// Contexts for each core: threads that are put aside in the middle of a frame keep theirs.
const CONTEXTS_A_CORE: usize = 2;
/// Contexts at most; by then the medium is what is waited for.
const CONTEXTS_MAX: usize = 32;
/// Contexts kept for the next frame.
const IDLE_MAX: usize = 4;
/// Rooms kept for the next frame.
const ROOMS_MAX: usize = 4;

/// The store's contexts.
pub struct Compressors {
    level: i32,
    contexts_max: usize,
    contexts: Mutex<Contexts>,
    returned: Condvar,
    rooms: Mutex<Vec<Vec<u8>>>,
}

#[derive(Default)]
struct Contexts {
    idle: Vec<Context>,
    lent: usize,
}

struct Context {
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Compressors {
    /// None yet; they compress at `level`.
    pub fn new(level: i32) -> Compressors {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let contexts_max = (cores * CONTEXTS_A_CORE).min(CONTEXTS_MAX);
        Compressors {
            level,
            contexts_max,
            contexts: Mutex::default(),
            returned: Condvar::new(),
            rooms: Mutex::default(),
        }
    }

    /// An empty room that takes any frame, and what becomes of it.
    pub fn room(&self) -> Vec<u8> {
        self.rooms().pop().unwrap_or_else(new_room)
    }

    /// Takes a room back, to be used again.
    pub fn give_back(&self, mut room: Vec<u8>) {
        room.clear();
        let mut rooms = self.rooms();
        if rooms.len() < ROOMS_MAX && room.capacity() >= FRAME_BYTES_MAX {
            rooms.push(room);
        }
    }

    /// Compresses a frame in its place, if that helps. Gives the codec: 0 plain, 1 zstd.
    pub fn compress(&self, frame: &mut Vec<u8>) -> Result<u8, Error> {
        let mut lent = self.lend();
        let context = lent.context()?;
        context.out.clear();
        context.out.reserve(compressed_max(frame.len()));
        context.zstd.compress_to_buffer(frame, &mut context.out).map_err(failed)?;
        // Less than a sixteenth saved is not worth decompressing on every read.
        let saves = context.out.len() + frame.len() / 16 < frame.len();
        if saves {
            std::mem::swap(frame, &mut context.out);
        }
        Ok(u8::from(saves))
    }

    /// Waits for the right to use a context.
    fn lend(&self) -> Lent<'_> {
        let mut contexts = self.contexts();
        while contexts.lent >= self.contexts_max {
            contexts = self.returned.wait(contexts).unwrap_or_else(PoisonError::into_inner);
        }
        contexts.lent += 1;
        Lent { owner: self, context: contexts.idle.pop() }
    }

    fn contexts(&self) -> MutexGuard<'_, Contexts> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a context, and the context once there is one.
struct Lent<'c> {
    owner: &'c Compressors,
    context: Option<Context>,
}

impl Lent<'_> {
    fn context(&mut self) -> Result<&mut Context, Error> {
        let context = match self.context.take() {
            Some(context) => context,
            None => Context {
                zstd: zstd::bulk::Compressor::new(self.owner.level).map_err(failed)?,
                out: new_room(),
            },
        };
        Ok(self.context.insert(context))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut contexts = self.owner.contexts();
        contexts.lent -= 1;
        if contexts.idle.len() < IDLE_MAX {
            contexts.idle.extend(self.context.take());
        }
        drop(contexts);
        self.owner.returned.notify_one();
    }
}

/// What a frame of that many bytes may take once it is compressed, and sealed.
fn compressed_max(bytes: usize) -> usize {
    zstd::zstd_safe::compress_bound(bytes) + TAG_BYTES
}

fn new_room() -> Vec<u8> {
    Vec::with_capacity(compressed_max(FRAME_BYTES_MAX))
}

fn failed(error: std::io::Error) -> Error {
    Error::Unavailable(format!("zstd: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn p5_many_streams_share_few_contexts() {
        let compressors = Compressors::new(1);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 * compressors.contexts_max {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lent = compressors.lend();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(lent);
                        assert_eq!(compressors.compress(&mut vec![7; 1000]).unwrap(), 1);
                    }
                });
            }
        });
        assert!(most.into_inner() <= compressors.contexts_max);
        let contexts = compressors.contexts();
        assert!(contexts.lent == 0 && contexts.idle.len() <= IDLE_MAX);
    }

    #[test]
    fn a_frame_is_kept_plain_where_compressing_saves_too_little() {
        let compressors = Compressors::new(1);
        let mut noise = vec![0; 100_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for (raw, codec) in [(noise, 0), (vec![7; 100_000], 1)] {
            let mut frame = compressors.room();
            frame.extend_from_slice(&raw);
            assert_eq!(compressors.compress(&mut frame).unwrap(), codec);
            let back =
                if codec == 0 { frame.clone() } else { zstd::bulk::decompress(&frame, 100_000).unwrap() };
            assert!(back == raw);
            compressors.give_back(frame);
        }
    }

    #[test]
    fn p5_few_rooms_are_kept_and_those_are_empty_and_large_enough() {
        let compressors = Compressors::new(1);
        for _ in 0..100 {
            compressors.give_back(vec![7; FRAME_BYTES_MAX]);
            compressors.give_back(vec![7; 10]);
        }
        let rooms = compressors.rooms();
        assert!(rooms.len() <= ROOMS_MAX);
        assert!(rooms.iter().all(|room| room.is_empty() && room.capacity() >= FRAME_BYTES_MAX));
    }
}
