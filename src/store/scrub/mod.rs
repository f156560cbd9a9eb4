//! The scrub: every stored object is compared with its trailer once in a round, the one that was
//! compared longest ago first. Needs no key for that. What is whole gets its parity, where settings
//! want any.
//!
//! Owns: rounds, whose turn it is, and the pace. Invariants: what was compared is written down in
//! small batches, so that a round goes on where a stop or a crash ended it; a scrub ends at once
//! when told, in the middle of an object; one scrub works at a time, and one that somebody waits
//! for goes before the one in the background.

pub(super) mod records;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use records::{ROUND, Round, VERIFIED, Verified};
pub(super) use turn::Turns;

use super::Store;
use super::damage::{Examined, Suspicion};
use super::error::Error;
use super::events::EventKind;
use super::parity::{self, ParityTotals};
use super::rows;
use super::stored::Stored;
use super::survey::Watch;
use crate::base::Time;
use crate::db::{Rows, WriteTxn};

/// Objects whose turn is looked up at once, and written down at once at most.
const BATCH_OBJECTS: usize = 256;
/// Bytes after which what was compared is written down.
const BATCH_BYTES: u64 = 256 << 20;
/// Time after which it is.
const BATCH_TIME: Duration = Duration::from_secs(10);

/// Objects that do not answer before the medium counts as away.
const SKIPPED_MAX: usize = 8;

/// How a scrub goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the medium gives: somebody waits for it.
    AtOnce,
    /// So many bytes in a second at most, and it gives way to one that somebody waits for.
    Background(u64),
}

/// How far a round is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// When the present round, or the last one, began; `None` before the first.
    pub started_at: Option<Time>,
    /// When the last complete round ended.
    pub completed_at: Option<Time>,
    /// Whether a round is under way, worked on or not.
    pub is_under_way: bool,
    /// Objects compared in it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects stored.
    pub objects_total: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Parity there is.
    pub parity: ParityTotals,
}

/// How a scrub ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// The round is complete.
    Round,
    /// It was told to stop, or gave way; the round goes on with the next call.
    Stopped,
}

/// Forgets an object that is deleted.
pub(super) fn forget(txn: &WriteTxn, object: &[u8]) -> Result<(), Error> {
    txn.remove(&VERIFIED, object)?;
    parity::forget(txn, object)
}

/// What was compared and is not written down yet.
struct Batch {
    objects: Vec<[u8; 16]>,
    /// Sums that rows of earlier releases lack.
    sums: Vec<(Stored, [u8; 16], [u8; 32])>,
    bytes: u64,
    began: Instant,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { objects: Vec::new(), sums: Vec::new(), bytes: 0, began: Instant::now() }
    }
}

