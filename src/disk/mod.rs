//! Disk formats: pure, bounded reading of what images are made of.
//!
//! A container is opened over a [`Source`] as a [`Guest`], which tells run by run where the bytes of the guest's disk
//! lie: [`View`] reads them. Invariant: nothing here opens, allocates by what the input says, or panics on any
//! input; a name found inside an image is never followed. Must not know where the bytes come from.

mod advice;
mod budgets;
mod containers;
mod fields;
#[cfg(test)]
pub(crate) mod fixtures;
mod guest;
pub mod inside;
mod iso;
mod kept;
mod notes;
pub mod ova;
pub mod probe;
mod qcow2;
mod raw;
mod refusal;
mod source;
mod survey;
mod units;
mod vdi;
mod vhd;
mod vhdx;
mod view;
mod vmdk;
pub mod wrapping;
pub mod writing;

pub use advice::{Advice, advise};
pub use budgets::Budgets;
pub use containers::open;
pub use guest::{Guest, Place, Run};
pub use iso::Iso;
pub use kept::Pieces;
pub use notes::{Note, NoteCode};
pub use qcow2::Qcow2;
pub use raw::Raw;
pub use refusal::{Code, Error, Refusal};
pub use source::{Source, Stretch};
pub use survey::{Survey, survey};
pub use units::{Codec, Unit};
pub use vdi::Vdi;
pub use vhd::Vhd;
pub use vhdx::Vhdx;
pub use view::{Extent, HOLE_BYTES, View};
pub use vmdk::{Passed, Passing, Vmdk};
