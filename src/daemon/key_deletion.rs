//! Deletes custom keys whose time has come.
//!
//! Invariant: a look that fails is made again; stopping does not wait for the next one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// From one look to the next. A key waits for days, so that a minute more does not matter.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// Looks until told to stop; at once, and then again and again.
pub async fn run(service: Service, interval: Duration, stop: CancellationToken) {
    loop {
        let looked = service.clone();
        match tokio::task::spawn_blocking(move || looked.delete_due_keys()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "a custom key that is due stays for now; it is tried again")
            }
            Err(died) => tracing::error!(%died, "deleting custom keys panicked; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyState;
    use crate::service::custom_keys::NewCustomKey;
    use crate::service::testing;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_key_goes_when_it_is_due_and_not_before() {
        let (service, clock) = testing::sealed_service(testing::rules());
        let actor = service.local_admin().unwrap();
        let new = NewCustomKey { alias: "gold".into(), ..NewCustomKey::default() };
        let key = service.create_custom_key(&actor, new).unwrap().id.to_string();
        service.schedule_key_deletion(&actor, &key, 7).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(service.clone(), Duration::from_millis(1), stop.clone()));
        let state = || service.custom_key(&actor, &key).unwrap().state;
        clock.step_seconds(7 * 86_400 - 60);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(state(), KeyState::PendingDeletion(_)));
        clock.step_seconds(120);
        while !matches!(state(), KeyState::Deleted(_)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        task.await.unwrap();
    }
}
