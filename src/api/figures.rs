//! How a scrape names the store's figures. Names end in their unit; counters end in `_total`, which
//! the encoder adds.

use super::metrics::Figure;
use crate::model::disk_traffic::TrafficFigures;
use crate::objects::{CacheTraffic, Traffic};
use crate::service::figures::Figures;

/// What the store holds, did, and has left.
pub(super) fn of_store(figures: &Figures) -> Vec<Figure> {
    let Figures {
        used,
        stored,
        activity,
        damage,
        parity,
        scrub_completed_at,
        log_lag,
        free_bytes,
        traffic,
        reachable,
        recognised,
        places_away,
        disks,
    } = figures;
    let gauge = Figure::gauge;
    let counter = Figure::counter;
    let mut all = vec![
        gauge("tintype_images", "Images, those without data included", used.images + used.killed),
        gauge("tintype_image_bytes", "Bytes of their data, as clients see it", used.image_bytes),
        gauge("tintype_images_uploading", "Images whose data is on its way", used.uploading),
        gauge("tintype_reserved_bytes", "Bytes reserved for data on its way", used.reserved_bytes),
        gauge("tintype_deleted_images", "Deleted images that are retained", used.deleted_images),
        gauge("tintype_deleted_image_bytes", "Bytes of their data", used.deleted_image_bytes),
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
        counter(
            "tintype_store_duplicate_bytes",
            "Bytes, before compression, that were found stored twice",
            activity.duplicate_bytes,
        ),
        counter(
            "tintype_store_shared_streams",
            "Streams that were given one copy of such bytes",
            activity.shared_streams,
        ),
        counter(
            "tintype_store_kept_recipes",
            "Compressed images that are kept by recipes since the start",
            activity.kept_recipes,
        ),
        counter("tintype_store_damaged_reads", "Reads that met damage", activity.damaged_reads),
    ];
    all.extend([
        gauge("tintype_damaged_packs", "Packs known to be damaged", damage.packs),
        gauge("tintype_damaged_manifests", "Manifests known to be damaged", damage.manifests),
        gauge("tintype_damaged_images", "Images that lost data by it", damage.contents),
        gauge("tintype_parity_objects", "Packs and manifests that have parity", parity.objects),
        gauge("tintype_parity_bytes", "Bytes of the parity", parity.bytes),
        counter(
            "tintype_repaired_objects",
            "Damaged objects repaired with parity",
            activity.repaired_objects,
        ),
        counter(
            "tintype_copied_objects",
            "Damaged objects put right from a copy of the store",
            activity.copied_objects,
        ),
        counter("tintype_scrubbed_bytes", "Stored bytes compared by scrubs", activity.scrubbed_bytes),
        counter("tintype_healed_objects", "Damaged objects written anew", activity.healed_objects),
    ]);
    if let Some(at) = scrub_completed_at {
        let seconds = u64::try_from(at.seconds()).unwrap_or(0);
        all.push(gauge(
            "tintype_scrub_completed_timestamp_seconds",
            "When the last scrub was complete",
            seconds,
        ));
    }
    all.push(gauge("tintype_store_reachable", "Whether image data can be reached", (*reachable).into()));
    let help = "Whether the store's medium was recognised since the start";
    all.push(gauge("tintype_store_recognised", help, (*recognised).into()));
    all.extend(of_disks(disks));
    all.push(gauge("tintype_places_away", "Stores beside the home that do not answer", *places_away));
    if let Some(traffic) = traffic {
        all.extend(of_bucket(traffic));
    }
    if let Some(free) = *free_bytes {
        all.push(gauge("tintype_store_free_bytes", "Bytes the medium has left", free));
    }
    all
}

/// What passed between disks and those who have them.
fn of_disks(disks: &TrafficFigures) -> Vec<Figure> {
    let TrafficFigures { connections, connected, turned_away, requests, refused, sent_bytes, received_bytes } =
        *disks;
    let counter = Figure::counter;
    vec![
        Figure::gauge("tintype_nbd_connections", "Connections to disks that are open", connections),
        counter("tintype_nbd_connected", "Connections that got a disk", connected),
        counter("tintype_nbd_turned_away", "Connections that got none", turned_away),
        counter("tintype_nbd_requests", "Requests to disks", requests),
        counter("tintype_nbd_requests_failed", "Those that were answered with an error", refused),
        counter("tintype_nbd_sent_bytes", "Bytes of disks that were sent, holes included", sent_bytes),
        counter("tintype_nbd_received_bytes", "Bytes that were written to disks", received_bytes),
    ]
}

/// What passed between the store and its bucket.
fn of_bucket(traffic: &Traffic) -> Vec<Figure> {
    let Traffic { requests, requests_failed, retries, given_up, cache } = *traffic;
    let counter = Figure::counter;
    let mut all = vec![
        counter("tintype_bucket_requests", "Requests sent to the bucket", requests),
        counter(
            "tintype_bucket_requests_failed",
            "Those that it did not answer, or not then",
            requests_failed,
        ),
        counter("tintype_bucket_retries", "Tries after such a request", retries),
        counter("tintype_bucket_given_up", "Operations on the bucket that ran out of time", given_up),
    ];
    if let Some(CacheTraffic { hits, misses, hit_bytes, held_bytes }) = cache {
        all.extend([
            counter("tintype_cache_hits", "Blocks of objects found in the cache on disk", hits),
            counter("tintype_cache_misses", "Blocks that had to come from the bucket", misses),
            counter("tintype_cache_hit_bytes", "Bytes read from the cache", hit_bytes),
            Figure::gauge("tintype_cache_held_bytes", "Bytes the cache holds", held_bytes),
        ]);
    }
    all
}
