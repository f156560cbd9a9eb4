//! When data was read last, as far as this process knows.
//!
//! Invariants: memory is bounded; what is not known counts as read when the process began, so that nothing is taken for idle
//! that is not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::Time;
use crate::model::ContentId;

/// Streams that are kept in mind.
const READS_MAX: usize = 1 << 16;

/// The last reads.
#[derive(Clone)]
pub struct Reads(Arc<Mutex<State>>);

struct State {
    /// What is not listed was not read since.
    since: Time,
    last: HashMap<ContentId, Time>,
}

impl Reads {
    /// None since now.
    pub fn new(now: Time) -> Reads {
        Reads(Arc::new(Mutex::new(State { since: now, last: HashMap::new() })))
    }

    /// Notes one.
    pub fn note(&self, contents: &[ContentId], now: Time) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.len() + contents.len() > READS_MAX {
            // Whatever is forgotten counts as read now.
            state.last.clear();
            state.since = now;
        }
        state.last.extend(contents.iter().map(|content| (*content, now)));
    }

    /// When a stream was read last, or its image changed, in microseconds since the epoch.
    pub fn last(&self, content: &ContentId, updated_at: Time) -> i64 {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = state.last.get(content).copied().unwrap_or(state.since);
        read.0.max(updated_at.0)
    }
}
