//! The audit chain's upkeep while a server runs: its first and last record, pruning, forwarding.
//!
//! Invariants: what is recorded is never waited for here; a server of records that is slow or gone holds nothing
//! up, as only records that are committed are read, at its own pace.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::settings::{self, Settings};
use super::syslog::{Syslog, SyslogPlace};
use crate::api::masked;
use crate::service::Service;
use crate::service::audit::Keep;

/// Between two looks for records that are too old.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// Between two looks for records to forward.
const FORWARD_INTERVAL: Duration = Duration::from_secs(1);
/// Longest rest after the server of records did not answer.
const REST_MAX: Duration = Duration::from_secs(60);
/// Records that are forwarded at once.
const BATCH: usize = 256;

/// Records that the box begins to serve, and with which settings: those that are not the default.
pub(super) fn begin(service: &Service, settings: &Settings) -> Result<(), Error> {
    service.record_start(env!("CARGO_PKG_VERSION"), differing(settings))?;
    tell_head(service);
    Ok(())
}

/// Records that it ends.
pub(super) fn end(service: &Service, error: Option<&Error>) {
    let reason = error.map_or_else(|| "told to stop".to_owned(), |error| format!("{error}"));
    match service.record_stop(&reason) {
        Ok(()) => tell_head(service),
        Err(error) => tracing::warn!(%error, "the end of the service is not on record"),
    }
}

/// Where the chain ends, for the log: whoever keeps that elsewhere can see later that nothing was cut off.
fn tell_head(service: &Service) {
    match service.audit_head() {
        Ok(head) => tracing::info!(%head, "the audit chain ends here"),
        Err(error) => tracing::warn!(%error, "the audit chain's end cannot be told"),
    }
}

/// The settings that are not the default, as JSON without secrets.
fn differing(settings: &Settings) -> String {
    let table = |settings: &Settings| serde_json::to_value(settings).unwrap_or_default();
    let (mut found, default) = (table(settings), table(&Settings::default()));
    if let Some(sections) = found.as_object_mut() {
        for (name, section) in sections.iter_mut() {
            if let Some(members) = section.as_object_mut() {
                members.retain(|key, value| default[name.as_str()].get(key) != Some(&*value));
            }
        }
        sections.retain(|_, section| section.as_object().is_none_or(|members| !members.is_empty()));
    }
    masked(found.to_string().as_bytes()).unwrap_or_default()
}

/// Prunes and forwards until told to stop.
pub(super) async fn run(service: Service, settings: settings::Audit, stop: CancellationToken) {
    let place = match SyslogPlace::parse(&settings.syslog) {
        Ok(place) => place,
        Err(error) => {
            tracing::error!(%error, "audit records are not forwarded");
            None
        }
    };
    tokio::join!(prune(&service, &settings, &stop), forward(&service, place, &stop));
}

async fn prune(service: &Service, settings: &settings::Audit, stop: &CancellationToken) {
    let keep = Keep { days: settings.keep_days, records_max: settings.records_max };
    loop {
        let looked = service.clone();
        let pruned = spawn_blocking(move || {
            looked.record_skipped_refusals()?;
            looked.prune_audit(keep)
        });
        match pruned.await {
            Ok(Ok(0)) => {}
            Ok(Ok(records)) => tracing::info!(records, "removed audit records that were kept long enough"),
            Ok(Err(error)) => tracing::warn!(%error, "old audit records stay for now; it is tried again"),
            Err(died) => tracing::error!(%died, "pruning the audit chain panicked; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn forward(service: &Service, place: Option<SyslogPlace>, stop: &CancellationToken) {
    let Some(place) = place else { return };
    let mut syslog = Syslog::new(place);
    let (mut failures, mut failing_since) = (0u32, None);
    loop {
        let rest = match forward_all(service, &mut syslog, stop).await {
            Ok(()) => {
                if failing_since.take().is_some() {
                    tracing::info!("audit records are forwarded again");
                }
                failures = 0;
                FORWARD_INTERVAL
            }
            Err(error) => {
                if failing_since.is_none() {
                    failing_since = Some(Instant::now());
                    tracing::warn!(%error, "audit records cannot be forwarded now; none is lost, it is tried again");
                }
                failures = failures.saturating_add(1);
                FORWARD_INTERVAL.saturating_mul(2u32.saturating_pow(failures)).min(REST_MAX)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sends what is on record and was not sent, and notes how far it came after each batch.
async fn forward_all(service: &Service, syslog: &mut Syslog, stop: &CancellationToken) -> Result<(), String> {
    while !stop.is_cancelled() {
        let asked = service.clone();
        let traces = spawn_blocking(move || asked.unforwarded_traces(BATCH)).await;
        let traces = traces.map_err(|died| died.to_string())?.map_err(|error| error.to_string())?;
        let Some(last) = traces.last().map(|trace| trace.seq) else { return Ok(()) };
        tokio::select! {
            sent = syslog.send(&traces) => sent.map_err(|error| error.to_string())?,
            () = stop.cancelled() => return Ok(()),
        }
        let noted = service.clone();
        let noted = spawn_blocking(move || noted.set_forwarded_traces(last)).await;
        noted.map_err(|died| died.to_string())?.map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing;

    #[test]
    fn a_start_is_on_record_with_the_settings_that_differ_and_none_of_their_secrets() {
        let mut settings = Settings::default();
        settings.store.key_command = vec!["get-key".into(), "--pin=marked".into()];
        settings.images.bytes_max = 1 << 30;
        assert_eq!(
            differing(&settings),
            r#"{"store":{"key_command":"***"},"images":{"bytes_max":1073741824}}"#
        );
        let (service, _) = testing::service();
        begin(&service, &settings).unwrap();
        end(&service, None);
        let admin = service.local_admin().unwrap();
        let query = crate::service::audit::Query { limit: 2, ..Default::default() };
        let page = service.audit_traces(&admin, &query).unwrap();
        let told: Vec<_> = page.traces.iter().map(|trace| trace.content.operation.as_str()).collect();
        assert_eq!(told, ["stopService", "startService"]);
        assert!(page.traces[1].content.request.contains("1073741824"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn records_are_forwarded_in_order_once_and_a_dead_server_stops_nobody() {
        let (service, _) = testing::service();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let place = SyslogPlace::parse(&format!("unix:{}", path.display())).unwrap();
        let mut syslog = Syslog::new(place.unwrap());
        let stop = CancellationToken::new();
        assert!(forward_all(&service, &mut syslog, &stop).await.is_err(), "nobody is there");
        service.record_stop("while nobody was there").unwrap();
        let server = tokio::net::UnixDatagram::bind(&path).unwrap();
        forward_all(&service, &mut syslog, &stop).await.unwrap();
        assert_eq!(service.unforwarded_traces(1).unwrap(), []);
        let mut buffer = vec![0; 65536];
        let head = service.audit_head().unwrap().seq;
        for seq in 1..=head {
            let read = server.recv(&mut buffer).await.unwrap();
            let line = String::from_utf8_lossy(&buffer[..read]).into_owned();
            assert!(line.contains(&format!("\"seq\":{seq},")), "{line}");
        }
    }
}
