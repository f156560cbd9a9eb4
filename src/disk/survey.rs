//! A walk over a whole container: every table that leads to data is in order, and how much comes out of what is there.

use super::budgets::Budgets;
use super::guest::{Guest, Place};
use super::probe::Format;
use super::refusal::{Code, Error, Refusal};

/// What a container holds of the guest's disk, in bytes of that disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survey {
    /// Bytes that lie in the container as they are.
    pub plain_bytes: u64,
    /// Bytes that come out of compressed units.
    pub packed_bytes: u64,
}

/// Goes over the whole disk, run by run. Compressed data is not decoded: it is when it is read. `file_bytes` is the size of the
/// file as it lies there: what a log says that it will grow to is not believed.
///
/// # Errors
/// What is not in order; `OverBudget` when more comes out than a container of this size may make (requirement B5).
pub fn survey(
    guest: &dyn Guest,
    file_bytes: u64,
    format: Format,
    budgets: &Budgets,
) -> Result<Survey, Error> {
    let most = file_bytes.saturating_mul(budgets.ratio_max);
    let (mut survey, mut at) = (Survey::default(), 0);
    while at < guest.size_bytes() {
        let run = guest.run_at(at, u64::MAX)?;
        match run.place {
            Place::Zeros => {}
            Place::Plain(_) => survey.plain_bytes += run.bytes,
            Place::Packed { .. } => survey.packed_bytes += run.bytes,
        }
        if survey.plain_bytes.saturating_add(survey.packed_bytes) > most {
            let why = format!(
                "more than {most} bytes come out of {file_bytes}: that is taken for a bomb; disks.ratio_max is {}",
                budgets.ratio_max
            );
            return Err(Refusal::new(format, Code::OverBudget, "data", why).into());
        }
        at += run.bytes;
    }
    Ok(survey)
}
