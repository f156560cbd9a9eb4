//! A disk in front of a medium that is far away: what was read lately is read from nearby.
//!
//! Invariants: objects never change but for repair, which lets go of what was kept of them, so a block
//! that was kept is still true; whatever goes wrong
//! with the disk is a miss and no more. Writes, listings and [`Objects::read_stored`] pass it by. What
//! is kept is what was stored, sealed or not. Must not know what is inside.

mod blocks;
mod lru;
mod near;

use std::path::Path;
use std::sync::Arc;

use self::blocks::{BLOCK_BYTES, Blocks};
pub use self::near::Near;
use super::{Error, ObjectInfo, ObjectKey, ObjectWriter, Objects, Traffic};

/// A medium with a cache in front of it.
#[derive(Debug)]
pub struct Cached {
    inner: Arc<dyn Objects>,
    blocks: Arc<Blocks>,
}

impl Cached {
    /// Puts a cache of at most `bytes` in `folder`, which must be its alone, in front of `inner`. What
    /// an earlier process left there is used again. `reserve_bytes` of the disk are left free.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(
        inner: Arc<dyn Objects>,
        folder: &Path,
        bytes: u64,
        reserve_bytes: u64,
    ) -> Result<Cached, Error> {
        Ok(Cached { inner, blocks: Arc::new(Blocks::open(folder, bytes, reserve_bytes)?) })
    }

    /// Fetches whole blocks from `first` on, enough for `length` bytes of them and as far as the object
    /// reaches, and keeps them.
    fn fetch(&self, key: &ObjectKey, first: u64, length: usize) -> Result<Vec<u8>, Error> {
        let generation = self.blocks.generation();
        let mut bytes = vec![0; length.next_multiple_of(BLOCK_BYTES)];
        let came = self.inner.read_some(key, first * BLOCK_BYTES as u64, &mut bytes)?;
        bytes.truncate(came);
        for (number, block) in (first..).zip(bytes.chunks(BLOCK_BYTES)) {
            self.blocks.keep(key, number, block, generation);
        }
        Ok(bytes)
    }
}

impl Objects for Cached {
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        self.inner.create(key)
    }

    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error> {
        let inner = self.inner.replace(key)?;
        Ok(Box::new(Replacing { inner, blocks: self.blocks.clone(), key: key.clone() }))
    }

    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let past_end = || Error::past_end(key, offset, out.len());
        let Some(end) = offset.checked_add(out.len() as u64) else { return Err(past_end()) };
        if out.is_empty() {
            return self.inner.read(key, offset, out);
        }
        let short = past_end();
        let block_of = |at: u64| (at / BLOCK_BYTES as u64, (at % BLOCK_BYTES as u64) as usize);
        let (mut at, mut rest) = (offset, out);
        while at < end {
            let (number, within) = block_of(at);
            let found = match self.blocks.get(key, number) {
                Some(block) => block,
                None => {
                    // All that is missing from here on, in one request.
                    let last = block_of(end - 1).0;
                    let missing = (number..=last).take_while(|number| !self.blocks.has(key, *number)).count();
                    let until = ((number + missing as u64) * BLOCK_BYTES as u64).min(end);
                    let length = until.saturating_sub(number * BLOCK_BYTES as u64) as usize;
                    self.fetch(key, number, length.max(within + 1))?
                }
            };
            let now = found.len().saturating_sub(within).min(rest.len());
            if now == 0 {
                return Err(short);
            }
            let (part, left) = rest.split_at_mut(now);
            part.copy_from_slice(&found[within..within + now]);
            (at, rest) = (at + now as u64, left);
        }
        Ok(())
    }

    fn read_stored(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.inner.read_stored(key, offset, out)
    }

    fn distrust(&self, key: &ObjectKey) -> bool {
        self.blocks.forget(key);
        self.inner.distrust(key);
        // What came from the disk or over the wire may come right from the medium.
        true
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, Error> {
        self.inner.size(key)
    }

    fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let deleted = self.inner.delete(key);
        self.blocks.forget(key);
        deleted
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error> {
        self.inner.list(prefix, visit)
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        self.inner.free_bytes()
    }

    fn sweep_unfinished(&self) -> Result<u64, Error> {
        self.inner.sweep_unfinished()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn near(&self) -> Option<Near> {
        Some(Near::new(self.blocks.clone()))
    }

    fn traffic(&self) -> Option<Traffic> {
        let traffic = self.inner.traffic().unwrap_or_default();
        Some(Traffic { cache: Some(self.blocks.traffic()), ..traffic })
    }
}

/// An object that takes another's place: what was kept of that goes with it.
struct Replacing {
    inner: Box<dyn ObjectWriter>,
    blocks: Arc<Blocks>,
    key: ObjectKey,
}

impl ObjectWriter for Replacing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.inner.write(bytes)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let Replacing { inner, blocks, key } = *self;
        let committed = inner.commit();
        // Whatever came of it: after an error it may have been replaced all the same.
        blocks.forget(&key);
        committed
    }
}

#[cfg(test)]
mod tests;
