//! The disk that a guest sees, told run by run: where each of its bytes lies in the container.

use super::notes::Note;
use super::refusal::Error;
use super::source::Source;
use super::units::Unit;

/// Bytes of the guest's disk, one after the other, that lie in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many; at least one.
    pub bytes: u64,
    /// Where they lie.
    pub place: Place,
}

/// Where a run of the guest's disk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it reads as zeros.
    Zeros,
    /// In the container as it is, from this byte on.
    Plain(u64),
    /// In a compressed unit, from `skip` bytes of what comes out of it on.
    Packed {
        /// The unit.
        unit: Unit,
        /// Where in it the run begins.
        skip: u64,
    },
}

/// A container that was opened: its header and tables have been found in order as far as they were looked at.
pub trait Guest: Send + Sync {
    /// Size of the guest's disk.
    fn size_bytes(&self) -> u64;

    /// The run that begins at byte `at` of the guest's disk, which lies before its end. Where the container has it, a
    /// run is as long as what lies there in one piece; nobody looks further than `wanted` bytes for that.
    ///
    /// # Errors
    /// When a table that leads there is not in order, or cannot be read.
    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error>;

    /// The same without reading anything that is not in memory: `None` where that would be needed, or something is not in
    /// order.
    fn run_near(&self, at: u64, wanted: u64) -> Option<Run>;

    /// Memory that it takes for as long as it is open, in bytes: tables that are not shared [pieces](super::Pieces).
    fn kept_bytes(&self) -> u64;

    /// The container's bytes, as [`Place`] counts them.
    fn source(&self) -> &dyn Source;

    /// What is no fault of the container, but worth knowing.
    fn notes(&self) -> Vec<Note>;
}

impl<G: Guest + ?Sized> Guest for Box<G> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn run_at(&self, at: u64, wanted: u64) -> Result<Run, Error> {
        (**self).run_at(at, wanted)
    }

    fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
        (**self).run_near(at, wanted)
    }

    fn kept_bytes(&self) -> u64 {
        (**self).kept_bytes()
    }

    fn source(&self) -> &dyn Source {
        (**self).source()
    }

    fn notes(&self) -> Vec<Note> {
        (**self).notes()
    }
}
