//! One run over the packs: which, in which order, and what to do when one cannot be done.
//!
//! Invariant: packs are done one after the other, each for good; so a run that is ended, or cut
//! off, leaves only its present pack to be done again.

use super::super::pack::pack_name;
use super::super::rows::{self, PACKS, PackRow, pack_key};
use super::super::steps::{Progress, Steps, Stop, Watch};
use super::super::{Error, Store};
use super::rewrite::{Manner, kept_bytes};
use super::swap::Swap;
use super::weigh::Candidate;
use super::{Rewritten, Wish};
use crate::db::Rows;
use crate::model::StorePlace;

/// Packs that may be written anew before the objects they lay in are deleted.
const UNDELETED_MAX: u64 = 8;
/// Packs that are enclosed at once; others have to wait.
const ENCLOSED_MAX: usize = 1024;
/// Rows of packs looked at in one snapshot.
const PAGE_ROWS: usize = 256;

/// What it did, and how it goes on.
pub struct Run<'s, 'w> {
    pub(super) store: &'s Store,
    pub(super) outcome: Rewritten,
    wish: Wish,
    steps: Steps<'s, 'w>,
    undeleted: u64,
}

impl<'s, 'w> Run<'s, 'w> {
    /// Nothing is done yet.
    pub fn new(store: &'s Store, wish: Wish, watch: &'s mut Watch<'w>) -> Run<'s, 'w> {
        Run { store, outcome: Rewritten::default(), wish, steps: Steps::new(store, watch), undeleted: 0 }
    }

    /// Does all that is wished.
    pub fn all(&mut self) -> Result<(), Stop> {
        if let Some(compare) = self.wish.dedup {
            self.store.share_duplicates(compare, &mut self.steps, &mut self.outcome.shared)?;
        }
        if self.wish.compact {
            self.store.complete_unmarked()?;
            self.compact_all()?;
        }
        if self.wish.recompress { self.recompress_all() } else { Ok(()) }
    }

    /// Counts the chunks of all packs that may have dead ones, a bounded number at a time, and writes
    /// those anew that have many.
    fn compact_all(&mut self) -> Result<(), Stop> {
        let mut after = None;
        loop {
            self.begin("counting live chunks", 0)?;
            let store = self.store;
            let Some(mut pass) = store.weigh(after, &mut || self.step(0))? else { return Ok(()) };
            let (last, compacted) = (pass.last, self.outcome.compacted);
            pass.rank(store);
            let left_over = pass.candidates.len() > ENCLOSED_MAX;
            pass.candidates.truncate(ENCLOSED_MAX);
            store.settle(pass.settled)?;
            let mut enclosed = Vec::new();
            for candidate in pass.candidates {
                match pass.mark.enclose(candidate.pack, candidate.counted.live()) {
                    Some(pack) => enclosed.push((candidate, pack)),
                    None => self.outcome.in_use += 1,
                }
            }
            // From here on no stream comes to use what goes, so that nobody's pins need watching.
            drop(pass.mark);
            self.begin("compacting", enclosed.iter().map(|(candidate, _)| candidate.row.raw_bytes).sum())?;
            for (candidate, _enclosed) in enclosed {
                let compacted = self.compact(&candidate);
                self.pass_over_damage(candidate.pack, compacted)?;
            }
            // The same packs once more where some had to wait, as long as that gets anywhere.
            if !(left_over && self.outcome.compacted > compacted) {
                after = Some(last);
            }
        }
    }

    fn compact(&mut self, candidate: &Candidate) -> Result<(), Stop> {
        let (store, number, live) = (self.store, candidate.pack, &candidate.counted.live());
        let policy = store.inner.options.rewrite;
        let Some(row) = store.pack_row(number)? else { return Ok(()) };
        let old = store.pack(number)?;
        let kept = kept_bytes(&old, live)?;
        if !policy.is_sparse(kept, row.raw_bytes) {
            store.settle(vec![candidate.unmarked.clone()])?;
            return Ok(());
        }
        let expected = row.stored.object_bytes.min(kept.saturating_add(row.stored.object_bytes / 16));
        store.expect_room_for(row.realm().place, expected)?;
        let stronger = self.wish.recompress && policy.is_due(&row, store.inner.clock.now());
        let manner = Manner { live: Some(live), stronger, bytes_max: u64::MAX };
        let Some(new) = self.write(&row, &old, &manner)? else { return Ok(()) };
        let level = if stronger { policy.level } else { row.level };
        let counted = Some(&candidate.unmarked);
        let swapped = store.swap(Swap { old: &old, row: &row, new, level, live: Some(live), counted })?;
        drop(old);
        if let Some(written_bytes) = swapped {
            self.outcome.compacted += 1;
            self.replaced(&row, written_bytes)?;
        }
        Ok(())
    }

