//! Disks of images over NBD: fixed newstyle, structured replies, block status, TLS, and overlays that take writes.
//!
//! [`negotiation`] and [`transmission`] are the protocol, over any stream and any [`exports`]; [`served`] is what the box has
//! for them, and [`server`] takes connections. [`client`] is the other side, for disks that images are made of. Invariants: a
//! client gets what the use cases let it have and nothing else; what it makes the box hold is bounded, for each client and for
//! all of them ([`pages`], [`overlay`]). Must not know HTTP.

#[cfg(not(fuzzing))]
mod capture;
pub mod client;
mod exports;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod near;
mod negotiation;
mod objections;
mod options;
mod overlay;
mod pages;
mod reading;
mod replies;
#[cfg(not(fuzzing))]
mod served;
#[cfg(not(fuzzing))]
pub mod server;
mod talk;
#[cfg(any(test, fuzzing))]
mod testing;
#[cfg(not(fuzzing))]
pub mod tls;
mod transmission;
mod wire;
mod written;

pub use overlay::Overlays;
pub use pages::PIECE_BYTES;
