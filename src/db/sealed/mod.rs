//! A medium that seals a database: every page under AES-256-XTS, on whatever medium it lies.
//!
//! Owns: the sealed file's layout (a clear header, then pages) and the mapping of the database's
//! reads and writes to sealed blocks. Invariants: no byte of the database reaches the medium in the
//! clear; a write touches no block it was not asked to change, so that whatever a crash may tear of
//! a sealed file is what it may tear of a plain one, in blocks of 16 bytes that no drive splits.
//! XTS keeps secrets and detects nothing: damage is left to the database's checksums and the record
//! codec, as in a plain file. Must not know where the key comes from, nor what a page holds.
//!
//! A block of zeros on the medium reads as zeros: growing a file costs no writes, and no sealed
//! block is ever zero but by a chance of one in 2^128.

mod convert;
mod header;
mod pages;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};
use zeroize::Zeroizing;

use super::error::Error;
use crate::base::Entropy;
pub use convert::{Original, Place};
pub(super) use convert::{Source, convert};
pub(super) use header::is_header;
use header::{HEADER_BYTES, Header};
pub use header::{HEADER_BYTES as SEALED_HEADER_BYTES, MAGIC as SEALED_MAGIC, VERSION as SEALED_VERSION};
pub(super) use pages::Pages;
use pages::{BLOCK_BYTES, PAGE_BYTES};

/// The length of the secret a file's keys are derived from.
pub const SEAL_KEY_BYTES: usize = 32;

/// The secret a catalog is sealed with. Each file derives keys of its own from it.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; SEAL_KEY_BYTES]>);

impl SealKey {
    /// Takes the secret.
    pub fn new(secret: Zeroizing<[u8; SEAL_KEY_BYTES]>) -> SealKey {
        SealKey(secret)
    }
}

/// The pages of the sealed file that begins with these bytes, under the first of `keys` that is its
/// own, and which that is.
///
/// # Errors
/// [`Error::OtherKey`] when none is, [`Error::NewerFormat`], or [`Error::Corrupt`].
pub(super) fn opened_with(start: &[u8], keys: &[SealKey]) -> Result<(usize, Pages), Error> {
    let header = Header::decode(start)?;
    for (at, key) in keys.iter().enumerate() {
        match header.pages(key) {
            Err(Error::OtherKey) => {}
            pages => return Ok((at, pages?)),
        }
    }
    Err(Error::OtherKey)
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// A sealed medium.
pub struct Sealed<M> {
    medium: M,
    pages: Pages,
}

impl<M: StorageBackend> Sealed<M> {
    /// Opens the sealed file on `medium`; an empty medium gets a header first, durably.
    ///
    /// # Errors
    /// [`Error::OtherKey`], [`Error::NewerFormat`], [`Error::Corrupt`] when there is no whole
    /// header, or the medium's failure.
    pub fn open(medium: M, key: &SealKey, entropy: &dyn Entropy) -> Result<Sealed<M>, Error> {
        let failed = |error: io::Error| Error::from_io(&error);
        // Pages follow a durable header only: without any, nothing was ever written.
        let header = if medium.len().map_err(failed)? > HEADER_BYTES {
            let mut bytes = vec![0; HEADER_BYTES as usize];
            medium.read(0, &mut bytes).map_err(failed)?;
            Header::decode(&bytes)?
        } else {
            let header = Header::new(entropy.id(), key);
            medium.set_len(HEADER_BYTES).map_err(failed)?;
            medium.write(0, &header.encode()).map_err(failed)?;
            medium.sync_data().map_err(failed)?;
            header
        };
        Ok(Sealed { pages: header.pages(key)?, medium })
    }

    /// Visits the parts of a range that lie in one page each: page, first and last byte in it.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
        let end = offset + length as u64;
        let (page, bytes) = (PAGE_BYTES as u64, PAGE_BYTES as u64);
        (offset / page..end.div_ceil(page)).map(move |number| {
            let start = number * bytes;
            let from = offset.max(start) - start;
            let to = end.min(start + bytes) - start;
            (number, from as usize, to as usize)
        })
    }

    /// Reads part of a page that begins and ends with a block.
    fn read_blocks(&self, page: u64, from: usize, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(HEADER_BYTES + page * PAGE_BYTES as u64 + from as u64, out)?;
        self.pages.open(page, from, out);
        Ok(())
    }

    /// The blocks around a write's ends that it covers in part only, read and overlaid.
    fn overlaid(&self, page: u64, from: usize, to: usize, data: &[u8]) -> io::Result<(usize, Vec<u8>)> {
        let first = from - from % BLOCK_BYTES;
        let mut blocks = vec![0; to.next_multiple_of(BLOCK_BYTES) - first];
        if first != from || first + blocks.len() != to {
            self.read_blocks(page, first, &mut blocks)?;
        }
        blocks[from - first..to - first].copy_from_slice(data);
        Ok((first, blocks))
    }
}

impl<M> fmt::Debug for Sealed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl<M: StorageBackend> StorageBackend for Sealed<M> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.medium.len()?.saturating_sub(HEADER_BYTES))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let is_whole = (offset % BLOCK_BYTES as u64, out.len() % BLOCK_BYTES) == (0, 0);
        if is_whole {
            self.medium.read(HEADER_BYTES + offset, out)?;
        }
        let mut at = 0;
        for (page, from, to) in Self::parts(offset, out.len()) {
            let part = &mut out[at..at + (to - from)];
            at += part.len();
            if is_whole {
                self.pages.open(page, from, part);
                continue;
            }
            let first = from - from % BLOCK_BYTES;
            let mut blocks = vec![0; to.next_multiple_of(BLOCK_BYTES) - first];
            self.read_blocks(page, first, &mut blocks)?;
            part.copy_from_slice(&blocks[from - first..to - first]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        if !length.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.medium.set_len(HEADER_BYTES + length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(data.len() + 2 * BLOCK_BYTES);
        let mut rest = data;
        for (page, from, to) in Self::parts(offset, data.len()) {
            let (part, after) = rest.split_at(to - from);
            rest = after;
            let (first, mut blocks) = self.overlaid(page, from, to, part)?;
            self.pages.seal(page, first, &mut blocks);
            sealed.append(&mut blocks);
        }
        let first = offset - offset % BLOCK_BYTES as u64;
        self.medium.write(HEADER_BYTES + first, &sealed)
    }

    fn close(&self) -> io::Result<()> {
        self.medium.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.query_lock_range(start, end)
    }
}
