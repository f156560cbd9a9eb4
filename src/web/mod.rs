//! Other people's web servers: which of them anything may be fetched from, and the fetching.
//!
//! Owns the rules against a caller who has this box ask where the caller could not (server-side request forgery:
//! OWASP; CVE-2017-7200 and CVE-2022-4134 in the Image API's reference). Invariants: no byte is asked of an address
//! that [`Filter`] did not let pass, whatever a name resolves to the second time and wherever a redirect leads;
//! no proxy of the environment stands in between; every wait is bounded, and so is how slowly data may come; no
//! message repeats the query of an address, which may be what lets its bearer in. Must not know images nor jobs.

mod address;
mod error;
mod fetch;
mod filter;
mod pace;

pub use error::Error;
pub use fetch::{Fetched, From, Web};
pub use filter::{Filter, FilterRules};
pub use pace::{Body, steady};
