//! Scrubs by itself, a round a period, and heals damage once its data was stored again.
//!
//! Invariants: a scrub that failed goes on later, less and less often, where it ended; stopping
//! waits for no scrub, as what was compared is written down. Healing looks only while damage is
//! known, and only when something stored has changed since it last looked, or something was in the
//! way then.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::settings;
use crate::service::Service;
use crate::service::scrub::NextScrub;

/// Longest rest: a period may be changed, and a clock may be set.
const REST_MAX: Duration = Duration::from_secs(3600);
/// Rest when a scrub gave way, and after the first failure.
const REST_MIN: Duration = Duration::from_secs(2);
/// How often damage is looked at.
const MEND_INTERVAL: Duration = Duration::from_secs(3);

/// How often everything is compared, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// From the start to the first look.
    start: Duration,
    /// From the beginning of a round to the next one's.
    period_s: u64,
    /// Bytes compared in a second, at most.
    bytes_per_s: u64,
}

impl From<&settings::Scrub> for Plan {
    fn from(settings: &settings::Scrub) -> Plan {
        Plan {
            start: Duration::from_secs(settings.start_delay_s),
            period_s: settings.period_days * 86_400,
            bytes_per_s: settings.bytes_per_s,
        }
    }
}

/// Scrubs until told to stop.
pub async fn run(service: Service, plan: Plan, stop: CancellationToken) {
    let mut rest = plan.start;
    let mut failures = 0;
    loop {
        tokio::select! {
            () = sleep(rest) => {}
            () = stop.cancelled() => return,
        }
        let worker = service.clone();
        let work = move || worker.scrub_on(plan.bytes_per_s, plan.period_s);
        let failure = match tokio::task::spawn_blocking(work).await {
            Ok(Ok(next)) => {
                rest = match next {
                    NextScrub::Soon => REST_MIN,
                    NextScrub::In(seconds) => Duration::from_secs(seconds).clamp(REST_MIN, REST_MAX),
                };
                failures = 0;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(died) => died.to_string(),
        };
        tracing::warn!(error = %failure, "the scrub could not go on; it is tried again");
        rest = after(failures);
        failures += 1;
    }
}

/// How long to rest when so many tries before this one failed as well.
fn after(failures: u32) -> Duration {
    REST_MIN.saturating_mul(2u32.saturating_pow(failures)).min(REST_MAX)
}

/// Heals until told to stop.
pub async fn mend(service: Service, stop: CancellationToken) {
    let mut seen = None;
    loop {
        tokio::select! {
            () = sleep(MEND_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let counts = service.store().damage_counts();
        if counts.packs + counts.manifests == 0 {
            continue;
        }
        let worker = service.clone();
        let work = move || {
            let now = (worker.store().stats()?, counts.packs, counts.manifests);
            let is_postponed = seen != Some(now) && worker.mend()?.is_postponed;
            Ok::<_, crate::service::Error>(Some(now).filter(|_| !is_postponed))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(now)) => seen = now,
            Ok(Err(error)) => tracing::warn!(%error, "damage could not be healed now; it is tried again"),
            Err(died) => tracing::error!(%died, "healing panicked; it is tried again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;

    #[test]
    fn failures_make_it_rest_longer_up_to_a_bound() {
        assert_eq!(after(0), REST_MIN);
        assert_eq!(after(1), 2 * REST_MIN);
        assert_eq!(after(1000), REST_MAX);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_round_runs_by_itself_and_the_task_stops_when_told() {
        let (service, _) = testing::service();
        let stop = CancellationToken::new();
        let plan = Plan { start: Duration::ZERO, period_s: 86_400, bytes_per_s: 1 << 30 };
        let task = tokio::spawn(run(service.clone(), plan, stop.clone()));
        while service.store().scrub_status().unwrap().completed_at.is_none() {
            sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        task.await.unwrap();
    }
}