    /// Compresses packs better that are old enough and were not.
    fn recompress_all(&mut self) -> Result<(), Stop> {
        let total = self.store.due_bytes()?;
        self.begin(Progress::RECOMPRESSING, total)?;
        let policy = self.store.inner.options.rewrite;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let read = self.store.inner.db.read()?;
            let page = rows::page::<PackRow>(&read, &PACKS, after.as_deref(), PAGE_ROWS)?;
            drop(read);
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in page {
                let number = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
                if policy.is_due(&row, self.store.inner.clock.now()) {
                    let recompressed = self.recompress(number);
                    self.pass_over_damage(number, recompressed)?;
                }
            }
        }
    }

    fn recompress(&mut self, number: u64) -> Result<(), Stop> {
        let store = self.store;
        let policy = store.inner.options.rewrite;
        let Some(row) = store.pack_row(number)? else { return Ok(()) };
        store.expect_room_for(row.realm().place, row.stored.object_bytes)?;
        let old = store.pack(number)?;
        let bytes_max = policy.worth_bytes(old.frames_bytes());
        let manner = Manner { live: None, stronger: true, bytes_max };
        let Some(new) = self.write(&row, &old, &manner)? else {
            return Ok(store.note_level(number, &row, policy.level)?);
        };
        let level = policy.level;
        let swapped = store.swap(Swap { old: &old, row: &row, new, level, live: None, counted: None })?;
        drop(old);
        if let Some(written_bytes) = swapped {
            self.outcome.recompressed += 1;
            self.replaced(&row, written_bytes)?;
        }
        Ok(())
    }

    /// Notes that a pack lies elsewhere, and gives space back now and then.
    pub(super) fn replaced(&mut self, row: &PackRow, written_bytes: u64) -> Result<(), Stop> {
        self.outcome.written_bytes += written_bytes;
        self.outcome.replaced_bytes += row.stored.object_bytes;
        self.undeleted += 1;
        if self.undeleted >= UNDELETED_MAX {
            self.store.drain_graves()?;
            self.undeleted = 0;
        }
        Ok(())
    }

    /// Passes over a pack that does not read back, of which a check tells whom it hurts, and over one whose place does
    /// not answer: its turn comes again.
    fn pass_over_damage(&mut self, number: u64, outcome: Result<(), Stop>) -> Result<(), Stop> {
        match outcome {
            Err(Stop::Failed(error @ Error::Damaged { .. })) => {
                tracing::error!(%error, "{} is not written anew", pack_name(number));
                self.outcome.damaged += 1;
                Ok(())
            }
            Err(Stop::Failed(error)) if self.is_away_beside(&error, number)? => {
                tracing::warn!(%error, "{} is not written anew now", pack_name(number));
                self.outcome.in_use += 1;
                Ok(())
            }
            other => other,
        }
    }

    fn is_away_beside(&self, error: &Error, number: u64) -> Result<bool, Error> {
        let row = self.store.pack_row(number)?;
        Ok(row.is_some_and(|row| self.store.is_away_beside(error, &row.object)))
    }

    pub(super) fn begin(&mut self, phase: &'static str, total_bytes: u64) -> Result<(), Stop> {
        self.steps.begin(phase, total_bytes)
    }

    /// Some more is done: tells so, and lets others have their turn.
    pub(super) fn step(&mut self, bytes: u64) -> Result<(), Stop> {
        self.steps.step(bytes)
    }
}

impl Store {
    /// A pack's row, as it is now.
    pub(in super::super) fn pack_row(&self, number: u64) -> Result<Option<PackRow>, Error> {
        Ok(self.inner.db.read()?.record(&PACKS, &pack_key(number))?)
    }

    /// Bytes, before compression, of the packs that are to be recompressed.
    pub(super) fn due_bytes(&self) -> Result<u64, Error> {
        let (policy, now) = (self.inner.options.rewrite, self.inner.clock.now());
        let mut bytes = 0;
        rows::each(&self.inner.db.read()?, &PACKS, |_, row: PackRow| {
            bytes += if policy.is_due(&row, now) { row.raw_bytes } else { 0 };
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Refuses to write a generation that would use up what the catalog may need.
    pub(super) fn expect_room_for(&self, place: StorePlace, bytes: u64) -> Result<(), Error> {
        let reserve = self.inner.options.reserve_bytes;
        match self.free_bytes_at(place)? {
            Some(free) if free < reserve.saturating_add(bytes) => Err(Error::Full(format!(
                "writing a pack anew takes {bytes} bytes for a while; {free} are left on the medium of {place}, and the last \
                 {reserve} are kept for the catalog"
            ))),
            _ => Ok(()),
        }
    }
}
