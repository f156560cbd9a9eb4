//! How the memory ceiling is divided among the parts of a box: the one place that knows them all.
//!
//! Invariant: what the parts may hold, and what they cost beside that, together stay below the
//! ceiling. Must not know what a part does with its share.

use super::medium;
use super::settings::Settings;

/// The program's own file and tables, and one password's hash or the stacks of as many threads as transfers keep busy, in bytes.
const PROGRAM_BYTES: u64 = 36 << 20;
/// What a bucket takes beside that: one part at least on its way, the client's own copies of it, and its
/// connections.
const BUCKET_BYTES: u64 = 16 << 20;
/// Catalog pages get a setting's worth, and of small ceilings one byte in so many.
const CATALOG_SHARE: u64 = 16;
/// Half of the rest is for what transfers cost beside the bytes they are counted by: threads, contexts
/// of the compressor, connections, and what the allocator holds back.
const TRANSFERS_SHARE: u64 = 2;
/// With less nothing would move; the smallest ceiling has that much beside a bucket.
const TRANSFERS_MIN: u64 = 6 << 20;
/// Of what transfers may hold, one byte in so many is for parts on their way to a bucket.
const SENDING_SHARE: u64 = 4;
/// Of what transfers may hold, one byte in so many is for tables and decoded parts of disks, and as many for the tables
/// of those that are open.
const DISKS_SHARE: u64 = 32;
/// The same for layouts of files of other formats that disks leave as.
const LAYOUTS_SHARE: u64 = 64;
/// Of what transfers may hold beyond the least, one byte in so many is for parts of such files that were made and not taken
/// yet. Without any, each reader gets them one by one.
const EXPORTS_SHARE: u64 = 8;
/// An image may fall into one piece for this much of what transfers may hold, in bytes.
const EXTENT_SHARE: u64 = 64;
/// A connection's buffer is one byte in so many, within bounds.
const CONNECTION_SHARE: u64 = 2048;
/// Less would cost a request to the kernel for every few KiB.
const CONNECTION_BYTES_MIN: u64 = 32 << 10;
/// More makes nothing faster, and would be a large block to the allocator.
const CONNECTION_BYTES_MAX: u64 = 96 << 10;
/// A connection whose client is slow holds a frame beside its buffers: there may be one for this much.
const CONNECTION_COST: u64 = 512 << 10;
/// What a connection holds of that while all are in use: half of them, those that download, a frame each.
const CONNECTION_HELD: u64 = 64 << 10;

/// Where disks are served, one byte in so many of what transfers may hold is for replies on their way.
const REPLIES_SHARE: u64 = 8;
/// A connection to a disk holds two pieces, and replies that are written together, beside that: there may be one for this much of the ceiling.
const DISK_CONNECTION_COST: u64 = 4 << 20;
/// What it holds of that.
const DISK_CONNECTION_HELD: u64 = 576 << 10;

/// The shares, in bytes unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Catalog pages.
    pub catalog_cache: usize,
    /// The store: transfers, footers, frames.
    pub store: usize,
    /// Parts on their way to a bucket.
    pub sending: usize,
    /// Tables and decoded parts of disks, and as many for tables of those that are open.
    pub disks: usize,
    /// Replies about disks that are on their way; 0 where no disks are served.
    pub disk_replies: usize,
    /// Connections to disks at once, in number.
    pub disk_connections_max: usize,
    /// Layouts of files in other formats.
    pub layouts: usize,
    /// Parts of files in other formats, made and not taken yet.
    pub exports: usize,
    /// What one connection may buffer each way.
    pub connection_buffer: usize,
    /// Connections open at once, in number.
    pub connections_max: usize,
    /// Pieces an image may fall into, in number.
    pub extents_max: usize,
}

