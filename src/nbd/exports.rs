//! What a client can be given: disks, and whoever says which of them it may have.
//!
//! Both are asked by the protocol and answered by the server around it, so that the protocol can be tried without a box.

use std::sync::Arc;

use super::wire::Errno;

/// What begins at a byte of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many bytes; at least one.
    pub bytes: u64,
    /// Whether they are known to be zeros.
    pub is_zero: bool,
}

/// A disk that a client has. All calls may block, and may come from several threads at once.
pub trait Disk: Send + Sync {
    /// Its size, in bytes.
    fn size_bytes(&self) -> u64;

    /// Whether it takes writes.
    fn is_writable(&self) -> bool;

    /// What people may read of it.
    fn description(&self) -> String;

    /// What begins at byte `at`, which lies before the end. Neighbours may be alike.
    ///
    /// # Errors
    /// When that cannot be told.
    fn extent_at(&self, at: u64) -> Result<Extent, Errno>;

    /// Fills `out` from byte `at` on. The range lies on the disk.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), Errno>;

    /// What [`Disk::extent_at`] tells, where that can be told without waiting for anything.
    fn extent_near(&self, _at: u64) -> Option<Extent> {
        None
    }

    /// What [`Disk::read_at`] does, without waiting for anything: `false`, and anything in `out`, where memory has not all.
    fn read_near(&self, _at: u64, _out: &mut [u8]) -> bool {
        false
    }

    /// Writes at byte `at`. The range lies on the disk.
    ///
    /// # Errors
    /// When there is no room, or nothing can be written.
    fn write_at(&self, at: u64, data: &[u8]) -> Result<(), Errno>;

    /// Makes a range zeros. It lies on the disk.
    ///
    /// # Errors
    /// As [`Disk::write_at`].
    fn zero(&self, at: u64, bytes: u64) -> Result<(), Errno>;

    /// Notes that a write was not done, or not all of it, for whatever reason: the disk is not as its writer wants it.
    fn write_was_lost(&self) {}
}

/// Why a client does not get an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none of that name, as far as this client may know.
    Unknown,
    /// There is one, but it cannot be had; the text says why.
    Policy(String),
    /// The server ends.
    Shutdown,
}

/// An export, as lists have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is asked for by.
    pub name: String,
    /// What people may read of it.
    pub description: String,
}

/// Says what a client may have.
pub trait Exports: Send + Sync {
    /// The disk of a client's export.
    type Disk: Disk + 'static;

    /// The export of this name.
    fn open(&self, name: &str) -> impl Future<Output = Result<Arc<Self::Disk>, Refusal>> + Send;

    /// All that the client may know of.
    fn list(&self) -> impl Future<Output = Result<Vec<Listed>, Refusal>> + Send;
}
