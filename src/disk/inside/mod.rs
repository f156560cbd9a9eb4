//! What a guest keeps on its disk: partitions, file systems, files.
//!
//! A [`Part`] is a stretch of the disk; [`partitions`] finds those that a table tells of, [`recognise`] says what lies in
//! one, [`mount`] opens it as a [`Tree`] where its file system is read here. Invariant: whatever the bytes are, reading
//! ends, within the [`Effort`] that the caller allows; nothing here panics, allocates by what the disk says, writes, or
//! follows a link out of the file system that it stands in. Must not know what any file is for.

mod effort;
mod ext;
mod fat;
mod fault;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod hostile_tests;
mod iso;
mod mount;
mod part;
pub mod partitions;
mod recognise;
mod superblocks;
mod tree;

pub use effort::{Allowance, Effort};
pub use fault::Fault;
pub use iso::{Starts, disc_starts};
pub use mount::mount;
pub use part::Part;
pub use recognise::{Kind, Recognised, recognise, recognise_start};
pub use tree::{Entry, Found, Listing, Node, NodeKind, Remark, Tree, Usage};
