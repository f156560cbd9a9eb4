//! Compresses frames with contexts that all streams share: a context is large, and streams are
//! many but seldom at it at the same moment.
//!
//! Invariant: there are never more contexts than there is use for, however many streams there are;
//! a stream that finds none waits for one. Whoever has one takes no other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::Error;
use super::format::FRAME_BYTES_MAX;
use super::seal::TAG_BYTES;

/// Contexts for each core: while one waits for the medium, another compresses.
const CONTEXTS_A_CORE: usize = 2;
/// Contexts at most; by then the medium is what is waited for.
const CONTEXTS_MAX: usize = 32;
/// Contexts kept for the next frame.
const IDLE_MAX: usize = 4;

/// The store's contexts.
pub struct Compressors {
    level: i32,
    contexts_max: usize,
    contexts: Mutex<Contexts>,
    returned: Condvar,
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
        Compressors { level, contexts_max, contexts: Mutex::default(), returned: Condvar::new() }
    }

    /// Compresses a frame, if that helps, and hands it to `take`, which may write over it. Gives the
    /// codec, 0 plain or 1 zstd, and what `take` gave.
    pub fn compress<T>(
        &self,
        raw: &mut Vec<u8>,
        take: impl FnOnce(&mut Vec<u8>) -> Result<T, Error>,
    ) -> Result<(u8, T), Error> {
        let mut lent = self.lend();
        let context = lent.context()?;
        context.out.clear();
        context.zstd.compress_to_buffer(raw, &mut context.out).map_err(failed)?;
        // Less than a sixteenth saved is not worth decompressing on every read.
        let saves = context.out.len() + raw.len() / 16 < raw.len();
        let taken = take(if saves { &mut context.out } else { raw })?;
        Ok((u8::from(saves), taken))
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
                out: Vec::with_capacity(zstd::zstd_safe::compress_bound(FRAME_BYTES_MAX) + TAG_BYTES),
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
                        let count = |_: &mut Vec<u8>| {
                            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                            Ok(())
                        };
                        assert_eq!(compressors.compress(&mut vec![7; 1000], count).unwrap().0, 1);
                    }
                });
            }
        });
        assert!(most.into_inner() <= compressors.contexts_max);
        let contexts = compressors.contexts();
        assert!(contexts.lent == 0 && contexts.idle.len() <= IDLE_MAX);
    }

    #[test]
    fn a_context_comes_back_from_work_that_fails() {
        let compressors = Compressors::new(1);
        for _ in 0..2 * compressors.contexts_max {
            let outcome: Result<(u8, ()), Error> =
                compressors.compress(&mut vec![7; 1000], |_| Err(Error::Unavailable("no medium".into())));
            assert!(outcome.is_err());
        }
        assert_eq!(compressors.contexts().lent, 0);
    }
}
