//! The image management API (IMS), as unmodified SDKs of its clouds speak it.
//!
//! Served at the root of the port, since those SDKs drop any path of an endpoint. Callers act in one
//! project, an administrator too. Invariant: paths, status codes, keys, `IMG` codes and bodies are decided
//! in this folder alone; what may happen is decided by [`crate::service`]. Operations that are not
//! built answer as the reference's gateway does for an API that does not exist.

mod call;
mod error;
mod images;
mod imports;
mod jobs;
mod labels;
mod machines;
mod members;
mod moves;
mod os_versions;
mod patch;
mod query;
mod resources;
mod routes;
mod systems;
mod wire;

#[cfg(test)]
mod across_tests;
#[cfg(test)]
mod codes_tests;
#[cfg(test)]
mod jobs_tests;
#[cfg(test)]
mod tests;

pub(super) use routes::{VERSIONS, routes};
pub(super) use systems::{names_system, registration};
pub(super) use wire::registered;
