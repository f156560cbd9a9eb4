//! Ends uploads in parts for which nothing has come for too long, purges deleted images that were retained for long
//! enough, and removes links whose time is over.
//!
//! Invariant: a look that fails is made again; stopping does not wait for the next one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// The longest time between two looks.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// The shortest.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Looks until told to stop; at once, and then again and again, so often that an upload outlives its
/// time, `expiry`, by a quarter of it at most.
pub async fn run(service: Service, expiry: Duration, stop: CancellationToken) {
    let interval = (expiry / 4).clamp(INTERVAL_MIN, INTERVAL_MAX);
    loop {
        let looked = service.clone();
        match tokio::task::spawn_blocking(move || looked.expire_uploads()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(uploads)) => tracing::info!(uploads, "gave up unfinished uploads that had expired"),
            Ok(Err(error)) => tracing::warn!(%error, "expired uploads stay for now; it is tried again"),
            Err(died) => tracing::error!(%died, "looking for expired uploads panicked; it is tried again"),
        }
        let looked = service.clone();
        match tokio::task::spawn_blocking(move || looked.purge_expired_images()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(images)) => tracing::info!(images, "purged deleted images that had been retained"),
            Ok(Err(error)) => tracing::warn!(%error, "deleted images stay for now; it is tried again"),
            Err(died) => tracing::error!(%died, "purging deleted images panicked; it is tried again"),
        }
        let looked = service.clone();
        match tokio::task::spawn_blocking(move || looked.purge_ended_links()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(links)) => tracing::info!(links, "removed links to images that had expired"),
            Ok(Err(error)) => tracing::warn!(%error, "expired links stay for now; it is tried again"),
            Err(died) => tracing::error!(%died, "removing expired links panicked; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
    }
}
