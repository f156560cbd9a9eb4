//! Stretches of a made file, filled with what its layout says.
//!
//! Invariant: zeros that are known are not read, and take no memory; what is packed has the length that it had when the layout was
//! made, or nothing is handed out.

use std::sync::Arc;

use bytes::Bytes;

use super::flow::Work;
use super::layouts::{Kept, Made};
use crate::disk::writing::{Packed, Piece, UNIT_BYTES, pack};
use crate::model::ByteRange;
use crate::service::images::guests::GuestDisk;
use crate::service::{Error, ErrorKind};

/// What zeros are made of.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
/// A shorter piece is copied, in bytes: it would keep all of what it was read with in memory, which the budget does not count.
const SHARED_BYTES: usize = 128 << 10;
/// Zeros between data that are worth a piece of their own, in bytes.
const GAP_BYTES: u64 = 64 << 10;

/// A file that is filled from a disk.
pub(super) struct Filling {
    pub(super) disk: Arc<GuestDisk>,
    pub(super) kept: Arc<Kept>,
}

impl Work for Filling {
    type Out = Vec<Bytes>;

    fn make(&self, range: ByteRange) -> Result<Vec<Bytes>, Error> {
        let Made::File(layout) = &self.kept.made else {
            return Err(Error::new(ErrorKind::Internal, "the file's layout is not known"));
        };
        let (mut out, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let left = range.end - at;
            at += match layout.piece_at(at) {
                Piece::Zeros(bytes) => zeros(&mut out, bytes.min(left)),
                Piece::Guest { at, bytes } => self.guest(&mut out, at, bytes.min(left))?,
                Piece::Made(bytes) => part(&mut out, bytes, 0, left),
                Piece::Packed { unit, as_, packed_bytes, skip } => {
                    let packed = packed(&self.disk, unit, as_)?;
                    if packed.len() as u64 != packed_bytes {
                        let message = format!("unit {unit} packs to another length than before");
                        return Err(Error::new(ErrorKind::Internal, message));
                    }
                    part(&mut out, packed, skip, left)
                }
            };
        }
        Ok(out)
    }
}

impl Filling {
    /// Bytes of the guest's disk: data in pieces as long as they can be, zeros between them where they are many.
    fn guest(&self, out: &mut Vec<Bytes>, from: u64, bytes: u64) -> Result<u64, Error> {
        let end = from + bytes;
        let (mut start, mut at) = (from, from);
        while at < end {
            let extent = self.disk.extent_at(at)?;
            let next = end.min(at.saturating_add(extent.bytes));
            if extent.is_zero && (next - at >= GAP_BYTES || at == start) {
                self.data(out, start, at)?;
                zeros(out, next - at);
                start = next;
            }
            at = next;
        }
        self.data(out, start, end)?;
        Ok(bytes)
    }

    fn data(&self, out: &mut Vec<Bytes>, start: u64, end: u64) -> Result<(), Error> {
        if start == end {
            return Ok(());
        }
        let pieces = self.disk.pieces_at(start, length(end - start))?.into_iter();
        out.extend(
            pieces
                .map(|piece| if piece.len() < SHARED_BYTES { Bytes::copy_from_slice(&piece) } else { piece }),
        );
        Ok(())
    }
}

/// A unit of the disk, packed; empty for zeros. What lies after the disk's end counts as zeros.
pub(super) fn packed(disk: &GuestDisk, unit: u64, as_: Packed) -> Result<Vec<u8>, Error> {
    let at = unit * UNIT_BYTES;
    let there = UNIT_BYTES.min(disk.size_bytes().saturating_sub(at));
    let mut data = vec![0; length(UNIT_BYTES)];
    disk.read_at(at, &mut data[..length(there)])?;
    pack(&data, as_).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("unit {unit} of the disk cannot be packed: {error}"))
    })
}

fn zeros(out: &mut Vec<Bytes>, bytes: u64) -> u64 {
    let mut left = bytes;
    while left > 0 {
        let now = left.min(ZEROS.len() as u64);
        out.push(Bytes::from_static(&ZEROS[..length(now)]));
        left -= now;
    }
    bytes
}

/// What of these bytes lies after the first `skip`, `most` of it.
fn part(out: &mut Vec<Bytes>, bytes: Vec<u8>, skip: u64, most: u64) -> u64 {
    let bytes = Bytes::from(bytes);
    let skip = length(skip).min(bytes.len());
    let end = skip.saturating_add(length(most)).min(bytes.len());
    let part = bytes.slice(skip..end);
    let length = part.len() as u64;
    out.push(part);
    length
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
