//! How much an image may ask of whoever looks into it, as the settings say it.

use serde::{Deserialize, Serialize};

use super::settings::between;
use crate::disk::{Budgets, Pieces};

/// `[disks]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disks {
    /// Largest disk of a guest, in bytes.
    pub virtual_bytes_max: u64,
    /// Bytes of a guest's disk that are there, for each byte of the container, at most.
    pub ratio_max: u64,
}

impl Default for Disks {
    fn default() -> Self {
        let Budgets { virtual_bytes_max, ratio_max, .. } = Budgets::default();
        Disks { virtual_bytes_max, ratio_max }
    }
}

impl Disks {
    /// Refuses what says nothing sensible.
    pub(super) fn check(&self) -> Result<(), String> {
        between("disks.virtual_bytes_max", self.virtual_bytes_max, 1 << 20, 64 << 40)?;
        between("disks.ratio_max", self.ratio_max, 2, 1 << 20)
    }

    /// The budgets of readers, which have so much memory for what they keep.
    pub(super) fn budgets(&self, kept_bytes: usize) -> Budgets {
        let (virtual_bytes_max, ratio_max) = (self.virtual_bytes_max, self.ratio_max);
        let (open_bytes_max, pieces) = (kept_bytes as u64, Pieces::new(kept_bytes as u64));
        Budgets { virtual_bytes_max, ratio_max, pieces, open_bytes_max, ..Budgets::default() }
    }
}
