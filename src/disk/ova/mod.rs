//! OVA: a machine in one tar, of which the disks are read.
//!
//! Source: DSP0243 (OVF 1.1.1 and 2.1). Invariants: no name in the archive, its description or its manifest leads anywhere but to
//! a member of it; each disk inside passes all rules of its own format again. Must not know what a machine is but for its disks.

mod archive;
mod descriptor;
#[cfg(test)]
mod fixtures;
mod manifest;
mod tar;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
mod window;

pub use self::archive::{Archive, Disk};
#[cfg(test)]
pub(crate) use self::fixtures::{archive as fixture, machine as machine_fixture};
