//! Writes packs anew by itself: what reclaiming leaves of them, and what can be compressed better; and
//! looks for what is stored twice.
//!
//! Invariants: beside clients it works for a share of the time only; outside its window it does
//! nothing; without one, recompressing, comparing and beginning a recipe wait until nobody is served; stopping waits for no run,
//! as one that is cut off loses its present pack's or image's work and nothing else.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::settings;
use super::window::Window;
use crate::base::{Clock, SystemClock};
use crate::model::job::JobKind;
use crate::service::Service;
use crate::service::images::Kept;
use crate::store::{Compare, Error, Progress, Rewritten, Shared, Wish};

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
    /// Between two comparisons of packs, in seconds; 0 for none.
    dedup_interval_s: u64,
    /// Time without a read after which an image is idle, in seconds.
    recipes_idle_s: i64,
    window: Option<Window>,
}

impl From<&settings::Reclaim> for Hours {
    /// Of settings that were checked.
    fn from(settings: &settings::Reclaim) -> Hours {
        Hours {
            start: Duration::from_secs(settings.start_delay_s),
            interval: Duration::from_secs(settings.interval_s),
            dedup_interval_s: settings.dedup_interval_s,
            recipes_idle_s: settings.recipes_idle_s as i64,
            window: Window::parse(&settings.window).unwrap_or_default(),
        }
    }
}

impl Hours {
    fn are_open(&self) -> bool {
        self.window.is_none_or(|window| window.is_open(SystemClock.now().local_minute()))
    }

    /// Whether what can wait may go on.
    fn suit_what_can_wait(&self, busy: bool) -> bool {
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
        let suits = hours.suit_what_can_wait(service.store().is_busy());
        let recompress = due && suits;
        // Apart from the others, so that none keeps the space from coming back. What was shared is
        // compacted right after.
        if hours.are_open() && suits && wants_comparison(&service, hours).await {
            let wish = Wish { dedup: Some(Compare::New), ..Wish::default() };
            let _ = once(&service, wish, hours, stop.clone()).await;
        }
        if hours.are_open() && suits && service.wants_recipes() {
            keep_recipes(&service, hours, stop.clone()).await;
        }
        let waits = service.has_waiting_job(JobKind::Reclaim);
        if hours.are_open() && (recompress || waits || wants_compaction(&service).await) {
            let outcome =
                once(&service, Wish { dedup: None, compact: true, recompress }, hours, stop.clone()).await;
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
    wants(move || store.has_unmarked_packs()).await
}

async fn wants_comparison(service: &Service, hours: Hours) -> bool {
    let store = service.store().clone();
    hours.dedup_interval_s > 0 && wants(move || store.has_uncompared_packs(hours.dedup_interval_s)).await
}

async fn wants(ask: impl FnOnce() -> Result<bool, Error> + Send + 'static) -> bool {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(wants)) => wants,
        Ok(Err(error)) => {
            tracing::warn!(%error, "nobody knows whether packs want upkeep; it is asked again");
            false
        }
        Err(died) => {
            tracing::error!(%died, "looking for packs that want upkeep panicked; it is tried again");
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
        service.rewrite_packs(wish, &mut |progress| {
            let suits = !progress.can_wait() || hours.suit_what_can_wait(store.is_busy());
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

/// One run over compressed images; what it lets go of is compacted right after. One that was begun is finished, at the pace that
/// clients leave: given up whenever somebody came, a large one would begin anew for ever.
async fn keep_recipes(service: &Service, hours: Hours, stop: CancellationToken) {
    let service = service.clone();
    let began = Instant::now();
    let work = move || {
        let store = service.store().clone();
        service.keep_idle_recipes(hours.recipes_idle_s, &mut |progress| {
            let suits = !is_beginning(progress) || hours.suit_what_can_wait(store.is_busy());
            suits && hours.are_open() && !stop.is_cancelled()
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(kept)) if kept.streams + kept.left_alone() > 0 => {
            let Kept { streams, packed_bytes, correction_bytes, ended_early, .. } = kept;
            let left_alone = kept.left_alone();
            let took_ms = began.elapsed().as_millis() as u64;
            tracing::info!(
                streams,
                packed_bytes,
                correction_bytes,
                left_alone,
                ended_early,
                took_ms,
                "kept compressed images by recipes"
            );
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "images were not kept by recipes; it is tried again"),
        Err(died) => tracing::error!(%died, "keeping images by recipes panicked; it is tried again"),
    }
}

/// Whether nothing is done yet of a stream that is kept by a recipe.
fn is_beginning(progress: &Progress) -> bool {
    progress.phase == Progress::TAKING_APART && progress.done_bytes == 0
}

fn tell(done: &Rewritten, took: Duration) {
    let Rewritten {
        shared,
        compacted,
        recompressed,
        written_bytes,
        replaced_bytes,
        in_use,
        damaged,
        ended_early,
    } = *done;
    let took_ms = took.as_millis() as u64;
    if shared.packs > 0 {
        let Shared { packs, chunks, bytes, streams, left_alone, damaged } = shared;
        tracing::info!(packs, chunks, bytes, streams, left_alone, damaged, took_ms, "compared packs");
    }
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
