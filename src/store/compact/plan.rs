//! What a run would do, without doing it.

use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use super::super::dedup::Shared;
use super::super::rows::{self, PACKS, PackRow};
use super::super::steps::{Steps, Stop};
use super::super::{Error, Store};
use super::Wish;

/// What a reclaim and a rewrite would do now, as far as it can be told without doing it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Packs that would be deleted.
    pub delete: Vec<PlannedPack>,
    /// Packs that would be compacted, the most urgent first.
    pub compact: Vec<PlannedPack>,
    /// What would be found stored twice, where that was asked for. Their space comes back with a
    /// compaction after it.
    pub duplicates: Option<Shared>,
    /// Packs that would be compressed better; how much better is not known before.
    pub recompress: Vec<PlannedPack>,
}

/// One pack of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedPack {
    /// Its number.
    pub pack: u64,
    /// Bytes of the object it lies in.
    pub object_bytes: u64,
    /// About as many would be written for it.
    pub written_bytes: u64,
    /// The share of its bytes that is live, where that was counted.
    pub live_ratio: Option<f64>,
}

impl Store {
    /// What [`Store::reclaim`] and [`Store::rewrite`] would do now. Changes nothing but the list of
    /// packs to be looked at.
    ///
    /// # Errors
    /// The medium's or the database's failure.
    pub fn plan(&self, wish: Wish) -> Result<Plan, Error> {
        let wish = self.granted(wish);
        let delete = self.dead_packs()?.into_iter().map(|(pack, row)| PlannedPack {
            pack,
            object_bytes: row.stored.object_bytes,
            written_bytes: 0,
            live_ratio: Some(0.0),
        });
        let mut plan = Plan { delete: delete.collect(), ..Plan::default() };
        if wish.dedup.is_some() {
            let mut watch = |_| ControlFlow::Continue(());
            match self.count_duplicates(&mut Steps::new(self, &mut watch)) {
                Ok(shared) => plan.duplicates = Some(shared),
                // Nobody ends it.
                Err(Stop::Ended) => {}
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if wish.compact {
            self.complete_unmarked()?;
            self.plan_compaction(&mut plan.compact)?;
        }
        if wish.recompress {
            self.plan_recompression(&mut plan)?;
        }
        Ok(plan)
    }

    fn plan_compaction(&self, planned: &mut Vec<PlannedPack>) -> Result<(), Error> {
        let mut after = None;
        loop {
            let mut pass = match self.weigh(after, &mut || Ok(())) {
                Ok(Some(pass)) => pass,
                // Nobody ends it.
                Ok(None) | Err(Stop::Ended) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
            };
            after = Some(pass.last);
            pass.rank(self);
            planned.extend(pass.candidates.iter().map(|candidate| {
                let live = candidate.counted.live_bytes as f64 / candidate.row.raw_bytes.max(1) as f64;
                let object_bytes = candidate.row.stored.object_bytes;
                let written_bytes = (object_bytes as f64 * live) as u64;
                PlannedPack { pack: candidate.pack, object_bytes, written_bytes, live_ratio: Some(live) }
            }));
        }
    }

    fn plan_recompression(&self, plan: &mut Plan) -> Result<(), Error> {
        let (policy, now) = (self.inner.options.rewrite, self.inner.clock.now());
        let planned: RoaringTreemap =
            plan.delete.iter().chain(&plan.compact).map(|planned| planned.pack).collect();
        let mut recompress = Vec::new();
        rows::each(&self.inner.db.read()?, &PACKS, |key, row: PackRow| {
            let pack = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
            if policy.is_due(&row, now) && !planned.contains(pack) {
                let object_bytes = row.stored.object_bytes;
                recompress.push(PlannedPack {
                    pack,
                    object_bytes,
                    written_bytes: object_bytes,
                    live_ratio: None,
                });
            }
            Ok(())
        })?;
        plan.recompress = recompress;
        Ok(())
    }
}
