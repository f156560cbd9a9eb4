//! Pages of a listing: chooses the index rows to walk, and walks no further than the page needs.
//!
//! Three ways, in order of preference: rows already in the listing's order; a few rows picked by
//! a filter, sorted here; rows in the order of the first key, sorted here group by group.

use std::cmp::Ordering;

use super::filters::{Absent, Filters, NumberBounds, PropertyTest, Standing, TagTest, time_window};
use super::order::{Direction, Order, SortKey};
use super::rows::{self, Column};
use super::sources::{Sources, Viewer, Window};
use crate::base::Time;
use crate::catalog::error::Error;
use crate::catalog::members;
use crate::db::{Key, ReadTxn};
use crate::model::{Image, ImageId, Visibility};

/// Rows that are gathered and sorted before any thought is given to a cheaper way.
const GATHER_ROWS_MIN: usize = 256;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// For whom.
    pub viewer: Viewer,
    /// What to leave out.
    pub filters: Filters,
    /// The order; ties are broken by creation time, then id, as the Image API says.
    pub sort: Vec<(SortKey, Direction)>,
    /// The last image of the page before.
    pub after: Option<ImageId>,
    /// Rows at most.
    pub limit: usize,
}

/// The page. `after` must exist (the caller has checked): when it does not, the page is empty.
///
/// # Errors
/// When the database fails.
pub fn list(read: &ReadTxn, query: &ListQuery) -> Result<Vec<Image>, Error> {
    list_gathering(read, query, GATHER_ROWS_MIN)
}

/// As [`list`], with another [`GATHER_ROWS_MIN`].
pub(super) fn list_gathering(
    read: &ReadTxn,
    query: &ListQuery,
    gather_rows_min: usize,
) -> Result<Vec<Image>, Error> {
    let after = match &query.after {
        None => None,
        Some(id) => match super::get(read, id)? {
            Some(image) => Some(image),
            None => return Ok(Vec::new()),
        },
    };
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let picks = picks(&query.filters);
    let pinned: Vec<SortKey> = picks.iter().filter_map(|pick| pick.pinned(after.as_ref())).collect();
    let listing = Listing {
        read,
        filters: &query.filters,
        sources: Sources::open(read, &query.viewer, &query.filters)?,
        order: Order::of(&query.sort, &pinned),
        after,
        limit: query.limit,
        gather_rows_min,
        kept_only: matches!(query.viewer, Viewer::Project { .. })
            && query.filters.standing == Some(Standing::Kept),
    };
    listing.page(picks.into_iter().next())
}

/// Rows that a filter picks: those of a column that hold one of some values.
struct Pick {
    column: Column,
    values: Vec<Key>,
    /// Rows of another column that are picked as well.
    also: Option<(Column, Vec<Key>)>,
    /// Whether one image may have several of these rows, or they come in no order.
    overlaps: bool,
}

impl Pick {
    fn new(column: Column, values: impl IntoIterator<Item = Key>) -> Pick {
        let mut values: Vec<Key> = values.into_iter().collect();
        values.sort_by(|a, b| a.bytes().cmp(b.bytes()));
        values.dedup_by(|a, b| a.bytes() == b.bytes());
        Pick { column, values, also: None, overlaps: false }
    }

    /// The sort key that has the same value in every row picked, and in the marker too: one with
    /// another value lies wholly before or behind them.
    fn pinned(&self, after: Option<&Image>) -> Option<SortKey> {
        let key = match self.column {
            Column::Name => SortKey::Name,
            Column::Status => SortKey::Status,
            Column::ContainerFormat => SortKey::ContainerFormat,
            Column::DiskFormat => SortKey::DiskFormat,
            Column::Size => SortKey::Size,
            _ => return None,
        };
        let [value] = self.values.as_slice() else { return None };
        if self.overlaps {
            return None;
        }
        let shared = after.is_none_or(|after| rows::value(after, key).bytes() == value.bytes());
        shared.then_some(key)
    }
}

