//! A listing's order: which image comes before which.
//!
//! Invariant: every order is total, because it ends in the id; and a missing value counts as the
//! empty text or zero, exactly as it does in index keys ([`super::rows`]).

use std::cmp::Ordering;

use crate::model::Image;

/// Sort keys of a listing.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    Name,
    Status,
    ContainerFormat,
    DiskFormat,
    Size,
    Id,
    CreatedAt,
    UpdatedAt,
}

impl SortKey {
    fn compare(self, a: &Image, b: &Image) -> Ordering {
        match self {
            SortKey::Name => text(&a.name).cmp(text(&b.name)),
            SortKey::Status => a.status.as_str().cmp(b.status.as_str()),
            SortKey::ContainerFormat => text(&a.container_format).cmp(text(&b.container_format)),
            SortKey::DiskFormat => text(&a.disk_format).cmp(text(&b.disk_format)),
            SortKey::Size => a.size_bytes.unwrap_or(0).cmp(&b.size_bytes.unwrap_or(0)),
            SortKey::Id => a.id.cmp(&b.id),
            SortKey::CreatedAt => a.created_at.cmp(&b.created_at),
            SortKey::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        }
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("")
}

/// A listing's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// Turns an ascending comparison into one of this direction.
    pub(super) fn apply(self, ascending: Ordering) -> Ordering {
        match self {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }
}

/// The whole order of a listing, ties included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order(Vec<(SortKey, Direction)>);

impl Order {
    /// The order that `sort` asks for. Ties are broken by creation time, then id, in the sole
    /// given direction, or else largest first. Keys in `pinned` have one value in every image
    /// that can be listed, and so order nothing.
    pub(super) fn of(sort: &[(SortKey, Direction)], pinned: &[SortKey]) -> Order {
        let ties = match sort {
            [(_, direction)] => *direction,
            _ => Direction::Descending,
        };
        let mut keys: Vec<(SortKey, Direction)> = Vec::new();
        for &(key, direction) in sort.iter().chain(&[(SortKey::CreatedAt, ties), (SortKey::Id, ties)]) {
            if pinned.contains(&key) || keys.iter().any(|(earlier, _)| *earlier == key) {
                continue;
            }
            keys.push((key, direction));
            if key == SortKey::Id {
                break;
            }
        }
        Order(keys)
    }

    pub(super) fn compare(&self, a: &Image, b: &Image) -> Ordering {
        let decide = |&(key, direction): &(SortKey, Direction)| direction.apply(key.compare(a, b));
        self.0.iter().map(decide).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The key that decides first.
    pub(super) fn first(&self) -> (SortKey, Direction) {
        self.0.first().copied().unwrap_or((SortKey::Id, Direction::Descending))
    }

    /// Whether the index of the first key, read in its direction, is in this very order.
    pub(super) fn is_straight(&self) -> bool {
        let (first, direction) = self.first();
        let rest: &[SortKey] = match first {
            SortKey::Id => &[SortKey::Id],
            SortKey::CreatedAt => &[SortKey::CreatedAt, SortKey::Id],
            _ => &[first, SortKey::CreatedAt, SortKey::Id],
        };
        self.0.iter().map(|(key, _)| key).eq(rest) && self.0.iter().all(|(_, d)| *d == direction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Ascending, Descending};
    use SortKey::{CreatedAt, Id, Name, Size};

    #[test]
    fn ties_follow_the_sole_direction_or_the_default() {
        assert_eq!(Order::of(&[], &[]).0, [(CreatedAt, Descending), (Id, Descending)]);
        let sole = Order::of(&[(Name, Ascending)], &[]);
        assert_eq!(sole.0, [(Name, Ascending), (CreatedAt, Ascending), (Id, Ascending)]);
        let two = Order::of(&[(Name, Ascending), (Size, Ascending)], &[]);
        assert_eq!(two.0[2..], [(CreatedAt, Descending), (Id, Descending)]);
    }

    #[test]
    fn nothing_is_ordered_twice_nor_after_the_id() {
        let order =
            Order::of(&[(Name, Ascending), (Name, Descending), (Id, Ascending), (Size, Ascending)], &[]);
        assert_eq!(order.0, [(Name, Ascending), (Id, Ascending)]);
    }

    #[test]
    fn an_order_is_straight_when_one_index_has_it() {
        assert!(Order::of(&[], &[]).is_straight());
        assert!(Order::of(&[(Size, Ascending)], &[]).is_straight());
        assert!(Order::of(&[(Id, Ascending)], &[]).is_straight());
        assert!(!Order::of(&[(Name, Ascending), (CreatedAt, Descending)], &[]).is_straight());
        assert!(!Order::of(&[(Name, Ascending), (Id, Ascending)], &[]).is_straight());
        assert!(Order::of(&[(Name, Ascending), (CreatedAt, Descending)], &[Name]).is_straight());
    }
}
