//! How a scrape names the store's figures. Names end in their unit; counters end in `_total`, which
//! the encoder adds.

use super::metrics::Figure;
use crate::service::figures::Figures;

/// What the store holds, did, and has left.
pub(super) fn of_store(figures: &Figures) -> Vec<Figure> {
    let Figures { stored, activity, log_lag, free_bytes } = figures;
    let gauge = Figure::gauge;
    let counter = Figure::counter;
    let mut all = vec![
        gauge("tintype_store_contents", "Image contents stored", stored.contents),
        gauge("tintype_store_content_bytes", "Bytes of them, as clients see them", stored.content_bytes),
        gauge("tintype_store_chunks", "Chunks stored, each once", stored.chunks),
        gauge("tintype_store_chunk_bytes", "Bytes of the chunks before compression", stored.chunk_bytes),
        gauge("tintype_store_packs", "Packs the chunks lie in", stored.packs),
        gauge("tintype_store_stored_bytes", "Bytes of all packs and manifests", stored.stored_bytes),
        gauge(
            "tintype_log_waiting_commits",
            "Commits the store's log did not have when last tried",
            log_lag.entries,
        ),
        gauge("tintype_log_behind_seconds", "Time since the store's log had every commit", log_lag.seconds),
        counter("tintype_store_received_bytes", "Bytes that came in to be stored", activity.received_bytes),
        counter("tintype_store_written_bytes", "Bytes of the objects written", activity.written_bytes),
        counter("tintype_store_reclaims", "Reclaims that ended well", activity.reclaims),
        counter("tintype_store_reclaims_failed", "Reclaims that failed", activity.reclaims_failed),
        counter("tintype_store_reclaimed_bytes", "Bytes given back", activity.reclaimed_bytes),
        counter(
            "tintype_store_compacted_packs",
            "Packs written anew without their dead chunks",
            activity.compacted_packs,
        ),
        counter("tintype_store_recompressed_packs", "Packs compressed better", activity.recompressed_packs),
        counter(
            "tintype_store_rewritten_bytes",
            "Bytes of the objects of such packs",
            activity.rewritten_bytes,
        ),
        counter("tintype_store_damaged_reads", "Reads that met damage", activity.damaged_reads),
    ];
    if let Some(free) = *free_bytes {
        all.push(gauge("tintype_store_free_bytes", "Bytes the medium has left", free));
    }
    all
}
