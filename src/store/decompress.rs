//! Contexts that decompress frames, kept for the next frame: making one costs a good part of what it is
//! made for.
//!
//! Invariant: what is kept is a few MiB at most, which comes on top of the store's memory.

use std::sync::{Mutex, PoisonError};

use super::error::Error;

/// Contexts kept while nobody needs them.
const IDLE_MAX: usize = 4;
/// Room kept with a context; a longer run of frames gives the excess back.
const STORED_BYTES_MAX: usize = 1 << 20;

/// They have no settings and belong to no store.
static IDLE: Mutex<Vec<Decompressor>> = Mutex::new(Vec::new());

/// A context, and room for what it takes in.
pub struct Decompressor {
    /// The context.
    pub zstd: zstd::bulk::Decompressor<'static>,
    /// The room.
    pub stored: Vec<u8>,
}

/// Lends a context.
///
/// # Errors
/// What `work` failed with, or that there is no memory for a context.
pub fn with<T>(work: impl FnOnce(&mut Decompressor) -> Result<T, Error>) -> Result<T, Error> {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut context = match idle {
        Some(context) => context,
        None => Decompressor {
            zstd: zstd::bulk::Decompressor::new().map_err(|e| Error::Unavailable(format!("zstd: {e}")))?,
            stored: Vec::new(),
        },
    };
    let outcome = work(&mut context);
    // What is in it stays: clearing it would only have it filled with zeros again.
    context.stored.truncate(STORED_BYTES_MAX);
    context.stored.shrink_to(STORED_BYTES_MAX);
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.len() < IDLE_MAX {
        idle.push(context);
    }
    outcome
}