/// Divides the ceiling that the settings name.
pub(super) fn divide(settings: &Settings) -> Shares {
    let ceiling = settings.store.memory_bytes;
    let catalog_cache = settings.store.catalog_cache_bytes.min(ceiling / CATALOG_SHARE);
    let is_bucket = medium::is_bucket(settings);
    let connections_max = settings.server.connections_max.min((ceiling / CONNECTION_COST) as usize);
    let connections = connections_max as u64 * CONNECTION_HELD;
    let disk_connections_max = match settings.nbd.is_on() {
        true => settings.nbd.connections_max.min((ceiling / DISK_CONNECTION_COST) as usize),
        false => 0,
    };
    let to_disks = disk_connections_max as u64 * DISK_CONNECTION_HELD;
    let fixed = PROGRAM_BYTES + connections + to_disks + if is_bucket { BUCKET_BYTES } else { 0 };
    let transfers = (ceiling.saturating_sub(fixed + catalog_cache) / TRANSFERS_SHARE).max(TRANSFERS_MIN);
    let sending = if is_bucket { transfers / SENDING_SHARE } else { 0 };
    let disk_replies = if settings.nbd.is_on() { transfers / REPLIES_SHARE } else { 0 };
    let (disks, layouts) = (transfers / DISKS_SHARE, transfers / LAYOUTS_SHARE);
    let exports = (transfers - TRANSFERS_MIN) / EXPORTS_SHARE;
    let connection = (ceiling / CONNECTION_SHARE).clamp(CONNECTION_BYTES_MIN, CONNECTION_BYTES_MAX);
    Shares {
        catalog_cache: catalog_cache as usize,
        store: (transfers - sending - disk_replies - 2 * disks - layouts - exports) as usize,
        sending: sending as usize,
        disks: disks as usize,
        layouts: layouts as usize,
        exports: exports as usize,
        disk_replies: disk_replies as usize,
        disk_connections_max,
        connection_buffer: connection as usize,
        connections_max,
        extents_max: (transfers / EXTENT_SHARE) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(ceiling: u64, is_bucket: bool) -> Shares {
        shares_beside(ceiling, is_bucket, false)
    }

    fn shares_beside(ceiling: u64, is_bucket: bool, serves_disks: bool) -> Shares {
        let mut settings = Settings::default();
        if serves_disks {
            settings.nbd.listen = "127.0.0.1:10809".into();
        }
        settings.store.memory_bytes = ceiling;
        if is_bucket {
            settings.store.location = "s3://images/box".into();
        }
        divide(&settings)
    }

    #[test]
    fn p5_the_shares_stay_below_the_ceiling() {
        for ceiling in [64 << 20, 128 << 20, 256 << 20, 4 << 30] {
            for is_bucket in [false, true] {
                let Shares { catalog_cache, store, sending, disks, layouts, exports, .. } =
                    shares(ceiling, is_bucket);
                let transfers = store + sending + 2 * disks + layouts + exports;
                assert!((catalog_cache + 2 * transfers) as u64 + PROGRAM_BYTES <= ceiling);
                assert!(store >= 4 << 20 && catalog_cache >= 4 << 20);
                assert_eq!(sending > 0, is_bucket);
            }
        }
    }

    #[test]
    fn p5_disks_that_are_served_have_their_share_of_the_ceiling() {
        for ceiling in [64 << 20, 256 << 20, 4 << 30] {
            let Shares { catalog_cache, store, disks, disk_replies, disk_connections_max, .. } =
                shares_beside(ceiling, false, true);
            let held = disk_connections_max as u64 * DISK_CONNECTION_HELD + disk_replies as u64;
            let all = (catalog_cache + 2 * (store + 2 * disks)) as u64 + PROGRAM_BYTES + held;
            assert!(all <= ceiling, "{all} of {ceiling}");
            assert!(store >= 3 << 20 && disk_replies >= 768 << 10 && disk_connections_max >= 16);
        }
        assert_eq!(shares(256 << 20, false).disk_connections_max, 0);
    }

    #[test]
    fn the_catalog_gets_no_more_than_its_setting() {
        assert_eq!(
            shares(4 << 30, false).catalog_cache as u64,
            Settings::default().store.catalog_cache_bytes
        );
    }
}
