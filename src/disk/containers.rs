//! Which reader a container's format has.

use super::budgets::Budgets;
use super::guest::Guest;
use super::probe::Format;
use super::refusal::Error;
use super::source::Source;
use super::{Qcow2, Vdi, Vhd, Vhdx, Vmdk};

/// Opens a container that wraps a guest's disk; `None` where the format is none, or an archive, whose disks
/// [`Archive`](super::ova::Archive) opens.
///
/// # Errors
/// A refusal, or what reading fails with.
pub fn open<S: Source + 'static>(
    format: Format,
    source: S,
    budgets: &Budgets,
) -> Result<Option<Box<dyn Guest>>, Error> {
    Ok(Some(match format {
        Format::Qcow2 => Box::new(Qcow2::open(source, budgets)?),
        Format::Vmdk => Box::new(Vmdk::open(source, budgets)?),
        Format::Vhd => Box::new(Vhd::open(source, budgets)?),
        Format::Vhdx => Box::new(Vhdx::open(source, budgets)?),
        Format::Vdi => Box::new(Vdi::open(source, budgets)?),
        _ => return Ok(None),
    }))
}
