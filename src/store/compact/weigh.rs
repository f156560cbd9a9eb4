//! Finding packs that are worth compacting, from the extents of the streams that name them.
//!
//! Invariants: a pass holds a bounded number of packs and one manifest in memory, and no snapshot
//! for longer than a page; what it settles leaves the list of unmarked packs, so that a pass that
//! is cut off is only itself made again. A pack that is pinned is never called dead by mistake: the
//! pass's mark tells whose pin ended since it began.

use roaring::RoaringTreemap;

use super::super::mark::{Counted, Marking};
use super::super::pins::Mark;
use super::super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow, pack_key};
use super::super::steps::Stop;
use super::super::unlisted::{self, Withheld};
use super::super::unmarked::{self, Unmarked};
use super::super::{Error, Store};
use crate::db::Rows;
use crate::model::ContentId;

/// Packs counted in one pass: with some 8,800 chunks each, 18 MiB of bits; 128 MiB at the most.
const PASS_PACKS: usize = 16_384;
/// Streams looked at in one snapshot.
const PAGE_CONTENTS: usize = 256;

/// What one pass found.
pub struct Pass {
    /// The last pack it counted; the next pass begins behind it.
    pub last: u64,
    /// Packs that are worth compacting, the most urgent first.
    pub candidates: Vec<Candidate>,
    /// Packs that need no look before a stream that names them is let go of.
    pub settled: Vec<Unmarked>,
    /// Tells whether a candidate has been used since the pass began.
    pub mark: Mark,
}

/// A pack that is worth compacting.
pub struct Candidate {
    /// Its number.
    pub pack: u64,
    /// Its row, as the pass saw it.
    pub row: PackRow,
    /// What is live of it.
    pub counted: Counted,
    /// Its place on the list.
    pub unmarked: Unmarked,
}

/// What streams that cannot be read need, or may.
#[derive(Default)]
struct Spared {
    named: RoaringTreemap,
    unlisted: Withheld,
}

impl Store {
    /// Counts the live chunks of the unmarked packs after `after`; `None` when there are none.
    pub(super) fn weigh(
        &self,
        after: Option<u64>,
        goes_on: &mut dyn FnMut() -> Result<(), Stop>,
    ) -> Result<Option<Pass>, Stop> {
        let mark = self.inner.pins.mark();
        let read = self.inner.db.read()?;
        let listed = unmarked::page(&read, after, PASS_PACKS)?;
        let Some(&(last, _)) = listed.last() else { return Ok(None) };
        let mut packs = Vec::with_capacity(listed.len());
        for unmarked in listed {
            let row = read.record::<PackRow>(&PACKS, &pack_key(unmarked.0))?;
            packs.extend(row.map(|row| (unmarked, row)));
        }
        drop(read);
        let policy = self.inner.options.rewrite;
        let enough = |((pack, _), row): &(Unmarked, PackRow)| (*pack, policy.enough_bytes(row.raw_bytes));
        let (counted, spared) = self.count(Marking::new(packs.iter().map(enough)), goes_on)?;
        let mut counted = counted.into_packs();
        let (mut candidates, mut settled) = (Vec::new(), Vec::new());
        for (unmarked, row) in packs {
            let pack = unmarked.0;
            // Nobody knows what is live of it; it stays on the list.
            if spared.named.contains(pack) || spared.unlisted.covers(pack, &row) {
                continue;
            }
            match counted.remove(&pack) {
                Some(counted) => candidates.push(Candidate { pack, row, counted, unmarked }),
                None => settled.push(unmarked),
            }
        }
        Ok(Some(Pass { last, candidates, settled, mark }))
    }

    /// Adds all streams to a count, until it is over.
    fn count(
        &self,
        mut marking: Marking,
        goes_on: &mut dyn FnMut() -> Result<(), Stop>,
    ) -> Result<(Marking, Spared), Stop> {
        let mut spared = Spared::default();
        let mut after: Option<Vec<u8>> = None;
        while !marking.is_over() {
            goes_on()?;
            let read = self.inner.db.read()?;
            let page = rows::page::<ContentRow>(&read, &CONTENTS, after.as_deref(), PAGE_CONTENTS)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let mut wanted = Vec::new();
            for (content, row) in page {
                // What a revoked key sealed is dead.
                if self.is_revoked(row.domain) {
                    continue;
                }
                let listed = rows::packs_of(&read, &content)?;
                if listed.as_ref().is_none_or(|packs| marking.wants(packs)) {
                    wanted.push((ContentId(content.try_into().unwrap_or_default()), row, listed));
                }
            }
            drop(read);
            for (content, row, listed) in wanted {
                match (self.manifest_now(&content, &row), listed) {
                    (Ok(manifest), _) => marking.add(&manifest.extents),
                    // Let go of since: what it named is dead, or another stream's too.
                    (Err(Error::Missing(_)), _) => {}
                    (Err(error), Some(packs)) if error.is_unreadable() => spared.named |= packs,
                    (Err(error), None) if error.is_unreadable() => {
                        let end = unlisted::end(&self.inner.db.read()?, &content.0)?;
                        spared.unlisted.add(row.domain, end);
                    }
                    (Err(error), _) => return Err(error.into()),
                }
            }
        }
        Ok((marking, spared))
    }

    /// Takes packs off the list that need no further look.
    pub(super) fn settle(&self, settled: Vec<Unmarked>) -> Result<(), Error> {
        if settled.is_empty() {
            return Ok(());
        }
        self.inner.db.write(move |txn| unmarked::settle(txn, &settled))
    }
}

impl Pass {
    /// Drops what is dead as a whole, which is deleted, not compacted; puts the most urgent first.
    pub fn rank(&mut self, store: &Store) {
        let (policy, now) = (store.inner.options.rewrite, store.inner.clock.now());
        self.candidates.retain(|candidate| !candidate.counted.is_dead());
        let urgency =
            |candidate: &Candidate| policy.urgency(candidate.counted.live_bytes, &candidate.row, now);
        self.candidates.sort_by(|one, other| urgency(other).total_cmp(&urgency(one)));
    }
}
