//! Sign-ins that failed lately: who is locked out for a while, and which addresses try too much.
//!
//! Kept in memory alone: a restart forgets it. Invariants: what is kept is bounded, whatever anybody sends; nothing is
//! kept of users that do not exist; whoever is locked out hears what everybody hears; no step of the clock locks anybody
//! out for longer than the rules say, nor for ever.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::base::{Entropy, Time};
use crate::model::UserId;
use crate::service::{Error, ErrorKind, Reason};

/// Users whose failures are kept; beyond these the oldest failure is forgotten.
const USERS_MAX: usize = 10_000;
/// Places for addresses. Two that share one share its budget; who shares with whom nobody can foresee.
const PLACES: usize = 8192;
/// How long failures of an address count, in seconds.
const WINDOW_S: i64 = 60;

/// What failed sign-ins lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRules {
    /// Failures after which a user is locked out; 0 for never.
    pub lock_after: u32,
    /// For how long, in seconds, since the last of them.
    pub lock_s: i64,
    /// Failures from one address within a minute after which it is turned away for the rest of it; 0 for never.
    pub per_minute: u32,
}

impl Default for AttemptRules {
    fn default() -> AttemptRules {
        AttemptRules { lock_after: 10, lock_s: 60, per_minute: 60 }
    }
}

/// Failures of one user.
struct Failures {
    count: u32,
    last_at: Time,
}

/// Failures of those addresses that share a place.
#[derive(Clone, Copy, Default)]
struct Place {
    since_s: i64,
    failures: u32,
}

/// What is kept.
pub(in crate::service) struct Attempts {
    rules: AttemptRules,
    key: [u8; 32],
    users_max: usize,
    users: Mutex<HashMap<UserId, Failures>>,
    places: Mutex<Vec<Place>>,
}

impl Attempts {
    pub(in crate::service) fn new(rules: AttemptRules, entropy: &dyn Entropy) -> Attempts {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let places = Mutex::new(vec![Place::default(); PLACES]);
        Attempts { rules, key, users_max: USERS_MAX, users: Mutex::default(), places }
    }

    /// Whether a user's password, right or not, is taken. Notes it when it is wrong, and forgets all when it is taken.
    pub(super) fn take(&self, user: &UserId, is_right: bool, now: Time) -> bool {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match users.get_mut(user) {
            Some(failures) => self.count(failures, now),
            None => 0,
        };
        if self.is_too_many(count) {
            return false;
        }
        if is_right {
            users.remove(user);
            return true;
        }
        if !users.contains_key(user) && users.len() >= self.users_max {
            let oldest = users.iter().min_by_key(|(_, failures)| failures.last_at);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                users.remove(&oldest);
            }
        }
        users.insert(user.clone(), Failures { count: count.saturating_add(1), last_at: now });
        if self.is_too_many(count.saturating_add(1)) {
            tracing::warn!(%user, seconds = self.rules.lock_s, "a user is locked out after too many failed sign-ins");
        }
        false
    }

    /// Until when a user is locked out.
    pub(super) fn locked_until(&self, user: &UserId, now: Time) -> Option<Time> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = users.get_mut(user)?;
        let is_locked = self.is_too_many(self.count(failures, now));
        is_locked.then(|| failures.last_at.plus_seconds(self.rules.lock_s))
    }

    /// Forgets a user's failures; says whether there were any.
    pub(super) fn forget(&self, user: &UserId) -> bool {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).remove(user).is_some()
    }

    /// Users whose failures are kept.
    #[cfg(test)]
    pub(in crate::service) fn kept(&self) -> usize {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Failures that still count.
    fn count(&self, failures: &mut Failures, now: Time) -> u32 {
        // A clock that was set back would make the rest of the lock longer.
        failures.last_at = failures.last_at.min(now);
        if failures.last_at.plus_seconds(self.rules.lock_s) <= now {
            failures.count = 0;
        }
        failures.count
    }

    fn is_too_many(&self, count: u32) -> bool {
        self.rules.lock_after > 0 && count >= self.rules.lock_after
    }

    /// Refuses an address that failed too often within this minute.
    ///
    /// # Errors
    /// `Unavailable`, because of too many requests.
    pub(super) fn admit(&self, source: Option<IpAddr>, now: Time) -> Result<(), Error> {
        let Some(source) = source.filter(|_| self.rules.per_minute > 0) else { return Ok(()) };
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places[self.place(source)];
        if place.counts(now) && place.failures >= self.rules.per_minute {
            let message = "too many sign-ins failed from this address; try again in a minute";
            return Err(Error::new(ErrorKind::Unavailable, message).because(Reason::TooManyRequests));
        }
        Ok(())
    }

    /// Notes a failure of an address.
    pub(super) fn note(&self, source: Option<IpAddr>, now: Time) {
        let Some(source) = source else { return };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut places[self.place(source)];
        if !place.counts(now) {
            *place = Place { since_s: now.seconds(), failures: 0 };
        }
        place.failures = place.failures.saturating_add(1);
    }

    fn place(&self, source: IpAddr) -> usize {
        let bytes = match source.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            // Whoever has one address of a network has all of them.
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        };
        let hash = blake3::keyed_hash(&self.key, &bytes);
        let [a, b, ..] = *hash.as_bytes();
        usize::from(u16::from_le_bytes([a, b])) % PLACES
    }
}

