//! Tintype keeps machine images on one box: a deduplicating chunk store, a catalog of images
//! and identities, and the protocols that real clients speak to them.
//!
//! The modules are layers, top to bottom: [`cli`] and [`daemon`] compose, [`api`] and [`nbd`] speak,
//! [`service`] decides, [`store`] keeps bytes beside [`catalog`] which keeps records, and
//! [`db`], [`objects`], [`disk`], [`peers`] and [`keystone`] touch media, formats and other servers. Imports point down only;
//! `tests/tidy` holds the table.
#![doc = include_str!("ARCHITECTURE.md")]
#![forbid(unsafe_code)]
// Neither input nor a fault may end the process; tests end that way.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod base;
pub mod catalog;
pub mod cli;
pub mod daemon;
pub mod db;
pub mod disk;
pub mod keystone;
pub mod model;
pub mod nbd;
pub mod objects;
pub mod peers;
pub mod service;
pub mod store;
pub mod web;
