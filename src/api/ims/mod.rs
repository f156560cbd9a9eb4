//! The image management API (IMS), as unmodified SDKs of its clouds speak it.
//!
//! Served at the root of the port, since those SDKs drop any path of an endpoint. Callers act in one
//! project, an administrator too. Invariant: paths, status codes, keys, `IMG` codes and bodies are decided
//! in this folder alone; what may happen is decided by [`crate::service`]. Operations that are not
//! built answer as the reference's gateway does for an API that does not exist.

mod call;
mod error;
mod images;
mod labels;
mod members;
mod os_versions;
mod patch;
mod query;
mod resources;
mod routes;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use routes::routes;
