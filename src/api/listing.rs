//! Words of image listings that more than one protocol has: by what a listing is sorted, and times to compare with.
//!
//! Invariant: a word means the same in all of them. Must not know how a protocol refuses one.

use crate::base::Time;
use crate::service::images::{Comparison, Direction, SortKey};

/// The keys that [`sort_key`] knows, for whoever named another.
pub const SORT_KEYS: &str = "name, status, container_format, disk_format, size, id, created_at or updated_at";

/// The operators that [`time_bound`] knows, for whoever wrote something else.
pub const TIME_FORM: &str = "a time, after gt: gte: lt: lte: eq: or neq:, or alone";

/// A key of `sort_key`.
pub fn sort_key(text: &str) -> Option<SortKey> {
    Some(match text {
        "name" => SortKey::Name,
        "status" => SortKey::Status,
        "container_format" => SortKey::ContainerFormat,
        "disk_format" => SortKey::DiskFormat,
        "size" => SortKey::Size,
        "id" => SortKey::Id,
        "created_at" => SortKey::CreatedAt,
        "updated_at" => SortKey::UpdatedAt,
        _ => return None,
    })
}

/// `asc` or `desc`.
pub fn direction(text: &str) -> Option<Direction> {
    match text {
        "asc" => Some(Direction::Ascending),
        "desc" => Some(Direction::Descending),
        _ => None,
    }
}

/// `op:TIME`, or a time alone for equality.
pub fn time_bound(value: &str) -> Option<(Comparison, Time)> {
    let (comparison, time) = match value.split_once(':') {
        Some(("gt", time)) => (Comparison::Greater, time),
        Some(("gte", time)) => (Comparison::GreaterOrEqual, time),
        Some(("lt", time)) => (Comparison::Less, time),
        Some(("lte", time)) => (Comparison::LessOrEqual, time),
        Some(("eq", time)) => (Comparison::Equal, time),
        Some(("neq", time)) => (Comparison::NotEqual, time),
        _ => (Comparison::Equal, value),
    };
    Some((comparison, Time::parse(time)?))
}
