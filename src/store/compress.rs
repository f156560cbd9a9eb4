//! Compresses frames with contexts that all streams share: a context is large, and streams are
//! many but seldom at it at the same moment.

use std::sync::{Mutex, PoisonError};

use super::error::Error;
use super::format::FRAME_BYTES_MAX;
use super::seal::TAG_BYTES;

/// Contexts kept for the next frame.
const IDLE_MAX: usize = 4;

/// The store's contexts.
pub struct Compressors {
    level: i32,
    idle: Mutex<Vec<Context>>,
}

struct Context {
    zstd: zstd::bulk::Compressor<'static>,
    out: Vec<u8>,
}

impl Compressors {
    /// None yet; they compress at `level`.
    pub fn new(level: i32) -> Compressors {
        Compressors { level, idle: Mutex::default() }
    }

    /// Compresses a frame, if that helps, and hands it to `take`, which may write over it. Gives the
    /// codec, 0 plain or 1 zstd, and what `take` gave.
    pub fn compress<T>(
        &self,
        raw: &mut Vec<u8>,
        take: impl FnOnce(&mut Vec<u8>) -> Result<T, Error>,
    ) -> Result<(u8, T), Error> {
        let failed = |e: std::io::Error| Error::Unavailable(format!("zstd: {e}"));
        let idle = self.idle().pop();
        let mut context = match idle {
            Some(context) => context,
            None => Context {
                zstd: zstd::bulk::Compressor::new(self.level).map_err(failed)?,
                out: Vec::with_capacity(zstd::zstd_safe::compress_bound(FRAME_BYTES_MAX) + TAG_BYTES),
            },
        };
        context.out.clear();
        context.zstd.compress_to_buffer(raw, &mut context.out).map_err(failed)?;
        // Less than a sixteenth saved is not worth decompressing on every read.
        let saves = context.out.len() + raw.len() / 16 < raw.len();
        let taken = take(if saves { &mut context.out } else { raw })?;
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(context);
        }
        Ok((u8::from(saves), taken))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Context>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
