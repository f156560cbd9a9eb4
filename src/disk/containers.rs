//! Which reader a container's format has.

use super::budgets::Budgets;
use super::guest::Guest;
use super::ova::Archive;
use super::probe::Format;
use super::refusal::Error;
use super::source::Source;
use super::{Qcow2, Vdi, Vhd, Vhdx, Vmdk};

/// Opens a container that wraps a guest's disk, in an archive or alone; `None` where the format is none.
///
/// # Errors
/// A refusal, or what reading fails with.
pub fn open<S: Source + 'static>(
    format: Format,
    source: S,
    budgets: &Budgets,
) -> Result<Option<Box<dyn Guest>>, Error> {
    match format {
        Format::Ova => Archive::read(&source, budgets)?.only_disk()?.open(source, budgets).map(Some),
        alone => open_alone(alone, source, budgets),
    }
}

/// The same of one that is in no archive.
pub(super) fn open_alone<S: Source + 'static>(
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