/// Every pick that the filters allow, the likely smallest first.
fn picks(filters: &Filters) -> Vec<Pick> {
    let ids = filters.ids.as_ref().map(|ids| {
        Pick::new(Column::Id, ids.iter().filter_map(|id| ImageId::parse(id)).map(|id| rows::id_value(&id)))
    });
    let checksum = filters.checksum.as_ref().map(|checksum| {
        let md5 = hex::decode(checksum).ok().filter(|md5| md5.len() == 16);
        Pick::new(Column::Checksum, md5.map(|md5| Key::new().fixed(&md5)))
    });
    let property =
        |(name, value): (&String, &String)| Pick::new(Column::Property, [rows::property_value(name, value)]);
    let size = filters.size.min.filter(|min| filters.size.max == Some(*min));
    let mut picks: Vec<Pick> = ids.into_iter().chain(checksum).collect();
    picks.extend(words(Column::Name, &filters.names));
    picks.extend(filters.properties.iter().map(property));
    picks.extend(filters.tags.iter().map(|tag| Pick::new(Column::Tag, [rows::text_value(tag)])));
    picks.extend(filters.property_tests.iter().filter_map(property_pick));
    picks.extend(filters.tag_tests.iter().map(tag_pick));
    picks.extend(size.map(|size| Pick::new(Column::Size, [rows::number_value(size)])));
    picks.extend(least(Column::MinRam, filters.min_ram));
    picks.extend(least(Column::MinDisk, filters.min_disk));
    picks.extend((filters.protected == Some(true)).then(|| Pick::new(Column::Protected, [Key::new()])));
    picks.extend(words(Column::DiskFormat, &filters.disk_formats));
    picks.extend(words(Column::ContainerFormat, &filters.container_formats));
    picks.extend(words(Column::Status, &filters.statuses));
    picks
}

/// What a test of a property leaves to look at, where images without it do not all pass.
fn property_pick(test: &PropertyTest) -> Option<Pick> {
    let values = test.any_of.iter().map(|value| rows::property_value(&test.name, value));
    let pick = Pick::new(Column::Property, values);
    match test.absent {
        Absent::Refused => Some(pick),
        Absent::IfIso => {
            let also = Some((Column::DiskFormat, vec![rows::text_value("iso")]));
            Some(Pick { also, overlaps: true, ..pick })
        }
        Absent::Admitted => {
            let absent = rows::absence_value(&test.name)?;
            let values = test.any_of.iter().map(|value| rows::property_value(&test.name, value));
            Some(Pick::new(Column::Property, values.chain([absent])))
        }
        Absent::UnlessIso => None,
    }
}

/// Rows with exactly this amount; an image without one has no row.
fn least(column: Column, bounds: NumberBounds) -> Option<Pick> {
    let amount = bounds.min.filter(|min| *min > 0 && bounds.max == Some(*min))?;
    Some(Pick::new(column, [rows::number_value(amount)]))
}

fn tag_pick(test: &TagTest) -> Pick {
    let starts = test.prefix.iter().map(|prefix| rows::text_start(prefix));
    let values = test.any_of.iter().map(|tag| rows::text_value(tag)).chain(starts);
    Pick { overlaps: test.prefix.is_some() || test.any_of.len() > 1, ..Pick::new(Column::Tag, values) }
}

fn words(column: Column, words: &Option<Vec<String>>) -> Option<Pick> {
    words.as_ref().map(|words| Pick::new(column, words.iter().map(|word| rows::text_value(word))))
}

struct Listing<'a> {
    read: &'a ReadTxn,
    filters: &'a Filters,
    sources: Sources<'a>,
    order: Order,
    after: Option<Image>,
    limit: usize,
    gather_rows_min: usize,
    /// Whether only images that stand as kept are wanted.
    kept_only: bool,
}

