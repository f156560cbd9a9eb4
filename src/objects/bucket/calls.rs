//! Operations on a bucket: tried again while that may help, and never for longer than the patience
//! given.
//!
//! Invariant: an operation ends, and its last failure is told. An attempt that failed may have taken
//! effect: whoever asks must know what a second one then finds. Must not know what is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::{Error as Answer, Result};
use tokio::time::{Instant, sleep, timeout};

use super::counts::Counts;
use super::pulse::{Admission, Pulse};
use super::wire::is_passing;

/// Longest rest between two tries.
const REST_MAX: Duration = Duration::from_secs(5);
/// Rest after the first try.
const REST_MIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) counts: Arc<Counts>,
    pub(super) pulse: Pulse,
    patience: Duration,
    /// That of operations before anything was answered.
    first_patience: Duration,
    /// Spreads rests, so that those who failed together do not come back together.
    spread: AtomicU64,
}

impl Calls {
    pub(super) fn new(counts: Arc<Counts>, patience: Duration, first_patience: Duration) -> Calls {
        let first_patience = first_patience.min(patience);
        Calls { counts, pulse: Pulse::default(), patience, first_patience, spread: AtomicU64::new(0) }
    }

    /// Runs an operation.
    pub(super) async fn run<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let began = Instant::now();
        let admission = self.pulse.admit().map_err(|silent| {
            self.counts.given_up.add(1);
            generic(silent)
        })?;
        // A trial waits longer, so that a bucket that is slow to begin with is not taken for one that is away.
        let is_first = admission == Admission::Free && !self.pulse.has_answered();
        let patience = if is_first { self.first_patience } else { self.patience };
        let limits = Limits { admission, began, patience };
        let outcome = match timeout(patience, self.tries(attempt, limits)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.gave_up(began, format!("no answer within {} s", patience.as_secs_f32()));
                return Err(generic(TimedOut(patience)));
            }
        };
        match &outcome {
            Err(error) if is_passing(error) => self.gave_up(began, error.to_string()),
            _ => self.pulse.answered(),
        }
        outcome
    }

    async fn tries<T, F>(&self, attempt: impl Fn() -> F, limits: Limits) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let Limits { admission, began, patience } = limits;
        let mut rest = REST_MIN;
        loop {
            let outcome = attempt().await;
            let Err(error) = &outcome else { return outcome };
            let wait = self.spread(rest);
            let too_late = began.elapsed() + wait >= patience;
            if !is_passing(error) || admission == Admission::Trial || too_late {
                return outcome;
            }
            tracing::debug!(%error, "a request to the bucket is tried again");
            self.counts.retries.add(1);
            sleep(wait).await;
            rest = (rest * 2).min(REST_MAX);
        }
    }

    fn gave_up(&self, began: Instant, why: String) {
        self.counts.given_up.add(1);
        self.pulse.gave_up(began, why);
    }

    /// Between a half of it and the whole.
    fn spread(&self, rest: Duration) -> Duration {
        let turn = self.spread.fetch_add(1, Ordering::Relaxed);
        // Fibonacci hashing: neighbours come to lie far apart.
        let share = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        rest / 2 + rest / 512 * share as u32
    }
}

/// How long one operation may go on.
struct Limits {
    admission: Admission,
    began: Instant,
    patience: Duration,
}

/// An operation ran out of time.
#[derive(Debug, thiserror::Error)]
#[error("the bucket did not answer within {} s", .0.as_secs_f32())]
struct TimedOut(Duration);

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Answer {
    Answer::Generic { store: "bucket", source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    const SHORT: Duration = Duration::from_millis(400);

    fn passing() -> Answer {
        generic(HttpError::new(HttpErrorKind::Connect, std::io::Error::other("refused")))
    }

    fn calls(patience: Duration) -> Calls {
        Calls::new(Arc::default(), patience, patience)
    }

    #[tokio::test]
    async fn a_passing_failure_is_tried_again_and_counted() {
        let calls = calls(Duration::from_secs(60));
        let made = AtomicU64::new(0);
        let attempt =
            || async { if made.fetch_add(1, Ordering::Relaxed) < 2 { Err(passing()) } else { Ok(7) } };
        assert_eq!(calls.run(attempt).await.unwrap(), 7);
        assert_eq!((calls.counts.retries.read(), calls.counts.given_up.read()), (2, 0));
    }

    #[tokio::test]
    async fn a_final_answer_is_not_asked_for_twice() {
        let calls = calls(Duration::from_secs(60));
        let made = AtomicU64::new(0);
        let missing = || async {
            made.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Answer::NotFound { path: "a".into(), source: "gone".into() })
        };
        assert!(matches!(calls.run(missing).await, Err(Answer::NotFound { .. })));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(calls.pulse.trouble(), None);
    }

    #[tokio::test]
    async fn patience_ends_and_then_nobody_waits() {
        let calls = calls(SHORT);
        let failed = calls.run(|| async { Err::<(), _>(passing()) }).await.unwrap_err();
        assert!(failed.to_string().contains("refused"), "{failed}");
        assert!(calls.counts.retries.read() > 0);
        let at_once = calls.run(|| async { Ok(1) }).await.unwrap_err();
        assert!(at_once.to_string().contains("has not answered"), "{at_once}");
        assert_eq!(calls.counts.given_up.read(), 2);
    }

    #[tokio::test]
    async fn a_bucket_that_never_answered_is_given_less_time_than_one_that_did() {
        let calls = Calls::new(Arc::default(), Duration::from_secs(600), SHORT);
        let hung = calls.run(std::future::pending::<Result<()>>).await.unwrap_err();
        assert!(hung.to_string().contains("within 0.4 s"), "{hung}");
        let calls = Calls::new(Arc::default(), Duration::from_secs(600), SHORT);
        calls.run(|| async { Ok(()) }).await.unwrap();
        let slow = || async {
            sleep(2 * SHORT).await;
            Ok(7)
        };
        assert_eq!(calls.run(slow).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_is_cut_off() {
        let calls = calls(SHORT);
        let hung = calls.run(std::future::pending::<Result<()>>).await.unwrap_err();
        assert!(hung.to_string().contains("did not answer"), "{hung}");
        assert!(calls.pulse.trouble().is_some());
    }
}
