//! Protocols: each turns requests into use cases and their outcomes into responses.
//!
//! Wire types and status codes live here only. Must not touch the catalog, the store or the
//! database; everything goes through [`crate::service`].

pub mod context;
