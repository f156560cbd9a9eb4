//! How fast packs are written anew: at full speed while nobody waits, else for a share of the time.
//!
//! A share of the time, not of bytes a second, so that a slow disk or processor is left alone as a
//! fast one is.

use std::time::{Duration, Instant};

/// Longest rest between two slices of work, so that whoever ends the work need not wait.
const REST_MAX: Duration = Duration::from_secs(2);

/// The pace of one run.
pub struct Pace {
    busy_percent: u8,
    worked_since: Instant,
}

impl Pace {
    /// Work for this share of the time, in hundredths, while others are under way.
    pub fn new(busy_percent: u8) -> Pace {
        Pace { busy_percent: busy_percent.clamp(1, 100), worked_since: Instant::now() }
    }

    /// Rests after a slice of work, if others are under way.
    pub fn rest(&mut self, others: bool) {
        if others {
            std::thread::sleep(self.owed(self.worked_since.elapsed()));
        }
        self.worked_since = Instant::now();
    }

    fn owed(&self, worked: Duration) -> Duration {
        (worked * u32::from(100 - self.busy_percent) / u32::from(self.busy_percent)).min(REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_in_proportion_to_work() {
        let worked = Duration::from_millis(100);
        assert_eq!(Pace::new(25).owed(worked), Duration::from_millis(300));
        assert_eq!(Pace::new(100).owed(worked), Duration::ZERO);
        assert_eq!(Pace::new(0).owed(worked), REST_MAX);
    }
}
