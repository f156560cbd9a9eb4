//! Markers of the grains of a stream-optimised VMDK, kept while the file goes past: a look at its tables compares each with its
//! grain, and would read nearly the whole file again for 12 bytes here and there.
//!
//! Invariants: what is kept are bytes of the file and where they lie, no more than [`KEPT_MAX`] of them; a file that is no such
//! stream, or is laid out otherwise than most, has none kept and is read. Must not judge them: whoever reads them does.
//!
//! Source: VMware's Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents".

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::GRAIN_MARKER_BYTES;
use super::header::{self, SECTOR};
use crate::disk::fields::Fields;
use crate::disk::source::{Source, Stretch};

/// Markers kept: those of 8 GiB in grains of the usual 64 KiB, in 2 MiB of memory.
const KEPT_MAX: usize = 1 << 17;
/// A marker, and what tells tables from grains.
const MARKER_BYTES: usize = 16;

/// A file that goes past, from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passing {
    /// Bytes that went past.
    at: u64,
    /// What is waited for.
    awaited: Awaited,
    /// The part of it that came.
    part: Vec<u8>,
    /// Sector and bytes of each marker, in order.
    kept: Vec<(u32, [u8; GRAIN_MARKER_BYTES])>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Awaited {
    #[default]
    Header,
    /// A marker, which begins at this byte.
    Marker(u64),
    Nothing,
}

impl Awaited {
    /// Where it begins, and its bytes.
    fn place(self) -> Option<(u64, usize)> {
        match self {
            Awaited::Header => Some((0, SECTOR as usize)),
            Awaited::Marker(at) => Some((at, MARKER_BYTES)),
            Awaited::Nothing => None,
        }
    }
}

impl Passing {
    /// Takes the next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some((start, length)) = self.awaited.place()
            && !bytes.is_empty()
        {
            let before = start.saturating_sub(self.at).min(bytes.len() as u64) as usize;
            let wanted = (length - self.part.len()).min(bytes.len() - before);
            self.part.extend_from_slice(&bytes[before..before + wanted]);
            self.at += (before + wanted) as u64;
            bytes = &bytes[before + wanted..];
            if self.part.len() == length {
                let part = std::mem::take(&mut self.part);
                self.awaited = self.follow(start, Fields(&part)).unwrap_or(Awaited::Nothing);
            }
        }
    }

    /// What follows the header, or the marker, that begins at a byte; `None` where nothing does.
    fn follow(&mut self, start: u64, found: Fields<'_>) -> Option<Awaited> {
        if self.awaited == Awaited::Header {
            return header::first_marker_at(found).map(Awaited::Marker);
        }
        let (value, packed_bytes, kind) = (found.le64(0), found.le32(8), found.le32(12));
        let next = match (packed_bytes, kind) {
            // The end of the stream.
            (0, 0) => return None,
            // A table, or the copy of the header: so many sectors after the marker's own.
            (0, _) => value.checked_add(1)?.checked_mul(SECTOR)?.checked_add(start)?,
            _ => {
                if self.kept.len() == KEPT_MAX {
                    return None;
                }
                let marker = found.bytes(0, GRAIN_MARKER_BYTES).try_into().ok()?;
                self.kept.push((u32::try_from(start / SECTOR).ok()?, marker));
                (start + GRAIN_MARKER_BYTES as u64 + u64::from(packed_bytes)).next_multiple_of(SECTOR)
            }
        };
        Some(Awaited::Marker(next))
    }

    /// The marker that begins at a byte, if it was kept.
    fn marker_at(&self, at: u64) -> Option<&[u8; GRAIN_MARKER_BYTES]> {
        let sector = u32::try_from(at / SECTOR).ok().filter(|_| at.is_multiple_of(SECTOR))?;
        let place = self.kept.binary_search_by_key(&sector, |(sector, _)| *sector).ok()?;
        Some(&self.kept[place].1)
    }
}

