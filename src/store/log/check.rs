//! Checking the description: every object opens, no entry is missing, and what it tells is what the
//! catalog holds.
//!
//! Invariant: a check changes no object. What it finds damaged or missing is written anew with the
//! next shipment; where description and catalog differ, both stay, as either may be right.

use super::super::Store;
use super::super::error::Error;
use super::super::object::{read_header, verify_stored};
use super::super::tend::Incident;
use super::shelf::{Shelf, Shelved};
use super::ship::unshipped;
use super::{Repair, lock};
use crate::base::Time;
use crate::objects::ObjectKey;

/// What a check of the description found.
#[derive(Debug, Clone)]
pub struct Description {
    /// Commits it tells of, from the first on and without a gap.
    pub commits: u64,
    /// When its last readable object was written.
    pub written_at: Option<Time>,
    /// Objects it is made of.
    pub objects: u64,
    /// What is wrong with it.
    pub damage: Vec<Error>,
}

#[derive(Default)]
struct Findings {
    damage: Vec<Error>,
    broken: Vec<ObjectKey>,
    written_at: Option<Time>,
}

impl Findings {
    /// Notes how reading an object went; says whether it can be used.
    fn note(&mut self, shelved: &Shelved, written_at: Result<Option<Time>, Error>) -> Result<bool, Error> {
        match written_at {
            Ok(at) => {
                self.written_at = self.written_at.max(at);
                Ok(true)
            }
            Err(error @ Error::Damaged { .. }) => {
                self.damage.push(error);
                self.broken.push(shelved.key.clone());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Store {
    /// Reads the whole description and compares it with the catalog, in bounded memory. Shipping
    /// goes on meanwhile; nothing is deleted from the description.
    ///
    /// # Errors
    /// When the database or the medium fails, or [`Error::Foreign`]. Damage is no error but the
    /// outcome.
    pub fn verify_description(&self) -> Result<Description, Error> {
        match self.ship() {
            Ok(()) => {}
            Err(error @ Error::Foreign(_)) => return Err(error),
            // What was shipped before can be checked all the same.
            Err(error) => tracing::warn!(%error, "checking the store's log without the newest changes"),
        }
        let _reading = lock(&self.inner.log.reading);
        // The catalog first: the medium then has at least what its journal has no longer.
        let read = self.inner.db.read()?;
        let (next, shipped) = (read.journal_next()?, unshipped(&read)?);
        let shelf = self.shelf()?;
        let mut findings = Findings::default();
        let base = self.newest_snapshot(&shelf, next, &mut findings)?;
        let logs = self.readable_logs(&shelf, &mut findings)?;
        let mut commits = 0;
        let mut complete = false;
        if let Some(base) = &base {
            let logs: Vec<Shelved> = logs.into_iter().filter(|log| log.number > base.number).collect();
            commits = self.follow(base, &logs)?.min(next);
            complete = commits >= shipped;
            if complete {
                findings.damage.extend(self.compare(base, &logs, &read)?);
            } else {
                let gap = format!("nothing tells of commits {commits} to {}", shipped - 1);
                findings.damage.push(Error::damaged("the store's log", gap));
            }
        } else {
            findings.damage.push(Error::damaged("the store's log", "it has no snapshot that can be read"));
        }
        let needs_snapshot = !complete || !findings.broken.is_empty();
        *lock(&self.inner.log.repair) = Repair { needs_snapshot, broken: findings.broken };
        Ok(Description {
            commits,
            written_at: findings.written_at,
            objects: (shelf.snapshots.len() + shelf.logs.len()) as u64,
            damage: findings.damage,
        })
    }

    /// Compares every object of the description with its trailer. What is damaged is told again by a
    /// fresh snapshot of the catalog, which is what it was written from, and deleted after that.
    ///
    /// # Errors
    /// When the database or the medium does not answer.
    pub(in super::super) fn tend_description(&self) -> Result<Vec<Incident>, Error> {
        let mut found = Vec::new();
        let mut broken = Vec::new();
        let reading = lock(&self.inner.log.reading);
        let shelf = Shelf::list(&*self.inner.objects)?;
        for shelved in shelf.snapshots.iter().chain(&shelf.logs) {
            match self.compare_shelved(shelved) {
                Ok(()) => {}
                Err(Error::Damaged { reason, .. }) => {
                    found.push((shelved.key.to_string(), reason));
                    broken.push(shelved.key.clone());
                }
                Err(error) => return Err(error),
            }
        }
        drop(reading);
        if found.is_empty() {
            return Ok(Vec::new());
        }
        *lock(&self.inner.log.repair) = Repair { needs_snapshot: true, broken };
        let outcome = match self.ship() {
            Ok(()) => Ok("told again by a new snapshot".to_owned()),
            Err(error) => Err(format!("it is told again once that can be written: {error}")),
        };
        let incident = |(object, reason)| Incident { object, reason, outcome: outcome.clone() };
        Ok(found.into_iter().map(incident).collect())
    }

    fn compare_shelved(&self, shelved: &Shelved) -> Result<(), Error> {
        let header = read_header(&*self.inner.objects, &shelved.key)?;
        verify_stored(&*self.inner.objects, &header, shelved.bytes)
    }

    /// Reads every snapshot; gives the newest whole one that is not newer than entry `next`.
    fn newest_snapshot(
        &self,
        shelf: &Shelf,
        next: u64,
        findings: &mut Findings,
    ) -> Result<Option<Shelved>, Error> {
        let mut newest = None;
        for snapshot in &shelf.snapshots {
            let footer = self.read_snapshot(snapshot, &mut |_, _, _| Ok(()));
            let usable = findings.note(snapshot, footer.map(|footer| Some(Time(footer.written_at))))?;
            if usable && newest.is_none() && snapshot.number <= next {
                newest = Some(snapshot.clone());
            }
        }
        Ok(newest)
    }

    /// Reads every log object; gives the whole ones, in order.
    fn readable_logs(&self, shelf: &Shelf, findings: &mut Findings) -> Result<Vec<Shelved>, Error> {
        let mut whole = Vec::new();
        for log in &shelf.logs {
            if findings.note(log, self.read_log(log).map(|record| record.complete_until()))? {
                whole.push(log.clone());
            }
        }
        Ok(whole)
    }

    /// How far the log goes on from a snapshot without a gap.
    fn follow(&self, base: &Shelved, logs: &[Shelved]) -> Result<u64, Error> {
        let mut at = base.number;
        for log in logs {
            // A later object may repeat what is missing before this one.
            if self.read_log(log)?.first <= at {
                at = log.number;
            }
        }
        Ok(at)
    }
}
