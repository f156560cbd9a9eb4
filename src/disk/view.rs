//! Reading a guest's disk at any place.

use std::sync::Arc;

use super::budgets::Budgets;
use super::guest::{Guest, Place};
use super::kept::{Kept, kept};
use super::probe::Format;
use super::refusal::Error;
use super::units::Unit;

/// A guest's disk. Decoded units are kept for whoever reads on, as far as the budget goes.
pub struct View<G> {
    guest: G,
    format: Format,
    units: Kept,
}

/// Units that the cache is laid out for: as many as there are of the usual size.
const USUAL_UNIT_BYTES: u64 = 64 << 10;

impl<G: Guest> View<G> {
    /// Of an opened container.
    pub fn new(guest: G, format: Format, budgets: &Budgets) -> View<G> {
        View { guest, format, units: kept(budgets.cached_bytes_max, USUAL_UNIT_BYTES) }
    }

    /// The container.
    pub fn guest(&self) -> &G {
        &self.guest
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
        self.units
            .get_or_insert_with(&unit.at, || Ok(Arc::new(unit.decode(self.guest.source(), self.format)?)))
    }
}
