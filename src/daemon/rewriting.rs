//! Writes packs anew by itself: what reclaiming leaves of them, and what can be compressed better.
//!
//! Invariants: beside clients it works for a share of the time only; outside its window it does
//! nothing; without one, recompressing waits until nobody is served; stopping waits for no run, as
//! one that is cut off loses its present pack's work and nothing else.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::settings;
use super::window::Window;
use crate::base::{Clock, SystemClock};
use crate::service::Service;
use crate::store::{Progress, Rewritten, Wish};

/// Rest after a run, as a multiple of its duration, at least: a run may find nothing to do.
const REST_PER_RUN: u32 = 9;
/// Doublings of the rest while runs fail, or find what they look for in use.
const DOUBLINGS_MAX: u32 = 6;
/// Between two looks for packs that have become old enough.
const DUE_INTERVAL: Duration = Duration::from_secs(600);

/// When packs are written anew.
#[derive(Debug, Clone, Copy)]
pub struct Hours {
    start: Duration,
    interval: Duration,
    window: Option<Window>,
}

impl From<&settings::Reclaim> for Hours {
    /// Of settings that were checked.
    fn from(settings: &settings::Reclaim) -> Hours {
        Hours {
            start: Duration::from_secs(settings.start_delay_s),
            interval: Duration::from_secs(settings.interval_s),
            window: Window::parse(&settings.window).unwrap_or_default(),
        }
    }
}

impl Hours {
    fn are_open(&self) -> bool {
        self.window.is_none_or(|window| window.is_open(SystemClock.now().local_minute()))
    }

    /// Whether recompressing may go on.
    fn suit_recompression(&self, busy: bool) -> bool {
        self.window.is_some() || !busy
    }
}

/// Writes packs anew until told to stop.
pub async fn run(service: Service, hours: Hours, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_rewriting(service, hours, stop.clone()) => {}
    }
}

async fn keep_rewriting(service: Service, hours: Hours, stop: CancellationToken) {
    sleep(hours.start).await;
    let (mut failures, mut looked) = (0u32, None::<Instant>);
    loop {
        let began = Instant::now();
        let due = looked.is_none_or(|at| at.elapsed() >= DUE_INTERVAL);
        let recompress = due && hours.suit_recompression(service.store().is_busy());
        if hours.are_open() && (recompress || wants_compaction(&service).await) {
            let outcome = once(&service, Wish { compact: true, recompress }, hours, stop.clone()).await;
            let done = outcome.is_some_and(|done| done.in_use == 0 && !done.ended_early);
            failures = if done { 0 } else { failures + 1 };
            if recompress && done {
                looked = Some(began);
            }
        }
        let rest = hours.interval.max(began.elapsed() * REST_PER_RUN);
        sleep(rest * 2u32.pow(failures.min(DOUBLINGS_MAX))).await;
    }
}

async fn wants_compaction(service: &Service) -> bool {
    let store = service.store().clone();
    match tokio::task::spawn_blocking(move || store.has_unmarked_packs()).await {
        Ok(Ok(wants)) => wants,
        Ok(Err(error)) => {
            tracing::warn!(%error, "nobody knows whether packs are to be compacted; it is asked again");
            false
        }
        Err(died) => {
            tracing::error!(%died, "looking for packs to compact panicked; it is tried again");
            false
        }
    }
}

/// One run; what it did, unless it failed.
async fn once(service: &Service, wish: Wish, hours: Hours, stop: CancellationToken) -> Option<Rewritten> {
    let service = service.clone();
    let began = Instant::now();
    let work = move || {
        let store = service.store().clone();
        let recompressing = |progress: &Progress| progress.phase == Progress::RECOMPRESSING;
        service.rewrite_packs(wish, &mut |progress| {
            let suits = !recompressing(progress) || hours.suit_recompression(store.is_busy());
            suits && hours.are_open() && !stop.is_cancelled()
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => {
            tell(&done, began.elapsed());
            Some(done)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "packs were not all written anew; it is tried again");
            None
        }
        Err(died) => {
            tracing::error!(%died, "writing packs anew panicked; it is tried again");
            None
        }
    }
}

fn tell(done: &Rewritten, took: Duration) {
    let Rewritten { compacted, recompressed, written_bytes, replaced_bytes, in_use, damaged, ended_early } =
        *done;
    let took_ms = took.as_millis() as u64;
    if compacted + recompressed + damaged > 0 {
        tracing::info!(
            compacted,
            recompressed,
            written_bytes,
            replaced_bytes,
            in_use,
            damaged,
            ended_early,
            took_ms,
            "wrote packs anew"
        );
    } else {
        tracing::debug!(in_use, ended_early, took_ms, "no pack to write anew");
    }
}
