//! The store's figures for whoever watches the box.
//!
//! Invariant: they name no image, user or project, and cost a row and a few numbers in memory,
//! however much is stored; so they need no actor.

use super::{Error, Service};
use crate::base::Time;
use crate::catalog::quotas;
use crate::model::disk_traffic::TrafficFigures;
use crate::model::quota;
use crate::objects::Traffic;
use crate::store::{Activity, DamageCounts, Lag, ParityTotals, Stats};

/// The store at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What all projects use together.
    pub used: quota::Usage,
    /// What it holds.
    pub stored: Stats,
    /// What it did since the process started.
    pub activity: Activity,
    /// How much of it is known to be damaged.
    pub damage: DamageCounts,
    /// What its parity takes.
    pub parity: ParityTotals,
    /// When the last complete scrub ended.
    pub scrub_completed_at: Option<Time>,
    /// What its log does not tell yet.
    pub log_lag: Lag,
    /// Bytes its medium has left, where that can be told.
    pub free_bytes: Option<u64>,
    /// What passed between the store and its medium, where that is not at hand.
    pub traffic: Option<Traffic>,
    /// Whether image data can be reached, as far as is known without asking.
    pub reachable: bool,
    /// Whether the medium was recognised since the process started.
    pub recognised: bool,
    /// Stores beside the home that cannot be reached, as far as is known without asking.
    pub places_away: u64,
    /// What passed between disks and those who have them.
    pub disks: TrafficFigures,
}

impl Service {
    /// The store's figures of this moment.
    ///
    /// # Errors
    /// When the catalog or the medium does not answer.
    pub fn figures(&self) -> Result<Figures, Error> {
        Ok(Figures {
            used: quotas::usage_of_all(&self.db.read()?)?,
            stored: self.store.stats()?,
            activity: self.store.activity(),
            damage: self.store.damage_counts(),
            parity: self.store.parity()?,
            scrub_completed_at: self.store.scrub_completed_at(),
            log_lag: self.store.log_lag(),
            free_bytes: self.store.free_bytes()?,
            traffic: self.store.traffic(),
            reachable: self.store.trouble().is_none(),
            recognised: self.store.is_entered(),
            places_away: self.store.places_away(),
            disks: self.disk_exports.traffic().figures(),
        })
    }
}
