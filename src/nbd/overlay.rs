//! A disk that takes writes and keeps them to itself: blocks in memory over a disk that does not change.
//!
//! Invariants: what all overlays hold is bounded, and what each of them does; a write that finds no room changes nothing, and is
//! told so. Nothing is ever written anywhere else. Must not know who writes.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::exports::{Disk, Extent};
use super::wire::Errno;
use super::written::{BLOCK_BYTES, BLOCK_COST, Found, RANGE_COST, Written};

/// Memory for overlays. Cheap to share.
#[derive(Debug, Clone)]
pub struct Overlays {
    each_bytes_max: u64,
    all_bytes_max: u64,
    held: Arc<AtomicU64>,
}

/// A disk under an overlay.
pub struct Overlay<B> {
    base: B,
    room: Overlays,
    written: RwLock<Written>,
    /// Whether a write was lost, so that the disk is not as its writer wants it.
    has_lost: AtomicBool,
}

/// What became of a disk that could be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// There were none.
    None,
    /// All were taken.
    All,
    /// Not all were taken.
    Some,
}

impl Overlays {
    /// Room for each overlay and for all of them, in bytes.
    pub fn new(each_bytes_max: u64, all_bytes_max: u64) -> Overlays {
        Overlays { each_bytes_max, all_bytes_max, held: Arc::default() }
    }

