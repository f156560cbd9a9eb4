//! Signatures that were taken lately, so that a request that was listened to cannot be sent again.
//!
//! A signature is good for as long as its date is near. Invariant: a request that changes something is
//! taken once. A read may come again right away, since two equal reads within one second have one
//! signature. Memory is bounded: reads are the first to be forgotten, and writes are refused rather than forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::base::Time;

/// How far a request's date may be from this machine's clock, in seconds.
pub(super) const SKEW_MAX_S: i64 = 15 * 60;
/// How long a read may be sent again with the same signature, in seconds.
const READ_REPEAT_S: i64 = 5;
/// Signatures that are kept: some 10 MiB.
const KEPT_MAX: usize = 1 << 18;
/// Beyond these, reads are not kept.
const KEPT_WITH_READS_MAX: usize = KEPT_MAX / 2;

/// Why a signature is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was taken before.
    Replayed,
    /// It is older than this process, which cannot know whether it was taken.
    BeforeStart,
    /// There were too many lately.
    TooMany,
}

/// What was taken.
pub(in crate::service) struct Replays {
    started_at_s: i64,
    kept_max: usize,
    kept: Mutex<Kept>,
}

/// When each was first taken, in seconds; by the stretch of time that its date is in.
type Kept = BTreeMap<i64, HashMap<u64, i64>>;

impl Replays {
    pub(in crate::service) fn new(now: Time) -> Replays {
        Replays { started_at_s: now.seconds(), kept_max: KEPT_MAX, kept: Mutex::default() }
    }

    /// Signatures that are kept.
    #[cfg(test)]
    pub(in crate::service) fn kept(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).values().map(HashMap::len).sum()
    }

    /// Takes a signature that was found right, or says why not.
    pub(super) fn take(
        &self,
        signature: &[u8; 32],
        signed_at: Time,
        now: Time,
        is_read: bool,
    ) -> Result<(), Refused> {
        let (signed_at_s, now_s) = (signed_at.seconds(), now.seconds());
        if !is_read && signed_at_s < self.started_at_s {
            return Err(Refused::BeforeStart);
        }
        let [a, b, c, d, e, f, g, h, ..] = *signature;
        let name = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // A signature's date is at most two windows away from the oldest moment that can still count.
        kept.retain(|stretch, _| (stretch + 1) * SKEW_MAX_S + SKEW_MAX_S >= now_s);
        let count: usize = kept.values().map(HashMap::len).sum();
        let stretch = kept.entry(signed_at_s.div_euclid(SKEW_MAX_S)).or_default();
        if let Some(first_s) = stretch.get(&name) {
            let at_once = (0..=READ_REPEAT_S).contains(&(now_s - first_s));
            return if is_read && at_once { Ok(()) } else { Err(Refused::Replayed) };
        }
        if is_read && count >= KEPT_WITH_READS_MAX.min(self.kept_max / 2) {
            return Ok(());
        }
        if count >= self.kept_max {
            return Err(Refused::TooMany);
        }
        stretch.insert(name, now_s);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time(seconds * Time::SECOND)
    }

    #[test]
    fn a_write_is_taken_once_for_as_long_as_its_date_counts() {
        let replays = Replays::new(at(100_000));
        // Dates from the future are kept until they are too old, too.
        for date in [100_000, 100_000 + SKEW_MAX_S] {
            let signature = [date as u8; 32];
            assert_eq!(replays.take(&signature, at(date), at(100_000), false), Ok(()));
            for later in [0, 1, SKEW_MAX_S, date - 100_000 + SKEW_MAX_S] {
                let again = replays.take(&signature, at(date), at(100_000 + later), false);
                assert_eq!(again, Err(Refused::Replayed), "{date} {later}");
            }
        }
        // What is too old to count is forgotten.
        let _ = replays.take(&[9; 32], at(200_000), at(200_000), false);
        assert_eq!(replays.kept.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_read_may_come_again_at_once_and_not_later() {
        let replays = Replays::new(at(1000));
        let read = |now| replays.take(&[1; 32], at(1000), at(now), true);
        assert_eq!(read(1000), Ok(()));
        assert_eq!(read(1000 + READ_REPEAT_S), Ok(()));
        assert_eq!(read(1001 + READ_REPEAT_S), Err(Refused::Replayed));
        // The same signature never counts for a write.
        assert_eq!(replays.take(&[1; 32], at(1000), at(1000), false), Err(Refused::Replayed));
    }

    #[test]
    fn a_write_from_before_the_start_is_refused() {
        let replays = Replays::new(Time(1000 * Time::SECOND + 700_000));
        assert_eq!(replays.take(&[1; 32], at(999), at(1001), false), Err(Refused::BeforeStart));
        assert_eq!(replays.take(&[1; 32], at(999), at(1001), true), Ok(()));
        // Dates have whole seconds: one of the second of the start may be younger.
        assert_eq!(replays.take(&[2; 32], at(1000), at(1001), false), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_writes_are_never_forgotten() {
        let replays = Replays { kept_max: 4, ..Replays::new(at(0)) };
        let take = |n: u8, is_read| replays.take(&[n; 32], at(10), at(10), is_read);
        assert_eq!((take(1, true), take(2, true), take(3, true)), (Ok(()), Ok(()), Ok(())));
        assert_eq!((take(4, false), take(5, false)), (Ok(()), Ok(())));
        assert_eq!(take(6, false), Err(Refused::TooMany));
        assert_eq!(take(4, false), Err(Refused::Replayed));
        assert_eq!(take(7, true), Ok(()));
    }
}
