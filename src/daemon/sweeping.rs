//! Removes, now and then, what failed uploads could not remove themselves: a medium that was away or full
//! when they ended keeps it.
//!
//! Invariant: what a writer is at work on stays; a sweep that failed is done again with the next one.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// From one sweep to the next; the start sweeps too.
pub const INTERVAL: Duration = Duration::from_secs(3600);

/// Sweeps until told to stop, every `interval`.
pub async fn run(service: Service, interval: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(interval) => {}
            () = stop.cancelled() => return,
        }
        let store = service.store().clone();
        match tokio::task::spawn_blocking(move || store.sweep_unfinished()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(swept)) => tracing::info!(swept, "removed what failed uploads had left"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "what failed uploads may have left stays until the next sweep");
            }
            Err(died) => tracing::error!(%died, "a sweep panicked; it is done again with the next one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::objects::Native;
    use crate::service::testing;
    use crate::store::{Options, Scope};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_left_goes_by_itself_and_an_upload_at_work_ends_well() {
        let folder = tempfile::tempdir().unwrap();
        let medium = Native::open(folder.path()).unwrap();
        let options = Options { pack_bytes: 1 << 20, ..Options::default() };
        let (service, _) = testing::assembled(testing::catalog(), None, medium, options, testing::rules());
        let mut ingest = service.store().ingest(Scope::STORE).unwrap();
        let mut data = vec![0; 3 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut data);
        let (first, rest) = data.split_at(data.len() / 2);
        ingest.write(first.to_vec().into()).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(service.clone(), Duration::from_millis(1), stop.clone()));
        let left = folder.path().join("tmp").join("1-0");
        for _ in 0..3 {
            std::fs::write(&left, b"left over").unwrap();
            let began = Instant::now();
            while left.exists() {
                assert!(began.elapsed() < Duration::from_secs(60), "nobody sweeps");
                sleep(Duration::from_millis(5)).await;
            }
        }
        ingest.write(rest.to_vec().into()).await.unwrap();
        let receipt = ingest.finish(Vec::new()).await.unwrap();
        let (store, content) = (service.store().clone(), receipt.content());
        service.db().write(move |txn| store.publish(txn, &receipt)).unwrap();
        let mut out = vec![0; data.len()];
        service.store().reader(&content).unwrap().read_at(0, &mut out).unwrap();
        assert!(out == data);
        stop.cancel();
        task.await.unwrap();
    }
}