    /// Takes room, where there is.
    fn take(&self, held: u64, more: u64) -> Result<(), Errno> {
        if held + more > self.each_bytes_max {
            return Err(Errno::NoSpace);
        }
        let fits = |all: u64| all.checked_add(more).filter(|all| *all <= self.all_bytes_max);
        match self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(Errno::NoSpace),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl<B: Disk> Overlay<B> {
    /// Nothing was written yet.
    pub fn new(base: B, room: Overlays) -> Overlay<B> {
        Overlay { base, room, written: RwLock::default(), has_lost: AtomicBool::new(false) }
    }

    /// What became of what was written.
    pub fn writes(&self) -> Writes {
        let written = self.read();
        match (self.has_lost.load(Ordering::Relaxed), written.data.is_empty() && written.zeros.is_empty()) {
            (true, _) => Writes::Some,
            (false, true) => Writes::None,
            (false, false) => Writes::All,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Written> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Written> {
        self.written.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what was written, with room for this much more of it.
    fn change(
        &self,
        written: &mut Written,
        more: u64,
        change: impl FnOnce(&mut Written) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.room.take(written.held, more)?;
        written.held += more;
        let changed = change(written);
        let cost = written.cost();
        // A range that was split may take what a block gave back: the room asked for covers both.
        self.room.give_back(written.held.saturating_sub(cost));
        written.held = written.held.min(cost);
        changed
    }

    /// A block as it is, or as it would be read.
    fn block(&self, written: &Written, block: u64) -> Result<Box<[u8]>, Errno> {
        let mut bytes = vec![0; BLOCK_BYTES as usize].into_boxed_slice();
        match written.find(block) {
            Found::Data(data) => bytes.copy_from_slice(data),
            Found::Zeros(_) => {}
            Found::Base(_) => {
                let at = block * BLOCK_BYTES;
                let here = (self.size_bytes() - at).min(BLOCK_BYTES) as usize;
                self.base.read_at(at, &mut bytes[..here])?;
            }
        }
        Ok(bytes)
    }

    /// Writes a part of a block.
    fn patch(&self, written: &mut Written, at: u64, data: &[u8]) -> Result<(), Errno> {
        let (block, skip) = (at / BLOCK_BYTES, (at % BLOCK_BYTES) as usize);
        if data.len() as u64 == BLOCK_BYTES {
            written.put(block, data.into());
            return Ok(());
        }
        let mut bytes = self.block(written, block)?;
        bytes[skip..skip + data.len()].copy_from_slice(data);
        written.put(block, bytes);
        Ok(())
    }

    /// What begins at byte `at`, where `base` tells what lies below.
    fn extent(
        &self,
        written: &Written,
        at: u64,
        base: impl FnOnce(u64) -> Result<Extent, Errno>,
    ) -> Result<Extent, Errno> {
        let block = at / BLOCK_BYTES;
        let rest = self.size_bytes() - at;
        let up_to = |end: u64| end.saturating_mul(BLOCK_BYTES).saturating_sub(at).min(rest);
        Ok(match written.find(block) {
            Found::Data(_) => Extent { bytes: up_to(written.data_end(block)), is_zero: false },
            Found::Zeros(end) => Extent { bytes: up_to(end), is_zero: true },
            Found::Base(end) => {
                let Extent { bytes, is_zero } = base(at)?;
                Extent { bytes: bytes.min(up_to(end)), is_zero }
            }
        })
    }

    /// Fills `out` from byte `at` on, where `base` reads what lies below.
    fn fill(
        &self,
        written: &Written,
        mut at: u64,
        mut out: &mut [u8],
        base: impl Fn(u64, &mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        while !out.is_empty() {
            let (block, skip) = (at / BLOCK_BYTES, (at % BLOCK_BYTES) as usize);
            let found = written.find(block);
            let end = match &found {
                Found::Data(_) => block + 1,
                Found::Zeros(end) | Found::Base(end) => *end,
            };
            let here = end.saturating_mul(BLOCK_BYTES).saturating_sub(at).min(out.len() as u64) as usize;
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            match found {
                Found::Data(data) => now.copy_from_slice(&data[skip..skip + here]),
                Found::Zeros(_) => now.fill(0),
                Found::Base(_) => base(at, now)?,
            }
            at += here as u64;
            out = later;
        }
        Ok(())
    }
}

impl<B: Disk> Disk for Overlay<B> {
    fn size_bytes(&self) -> u64 {
        self.base.size_bytes()
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn description(&self) -> String {
        self.base.description()
    }

    fn extent_at(&self, at: u64) -> Result<Extent, Errno> {
        self.extent(&self.read(), at, |at| self.base.extent_at(at))
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.fill(&self.read(), at, out, |at, out| self.base.read_at(at, out))
    }

    fn extent_near(&self, at: u64) -> Option<Extent> {
        // Who writes may wait for the disk below.
        let written = self.written.try_read().ok()?;
        self.extent(&written, at, |at| self.base.extent_near(at).ok_or(Errno::Io)).ok()
    }

    fn read_near(&self, at: u64, out: &mut [u8]) -> bool {
        let Ok(written) = self.written.try_read() else { return false };
        let base = |at, out: &mut [u8]| if self.base.read_near(at, out) { Ok(()) } else { Err(Errno::Io) };
        self.fill(&written, at, out, base).is_ok()
    }

    fn write_at(&self, at: u64, data: &[u8]) -> Result<(), Errno> {
        let mut written = self.write();
        let blocks = at / BLOCK_BYTES..(at + data.len() as u64).div_ceil(BLOCK_BYTES);
        let known = written.data.range(blocks.clone()).count() as u64;
        let fresh = blocks.end - blocks.start - known;
        // What is there already splits no range of zeros.
        let more = fresh * BLOCK_COST + if fresh > 0 { RANGE_COST } else { 0 };
        self.change(&mut written, more, |written| {
            let (mut at, mut rest) = (at, data);
            while !rest.is_empty() {
                let here = ((BLOCK_BYTES - at % BLOCK_BYTES) as usize).min(rest.len());
                let (now, later) = rest.split_at(here);
                self.patch(written, at, now)?;
                (at, rest) = (at + here as u64, later);
            }
            Ok(())
        })
    }

    fn zero(&self, at: u64, bytes: u64) -> Result<(), Errno> {
        let mut written = self.write();
        let end = at + bytes;
        let whole = whole_blocks(at, end, self.size_bytes());
        let first = (whole.start * BLOCK_BYTES).min(end);
        let last = (whole.end * BLOCK_BYTES).clamp(first, end);
        let (mut edges, mut fresh) = (Vec::new(), 0);
        for (from, to) in [(at, first), (last, end)] {
            let block = from / BLOCK_BYTES;
            let found = written.find(block);
            // Zeros are as they are wanted.
            if from == to || matches!(found, Found::Zeros(_)) {
                continue;
            }
            fresh += u64::from(matches!(found, Found::Base(_)));
            let (skip, here) = ((from % BLOCK_BYTES) as usize, (to - from) as usize);
            let mut data = self.block(&written, block)?;
            data[skip..skip + here].fill(0);
            edges.push((block, data));
        }
        // What gives memory back is to be done also where there is none left.
        let freed = written.data.range(whole.clone()).count() as u64 * BLOCK_COST;
        let range = if whole.is_empty() || written.has_zeros_at(&whole) { 0 } else { RANGE_COST };
        let more = (fresh * BLOCK_COST + range).saturating_sub(freed);
        self.change(&mut written, more, |written| {
            written.put_zeros(whole.start, whole.end);
            edges.into_iter().for_each(|(block, data)| written.put(block, data));
            Ok(())
        })
    }

    fn write_was_lost(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
    }
}

/// The blocks that lie in a range as a whole.
fn whole_blocks(at: u64, end: u64, size: u64) -> Range<u64> {
    let first = at.div_ceil(BLOCK_BYTES);
    let end = match end == size {
        // What would follow the disk's end is nobody's.
        true => end.div_ceil(BLOCK_BYTES),
        false => end / BLOCK_BYTES,
    };
    first..end.max(first)
}

impl<B> Drop for Overlay<B> {
    fn drop(&mut self) {
        self.room.give_back(self.written.get_mut().unwrap_or_else(PoisonError::into_inner).held);
    }
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
