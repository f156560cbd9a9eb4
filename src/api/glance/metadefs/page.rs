//! Parameters of listings of namespaces and tags, and the links to their pages.
//!
//! Invariant: nothing is dropped from the links but the marker. Parameters that are none of these are left alone: clients
//! send filters of their own along.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::error::Refusal;
use crate::api::listing;
use crate::api::query;
use crate::base::limits::PAGE_ROWS_MAX;
use crate::service::images::Direction;

/// What was asked for, and the path that it was asked of.
pub(super) struct Page {
    path: String,
    pairs: Vec<(String, String)>,
}

impl Page {
    /// Reads the query of a request for what lies at `path`.
    pub(super) fn read(path: impl Into<String>, uri: &axum::http::Uri) -> Result<Page, Refusal> {
        let pairs = query::pairs(uri).ok_or_else(|| Refusal::bad("the query is not valid UTF-8"))?;
        Ok(Page { path: path.into(), pairs })
    }

    /// The value of a parameter: the last one, where there are several.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How many are asked for, if the request says so.
    pub(super) fn limit(&self) -> Result<Option<usize>, Refusal> {
        let wrong = |value: &str| Refusal::bad(format!("limit must be a whole number, not {value:?}"));
        let limit = self.get("limit").map(|value| value.parse::<usize>().map_err(|_| wrong(value)));
        Ok(limit.transpose()?.map(|limit| limit.min(PAGE_ROWS_MAX)))
    }

    /// `sort_dir`; descending where it is not said.
    pub(super) fn direction(&self) -> Result<Direction, Refusal> {
        let Some(word) = self.get("sort_dir") else { return Ok(Direction::Descending) };
        listing::direction(word)
            .ok_or_else(|| Refusal::bad(format!("sort_dir must be asc or desc, not {word:?}")))
    }

    /// The link to the first page.
    pub(super) fn first(&self) -> String {
        self.link(None)
    }

    /// The link to the page after the one called `last`.
    pub(super) fn next(&self, last: &str) -> String {
        self.link(Some(("marker", last)))
    }

    fn link(&self, marker: Option<(&str, &str)>) -> String {
        let kept = self.pairs.iter().filter(|(name, _)| name != "marker");
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str())).chain(marker);
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let query: Vec<String> =
            kept.map(|(name, value)| format!("{}={}", encode_name(name), encode(value))).collect();
        match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, query.join("&")),
        }
    }
}

/// Names of parameters have underscores, which people want to read.
fn encode_name(name: &str) -> impl std::fmt::Display {
    const SET: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'_');
    utf8_percent_encode(name, SET)
}
