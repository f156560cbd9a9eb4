//! Memory of decompressed frames, used again once nobody holds them: new memory costs the kernel a
//! fault and a page of zeros for every 4 KiB, which is a good part of what decompressing costs.
//!
//! Invariant: what is kept idle is 6 MiB at most, which comes on top of the store's memory; no
//! byte of an old frame is ever seen in a new one, since room is handed out empty.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::format::FRAME_BYTES_MAX;

/// Rooms kept while nobody needs them: those of a reader that has four batches of a MiB read at once, as exports do.
const IDLE_MAX: usize = 24;
/// The largest room kept.
const ROOM_BYTES_MAX: usize = FRAME_BYTES_MAX;
/// Rooms are as large as whole ones of these, so that most fit the next frame: a room that grows is new memory again.
const STEP_BYTES: usize = 16 << 10;
/// A room may be larger than a new one would be by so much: a frame that is kept keeps all of it.
const EXCESS_BYTES: usize = 32 << 10;

/// They belong to no store. Those that came back first come first.
static IDLE: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());

/// An empty room for `bytes`.
pub fn room(bytes: usize) -> Vec<u8> {
    let least = bytes.next_multiple_of(STEP_BYTES);
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |room: &Vec<u8>| (least..=least + EXCESS_BYTES).contains(&room.capacity());
    if let Some(room) = idle.iter().rposition(fits).and_then(|place| idle.remove(place)) {
        return room;
    }
    drop(idle);
    Vec::with_capacity(least)
}

/// Shares what was put in a room; the room comes back when the last holder lets go.
pub fn share(filled: Vec<u8>) -> Bytes {
    Bytes::from_owner(Lent(filled))
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.0);
        if room.capacity() > ROOM_BYTES_MAX {
            return;
        }
        room.clear();
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody wanted for long make way: frames may have other sizes now.
        let unwanted = if idle.len() < IDLE_MAX { None } else { idle.pop_front() };
        idle.push_back(room);
        drop(idle);
        drop(unwanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_handed_out_empty_and_large_enough() {
        drop(share(vec![7; 1000]));
        for bytes in [10, 1000, 100_000] {
            let room = room(bytes);
            assert!(room.is_empty() && room.capacity() >= bytes);
        }
    }

    #[test]
    fn p5_idle_rooms_are_few_and_none_is_huge() {
        let held: Vec<Bytes> = (0..100).map(|_| share(vec![1; 4096])).collect();
        drop(held);
        drop(share(vec![1; ROOM_BYTES_MAX + 1]));
        let idle = IDLE.lock().unwrap();
        assert!(idle.len() <= IDLE_MAX && idle.iter().all(|room| room.capacity() <= ROOM_BYTES_MAX));
    }

    #[test]
    fn what_is_shared_stays_while_somebody_holds_a_part() {
        let whole = share((0..=255).collect());
        let part = whole.slice(100..110);
        drop(whole);
        drop(share(vec![0; 256]));
        assert_eq!(part[..], (100..110).collect::<Vec<u8>>()[..]);
    }
}
