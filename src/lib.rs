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
// A fuzzer drives what reads the bytes of strangers, which is a tenth of the work to build: what decides and composes above that is
// left out for it (`tests/fuzz`), and what only that uses is not missed.
#![cfg_attr(fuzzing, allow(dead_code))]

#[cfg(not(fuzzing))]
pub mod api;
pub mod base;
#[cfg(not(fuzzing))]
pub mod catalog;
#[cfg(not(fuzzing))]
pub mod cli;
#[cfg(not(fuzzing))]
pub mod daemon;
pub mod db;
pub mod disk;
#[cfg(not(fuzzing))]
pub mod keystone;
pub mod model;
pub mod nbd;
pub mod objects;
#[cfg(not(fuzzing))]
pub mod peers;
#[cfg(not(fuzzing))]
pub mod service;
pub mod store;
#[cfg(not(fuzzing))]
pub mod web;
