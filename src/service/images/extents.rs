//! Where a guest's disk has data, and where two of them differ, as far as what is stored tells without being read.
//!
//! Invariant: whatever differs is told; what is told may be the same, where it is stored in other chunks, unless it was to be
//! compared byte by byte. Memory and time of one answer are bounded: what there is more of comes with the next.

use super::guests::{GuestDisk, What};
use crate::disk::{Extent, HOLE_BYTES};
use crate::model::{ByteRange, ImageId};
use crate::service::{Actor, Error, Service};

/// Extents of one answer, at most.
pub const EXTENTS_MAX: usize = 10_000;
/// Steps of one answer, at most: what is looked at between two of its extents counts too.
const STEPS_MAX: usize = 1 << 20;
/// How far two disks are looked at in one step where they have data (a hole of both: [`HOLE_BYTES`]): a container's run may be all of it, of whose entries each is
/// looked at, while what is stored tells them apart after a few KiB.
const LOOK_BYTES: u64 = 1 << 20;
/// Bytes of each disk that are compared for one answer, about: reading them may take decoding.
const COMPARED_BYTES_MAX: u64 = 1 << 30;
/// Bytes compared at once.
const COMPARE_BYTES: usize = 256 << 10;
/// What changes are told in, where they are compared byte by byte.
const BLOCK_BYTES: usize = 4096;

/// A part of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub found: Vec<T>,
    /// Size of the guest's disk.
    pub size_bytes: u64,
    /// Where the next answer goes on; `None` at the end.
    pub next: Option<u64>,
}

/// A stretch of a guest's disk: where it begins, and what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub at: u64,
    /// How long it is, and whether it is zeros.
    pub extent: Extent,
}

impl Service {
    /// Where the disk that a guest sees of an image has data, from byte `from` on. Blocks on the medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`].
    pub fn extents(&self, actor: &Actor, id: &ImageId, from: u64) -> Result<Page<Stretch>, Error> {
        let disk = self.open_disk(actor, id)?.disk;
        let (size_bytes, mut at) = (disk.size_bytes(), from);
        let mut found: Vec<Stretch> = Vec::new();
        for _ in 0..STEPS_MAX {
            if at >= size_bytes || found.len() >= EXTENTS_MAX {
                break;
            }
            let extent = disk.extent_at(at)?;
            match found.last_mut() {
                Some(last) if last.extent.is_zero == extent.is_zero => last.extent.bytes += extent.bytes,
                _ => found.push(Stretch { at, extent }),
            }
            at += extent.bytes;
        }
        Ok(Page { found, size_bytes, next: (at < size_bytes).then_some(at) })
    }

    /// Where the disk of an image differs from that of another, `since`, from byte `from` on; what is behind the other's end
    /// differs. The two need nothing to do with each other. With `exact`, what may differ is read and compared. Blocks on the
    /// medium.
    ///
    /// # Errors
    /// As [`Service::open_disk`], of either.
    pub fn changes(
        &self,
        actor: &Actor,
        id: &ImageId,
        since: &ImageId,
        from: u64,
        exact: bool,
    ) -> Result<Page<ByteRange>, Error> {
        let disk = self.open_disk(actor, id)?.disk;
        let other = self.open_disk(actor, since)?.disk;
        differences(&disk, &other, from, exact.then_some(COMPARED_BYTES_MAX))
    }
}

/// Where a disk differs from another, from `from` on; where `compared_max` says how much may be, what may differ is compared.
fn differences(
    disk: &GuestDisk,
    other: &GuestDisk,
    from: u64,
    compared_max: Option<u64>,
) -> Result<Page<ByteRange>, Error> {
    let (size_bytes, mut at) = (disk.size_bytes(), from);
    let common = size_bytes.min(other.size_bytes());
    let (mut found, mut compared) = (Vec::new(), 0);
    for _ in 0..STEPS_MAX {
        if at >= common || found.len() >= EXTENTS_MAX || compared_max.is_some_and(|most| compared >= most) {
            break;
        }
        let (bytes, same) = compare_at(disk, other, at)?;
        let looked_at = |bytes: u64| ByteRange { start: at, end: at + bytes.min(common - at) };
        let range = match (same, compared_max) {
            (true, _) => looked_at(bytes),
            (false, None) => {
                push(&mut found, looked_at(bytes));
                looked_at(bytes)
            }
            (false, Some(_)) => {
                let range = looked_at(bytes.min(LOOK_BYTES));
                compare_bytes(disk, other, range, &mut found)?;
                compared += range.len();
                range
            }
        };
        at = range.end;
    }
    if at >= common && at < size_bytes {
        push(&mut found, ByteRange { start: at, end: size_bytes });
        at = size_bytes;
    }
    Ok(Page { found, size_bytes, next: (at < size_bytes).then_some(at) })
}

/// Whether two disks are known to be the same from `at` on, and how far that was looked at.
fn compare_at(disk: &GuestDisk, other: &GuestDisk, at: u64) -> Result<(u64, bool), Error> {
    let spots = |wanted| Ok::<_, Error>((disk.spot_at(at, wanted)?, other.spot_at(at, wanted)?));
    let (mut mine, mut theirs) = spots(LOOK_BYTES)?;
    if (mine.what, theirs.what) == (What::Zeros, What::Zeros) {
        (mine, theirs) = spots(HOLE_BYTES)?;
    }
    let bytes = mine.bytes.min(theirs.bytes);
    Ok(match (mine.what, theirs.what) {
        (What::Zeros, What::Zeros) => (bytes, true),
        (What::At(here), What::At(there)) => {
            let (alike, same) = disk.reader().compare_at(here, other.reader(), there)?;
            (alike.min(bytes).max(1), same)
        }
        // Equal data has equal bytes, be they known or not.
        (What::Unknown, What::Unknown) if disk.content() == other.content() => (bytes, true),
        _ => (bytes, false),
    })
}

/// Adds the blocks of a range that differ.
fn compare_bytes(
    disk: &GuestDisk,
    other: &GuestDisk,
    range: ByteRange,
    found: &mut Vec<ByteRange>,
) -> Result<(), Error> {
    let mut at = range.start;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    while at < range.end {
        let bytes = (range.end - at).min(COMPARE_BYTES as u64) as usize;
        mine.resize(bytes, 0);
        theirs.resize(bytes, 0);
        disk.read_at(at, &mut mine)?;
        other.read_at(at, &mut theirs)?;
        for (here, there) in mine.chunks(BLOCK_BYTES).zip(theirs.chunks(BLOCK_BYTES)) {
            let end = at + here.len() as u64;
            if here != there {
                push(found, ByteRange { start: at, end });
            }
            at = end;
        }
    }
    Ok(())
}

fn push(found: &mut Vec<ByteRange>, range: ByteRange) {
    match found.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => found.push(range),
    }
}

#[cfg(test)]
#[path = "extents_tests.rs"]
mod tests;
