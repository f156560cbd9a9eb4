//! The parts of a container that show the guest's disk, in the order of the file.
//!
//! Invariant: memory is bounded whatever the container says: parts that are far out of order come where they come, and whoever
//! takes them passes over those that lie behind. Must not know what becomes of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::disk::{Guest, Place};
use crate::store::Piece;

/// Parts that are looked at ahead: writers that work on several clusters at once put them down out of order.
const AHEAD: usize = 4096;

/// A part, by where it begins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct At {
    at: u64,
    bytes: u64,
    unpacked_bytes: Option<u64>,
}

/// The parts of an opened container; ends early where its tables are not in order.
pub(super) fn of(guest: &dyn Guest) -> impl Iterator<Item = Piece> {
    let mut guest_at = 0;
    let mut waiting: BinaryHeap<Reverse<At>> = BinaryHeap::new();
    std::iter::from_fn(move || {
        while waiting.len() < AHEAD && guest_at < guest.size_bytes() {
            let Ok(run) = guest.run_at(guest_at, u64::MAX) else {
                guest_at = guest.size_bytes();
                break;
            };
            guest_at += run.bytes.max(1);
            waiting.extend(part(run.place, run.bytes).map(Reverse));
        }
        let Reverse(At { at, bytes, unpacked_bytes }) = waiting.pop()?;
        Some(Piece { at, bytes, unpacked_bytes })
    })
}

fn part(place: Place, bytes: u64) -> Option<At> {
    match place {
        Place::Zeros => None,
        Place::Plain(at) => Some(At { at, bytes, unpacked_bytes: None }),
        Place::Packed { unit, skip: 0 } => {
            // What a zstd encoder makes of a unit depends on its release.
            let at = unit.deflate_at()?;
            let bytes = unit.packed_bytes.checked_sub(at - unit.at)?;
            Some(At { at, bytes, unpacked_bytes: Some(unit.bytes) })
        }
        Place::Packed { .. } => None,
    }
}
