//! How a bucket is spoken to: times, counts and sizes, as plain values.

use std::time::Duration;

/// What may be chosen of a bucket. Legal ranges are the settings' business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketOptions {
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time of one request, its body included.
    pub request_timeout: Duration,
    /// Longest time of one operation, all its tries and the rests between them included.
    pub patience: Duration,
    /// The same for as long as nothing was ever answered: short where something can go on without the
    /// bucket.
    pub first_patience: Duration,
    /// Requests under way at once.
    pub requests_max: usize,
    /// Bytes of a part of a large object; what is smaller goes in one request.
    pub part_bytes: usize,
    /// Memory for parts on their way, of all writers together, in bytes; one part at least.
    pub sending_bytes: usize,
    /// Disk for parts that are being gathered, of all writers together, in bytes; one part at least.
    pub spool_bytes: u64,
    /// What parts leave free on their disk, in bytes.
    pub reserve_bytes: u64,
    /// Whether the bucket is relied on to refuse a name that is taken. Without that, names are
    /// looked at before they are written, which only one box below a prefix may do.
    pub conditional_puts: bool,
}

impl Default for BucketOptions {
    fn default() -> Self {
        BucketOptions {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(60),
            first_patience: Duration::from_secs(60),
            requests_max: 16,
            part_bytes: 8 << 20,
            sending_bytes: 32 << 20,
            spool_bytes: 1 << 30,
            reserve_bytes: 64 << 20,
            conditional_puts: true,
        }
    }
}
