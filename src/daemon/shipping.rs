//! Ships the journal to the store's log, at short intervals.
//!
//! Invariants: a shipment that failed is tried again, less and less often, and holds nothing else
//! up; stopping does not wait for the next one, as whoever closes the box ships what is left.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// Longest rest after failures, unless the interval is longer.
const REST_MAX: Duration = Duration::from_secs(60);

/// Ships until told to stop; at once, and then every `interval`.
pub async fn run(service: Service, interval: Duration, stop: CancellationToken) {
    let mut failures = 0;
    loop {
        let store = service.store().clone();
        let outcome = tokio::task::spawn_blocking(move || store.ship()).await;
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(died) => Some(died.to_string()),
        };
        let lag = service.store().log_lag();
        match &failure {
            Some(error) => tracing::warn!(
                %error, entries = lag.entries, behind_s = lag.seconds,
                "the store's log is behind; nothing is lost, it is tried again"
            ),
            None if failures > 0 => tracing::info!("the store's log has caught up"),
            None => {}
        }
        failures = if failure.is_some() { failures + 1 } else { 0 };
        tokio::select! {
            () = tokio::time::sleep(rest(interval, failures)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// How long to rest after `failures` in a row.
fn rest(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(2u32.saturating_pow(failures));
    doubled.min(REST_MAX.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;

    #[test]
    fn failures_make_it_rest_longer_up_to_a_bound() {
        let five = Duration::from_secs(5);
        assert_eq!(rest(five, 0), five);
        assert_eq!(rest(five, 1), 2 * five);
        assert_eq!(rest(five, 100), REST_MAX);
        assert_eq!(rest(2 * REST_MAX, 3), 2 * REST_MAX);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_journal_is_shipped_by_itself_and_the_task_stops_when_told() {
        let (service, _) = testing::service();
        assert!(service.db().read().unwrap().journal_len().unwrap() > 0);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(service.clone(), Duration::from_millis(1), stop.clone()));
        while service.db().read().unwrap().journal_len().unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        task.await.unwrap();
    }
}
