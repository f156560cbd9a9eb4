//! Reading a guest's disk at any place.

use std::sync::Arc;

use bytes::Bytes;

use super::budgets::Budgets;
use super::guest::{Guest, Place, Run};
use super::kept::Kept;
use super::refusal::Error;
use super::units::Unit;

/// How far a hole is looked through for one extent, in bytes: who reads on in a long one would go over all of it each time.
pub const HOLE_BYTES: u64 = 256 << 20;

/// A guest's disk. Decoded units are kept for whoever reads on, as far as the budget goes.
pub struct View<G> {
    guest: G,
    units: Kept,
}

/// A stretch of a guest's disk, and whether anything is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes; at least one.
    pub bytes: u64,
    /// Whether it is known, without reading it, to be zeros.
    pub is_zero: bool,
}

impl<G: Guest> View<G> {
    /// Of an opened container.
    pub fn new(guest: G, budgets: &Budgets) -> View<G> {
        View { guest, units: budgets.pieces.of_one() }
    }

    /// The container.
    pub fn guest(&self) -> &G {
        &self.guest
    }

    /// What begins at byte `at`, which lies before the end of the disk. Neighbours may be alike.
    ///
    /// # Errors
    /// When the container is not in order there, or cannot be read.
    pub fn extent_at(&self, at: u64) -> Result<Extent, Error> {
        self.extent(|wanted| self.guest.run_at(at, wanted))
    }

    /// The same where nothing has to be read for it that is not in memory.
    pub fn extent_near(&self, at: u64) -> Option<Extent> {
        let near =
            |wanted| self.guest.run_near(at, wanted).ok_or_else(|| std::io::ErrorKind::WouldBlock.into());
        self.extent(|wanted| near(wanted).map_err(|error: std::io::Error| error.into())).ok()
    }

    /// What a place is, whose run of some length `run` gives.
    fn extent(&self, run: impl Fn(u64) -> Result<Run, Error>) -> Result<Extent, Error> {
        // A container may be one run, of whose pieces each is looked at: no more of it than there is in one.
        let first = run(1)?;
        Ok(match first.place {
            Place::Zeros => Extent { bytes: run(HOLE_BYTES)?.bytes, is_zero: true },
            Place::Packed { .. } => Extent { bytes: first.bytes, is_zero: false },
            Place::Plain(from) => {
                let stretch = self.guest.source().stretch_at(from);
                let bytes = run(stretch.bytes)?.bytes.min(stretch.bytes);
                Extent { bytes, is_zero: stretch.is_zero }
            }
        })
    }

    /// Fills `out` with the bytes of the guest's disk from `at` on.
    ///
    /// # Errors
    /// When the container is not in order there, or cannot be read; when the range does not lie on the disk.
    pub fn read_at(&self, mut at: u64, mut out: &mut [u8]) -> Result<(), Error> {
        self.expect_on_disk(at, out.len())?;
        while !out.is_empty() {
            let run = self.guest.run_at(at, out.len() as u64)?;
            let here = in_memory(run.bytes).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            match run.place {
                Place::Zeros => now.fill(0),
                Place::Plain(from) => self.guest.source().read_exact_at(from, now)?,
                Place::Packed { unit, skip } => now.copy_from_slice(part(&self.unit(&unit)?, skip, here)?),
            }
            at += here as u64;
            out = later;
        }
        Ok(())
    }

    /// The same with what is in memory; `false`, and anything in `out`, where that is not all. Waits for nothing.
    pub fn read_near(&self, mut at: u64, mut out: &mut [u8]) -> bool {
        if self.expect_on_disk(at, out.len()).is_err() {
            return false;
        }
        while !out.is_empty() {
            let Some(run) = self.guest.run_near(at, out.len() as u64) else { return false };
            let here = in_memory(run.bytes).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            match run.place {
                Place::Zeros => now.fill(0),
                Place::Plain(from) if self.guest.source().read_near_at(from, now) => {}
                Place::Packed { unit, skip }
                    if let Some(kept) = self.units.find(unit.at)
                        && let Ok(part) = part(&kept, skip, here) =>
                {
                    now.copy_from_slice(part);
                }
                Place::Plain(_) | Place::Packed { .. } => return false,
            }
            at += here as u64;
            out = later;
        }
        true
    }

    /// The `bytes` from `at` on, in pieces that follow each other: as they lie in memory, where they do.
    ///
    /// # Errors
    /// As [`View::read_at`].
    pub fn pieces_at(&self, mut at: u64, bytes: usize) -> Result<Vec<Bytes>, Error> {
        self.expect_on_disk(at, bytes)?;
        let (mut pieces, mut left) = (Vec::new(), bytes);
        while left > 0 {
            let run = self.guest.run_at(at, left as u64)?;
            let here = in_memory(run.bytes).min(left);
            match run.place {
                Place::Zeros => pieces.push(vec![0; here].into()),
                Place::Plain(from) => pieces.extend(self.guest.source().pieces_at(from, here)?),
                Place::Packed { unit, skip } => {
                    let unit = self.unit(&unit)?;
                    part(&unit, skip, here)?;
                    let skip = in_memory(skip);
                    pieces.push(Bytes::from_owner(Decoded(unit)).slice(skip..skip + here));
                }
            }
            at += here as u64;
            left -= here;
        }
        Ok(pieces)
    }

    fn expect_on_disk(&self, at: u64, bytes: usize) -> std::io::Result<()> {
        let size = self.guest.size_bytes();
        match at.checked_add(bytes as u64) {
            Some(end) if end <= size => Ok(()),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn unit(&self, unit: &Unit) -> Result<Arc<Vec<u8>>, Error> {
        self.units.get_or_make(unit.at, || unit.decode(self.guest.source()))
    }
}

/// A decoded unit that is sent as it is.
struct Decoded(Arc<Vec<u8>>);

impl AsRef<[u8]> for Decoded {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// So many bytes of a unit.
fn part(unit: &[u8], skip: u64, bytes: usize) -> std::io::Result<&[u8]> {
    let skip = in_memory(skip);
    let found = skip.checked_add(bytes).and_then(|end| unit.get(skip..end));
    found.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
