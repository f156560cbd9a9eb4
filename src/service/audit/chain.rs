//! Whether the chain is what was written: no record changed, gone, moved or added, from the anchor to the end.
//!
//! Invariant: it names every flaw it meets up to a bound and counts the rest; memory does not grow with the chain.

use std::fmt;

use super::super::{Actor, Error, Service};
use crate::base::Time;
use crate::catalog::audit::{self, Link};
use crate::db::ReadTxn;
use crate::model::trace::{Operation, TraceHead};

/// Flaws that are named; more are counted.
const NAMED_MAX: usize = 100;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Records are missing, from this one to that.
    Missing(u64, u64),
    /// A record's content is not what was written.
    Changed(u64, String),
    /// A record does not follow the one before it: either was put in the place of another.
    Unlinked(u64),
    /// A record was recorded before the one in front of it.
    OutOfTime(u64),
    /// The anchor is not the one that the last pruning left.
    Anchor(String),
    /// The chain has another record than the head that was kept elsewhere, or ends before it.
    Head(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Missing(from, to) if from == to => write!(f, "record {from} is missing"),
            Flaw::Missing(from, to) => write!(f, "records {from} to {to} are missing"),
            Flaw::Changed(seq, reason) => write!(f, "record {seq} was changed: {reason}"),
            Flaw::Unlinked(seq) => {
                write!(f, "record {seq} does not follow record {}: one of them was put there later", seq - 1)
            }
            Flaw::OutOfTime(seq) => write!(f, "record {seq} has an earlier time than the one before it"),
            Flaw::Anchor(reason) | Flaw::Head(reason) => f.write_str(reason),
        }
    }
}

/// What came of a look at the whole chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Records looked at.
    pub records: u64,
    /// The last record that was pruned, which the first one follows.
    pub anchor: Option<TraceHead>,
    /// Where the chain ends.
    pub head: TraceHead,
    /// When the oldest record was made.
    pub since: Option<Time>,
    /// What is not as it was written, up to a bound.
    pub flaws: Vec<Flaw>,
    /// All flaws, those that are not named included.
    pub flaws_total: u64,
}

impl Service {
    /// Verifies the chain; `kept` is a head that was printed earlier and kept elsewhere.
    ///
    /// # Errors
    /// [`super::super::ErrorKind::Forbidden`] to all but administrators, or when the catalog fails; a flaw is no error
    /// but part of the outcome.
    pub fn verify_audit(&self, actor: &Actor, kept: Option<TraceHead>) -> Result<Verified, Error> {
        self.authorise_upkeep(actor)?;
        verify(&self.db.read()?, kept)
    }
}

/// One pass over all rows.
struct Pass {
    verified: Verified,
    /// Number, hash as far as it is known, and time of the row before.
    before: (u64, Option<[u8; 32]>, Time),
    kept: Option<TraceHead>,
    met_kept: bool,
    /// The anchor that the newest record of a pruning names.
    told_anchor: Option<(u64, String)>,
}

/// Verifies the chain of a snapshot.
pub(super) fn verify(read: &ReadTxn, kept: Option<TraceHead>) -> Result<Verified, Error> {
    let anchor = audit::anchor(read)?;
    let start = anchor.unwrap_or(TraceHead::START);
    let verified =
        Verified { records: 0, anchor, head: start, since: None, flaws: Vec::new(), flaws_total: 0 };
    let met_kept = kept.is_some_and(|kept| kept == start);
    let before = (start.seq, Some(start.hash), Time(i64::MIN));
    let mut pass = Pass { verified, before, kept, met_kept, told_anchor: None };
    audit::each_link(read, &mut |seq, link| pass.look(seq, link))?;
    pass.judge_anchor();
    pass.judge_head();
    Ok(pass.verified)
}

impl Pass {
    fn look(&mut self, seq: u64, link: Link) {
        self.verified.records += 1;
        let (number, hash, time) = self.before;
        if seq > number + 1 {
            self.flaw(Flaw::Missing(number + 1, seq - 1));
        } else if seq <= number {
            self.flaw(Flaw::Unlinked(seq.max(1)));
        }
        match link {
            Link::Broken { reason } => {
                self.flaw(Flaw::Changed(seq, reason));
                self.before = (seq, None, time);
                if self.kept.is_some_and(|kept| kept.seq == seq) {
                    self.flaw(Flaw::Head(format!("record {seq}, whose hash was kept, was changed")));
                    self.met_kept = true;
                }
            }
            Link::Whole { before, trace } => {
                let follows = seq == number + 1;
                if follows && hash.is_some_and(|hash| hash != before) {
                    self.flaw(Flaw::Unlinked(seq));
                }
                if trace.content.recorded_at < time {
                    self.flaw(Flaw::OutOfTime(seq));
                }
                if let Some(kept) = self.kept.filter(|kept| kept.seq == seq) {
                    self.met_kept = true;
                    if kept.hash != trace.hash {
                        self.flaw(Flaw::Head(format!(
                            "record {seq} is not the one whose hash was kept: the chain was written anew from there, \
                             or before"
                        )));
                    }
                }
                if trace.content.operation == Operation::PruneAudit.name() {
                    self.told_anchor = Some((seq, trace.content.resource_id.clone()));
                }
                self.verified.since.get_or_insert(trace.content.recorded_at);
                self.verified.head = trace.head();
                self.before = (seq, Some(trace.hash), time.max(trace.content.recorded_at));
            }
        }
    }

    /// What was pruned is on record, so that nobody takes the front away and calls it that.
    fn judge_anchor(&mut self) {
        let Some(anchor) = self.verified.anchor else { return };
        match &self.told_anchor {
            Some((_, told)) if *told == anchor.to_string() => {}
            Some((seq, told)) => {
                let told = told.clone();
                self.flaw(Flaw::Anchor(format!(
                    "the chain begins after {anchor}, but the last pruning, record {seq}, left it at {told}"
                )));
            }
            None => self.flaw(Flaw::Anchor(format!(
                "the chain begins after {anchor}, and no record tells of a pruning: its front was taken away"
            ))),
        }
    }

    fn judge_head(&mut self) {
        let Some(kept) = self.kept.filter(|_| !self.met_kept) else { return };
        let head = self.verified.head;
        let start = self.verified.anchor.map_or(0, |anchor| anchor.seq);
        self.flaw(Flaw::Head(match kept.seq {
            seq if seq > head.seq => {
                format!(
                    "the chain ends at record {}, and was longer: records up to {seq} are missing",
                    head.seq
                )
            }
            seq if seq <= start => {
                format!("record {seq}, whose hash was kept, was pruned: keep a newer head")
            }
            seq => format!("record {seq}, whose hash was kept, is missing"),
        }));
    }

    fn flaw(&mut self, flaw: Flaw) {
        self.verified.flaws_total += 1;
        if self.verified.flaws.len() < NAMED_MAX {
            self.verified.flaws.push(flaw);
        }
    }
}