impl Listing<'_> {
    fn page(&self, pick: Option<Pick>) -> Result<Vec<Image>, Error> {
        let (first, _) = self.order.first();
        let straight = self.order.is_straight();
        let is_ordered = pick.as_ref().is_none_or(|pick| !pick.overlaps);
        if straight && first == SortKey::CreatedAt && is_ordered {
            return self.straight(pick.as_ref());
        }
        if let Some(pick) = pick
            && let Some(page) = self.gathered(&pick)?
        {
            return Ok(page);
        }
        if straight { self.straight(None) } else { self.grouped() }
    }

    /// Takes rows that come in the listing's order.
    fn straight(&self, pick: Option<&Pick>) -> Result<Vec<Image>, Error> {
        let (key, direction) = self.order.first();
        let (column, values) = match pick {
            Some(pick) => (pick.column, Some(pick.values.as_slice())),
            None => (Column::of(key), None),
        };
        let mut window = self.time_window(key);
        if let Some(after) = &self.after {
            let rank = rows::rank(after, key);
            match direction {
                // No key lies between one and the same with a zero byte.
                Direction::Ascending => window.from([rank.as_slice(), &[0]].concat()),
                Direction::Descending => window.until(rank),
            }
        }
        let mut page = Vec::new();
        for rank in self.sources.walk(column, values, &window, direction)? {
            page.extend(self.admitted(rows::split_tail(&rank?)?.1)?);
            if page.len() == self.limit {
                break;
            }
        }
        Ok(page)
    }

    /// Sorts all rows that the pick leaves; `None` when they are so many that a walk in the
    /// listing's order is likely to meet a page of them sooner.
    fn gathered(&self, pick: &Pick) -> Result<Option<Vec<Image>>, Error> {
        // A walk over n images meets a page of m picked ones after about limit * n / m rows.
        let images = usize::try_from(super::count(self.read)?).unwrap_or(usize::MAX);
        let most = self.limit.saturating_mul(images).isqrt().max(self.gather_rows_min);
        let window = match pick.overlaps {
            // The rest of the value comes before the time.
            true => Window::default(),
            false => self.time_window(SortKey::CreatedAt),
        };
        let also = pick.also.iter().map(|(column, values)| (*column, values));
        let mut ids = Vec::new();
        for (column, values) in std::iter::once((pick.column, &pick.values)).chain(also) {
            for rank in self.sources.walk(column, Some(values), &window, Direction::Ascending)? {
                if ids.len() == most {
                    return Ok(None);
                }
                ids.push(rows::split_tail(&rank?)?.1);
            }
        }
        if pick.overlaps {
            ids.sort_unstable();
            ids.dedup();
        }
        let mut best = Best::new(self);
        for id in ids {
            best.offer(self.admitted(id)?);
        }
        Ok(Some(best.into_page()))
    }

    /// Takes rows in the order of the first key, and sorts those that share its value.
    fn grouped(&self) -> Result<Vec<Image>, Error> {
        let (key, direction) = self.order.first();
        let mut window = self.time_window(key);
        if let Some(after) = &self.after {
            let group = self.group_start(after, key);
            match direction {
                Direction::Ascending => window.from(group.into_bytes()),
                Direction::Descending => group.successor().into_iter().for_each(|end| window.until(end)),
            }
        }
        let mut best = Best::new(self);
        let mut group = None;
        for rank in self.sources.walk(Column::of(key), None, &window, direction)? {
            let rank = rank?;
            let (value, id) = rows::split_tail(&rank)?;
            let value = if key == SortKey::CreatedAt { &rank[..CREATED_BYTES] } else { value };
            if group.as_deref() != Some(value) {
                if best.is_full() {
                    break;
                }
                group = Some(value.to_vec());
            }
            best.offer(self.admitted(id)?);
        }
        Ok(best.into_page())
    }

    /// What the keys of all images start with that share the marker's value.
    fn group_start(&self, after: &Image, key: SortKey) -> Key {
        match key {
            SortKey::CreatedAt => Key::new().signed(after.created_at.0),
            key => rows::value(after, key),
        }
    }

    /// The stretch of rows that the time filters can let pass, where rows are in that order.
    fn time_window(&self, key: SortKey) -> Window {
        let bounds = match key {
            SortKey::CreatedAt => &self.filters.created_at,
            SortKey::UpdatedAt => &self.filters.updated_at,
            _ => return Window::default(),
        };
        let (from, to) = time_window(bounds);
        let rank = |time: Time| Key::new().signed(time.0).into_bytes();
        Window { lower: from.map(rank).unwrap_or_default(), upper: to.map(rank) }
    }

    fn admitted(&self, id: ImageId) -> Result<Option<Image>, Error> {
        let image = super::get(self.read, &id)?.filter(|image| self.filters.admit(image));
        // What is kept for itself may still be open to members, and have none.
        match image {
            Some(image) if self.kept_only && image.visibility == Visibility::Shared => {
                Ok(if members::has_any(self.read, &id)? { None } else { Some(image) })
            }
            image => Ok(image),
        }
    }
}

/// Bytes of the creation time in a key.
const CREATED_BYTES: usize = 8;

/// The first images after the marker among those offered, one page at most.
struct Best<'a> {
    listing: &'a Listing<'a>,
    images: Vec<Image>,
}

impl<'a> Best<'a> {
    fn new(listing: &'a Listing<'a>) -> Best<'a> {
        Best { listing, images: Vec::new() }
    }

    fn offer(&mut self, image: Option<Image>) {
        let order = &self.listing.order;
        let behind = |image: &Image| {
            self.listing.after.as_ref().is_none_or(|after| order.compare(after, image) == Ordering::Less)
        };
        self.images.extend(image.filter(behind));
        // Sorted now and then only, so that each offer costs a comparison or two.
        if self.images.len() >= self.listing.limit.saturating_mul(2) {
            self.trim();
        }
    }

    fn is_full(&self) -> bool {
        self.images.len() >= self.listing.limit
    }

    fn trim(&mut self) {
        self.images.sort_by(|a, b| self.listing.order.compare(a, b));
        self.images.truncate(self.listing.limit);
    }

    fn into_page(mut self) -> Vec<Image> {
        self.trim();
        self.images
    }
}
