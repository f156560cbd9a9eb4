//! Reading a guest's disk at any place.

use std::sync::Arc;

use super::budgets::Budgets;
use super::guest::{Guest, Place};
use super::kept::Kept;
use super::refusal::Error;
use super::units::Unit;

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

    /// What begins at byte `at`, which lies before the end of the disk: at least what lies there in one piece. Neighbours
    /// may be alike.
    ///
    /// # Errors
    /// When the container is not in order there, or cannot be read.
    pub fn extent_at(&self, at: u64) -> Result<Extent, Error> {
        let run = self.guest.run_at(at)?;
        Ok(match run.place {
            Place::Zeros => Extent { bytes: run.bytes, is_zero: true },
            Place::Packed { .. } => Extent { bytes: run.bytes, is_zero: false },
            Place::Plain(from) => {
                let stretch = self.guest.source().stretch_at(from);
                Extent { bytes: run.bytes.min(stretch.bytes), is_zero: stretch.is_zero }
            }
        })
    }

    /// Fills `out` with the bytes of the guest's disk from `at` on.
    ///
    /// # Errors
    /// When the container is not in order there, or cannot be read; when the range does not lie on the disk.
    pub fn read_at(&self, mut at: u64, mut out: &mut [u8]) -> Result<(), Error> {
        let size = self.guest.size_bytes();
        if at.checked_add(out.len() as u64).is_none_or(|end| end > size) {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        while !out.is_empty() {
            let run = self.guest.run_at(at)?;
            let here = usize::try_from(run.bytes).unwrap_or(usize::MAX).min(out.len());
            let (now, later) = std::mem::take(&mut out).split_at_mut(here);
            match run.place {
                Place::Zeros => now.fill(0),
                Place::Plain(from) => self.guest.source().read_exact_at(from, now)?,
                Place::Packed { unit, skip } => {
                    let decoded = self.unit(&unit)?;
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    let found = skip.checked_add(here).and_then(|end| decoded.get(skip..end));
                    now.copy_from_slice(
                        found.ok_or(std::io::ErrorKind::UnexpectedEof).map_err(std::io::Error::from)?,
                    );
                }
            }
            at += here as u64;
            out = later;
        }
        Ok(())
    }

    fn unit(&self, unit: &Unit) -> Result<Arc<Vec<u8>>, Error> {
        self.units.get_or_make(unit.at, || unit.decode(self.guest.source()))
    }
}
