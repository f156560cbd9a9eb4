//! Goes on with sealing key domains anew where an earlier process was cut off.
//!
//! Invariant: a failed run is tried again, less and less often, until nothing is left; a job that
//! somebody ended is left alone until the next start. Stopping waits for one pack at most.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// From one try to the next, at first.
const RETRY: Duration = Duration::from_secs(60);
/// Doublings of that while tries fail.
const DOUBLINGS_MAX: u32 = 6;

/// Finishes what is unfinished, then ends.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut failures = 0;
    while !service.store().unfinished_domains().is_empty() && !stop.is_cancelled() {
        let (worker, stopped) = (service.clone(), stop.clone());
        let work = move || worker.finish_sealing_anew(&mut || !stopped.is_cancelled());
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a key domain was not sealed anew to the end; it is tried again");
            }
            Err(died) => tracing::error!(%died, "sealing a key domain anew panicked; it is tried again"),
        }
        let rest = RETRY * 2u32.pow(failures.min(DOUBLINGS_MAX));
        failures += 1;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(rest) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;
    use crate::store::Scope;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_cut_off_is_finished_by_itself() {
        let (service, _) = testing::sealed_service(testing::rules());
        let store = service.store();
        store.sealed_for(Scope::of("project", "one"), &[], Scope::STORE).unwrap();
        store.rotate_domain(2).unwrap();
        assert_eq!(store.unfinished_domains(), [2]);
        run(service.clone(), CancellationToken::new()).await;
        assert!(store.unfinished_domains().is_empty());
    }
}
