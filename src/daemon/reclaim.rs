//! Reclaims space by itself: once after the start, then after deletes and broken-off uploads.
//!
//! Invariants: a failed run is tried again, less and less often; runs take at most a tenth of the
//! time, however large the store is; stopping does not wait for a run, as one that is cut off
//! leaves what the next one finishes.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::settings;
use crate::service::Service;
use crate::store::{Reach, Reclaimed};

/// Rest after a run, as a multiple of its duration, at least.
const REST_PER_RUN: u32 = 9;
/// Doublings of the rest while runs fail.
const DOUBLINGS_MAX: u32 = 6;

/// How often space is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From the start to the first run.
    start: Duration,
    /// From a delete to its run.
    delay: Duration,
    /// Between two runs, at least.
    interval: Duration,
}

impl From<&settings::Reclaim> for Pace {
    fn from(settings: &settings::Reclaim) -> Pace {
        Pace {
            start: Duration::from_secs(settings.start_delay_s),
            delay: Duration::from_secs(settings.delay_s),
            interval: Duration::from_secs(settings.interval_s),
        }
    }
}

impl Pace {
    /// How long to rest after a run, when `failures` runs in a row left something to do.
    fn rest(&self, took: Duration, failures: u32) -> Duration {
        self.interval.max(took * REST_PER_RUN) * 2u32.pow(failures.min(DOUBLINGS_MAX))
    }
}

/// Reclaims until told to stop.
pub async fn run(service: Service, pace: Pace, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_reclaiming(service, pace) => {}
    }
}

async fn keep_reclaiming(service: Service, pace: Pace) {
    let litter = service.litter();
    // What a crash may have left.
    litter.left(Reach::Everything);
    sleep(pace.start).await;
    let mut failures = 0;
    loop {
        litter.wait().await;
        // Deletes come in bunches: those that follow go along.
        sleep(pace.delay).await;
        let Some(reach) = litter.take() else { continue };
        let began = Instant::now();
        let left = once(&service, reach, began).await;
        failures = if left.is_some() { failures + 1 } else { 0 };
        if let Some(left) = left {
            litter.left(left);
        }
        sleep(pace.rest(began.elapsed(), failures)).await;
    }
}

/// One run; what is left to look for after it, if anything.
async fn once(service: &Service, reach: Reach, began: Instant) -> Option<Reach> {
    let worker = service.clone();
    match tokio::task::spawn_blocking(move || worker.give_back(reach)).await {
        Ok(Ok(freed)) => {
            tell(&freed, began.elapsed());
            (freed.in_use > 0).then_some(Reach::Released)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "space was not reclaimed; it is tried again");
            Some(reach)
        }
        Err(died) => {
            tracing::error!(%died, "reclaiming panicked; it is tried again");
            Some(reach)
        }
    }
}

fn tell(freed: &Reclaimed, took: Duration) {
    let Reclaimed { packs, orphans, bytes, in_use, withheld } = *freed;
    let took_ms = took.as_millis() as u64;
    if withheld > 0 {
        tracing::warn!(
            withheld,
            "packs are kept that images may need whose manifest cannot be read; \"gc\" names them"
        );
    }
    if packs + orphans > 0 {
        tracing::info!(packs, orphans, bytes, in_use, took_ms, "reclaimed space");
    } else {
        tracing::debug!(in_use, took_ms, "nothing to reclaim");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;
    use crate::store::Scope;

    fn pace(interval: Duration) -> Pace {
        Pace { start: Duration::ZERO, delay: Duration::ZERO, interval }
    }

    #[test]
    fn rest_follows_the_cost_and_the_luck() {
        let pace = pace(Duration::from_secs(60));
        assert_eq!(pace.rest(Duration::from_secs(1), 0), Duration::from_secs(60));
        assert_eq!(pace.rest(Duration::from_secs(100), 0), Duration::from_secs(900));
        assert_eq!(pace.rest(Duration::from_secs(1), 1), Duration::from_secs(120));
        assert_eq!(pace.rest(Duration::from_secs(1), 1000), Duration::from_secs(64 * 60));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn deleted_space_comes_back_by_itself_and_the_task_stops_when_told() {
        let (service, _) = testing::service();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(service.clone(), pace(Duration::from_millis(1)), stop.clone()));
        let content = publish(&service).await;
        assert_eq!(service.store().stats().unwrap().packs, 1);
        let store = service.store().clone();
        service.db().write(move |txn| store.release(txn, &content)).unwrap();
        service.litter().left(Reach::Released);
        while service.store().stats().unwrap().packs > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        task.await.unwrap();
    }

    async fn publish(service: &Service) -> crate::model::ContentId {
        let mut ingest = service.store().ingest(Scope::STORE).unwrap();
        ingest.write(vec![7; 5000].into()).await.unwrap();
        let receipt = ingest.finish(Vec::new()).await.unwrap();
        let (store, published) = (service.store().clone(), receipt.clone());
        service.db().write(move |txn| store.publish(txn, &published)).unwrap();
        receipt.content()
    }
}
