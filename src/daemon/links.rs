//! Links to images, as the settings say it.

use serde::{Deserialize, Serialize};

use super::settings::between;
use crate::service::images::{LinkRules, TTL_MIN_S};

/// `[links]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// The longest life of a link, in seconds.
    pub ttl_max_s: i64,
    /// Links to one image that one project may have at once.
    pub per_image_max: usize,
}

impl Default for Links {
    fn default() -> Self {
        let LinkRules { ttl_max_s, per_image_max } = LinkRules::default();
        Links { ttl_max_s, per_image_max }
    }
}

impl Links {
    /// Refuses what says nothing sensible.
    pub(super) fn check(&self) -> Result<(), String> {
        let life_s = u64::try_from(self.ttl_max_s).unwrap_or(0);
        between("links.ttl_max_s", life_s, TTL_MIN_S.unsigned_abs(), 31_536_000)?;
        between("links.per_image_max", self.per_image_max as u64, 1, 10_000)
    }

    /// The same for the use cases.
    pub(super) fn rules(&self) -> LinkRules {
        LinkRules { ttl_max_s: self.ttl_max_s, per_image_max: self.per_image_max }
    }
}
