//! How long records are kept: the oldest go, and leave an anchor that the rest follows.
//!
//! Invariant: each pruning is a record itself, in the same commit, and names the anchor that it leaves.

use super::super::{Actor, Error, Service};
use super::Act;
use crate::catalog::audit;
use crate::model::trace::Operation;

/// Records that go in one commit at most: what one holds of other writers' time is bounded.
const BATCH: usize = 5000;
/// A day, in seconds. The oldest records wait for it, so that there is one pruning a day.
const DAY_S: i64 = 86_400;

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days; 0 for ever.
    pub days: u64,
    /// Records, whatever their age: what the chain takes on the disk has an end.
    pub records_max: u64,
}

impl Service {
    /// Removes what is older than it has to be kept; says how many records went.
    ///
    /// # Errors
    /// When the catalog fails, or a record is unreadable.
    pub fn prune_audit(&self, keep: Keep) -> Result<u64, Error> {
        let mut gone = 0;
        while let Some(batch) = self.prune_batch(keep)? {
            gone += batch;
        }
        Ok(gone)
    }

    /// Removes a batch; `None` when nothing is left to go.
    fn prune_batch(&self, keep: Keep) -> Result<Option<u64>, Error> {
        let read = self.db.read()?;
        let Some(first) = audit::first(&read)? else { return Ok(None) };
        let now = self.clock.now();
        let days_s = i64::try_from(keep.days).unwrap_or(i64::MAX / DAY_S).saturating_mul(DAY_S);
        let oldest = now.plus_seconds(-days_s);
        let is_old = keep.days > 0 && first.content.recorded_at < oldest.plus_seconds(-DAY_S);
        // Up to a tenth more than must goes at once, or each new record would be a pruning.
        let held = audit::count(&read)?;
        let is_much = held > keep.records_max;
        let kept = keep.records_max - keep.records_max / 10;
        drop(read);
        if !is_old && !is_much {
            return Ok(None);
        }
        let why = if is_much { "there were too many" } else { "they were old enough" };
        let before = if keep.days > 0 { oldest } else { crate::base::Time(i64::MIN) };
        let start = first.seq;
        let gone = self.recorded(&Actor::system(), Act::new(Operation::PruneAudit), move |txn, act| {
            let up_to = match is_much {
                true => audit::head(txn)?.seq.saturating_sub(kept),
                false => 0,
            };
            let Some(anchor) = audit::prune(txn, before, up_to, BATCH)? else {
                return Err(Error::conflict("there is nothing to prune"));
            };
            act.name(anchor, "");
            act.say(format!("records {start} to {} were removed: {why}", anchor.seq));
            Ok(anchor.seq + 1 - start)
        });
        match gone {
            Ok(gone) => Ok(Some(gone)),
            // Another pruning came first.
            Err(error) if error.kind == super::super::ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }
}
