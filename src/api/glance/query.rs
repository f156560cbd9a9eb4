//! The parameters of a listing, read strictly, and the links to its first and next page.
//!
//! Invariant: a parameter that is none of the API's names a custom property; nothing is dropped
//! from the links but the marker.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::Refusal;
use crate::api::listing;
use crate::base::Time;
use crate::base::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::model::image::MemberStatus;
use crate::model::{ImageId, Visibility};
use crate::service::images::{Comparison, Direction, Filters, Listing, NumberBounds, SortKey};

/// What stays as it is in a link's query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A listing as a client asked for it.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) listing: Listing,
    /// The client's parameters, encoded again, without the marker.
    repeated: String,
}

impl ListQuery {
    /// Reads the query part of a URI.
    pub(super) fn parse(query: &str) -> Result<ListQuery, Refusal> {
        let mut reading = Reading::default();
        let mut repeated = String::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if name != "marker" {
                let separator = if repeated.is_empty() { "" } else { "&" };
                let (name, value) = (encode(&name), encode(&value));
                repeated.push_str(&format!("{separator}{name}={value}"));
            }
            reading.take(name, value)?;
        }
        Ok(ListQuery { listing: reading.finish()?, repeated })
    }

    /// The link to the first page.
    pub(super) fn first(&self) -> String {
        self.link("")
    }

    /// The link to the page after `last`.
    pub(super) fn next(&self, last: &ImageId) -> String {
        self.link(&format!("marker={last}"))
    }

    fn link(&self, marker: &str) -> String {
        let parameters: Vec<&str> = [&self.repeated, marker].into_iter().filter(|p| !p.is_empty()).collect();
        match parameters.is_empty() {
            true => "/v2/images".to_owned(),
            false => format!("/v2/images?{}", parameters.join("&")),
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    filters: Filters,
    sort: Option<String>,
    sort_keys: Vec<SortKey>,
    sort_directions: Vec<Direction>,
    marker: Option<ImageId>,
    limit: Option<usize>,
    /// Outer: given at all. Inner: `all`, or one status.
    member_status: Option<Option<MemberStatus>>,
    properties: BTreeMap<String, String>,
}

impl Reading {
    fn take(&mut self, name: String, value: String) -> Result<(), Refusal> {
        let filters = &mut self.filters;
        match name.as_str() {
            "limit" => {
                let limit = value.parse().map_err(|_| bad(&name, &value, "a whole number, not negative"))?;
                self.limit = Some(limit);
            }
            "marker" => {
                let marker =
                    ImageId::parse(&value).ok_or_else(|| bad(&name, &value, "the id of an image"))?;
                self.marker = Some(marker);
            }
            "sort" => self.sort = Some(value),
            "sort_key" => self.sort_keys.push(sort_key(&value)?),
            "sort_dir" => self.sort_directions.push(direction(&value)?),
            "id" => filters.ids = Some(any_of(&name, &value)?),
            "name" => filters.names = Some(any_of(&name, &value)?),
            "status" => filters.statuses = Some(any_of(&name, &value)?),
            "container_format" => filters.container_formats = Some(any_of(&name, &value)?),
            "disk_format" => filters.disk_formats = Some(any_of(&name, &value)?),
            "created_at" => filters.created_at.push(time_bound(&name, &value)?),
            "updated_at" => filters.updated_at.push(time_bound(&name, &value)?),
            "checksum" => filters.checksum = Some(value),
            "os_hash_value" => filters.hash_value = Some(value),
            "os_hash_algo" => filters.hash_algo = Some(value),
            "owner" => filters.owner = Some(value),
            "tag" => filters.tags.push(value),
            "protected" => {
                filters.protected = Some(value.parse().map_err(|_| bad(&name, &value, "true or false"))?);
            }
            "os_hidden" => {
                let lower = value.to_ascii_lowercase();
                filters.hidden = lower.parse().map_err(|_| bad(&name, &value, "true or false"))?;
            }
            "visibility" => filters.visibility = Some(visibility(&value)?),
            "member_status" => self.member_status = Some(member_status(&value)?),
            "changes-since" => {
                return Err(Refusal::bad("changes-since is not a filter; use updated_at=gt:TIME"));
            }
            "deleted" => {}
            _ => {
                if !take_number(filters, &name, &value)? {
                    self.properties.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Listing, Refusal> {
        self.filters.properties = self.properties;
        let sort = match self.sort {
            Some(sort) if self.sort_keys.is_empty() && self.sort_directions.is_empty() => {
                combined_sort(&sort)?
            }
            Some(_) => return Err(Refusal::bad("use either sort, or sort_key and sort_dir, not both")),
            None => classic_sort(self.sort_keys, &self.sort_directions)?,
        };
        Ok(Listing {
            filters: self.filters,
            sort,
            marker: self.marker,
            limit: self.limit.unwrap_or(PAGE_ROWS_DEFAULT).min(PAGE_ROWS_MAX),
            member_status: self.member_status.unwrap_or(Some(MemberStatus::Accepted)),
        })
    }
}

/// Reads a filter on a number; `false` when `name` is none.
fn take_number(filters: &mut Filters, name: &str, value: &str) -> Result<bool, Refusal> {
    let (column, end) = match name {
        name if name.ends_with("_min") => (&name[..name.len() - 4], Some(Bound::Min)),
        name if name.ends_with("_max") => (&name[..name.len() - 4], Some(Bound::Max)),
        name => (name, None),
    };
    let bounds = match column {
        "size" => &mut filters.size,
        "min_ram" => &mut filters.min_ram,
        "min_disk" => &mut filters.min_disk,
        "virtual_size" => &mut filters.virtual_size,
        _ => return Ok(false),
    };
    match (end, value.parse::<u64>()) {
        (Some(Bound::Min), Ok(number)) => bounds.min = Some(number),
        (Some(Bound::Max), Ok(number)) => bounds.max = Some(number),
        (Some(_), Err(_)) => return Err(bad(name, value, "a whole number")),
        (None, Ok(number)) => *bounds = NumberBounds { min: Some(number), max: Some(number) },
        // Text never equals a number, so nothing is listed.
        (None, Err(_)) => *bounds = NumberBounds { min: Some(1), max: Some(0) },
    }
    Ok(true)
}

enum Bound {
    Min,
    Max,
}

/// `sort=key:dir,key`.
fn combined_sort(text: &str) -> Result<Vec<(SortKey, Direction)>, Refusal> {
    text.split(',')
        .map(|part| {
            let (key, dir) = part.trim().split_once(':').unwrap_or((part.trim(), "desc"));
            Ok((sort_key(key)?, direction(dir)?))
        })
        .collect()
}

/// `sort_key=…&sort_dir=…`: one direction for all keys, or one for each.
fn classic_sort(keys: Vec<SortKey>, directions: &[Direction]) -> Result<Vec<(SortKey, Direction)>, Refusal> {
    let keys = if keys.is_empty() { vec![SortKey::CreatedAt] } else { keys };
    match directions {
        [] => Ok(keys.into_iter().map(|key| (key, Direction::Descending)).collect()),
        [one] => Ok(keys.into_iter().map(|key| (key, *one)).collect()),
        many if many.len() == keys.len() => Ok(keys.into_iter().zip(many.iter().copied()).collect()),
        many => Err(Refusal::bad(format!("{} sort_key but {} sort_dir", keys.len(), many.len()))),
    }
}

fn sort_key(text: &str) -> Result<SortKey, Refusal> {
    let known = listing::sort_key(text);
    known.ok_or_else(|| Refusal::bad(format!("cannot sort by {text:?}; keys are {}", listing::SORT_KEYS)))
}

fn direction(text: &str) -> Result<Direction, Refusal> {
    listing::direction(text).ok_or_else(|| bad("sort direction", text, "asc or desc"))
}

fn visibility(text: &str) -> Result<Option<Visibility>, Refusal> {
    match text {
        "all" => Ok(None),
        _ => match Visibility::parse(text) {
            Some(visibility) => Ok(Some(visibility)),
            None => Err(bad("visibility", text, "public, private, shared, community or all")),
        },
    }
}

fn member_status(text: &str) -> Result<Option<MemberStatus>, Refusal> {
    match text {
        "all" => Ok(None),
        _ => match MemberStatus::parse(text) {
            Some(status) => Ok(Some(status)),
            None => Err(bad("member_status", text, "accepted, pending, rejected or all")),
        },
    }
}

fn time_bound(name: &str, value: &str) -> Result<(Comparison, Time), Refusal> {
    listing::time_bound(value).ok_or_else(|| bad(name, value, listing::TIME_FORM))
}

/// A value alone, or `in:a,b,"c,d"`.
fn any_of(name: &str, value: &str) -> Result<Vec<String>, Refusal> {
    match value.split_once(':') {
        Some(("in", list)) => {
            split_quoted(list).ok_or_else(|| bad(name, value, "in: and a list with quotes in pairs"))
        }
        Some((op, _)) if !op.starts_with('"') => Err(Refusal::bad(format!(
            "{name} has no operator {op:?}; write in:\"{value}\" for a value with a colon"
        ))),
        _ => Ok(vec![value.to_owned()]),
    }
}

/// Splits at commas outside quotes; a quote stands only at the ends of a value.
fn split_quoted(list: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = list;
    loop {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if value.contains('"') {
            return None;
        }
        values.push(value.to_owned());
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(values),
        }
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| Refusal::bad("the query is not valid UTF-8"))?.into_owned())
}

fn encode(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, UNRESERVED)
}

fn bad(name: &str, value: &str, expected: &str) -> Refusal {
    Refusal::bad(format!("{name} must be {expected}, not {value:?}"))
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