impl Place {
    /// Whether there were failures within its minute, and that is this one.
    fn counts(self, now: Time) -> bool {
        self.failures > 0 && (0..WINDOW_S).contains(&(now.seconds() - self.since_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OsEntropy;

    fn attempts() -> Attempts {
        Attempts::new(AttemptRules { lock_after: 3, lock_s: 100, per_minute: 5 }, &OsEntropy)
    }

    fn at(seconds: i64) -> Time {
        Time(seconds * Time::SECOND)
    }

    #[test]
    fn a_user_is_locked_out_for_a_while_and_hears_nothing_of_it() {
        let (attempts, ann) = (attempts(), UserId::from("ann"));
        for second in 0..3 {
            assert_eq!(attempts.locked_until(&ann, at(second)), None);
            assert!(!attempts.take(&ann, false, at(second)));
        }
        // Not even with the right one, and trying makes it no longer.
        assert!(!attempts.take(&ann, true, at(50)) && !attempts.take(&ann, false, at(99)));
        assert_eq!(attempts.locked_until(&ann, at(99)), Some(at(102)));
        assert!(attempts.take(&ann, true, at(102)));
        // A success forgets what failed before.
        assert!(!attempts.take(&ann, false, at(103)) && !attempts.take(&ann, false, at(104)));
        assert!(attempts.take(&ann, true, at(105)));
        assert!(!attempts.take(&ann, false, at(106)) && attempts.take(&ann, true, at(107)));
        assert!(attempts.take(&UserId::from("bob"), true, at(0)));
    }

    #[test]
    fn no_step_of_the_clock_locks_anybody_out_for_longer() {
        let (attempts, ann) = (attempts(), UserId::from("ann"));
        for _ in 0..3 {
            attempts.take(&ann, false, at(1_000_000));
        }
        // Set back by days: the rest is never more than all of it.
        assert_eq!(attempts.locked_until(&ann, at(500)), Some(at(600)));
        assert!(!attempts.take(&ann, true, at(599)) && attempts.take(&ann, true, at(600)));
        // Set forward it ends early, once; back again, what is forgotten stays so.
        for _ in 0..3 {
            attempts.take(&ann, false, at(700));
        }
        assert!(attempts.take(&ann, true, at(1_000_000)) && attempts.take(&ann, true, at(700)));
    }

    #[test]
    fn an_administrator_ends_it() {
        let (attempts, ann) = (attempts(), UserId::from("ann"));
        assert!(!attempts.forget(&ann));
        for _ in 0..3 {
            attempts.take(&ann, false, at(0));
        }
        assert!(attempts.forget(&ann) && attempts.take(&ann, true, at(1)));
    }

    #[test]
    fn what_is_kept_of_users_is_bounded() {
        let attempts = Attempts { users_max: 2, ..attempts() };
        for (second, user) in ["a", "b", "c", "d"].into_iter().enumerate() {
            attempts.take(&UserId::from(user), false, at(second as i64));
        }
        let users = attempts.users.lock().unwrap();
        assert!(users.len() == 2 && users.contains_key(&UserId::from("d")));
    }

    #[test]
    fn an_address_is_turned_away_for_the_rest_of_its_minute() {
        let attempts = attempts();
        let source = |text: &str| Some(text.parse().unwrap());
        for _ in 0..5 {
            assert!(attempts.admit(source("10.0.0.1"), at(10)).is_ok());
            attempts.note(source("10.0.0.1"), at(10));
        }
        let refused = attempts.admit(source("::ffff:10.0.0.1"), at(69)).unwrap_err();
        assert_eq!((refused.kind, refused.reason), (ErrorKind::Unavailable, Some(Reason::TooManyRequests)));
        assert!(attempts.admit(source("10.0.0.1"), at(70)).is_ok());
        // Set back, the clock starts another minute.
        assert!(attempts.admit(source("10.0.0.1"), at(5)).is_ok());
        assert!(attempts.admit(None, at(10)).is_ok());
        // All of a network of version 6 is one.
        for _ in 0..5 {
            attempts.note(source("2001:db8::1"), at(10));
        }
        assert!(attempts.admit(source("2001:db8::2"), at(10)).is_err());
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_more_memory() {
        let attempts = attempts();
        for number in 0..100_000_u32 {
            attempts.note(Some(IpAddr::V4(number.into())), at(10));
        }
        assert_eq!(attempts.places.lock().unwrap().len(), PLACES);
        assert!(attempts.users.lock().unwrap().is_empty());
    }
}
