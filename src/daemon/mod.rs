//! The composition root: settings in, a running box out.
//!
//! Owns the data directory, the wiring, the listeners' addresses, signals and the log. The only
//! reader of settings: layers below get plain values. Must not know any route or use case.

mod allocator;
mod audit;
pub mod compose;
pub mod data_dir;
mod disks;
mod entering;
mod error;
mod exchange;
mod expiry;
mod images;
mod imports;
pub mod init;
mod jobs;
mod key_deletion;
pub mod keys;
mod keystone;
pub mod layers;
mod links;
pub mod master_key;
mod medium;
mod memory;
mod nbd;
mod peers;
mod places;
mod policy;
pub mod rebuild;
mod reclaim;
#[cfg(feature = "buckets")]
mod remote;
mod resealing;
mod rewriting;
mod scrub;
pub mod serve;
pub mod settings;
mod shipping;
mod store_settings;
mod sweeping;
mod syslog;
pub mod telemetry;
mod told;
mod window;

pub use error::Error;
pub use settings::Settings;
