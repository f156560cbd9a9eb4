//! Quotas: limits of what a project may have, and what each project uses.
//!
//! [`limits`] are facts; [`reservations`] are facts too, of data on its way; [`usage`] follows from images, retained
//! images and reservations, in the commits that change these. In a cloud, [`told`] has the limits of its Keystone, which go
//! before the box's own. Invariants: whatever raises a project's use of a resource
//! is refused in the transaction that would do so when it ends above the limit, and nothing that lowers it ever is; a
//! reservation is there only while its image is saving. Must not know who asks.

mod limits;
mod reservations;
mod told;
mod usage;

pub(super) use limits::delete_of_project;
pub use limits::{
    Applied, Registered, delete_limit, delete_registered, has_limits, insert_limit, limit, limits, limits_of,
    put_limit, put_registered, registered,
};
pub use reservations::{Wish, expect_room, reserve, reserved};
pub(super) use told::TOLD;
pub use told::{forget_told, has_told, put_told, told};
pub use usage::{USAGE, each_usage, recount, renew, usage_of, usage_of_all};
pub(super) use usage::{enter, is_whole, leave, purge, recount_lost, replace};

use super::error::Error;
use crate::db::Table;

/// The tables that everything else of quotas follows from.
pub(super) const FACTS: [Table; 3] = [limits::REGISTERED, limits::LIMITS, reservations::RESERVATIONS];

#[cfg(test)]
mod tests;