/// A file that lies somewhere, of which something is known from when it went past.
#[derive(Debug, Clone)]
pub struct Passed<S> {
    file: S,
    seen: Arc<Passing>,
}

impl<S> Passed<S> {
    /// `seen` is the very file.
    pub fn new(file: S, seen: Passing) -> Passed<S> {
        Passed { file, seen: Arc::new(seen) }
    }
}

impl<S: Source> Source for Passed<S> {
    fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    fn read_exact_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        match self.seen.marker_at(at).filter(|marker| marker.len() == out.len()) {
            Some(marker) => out.copy_from_slice(marker),
            None => self.file.read_exact_at(at, out)?,
        }
        Ok(())
    }

    fn read_near_at(&self, at: u64, out: &mut [u8]) -> bool {
        self.file.read_near_at(at, out)
    }

    fn pieces_at(&self, at: u64, bytes: usize) -> io::Result<Vec<Bytes>> {
        self.file.pieces_at(at, bytes)
    }

    fn stretch_at(&self, at: u64) -> Stretch {
        self.file.stretch_at(at)
    }

    fn origin_at(&self, at: u64) -> Option<u64> {
        self.file.origin_at(at)
    }

    fn unpacked_at(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        self.file.unpacked_at(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::stream;
    use super::*;

    /// What is kept of a file that comes in pieces of so many bytes.
    fn passed(file: &[u8], piece: usize) -> Passing {
        let mut passing = Passing::default();
        file.chunks(piece).for_each(|piece| passing.push(piece));
        passing
    }

    #[test]
    fn what_is_kept_is_what_lies_there_however_it_comes() {
        let (file, _) = stream();
        let whole = passed(&file, file.len());
        // Two grains at least: the tables of this one have no markers, and look like more.
        assert!(whole.kept.len() >= 2);
        for (sector, marker) in &whole.kept {
            let at = *sector as usize * 512;
            assert_eq!(file[at..at + GRAIN_MARKER_BYTES], marker[..]);
        }
        for piece in [1, 7, 15, 16, 17, 511, 512, 513, 1000] {
            assert_eq!(passed(&file, piece).kept, whole.kept, "{piece}");
        }
    }

    #[test]
    fn a_disk_is_read_the_same_with_them_and_its_markers_from_them_alone() {
        let (file, _) = stream();
        let seen = passed(&file, 100);
        let at = u64::from(seen.kept[1].0) * SECTOR;
        // Where the marker lay is something else now: who asks is told what went past.
        let mut changed = file.clone();
        changed[at as usize..at as usize + GRAIN_MARKER_BYTES].fill(0xee);
        let source = Passed::new(changed, seen);
        let (mut marker, mut other) = ([0; GRAIN_MARKER_BYTES], [0; GRAIN_MARKER_BYTES + 1]);
        source.read_exact_at(at, &mut marker).unwrap();
        source.read_exact_at(at, &mut other).unwrap();
        assert_eq!(marker[..], file[at as usize..at as usize + GRAIN_MARKER_BYTES]);
        assert_eq!(other[..GRAIN_MARKER_BYTES], [0xee; GRAIN_MARKER_BYTES]);
    }

    #[test]
    fn b7_lies_of_a_stream_end_it() {
        let (file, _) = stream();
        let mut far = file.clone();
        // The first marker says that it is a table of all sectors there are.
        far[1536..1544].fill(0xff);
        far[1544..1552].copy_from_slice(&(1_u64 << 32).to_le_bytes());
        let mut no_overhead = file.clone();
        no_overhead[64..72].fill(0);
        let mut plain = file.clone();
        plain[8..12].copy_from_slice(&1_u32.to_le_bytes());
        for bad in [far, no_overhead, plain, vec![0; 4096], b"KDMV".repeat(1000)] {
            let seen = passed(&bad, 64);
            assert!(seen.kept.is_empty() && seen.awaited == Awaited::Nothing);
        }
    }
}
