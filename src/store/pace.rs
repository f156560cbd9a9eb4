//! How fast packs are written anew: at full speed while nobody waits, else for a share of the time.
//!
//! A share of the time, not of bytes a second, so that a slow disk or processor is left alone as a
//! fast one is.

use std::time::{Duration, Instant};

/// Longest rest between two slices of work, so that whoever ends the work need not wait. What is owed
/// beyond it is rested after the next slices.
const REST_MAX: Duration = Duration::from_secs(2);
/// The most that is owed: one very slow write must not stop the work for long.
const OWED_MAX: Duration = Duration::from_secs(60);

/// The pace of one run.
pub struct Pace {
    busy_percent: u8,
    worked_since: Instant,
    owed: Duration,
}

impl Pace {
    /// Work for this share of the time, in hundredths, while others are under way.
    pub fn new(busy_percent: u8) -> Pace {
        Pace { busy_percent: busy_percent.clamp(1, 100), worked_since: Instant::now(), owed: Duration::ZERO }
    }

    /// Rests after a slice of work, if others are under way.
    pub fn rest(&mut self, others: bool) {
        let rest = self.due(self.worked_since.elapsed(), others);
        std::thread::sleep(rest);
        self.worked_since = Instant::now();
    }

    /// How long to rest now.
    fn due(&mut self, worked: Duration, others: bool) -> Duration {
        if !others {
            self.owed = Duration::ZERO;
            return Duration::ZERO;
        }
        let more = worked * u32::from(100 - self.busy_percent) / u32::from(self.busy_percent);
        self.owed = (self.owed + more).min(OWED_MAX);
        let rest = self.owed.min(REST_MAX);
        self.owed -= rest;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_in_proportion_to_work() {
        let worked = Duration::from_millis(100);
        assert_eq!(Pace::new(25).due(worked, true), Duration::from_millis(300));
        assert_eq!(Pace::new(100).due(worked, true), Duration::ZERO);
        assert_eq!(Pace::new(0).due(worked, true), REST_MAX);
        assert_eq!(Pace::new(25).due(worked, false), Duration::ZERO);
    }

    #[test]
    fn what_is_owed_is_rested_later_or_not_at_all_once_nobody_waits() {
        let mut pace = Pace::new(25);
        let (slow, quick) = (Duration::from_secs(1), Duration::from_millis(100));
        assert_eq!(pace.due(slow, true), REST_MAX);
        assert_eq!(pace.due(quick, true), Duration::from_millis(1300));
        assert_eq!(pace.due(quick, true), Duration::from_millis(300));
        pace.due(slow * 1000, true);
        assert_eq!(pace.owed, OWED_MAX - REST_MAX);
        assert_eq!(pace.due(slow, false), Duration::ZERO);
        assert_eq!(pace.due(quick, true), Duration::from_millis(300));
    }
}
