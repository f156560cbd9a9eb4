//! Whether the bucket answers, as its operations last saw it.
//!
//! Invariant: a bucket that answered nothing for as long as an operation's patience is down; then
//! operations fail at once, but for one every [`TRIAL_INTERVAL`] that finds out whether it is back.
//! So a bucket that is down costs each caller no time, and threads do not pile up behind it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// From one trial to the next while the bucket is down.
const TRIAL_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Pulse {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When anything was last answered.
    answered: Option<Instant>,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    since: Instant,
    why: String,
    next_trial: Instant,
}

/// How an operation may go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// With all its patience.
    Free,
    /// With one try, as the bucket is down.
    Trial,
}

/// The bucket is down, and somebody else is finding out whether it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent {
    seconds: u64,
    why: String,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Silent { seconds, why } = self;
        write!(f, "the bucket has not answered for {seconds} s, last: {why}")
    }
}

impl std::error::Error for Silent {}

impl Pulse {
    /// Lets an operation begin, or says why not.
    pub(super) fn admit(&self) -> Result<Admission, Silent> {
        let mut state = self.lock();
        let Some(down) = &mut state.down else { return Ok(Admission::Free) };
        let now = Instant::now();
        if now < down.next_trial {
            return Err(down.tell(now));
        }
        down.next_trial = now + TRIAL_INTERVAL;
        Ok(Admission::Trial)
    }

    /// Whether the bucket answered anything yet.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().answered.is_some()
    }

    /// The bucket answered, whatever it said.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.answered = Some(Instant::now());
        if let Some(down) = state.down.take() {
            tracing::info!(seconds = down.since.elapsed().as_secs(), "the bucket answers again");
        }
    }

    /// An operation that began at `began` was given up. That says little of the bucket where it
    /// answered others meanwhile.
    pub(super) fn gave_up(&self, began: Instant, why: String) {
        let mut state = self.lock();
        if state.answered.is_some_and(|answered| answered >= began) {
            return;
        }
        let next_trial = Instant::now() + TRIAL_INTERVAL;
        match &mut state.down {
            Some(down) => (down.why, down.next_trial) = (why, next_trial),
            None => {
                tracing::error!(%why, "the bucket does not answer; image data cannot be reached");
                state.down = Some(Down { since: began, why, next_trial });
            }
        }
    }

    /// Why image data cannot be reached, while the bucket is down.
    pub(super) fn trouble(&self) -> Option<String> {
        let now = Instant::now();
        self.lock().down.as_ref().map(|down| down.tell(now).to_string())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: whatever a panic left is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Down {
    fn tell(&self, now: Instant) -> Silent {
        Silent { seconds: now.duration_since(self.since).as_secs(), why: self.why.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_is_down_keeps_nobody_waiting_but_one_trial() {
        let pulse = Pulse::default();
        assert_eq!(pulse.admit(), Ok(Admission::Free));
        pulse.gave_up(Instant::now(), "no route".into());
        assert!(pulse.admit().unwrap_err().to_string().contains("no route"));
        assert!(pulse.trouble().unwrap().contains("no route"));
        let later = Instant::now();
        pulse.lock().down.as_mut().unwrap().next_trial = later;
        assert_eq!(pulse.admit(), Ok(Admission::Trial));
        assert!(pulse.admit().is_err());
        pulse.answered();
        assert_eq!((pulse.admit(), pulse.trouble()), (Ok(Admission::Free), None));
    }

    #[test]
    fn one_slow_operation_among_others_is_no_outage() {
        let pulse = Pulse::default();
        let began = Instant::now();
        pulse.answered();
        pulse.gave_up(began, "timed out".into());
        assert_eq!(pulse.admit(), Ok(Admission::Free));
    }
}
