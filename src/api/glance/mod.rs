//! The Image API v2 (Glance), as unmodified OpenStack clients speak it.
//!
//! Invariant: what a client may observe (paths, status codes, keys, error bodies) is decided in
//! this folder alone; what may happen is decided by [`crate::service`].

mod cache;
mod call;
mod data;
mod error;
mod images;
mod imports;
mod locations;
mod members;
pub(super) mod metadefs;
mod patch;
mod query;
pub mod routes;
pub(super) mod schemas;
mod stores;
mod tasks;
mod usage;
pub(super) mod versions;
mod wire;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod commits_tests;
#[cfg(test)]
mod imports_tests;
#[cfg(test)]
mod old_locations_tests;
#[cfg(test)]
mod stores_tests;
#[cfg(test)]
mod tests;
