//! A walk over a whole container: every table that leads to data is in order, and how much comes out of what is there.

use super::budgets::Budgets;
use super::guest::{Guest, Place};
use super::probe::Format;
use super::refusal::{Code, Error, Refusal};

/// Runs that any file may have, and one more for each so many of its bytes: an entry of a table takes four at least, so that only a
/// table that many others lead to makes more.
const RUNS_FREE: u64 = 1_000_000;
const BYTES_PER_RUN: u64 = 4;

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
/// What is not in order; `OverBudget` when more comes out than a container of this size may make (requirement B5); `BadTable` when it is
/// in more pieces than such a container can have, so that time follows from its size (B7).
pub fn survey(
    guest: &dyn Guest,
    file_bytes: u64,
    format: Format,
    budgets: &Budgets,
) -> Result<Survey, Error> {
    let most = file_bytes.saturating_mul(budgets.ratio_max);
    let (mut survey, mut at) = (Survey::default(), 0);
    let mut runs_left = RUNS_FREE + file_bytes / BYTES_PER_RUN;
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
        runs_left = runs_left.checked_sub(1).ok_or_else(|| {
            let why = format!("the disk is in too many pieces for a file of {file_bytes} bytes");
            Refusal::new(format, Code::BadTable, "data", why)
        })?;
    }
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::guest::Run;
    use crate::disk::source::Source;

    /// A disk whose sectors are data and zeros in turn, wherever they lie.
    struct Striped {
        file: Vec<u8>,
        sectors: u64,
    }

    impl Guest for Striped {
        fn size_bytes(&self) -> u64 {
            self.sectors * 512
        }

        fn run_at(&self, at: u64, _: u64) -> Result<Run, Error> {
            let place = if (at / 512).is_multiple_of(2) { Place::Plain(0) } else { Place::Zeros };
            Ok(Run { bytes: 512 - at % 512, place })
        }

        fn run_near(&self, at: u64, wanted: u64) -> Option<Run> {
            self.run_at(at, wanted).ok()
        }

        fn kept_bytes(&self) -> u64 {
            0
        }

        fn notes(&self) -> Vec<crate::disk::Note> {
            Vec::new()
        }

        fn source(&self) -> &dyn Source {
            &self.file
        }
    }

    #[test]
    fn b7_a_disk_in_more_pieces_than_its_file_can_have_is_refused() {
        let file_bytes = 4 << 20;
        let fault = |sectors: u64| {
            let disk = Striped { file: vec![0; file_bytes as usize], sectors };
            match survey(&disk, file_bytes, Format::Qcow2, &Budgets::default()) {
                Err(Error::Refused(refusal)) => Some(refusal.code),
                outcome => outcome.map(|_| None).unwrap(),
            }
        };
        assert_eq!(fault(2_000_000), None);
        assert_eq!(fault(2_100_000), Some(Code::BadTable));
    }
}
