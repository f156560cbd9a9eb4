//! Finding packs that are worth compacting, from the extents of the streams that name them.
//!
//! Invariants: a pass holds a bounded number of packs and one manifest in memory, and no snapshot
//! for longer than a page; what it settles leaves the list of unmarked packs, so that a pass that
//! is cut off is only itself made again. A pack that is pinned is never called dead by mistake: the
//! pass's mark tells whose pin ended since it began.

use super::super::manifest::Manifest;
use super::super::mark::{Counted, Marking};
use super::super::pins::Mark;
use super::super::rows::{self, CONTENTS, ContentRow, PACKS, PackRow, pack_key};
use super::super::steps::Stop;
use super::super::unmarked::{self, Unmarked};
use super::super::{Error, Store};
use crate::db::Rows;

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
        let mut counted = self.count(Marking::new(packs.iter().map(enough)), goes_on)?.into_packs();
        let (mut candidates, mut settled) = (Vec::new(), Vec::new());
        for (unmarked, row) in packs {
            let pack = unmarked.0;
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
    ) -> Result<Marking, Stop> {
        let mut after: Option<Vec<u8>> = None;
        while !marking.is_over() {
            goes_on()?;
            let read = self.inner.db.read()?;
            let page = rows::page::<ContentRow>(&read, &CONTENTS, after.as_deref(), PAGE_CONTENTS)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let mut wanted = Vec::new();
            for (content, row) in page {
                if rows::packs_of(&read, &content)?.is_none_or(|packs| marking.wants(&packs)) {
                    wanted.push((content, row));
                }
            }
            drop(read);
            for (content, row) in wanted {
                if let Some(manifest) = self.manifest_now(&content, row)? {
                    marking.add(&manifest.extents);
                }
            }
        }
        Ok(marking)
    }

    /// A stream's manifest by its row of a moment ago, or by the present one where it was replaced;
    /// `None` when it was let go of since: what it named is dead, or another stream's too.
    fn manifest_now(&self, content: &[u8], mut row: ContentRow) -> Result<Option<Manifest>, Error> {
        loop {
            let error = match self.manifest(&row) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(error) => error,
            };
            match self.inner.db.read()?.record::<ContentRow>(&CONTENTS, content)? {
                None => return Ok(None),
                Some(now) if now.object == row.object => return Err(error),
                Some(now) => row = now,
            }
        }
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
