//! How many refusals are recorded one by one: so many an hour, and so many of one caller. The rest is counted.
//!
//! Invariant: whatever callers do, refusals add at most [`ALL_MAX`] records and a few that sum up in an hour, of a
//! bounded size each; memory holds a bounded number of callers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::base::Time;

/// Refusals of all callers that are recorded in a window: at 1.5 KiB each, 8.6 MB a day at worst.
pub(super) const ALL_MAX: u64 = 240;
/// Refusals of one caller that are recorded in a window.
pub(super) const CALLER_MAX: u64 = 60;
/// The window, in seconds.
pub(super) const WINDOW_S: i64 = 3600;
/// Callers that are told apart in a window; all others share a count.
const CALLERS_MAX: usize = 64;

/// The count of a window. Shared by all that refuse.
#[derive(Default)]
pub(in crate::service) struct Budget(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Time>,
    all: u64,
    callers: BTreeMap<String, u64>,
    skipped: Skipped,
}

/// Refusals that were only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    count: u64,
    callers: BTreeMap<String, u64>,
    since: Option<Time>,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.map(Time::rfc3339_seconds).unwrap_or_default();
        write!(f, "{} refusals since {since} were not recorded one by one", self.count)?;
        let mut callers: Vec<_> = self.callers.iter().collect();
        callers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (at, (caller, count)) in callers.into_iter().take(5).enumerate() {
            write!(f, "{}{caller}: {count}", if at == 0 { "; " } else { ", " })?;
        }
        Ok(())
    }
}

impl Budget {
    /// Whether one more refusal of this caller is recorded; what was skipped before goes with it. `None` counts it.
    pub(super) fn admit(&self, caller: &str, now: Time) -> Option<Option<Skipped>> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = window.began.is_none_or(|began| {
            // A clock that was put back begins a window too: it must not stop the record for long.
            now < began || now >= began.plus_seconds(WINDOW_S)
        });
        if is_over {
            window.began = Some(now);
            window.all = 0;
            window.callers.clear();
        }
        let known = window.callers.contains_key(caller) || window.callers.len() < CALLERS_MAX;
        let key = if known { caller } else { "others" };
        let of_caller = window.callers.get(key).copied().unwrap_or(0);
        if window.all >= ALL_MAX || of_caller >= CALLER_MAX {
            window.skipped.count += 1;
            window.skipped.since.get_or_insert(now);
            let told = window.skipped.callers.contains_key(key) || window.skipped.callers.len() < CALLERS_MAX;
            *window.skipped.callers.entry(if told { key } else { "others" }.to_owned()).or_default() += 1;
            return None;
        }
        window.all += 1;
        *window.callers.entry(key.to_owned()).or_default() += 1;
        // Within a window one caller's skipped refusals wait for its end, or each pair would be two records.
        Some(if is_over { window.take_skipped() } else { None })
    }

    /// Callers that are told apart now.
    #[cfg(test)]
    pub(in crate::service) fn kept(&self) -> usize {
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.callers.len() + window.skipped.callers.len()
    }

    /// What was skipped since this was asked last; `None` when nothing was.
    pub(super) fn take_skipped(&self) -> Option<Skipped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take_skipped()
    }
}

impl Window {
    fn take_skipped(&mut self) -> Option<Skipped> {
        let skipped = std::mem::take(&mut self.skipped);
        (skipped.count > 0).then_some(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_the_place_of_others_and_all_together_have_an_end() {
        let (budget, now) = (Budget::default(), Time(0));
        let admitted = |caller: &str, tries: u64| {
            (0..tries).filter(|_| budget.admit(caller, now).is_some()).count() as u64
        };
        assert_eq!(admitted("a", 10 * CALLER_MAX), CALLER_MAX);
        assert_eq!(admitted("b", 1), 1);
        let others: u64 = (0..1000).map(|n| admitted(&format!("c{n}"), 1)).sum();
        assert_eq!(
            others + CALLER_MAX + 1,
            62 + CALLER_MAX + 1 + CALLER_MAX,
            "62 by name, the rest together"
        );
        let more: u64 = (0..5).map(|n| admitted(&format!("c{n}"), 1000)).sum();
        assert_eq!(CALLER_MAX + 1 + others + more, ALL_MAX);
    }

    #[test]
    fn what_was_skipped_is_told_when_the_next_window_begins() {
        let budget = Budget::default();
        for _ in 0..CALLER_MAX + 3 {
            budget.admit("a", Time(0));
        }
        let later = Time(0).plus_seconds(WINDOW_S);
        let told = budget.admit("b", later).unwrap().unwrap().to_string();
        assert!(told.starts_with("3 refusals since 1970-01-01T00:00:00Z"), "{told}");
        assert!(told.ends_with("; a: 3"), "{told}");
        assert_eq!(budget.admit("b", later), Some(None));
        assert_eq!(budget.take_skipped(), None);
    }
}
