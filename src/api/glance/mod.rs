//! The Image API v2 (Glance), as unmodified OpenStack clients speak it.
//!
//! Invariant: what a client may observe (paths, status codes, keys, error bodies) is decided in
//! this folder alone; what may happen is decided by [`crate::service`].

mod call;
mod error;
pub mod routes;
mod versions;
