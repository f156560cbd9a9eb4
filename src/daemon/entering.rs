//! Waits for a bucket that did not answer when the box was started, and has the store recognise it.
//!
//! Invariant: a bucket that does not answer is tried every second, as that costs one request; one that answers and
//! cannot be used is tried less and less often, and each time the log says why. Must not know by what
//! the store recognises it.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use crate::store;

/// From one try to the next.
const REST_MIN: Duration = Duration::from_secs(1);
/// Longest rest while the bucket answers and cannot be used.
const REST_MAX: Duration = Duration::from_secs(60);

/// Tries until the store lets everybody in, or until told to stop.
pub async fn run(service: &Service, stop: &CancellationToken) {
    let mut refusals = 0;
    while !service.store().is_entered() {
        tokio::select! {
            () = sleep(rest(refusals)) => {}
            () = stop.cancelled() => return,
        }
        let store = service.store().clone();
        match tokio::task::spawn_blocking(move || store.enter()).await {
            Ok(Ok(())) => tracing::info!("the store's medium was recognised; image data is served again"),
            Ok(Err(store::Error::Away { why, .. })) => {
                tracing::debug!(%why, "the store's medium does not answer yet");
                refusals = 0;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the store's medium answers, but cannot be used; it is tried again");
                refusals += 1;
            }
            Err(died) => {
                tracing::error!(%died, "recognising the store's medium panicked; it is tried again");
                refusals += 1;
            }
        }
    }
}

/// The same for the places beside the home, each of which is used as soon as it was recognised.
pub async fn run_places(service: Service, stop: CancellationToken) {
    let mut refusals = 0;
    while !service.store().has_entered_places() {
        tokio::select! {
            () = sleep(rest(refusals)) => {}
            () = stop.cancelled() => return,
        }
        let store = service.store().clone();
        match tokio::task::spawn_blocking(move || store.enter_places()).await {
            Ok(Ok(())) => tracing::info!("all places of the store were recognised"),
            Ok(Err(error)) if error.is_absence() => {
                tracing::debug!(%error, "a place of the store does not answer yet");
                refusals = 0;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a place of the store answers, but cannot be used; it is tried again");
                refusals += 1;
            }
            Err(died) => {
                tracing::error!(%died, "recognising a place panicked; it is tried again");
                refusals += 1;
            }
        }
    }
}

/// How long to rest when the medium was of no use so many times in a row.
fn rest(refusals: u32) -> Duration {
    REST_MIN.saturating_mul(2u32.saturating_pow(refusals)).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_of_no_use_is_tried_less_and_less_often() {
        assert_eq!((rest(0), rest(1), rest(3)), (REST_MIN, 2 * REST_MIN, 8 * REST_MIN));
        assert_eq!(rest(1000), REST_MAX);
    }
}
