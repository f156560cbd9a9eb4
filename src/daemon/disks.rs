//! How much an image may ask of whoever looks into it, as the settings say it.

use serde::{Deserialize, Serialize};

use super::settings::between;
use crate::disk::{Budgets, Pieces};
use crate::service::images::DiskPolicy;

/// `[disks]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disks {
    /// Largest disk of a guest, in bytes.
    pub virtual_bytes_max: u64,
    /// Bytes of a guest's disk that are there, for each byte of the container, at most.
    pub ratio_max: u64,
    /// Whether a qcow2 with snapshots inside is refused.
    pub refuse_snapshots: bool,
    /// Whether a raw disk has to have a partition table.
    pub require_partition_table: bool,
    /// Whether a raw disk that looks like a container of another format is refused.
    pub refuse_raw_containers: bool,
}

impl Default for Disks {
    fn default() -> Self {
        let Budgets { virtual_bytes_max, ratio_max, .. } = Budgets::default();
        let DiskPolicy { refuse_snapshots, require_partition_table, refuse_raw_containers } =
            DiskPolicy::default();
        Disks {
            virtual_bytes_max,
            ratio_max,
            refuse_snapshots,
            require_partition_table,
            refuse_raw_containers,
        }
    }
}

impl Disks {
    /// Refuses what says nothing sensible.
    pub(super) fn check(&self) -> Result<(), String> {
        between("disks.virtual_bytes_max", self.virtual_bytes_max, 1 << 20, 64 << 40)?;
        between("disks.ratio_max", self.ratio_max, 2, 1 << 20)
    }

    /// What is refused though it is in order.
    pub(super) fn policy(&self) -> DiskPolicy {
        DiskPolicy {
            refuse_snapshots: self.refuse_snapshots,
            require_partition_table: self.require_partition_table,
            refuse_raw_containers: self.refuse_raw_containers,
        }
    }

    /// The budgets of readers, which have so much memory for what they keep.
    pub(super) fn budgets(&self, kept_bytes: usize) -> Budgets {
        let (virtual_bytes_max, ratio_max) = (self.virtual_bytes_max, self.ratio_max);
        let (open_bytes_max, pieces) = (kept_bytes as u64, Pieces::new(kept_bytes as u64));
        Budgets { virtual_bytes_max, ratio_max, pieces, open_bytes_max, ..Budgets::default() }
    }
}
