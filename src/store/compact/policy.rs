//! Which packs are worth being written anew, and in which order. Pure.

use super::super::rows::PackRow;
use crate::base::Time;

/// A pack is recompressed where that saves at least one part in so many.
const WORTH_ONE_IN: u64 = 32;

/// When packs are written anew, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RewritePolicy {
    /// Packs with a smaller share of live bytes are compacted, in hundredths; 0 compacts none.
    pub live_percent: u8,
    /// zstd level that packs are given once, when they are old enough; 0 recompresses none.
    pub level: u8,
    /// Age from which a pack is recompressed, in seconds.
    pub recompress_after_s: u64,
    /// Share of the time that is worked while streams or readers are under way, in hundredths.
    pub busy_percent: u8,
}

impl Default for RewritePolicy {
    fn default() -> Self {
        RewritePolicy { live_percent: 70, level: 9, recompress_after_s: 86_400, busy_percent: 25 }
    }
}

impl RewritePolicy {
    /// Live bytes, of all those of a pack, that make it not worth compacting.
    pub fn enough_bytes(&self, raw_bytes: u64) -> u64 {
        (u128::from(raw_bytes) * u128::from(self.live_percent)).div_ceil(100) as u64
    }

    /// Whether a pack has so little that is live that it is worth compacting.
    pub fn is_sparse(&self, live_bytes: u64, raw_bytes: u64) -> bool {
        live_bytes < self.enough_bytes(raw_bytes)
    }

    /// Whether a pack is old enough to be recompressed, and was not.
    pub fn is_due(&self, row: &PackRow, now: Time) -> bool {
        let due_at =
            Time(row.created_at).plus_seconds(self.recompress_after_s.try_into().unwrap_or(i64::MAX));
        row.level < self.level && due_at <= now
    }

    /// The most that frames may take to be worth taking the place of `replaced_bytes`.
    pub fn worth_bytes(&self, replaced_bytes: u64) -> u64 {
        replaced_bytes - replaced_bytes.div_ceil(WORTH_ONE_IN)
    }

    /// How much sooner one pack is compacted than another: the space it gives back for what has to be
    /// read and written, more so the longer it has been as it is. (Rosenblum and Ousterhout's
    /// cost-benefit policy for log-structured file systems.)
    pub fn urgency(&self, live_bytes: u64, row: &PackRow, now: Time) -> f64 {
        let live = live_bytes as f64 / row.raw_bytes.max(1) as f64;
        let age_s = now.seconds().saturating_sub(Time(row.created_at).seconds()).max(1);
        (1.0 - live) * age_s as f64 / (1.0 + live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::{Section, Written};

    fn row(raw_bytes: u64, created_s: i64, level: u8) -> PackRow {
        PackRow {
            object: [0; 16],
            generation: 0,
            domain: 0,
            scope: [0; 16],
            stored: Written {
                object_bytes: 1,
                footer: Section { offset: 0, bytes: 0, counter: 0 },
                sum: [0; 32],
            },
            chunks: 1,
            raw_bytes,
            created_at: created_s * Time::SECOND,
            level,
            key_version: 0,
        }
    }

    #[test]
    fn old_and_empty_packs_come_first() {
        let policy = RewritePolicy::default();
        let now = Time(1000 * Time::SECOND);
        let urgency = |live, created_s| policy.urgency(live, &row(100, created_s, 0), now);
        assert!(urgency(10, 0) > urgency(60, 0));
        assert!(urgency(10, 0) > urgency(10, 900));
        // Clocks step back.
        assert!(urgency(10, 5000) > 0.0);
    }

    #[test]
    fn a_pack_is_recompressed_once_it_is_old_enough() {
        let policy = RewritePolicy { level: 9, recompress_after_s: 100, ..RewritePolicy::default() };
        let now = Time(1000 * Time::SECOND);
        assert!(policy.is_due(&row(1, 900, 1), now));
        assert!(!policy.is_due(&row(1, 901, 1), now));
        assert!(!policy.is_due(&row(1, 900, 9), now));
        let never = RewritePolicy { recompress_after_s: u64::MAX, ..policy };
        assert!(!never.is_due(&row(1, 900, 1), now));
    }

    #[test]
    fn shares_are_of_bytes() {
        let policy = RewritePolicy { live_percent: 70, ..RewritePolicy::default() };
        assert!(policy.is_sparse(69, 100) && !policy.is_sparse(70, 100));
        assert!(!policy.is_sparse(0, 0));
        assert_eq!((policy.worth_bytes(3200), policy.worth_bytes(1), policy.worth_bytes(0)), (3100, 0, 0));
    }
}
