//! Long work: what it is, how far it is, how it ended.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::Time;

/// A job's number: 1, 2, 3, … in the order they were asked for; none is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobKind {
    /// Space is given back: dead packs deleted, others written anew.
    Reclaim,
    /// A key domain is sealed anew: all its data written under another key.
    Reseal,
}

impl JobKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Reclaim => "reclaim",
            JobKind::Reseal => "reseal",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<JobKind> {
        [JobKind::Reclaim, JobKind::Reseal].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How far a job has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is at work.
    Running,
    /// Did what it was asked for.
    Succeeded,
    /// Could not; the error says why.
    Failed,
    /// Was ended by somebody; what was done by then stays.
    Cancelled,
    /// Ended with its process; what was done by then stays.
    Interrupted,
}

impl JobState {
    const ALL: [JobState; 6] = [
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Interrupted,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        !matches!(self, JobState::Queued | JobState::Running)
    }
}

/// One piece of long work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What is done.
    pub kind: JobKind,
    /// How far it has come.
    pub state: JobState,
    /// What it is at, or was at last.
    pub phase: String,
    /// Bytes of this phase that are done.
    pub done_bytes: u64,
    /// Of how many, where that is known.
    pub total_bytes: Option<u64>,
    /// When it was asked for.
    pub created_at: Time,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// What came of it, in figures.
    pub result: BTreeMap<String, u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it waits until it is resumed.
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobKind::parse("reclaim"), Some(JobKind::Reclaim));
        assert_eq!(JobKind::parse("reseal"), Some(JobKind::Reseal));
        assert_eq!((JobKind::parse("x"), JobState::parse("x")), (None, None));
    }
}