impl Store {
    /// How far the scrub is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn scrub_status(&self) -> Result<ScrubStatus, Error> {
        let (round, stats) = (self.round()?, self.stats()?);
        let time = |at: i64| (at != 0).then_some(Time(at));
        Ok(ScrubStatus {
            started_at: time(round.started_at),
            completed_at: time(round.completed_at),
            is_under_way: round.is_under_way,
            objects: round.objects,
            bytes: round.bytes,
            objects_total: stats.packs + stats.contents,
            bytes_total: stats.stored_bytes,
            parity: self.parity()?,
        })
    }

    /// When the last complete scrub ended. Asks nobody.
    pub fn scrub_completed_at(&self) -> Option<Time> {
        self.inner.scrub.completed_at()
    }

    /// Ends every scrub at once, and refuses further ones.
    pub fn stop_scrub(&self) {
        self.inner.scrub.stop();
    }

    /// Begins a round, unless one is under way.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_scrub(&self) -> Result<(), Error> {
        if !self.round()?.is_under_way {
            self.new_round()?;
        }
        Ok(())
    }

    fn new_round(&self) -> Result<(), Error> {
        let now = self.inner.clock.now().0;
        let number = self.inner.db.write(move |txn| {
            let last: Round = txn.record(&ROUND, &[])?.unwrap_or_default();
            let round = Round {
                number: last.number + 1,
                started_at: now,
                next_pack: rows::next_pack(txn)?,
                is_under_way: true,
                objects: 0,
                bytes: 0,
                ..last
            };
            txn.put_record(&ROUND, &[], &round)?;
            Ok::<_, Error>(round.number)
        })?;
        self.record(EventKind::ScrubBegan, "the store", format!("round {number}"), Vec::new());
        Ok(())
    }

    /// Compares everything stored, anew from now on, as fast as the medium gives; `tell` hears of
    /// the bytes compared.
    ///
    /// # Errors
    /// When the database or the medium does not answer. Damage is no error: it is written down.
    pub fn scrub_all(&self, tell: &mut dyn FnMut(u64)) -> Result<Scrubbed, Error> {
        let _turn = self.inner.scrub.take_now();
        self.new_round()?;
        self.go_on(Pace::AtOnce, tell)
    }

    /// Goes on with the round that is under way, at `bytes_per_s` at most.
    ///
    /// # Errors
    /// As [`Store::scrub_all`].
    pub fn scrub_on(&self, bytes_per_s: u64) -> Result<Scrubbed, Error> {
        let _turn = self.inner.scrub.take();
        self.go_on(Pace::Background(bytes_per_s), &mut |_| ())
    }

    fn round(&self) -> Result<Round, Error> {
        Ok(self.inner.db.read()?.record(&ROUND, &[])?.unwrap_or_default())
    }

    fn go_on(&self, pace: Pace, tell: &mut dyn FnMut(u64)) -> Result<Scrubbed, Error> {
        let round = self.round()?;
        if !round.is_under_way {
            return Ok(Scrubbed::Round);
        }
        let (began, mut read) = (Instant::now(), 0u64);
        let mut skipped = BTreeSet::new();
        let mut watch = |bytes: u64| {
            read += bytes;
            tell(bytes);
            self.inner.activity.scrubbed(bytes);
            match pace {
                Pace::AtOnce => self.inner.scrub.look(),
                Pace::Background(rate) => {
                    let due = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
                    self.inner.scrub.rest(due.saturating_sub(began.elapsed()))
                }
            }
        };
        loop {
            let due = self.due(&round, &skipped)?;
            if due.is_empty() {
                self.finish_round(skipped.len())?;
                return Ok(Scrubbed::Round);
            }
            let mut batch = Batch::default();
            let outcome = self.scrub_objects(&due, &round, (&mut batch, &mut skipped), &mut watch);
            self.write_down(&round, &mut batch)?;
            if outcome?.is_break() {
                return Ok(Scrubbed::Stopped);
            }
        }
    }

    /// Compares these objects in turn; what was compared is in the batch when that ends early.
    fn scrub_objects(
        &self,
        due: &[Stored],
        round: &Round,
        (batch, skipped): (&mut Batch, &mut BTreeSet<Stored>),
        watch: &mut Watch<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        for stored in due {
            let Some(object) = self.stored_object(*stored)? else { continue };
            match self.look_at(*stored, Suspicion::None, watch) {
                Ok(Examined::Stopped) => return Ok(ControlFlow::Break(())),
                Ok(Examined::Damaged(_)) => {}
                Ok(Examined::Whole { object: id, sum }) if id == object.header.id => {
                    if object.sum.is_none() {
                        batch.sums.push((*stored, id, sum));
                    }
                    if self.protect(*stored, &object, watch)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(Examined::Whole { .. }) => continue,
                Ok(Examined::Gone | Examined::Replaced) => continue,
                Err(error @ Error::Unavailable(_)) if skipped.len() < SKIPPED_MAX => {
                    tracing::warn!(%error, object = %stored, "an object does not answer and is passed over");
                    skipped.insert(*stored);
                    continue;
                }
                Err(error) => return Err(error),
            }
            batch.objects.push(object.header.id);
            batch.bytes += object.bytes;
            if batch.bytes >= BATCH_BYTES || batch.began.elapsed() >= BATCH_TIME {
                self.write_down(round, batch)?;
            }
        }
        // Also where every object was too short to be watched.
        Ok(watch(0))
    }

    /// The objects whose turn it is in this round, longest ago first; none when it is complete.
    fn due(&self, round: &Round, skipped: &BTreeSet<Stored>) -> Result<Vec<Stored>, Error> {
        turn::oldest(&self.inner.db, BATCH_OBJECTS, |stored, object, verified, written_at| match verified {
            _ if skipped.contains(stored) || !self.answers_for(object) => None,
            Some(Verified { round: last, .. }) if last >= round.number => None,
            Some(Verified { at, .. }) => Some(at),
            None => match stored {
                Stored::Pack(number) if *number >= round.next_pack => None,
                _ => Some(written_at),
            },
        })
    }

    /// Writes down what was compared, and tells of all damage found since the last time at once.
    fn write_down(&self, round: &Round, batch: &mut Batch) -> Result<(), Error> {
        let written = self.put_verified(round, batch);
        let told = self.tell_untold();
        written.and(told)
    }

    fn put_verified(&self, round: &Round, batch: &mut Batch) -> Result<(), Error> {
        let Batch { objects, sums, bytes, .. } = std::mem::take(batch);
        if objects.is_empty() {
            return Ok(());
        }
        let verified = Verified { at: self.inner.clock.now().0, round: round.number };
        self.inner.db.write(move |txn| {
            for object in &objects {
                txn.put_record(&VERIFIED, object, &verified)?;
            }
            sums.iter().try_for_each(|(stored, object, sum)| stored.learn_sum(txn, object, *sum))?;
            let mut round: Round = txn.record(&ROUND, &[])?.unwrap_or_default();
            round.objects += objects.len() as u64;
            round.bytes += bytes;
            Ok(txn.put_record(&ROUND, &[], &round)?)
        })
    }

    /// Ends the round; `passed_over` objects of it did not answer.
    fn finish_round(&self, passed_over: usize) -> Result<(), Error> {
        let now = self.inner.clock.now().0;
        let round = self.inner.db.write(move |txn| {
            let mut round: Round = txn.record(&ROUND, &[])?.unwrap_or_default();
            (round.is_under_way, round.completed_at) = (false, now);
            txn.put_record(&ROUND, &[], &round)?;
            Ok::<_, Error>(round)
        })?;
        self.inner.scrub.completed(Time(now));
        let Round { number, objects, bytes, .. } = round;
        let damage = self.damage_counts();
        let mut detail = format!(
            "round {number}: {objects} objects with {bytes} bytes were compared, {} are damaged now",
            damage.packs + damage.manifests
        );
        if passed_over > 0 {
            detail += &format!("; {passed_over} did not answer and were passed over");
        }
        self.record(EventKind::ScrubEnded, "the store", detail, Vec::new());
        self.tell_damage()
    }
}
