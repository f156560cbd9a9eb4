//! The section `store`: where image data goes, and how it is kept.
//!
//! Invariant: every key has a default that a box runs well with. Must not know how a value is used, but for the words of the
//! use cases that it stands for.

use serde::{Deserialize, Serialize};

use crate::service::images::RecipePolicy;

/// Image data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// What clients call it, where there are others ([`PlaceSettings`]).
    pub name: String,
    /// What clients are told of it.
    pub description: String,
    /// Images are read from the store of the highest weight that has them.
    pub weight: i64,
    /// Empty (inside the data directory), an absolute path, or `s3://BUCKET/PREFIX`.
    pub location: String,
    /// File with the master key of a sealed store; empty for none.
    pub key_file: String,
    /// Program and arguments that print the master key; empty for none.
    pub key_command: Vec<String>,
    /// Ceiling of the process's memory, in bytes.
    pub memory_bytes: u64,
    /// Memory for catalog pages, in bytes; a sixteenth of the ceiling at most.
    pub catalog_cache_bytes: u64,
    /// zstd level of new data.
    pub zstd_level: i32,
    /// Size at which a pack is closed, in bytes.
    pub pack_bytes: u64,
    /// Longest time a change waits before the store's log has it, in seconds.
    pub log_interval_s: u64,
    /// Log since the last snapshot that calls for the next, in bytes.
    pub snapshot_log_bytes: u64,
    /// Space that image data leaves free on its disk, in bytes.
    pub reserve_bytes: u64,
    /// The hash that clients are told of new images.
    pub hash_algorithm: HashAlgorithm,
    /// Whether new images have an MD5.
    pub md5: bool,
    /// Whether compressed containers are kept by recipes.
    pub recipes: Recipes,
}

/// Whether a store keeps compressed containers by recipes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipes {
    /// As they came.
    #[default]
    Off,
    /// Those that nobody has read for `reclaim.recipes_idle_s`.
    Idle,
    /// All of them.
    Always,
}

impl From<Recipes> for RecipePolicy {
    fn from(recipes: Recipes) -> RecipePolicy {
        match recipes {
            Recipes::Off => RecipePolicy::Off,
            Recipes::Idle => RecipePolicy::Idle,
            Recipes::Always => RecipePolicy::Always,
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings {
            name: "main".into(),
            description: String::new(),
            weight: 0,
            location: String::new(),
            key_file: String::new(),
            key_command: Vec::new(),
            memory_bytes: 256 << 20,
            catalog_cache_bytes: 16 << 20,
            zstd_level: 1,
            pack_bytes: 64 << 20,
            log_interval_s: 5,
            snapshot_log_bytes: 16 << 20,
            reserve_bytes: 64 << 20,
            hash_algorithm: HashAlgorithm::Sha512,
            md5: true,
            recipes: Recipes::Off,
        }
    }
}

/// The hash that clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// SHA-512.
    Sha512,
    /// SHA-256.
    Sha256,
}
