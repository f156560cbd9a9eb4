//! Memory for what is on its way to clients: a bound for all, a ration for each, and pages that are used again.
//!
//! Invariants: all pages in use stay within what all share, and one page for each connection beside that; a client that does
//! not read what it asked for holds up nobody else, since each connection has that one page for itself. Must not know
//! what is in a page.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Data that is read at once, in bytes.
pub const PIECE_BYTES: usize = 256 << 10;
/// Headers beside it, in bytes.
pub const HEADERS_BYTES: usize = 4 << 10;
/// Data of a small page, in bytes: most reads of a guest fit.
pub const SMALL_BYTES: usize = 16 << 10;
/// What memory is counted in.
const UNIT_BYTES: usize = 1 << 10;
/// One client has no more than one in so many of what all share.
const RATION_SHARE: usize = 4;
/// Pages that wait to be used again take no more than one in so many of what all share.
const SPARE_SHARE: usize = 4;
/// Small pages that wait to be used again.
const SMALL_SPARE_MAX: usize = 64;
/// Threads that wait for disks at once, of all connections.
const TURNS: usize = 32;

/// What all connections share. Cheap to share.
#[derive(Clone)]
pub struct Pages(Arc<Inner>);

struct Inner {
    shared: Arc<Semaphore>,
    ration_units: usize,
    turns: Arc<Semaphore>,
    spare: Mutex<Spare>,
    large_spare_max: usize,
}

#[derive(Default)]
struct Spare {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

/// One connection's part of it.
pub struct Ration {
    pages: Pages,
    of_all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// Room for a page, until it is dropped.
pub struct Room {
    _held: [Option<OwnedSemaphorePermit>; 2],
}

/// Bytes of some length, of which the first so many are in use.
pub struct Page {
    bytes: Vec<u8>,
    filled: usize,
    pages: Pages,
    _room: Room,
}

impl Pages {
    /// Pages of so many bytes altogether.
    pub fn new(bytes: usize) -> Pages {
        let units = bytes / UNIT_BYTES;
        Pages(Arc::new(Inner {
            shared: Arc::new(Semaphore::new(units)),
            ration_units: (units / RATION_SHARE).max(units_of(PIECE_BYTES) as usize),
            turns: Arc::new(Semaphore::new(TURNS)),
            spare: Mutex::default(),
            large_spare_max: bytes / SPARE_SHARE / PIECE_BYTES,
        }))
    }

    /// One more connection.
    pub fn join(&self) -> Ration {
        let of_all = Arc::new(Semaphore::new(self.0.ration_units));
        let own = Arc::new(Semaphore::new(units_of(PIECE_BYTES) as usize));
        Ration { pages: self.clone(), of_all, own }
    }

    /// Waits for a turn to block on a disk; `None` once there will be none.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.0.turns.clone().acquire_owned().await.ok()
    }

    fn take(&self, data_bytes: usize) -> Vec<u8> {
        let is_small = data_bytes <= SMALL_BYTES;
        let mut spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let found = if is_small { spare.small.pop() } else { spare.large.pop() };
        drop(spare);
        found.unwrap_or_else(|| vec![0; HEADERS_BYTES + if is_small { SMALL_BYTES } else { PIECE_BYTES }])
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let mut spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, most) = match bytes.len() == HEADERS_BYTES + SMALL_BYTES {
            true => (&mut spare.small, SMALL_SPARE_MAX),
            false => (&mut spare.large, self.0.large_spare_max),
        };
        if kept.len() < most {
            kept.push(bytes);
        }
    }
}

impl Ration {
    /// Waits for room for this much data, [`PIECE_BYTES`] at most.
    pub async fn room(&self, data_bytes: usize) -> Option<Room> {
        let units = units_of(data_bytes);
        if let Ok(of_all) = self.of_all.clone().try_acquire_many_owned(units)
            && let Ok(shared) = self.pages.0.shared.clone().try_acquire_many_owned(units)
        {
            return Some(Room { _held: [Some(of_all), Some(shared)] });
        }
        let own = self.own.clone().acquire_many_owned(units).await.ok()?;
        Some(Room { _held: [Some(own), None] })
    }

    /// See [`Pages::turn`].
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.pages.turn().await
    }

    /// A page for this much data, and headers.
    pub fn page(&self, room: Room, data_bytes: usize) -> Page {
        Page { bytes: self.pages.take(data_bytes), filled: 0, pages: self.pages.clone(), _room: room }
    }
}

fn units_of(data_bytes: usize) -> u32 {
    let page = HEADERS_BYTES + if data_bytes <= SMALL_BYTES { SMALL_BYTES } else { PIECE_BYTES };
    page.div_ceil(UNIT_BYTES) as u32
}

impl Page {
    /// Adds bytes. What does not fit is left out, which callers see by [`Page::room_bytes`].
    pub fn push(&mut self, bytes: &[u8]) {
        let room = &mut self.bytes[self.filled..];
        let fits = room.len().min(bytes.len());
        room[..fits].copy_from_slice(&bytes[..fits]);
        self.filled += fits;
    }

    /// The next so many bytes, to be filled; fewer where there is no more room.
    pub fn extend(&mut self, bytes: usize) -> &mut [u8] {
        let from = self.filled;
        self.filled = (from + bytes).min(self.bytes.len());
        &mut self.bytes[from..self.filled]
    }

    /// Takes back all that was added.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Bytes that fit yet.
    pub fn room_bytes(&self) -> usize {
        self.bytes.len() - self.filled
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.filled]
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pages.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_connection_has_a_page_when_others_hold_all() {
        let pages = Pages::new(1 << 20);
        let greedy: Vec<Ration> = (0..8).map(|_| pages.join()).collect();
        let mut held = Vec::new();
        for ration in &greedy {
            while let Some(Some(room)) = ration.room(PIECE_BYTES).now_or_never() {
                held.push(ration.page(room, PIECE_BYTES));
            }
        }
        // What all share has room for three of them.
        assert_eq!(held.len(), 8 + 3);
        let late = pages.join();
        let room = late.room(PIECE_BYTES).now_or_never().flatten();
        let page = late.page(room.unwrap(), PIECE_BYTES);
        assert_eq!(page.room_bytes(), PIECE_BYTES + HEADERS_BYTES);
        assert!(late.room(PIECE_BYTES).now_or_never().is_none());
        drop(page);
        assert!(late.room(PIECE_BYTES).now_or_never().is_some());
    }

    #[test]
    fn pages_are_used_again_as_far_as_the_bound_goes() {
        let pages = Pages::new(8 << 20);
        for _ in 0..100 {
            pages.give_back(vec![0; PIECE_BYTES + HEADERS_BYTES]);
            pages.give_back(vec![0; SMALL_BYTES + HEADERS_BYTES]);
        }
        let spare = pages.0.spare.lock().unwrap();
        assert_eq!((spare.large.len(), spare.small.len()), (8, SMALL_SPARE_MAX));
    }
}
