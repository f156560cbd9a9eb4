//! Buckets that images are exchanged through: objects of other people, under names of theirs.
//!
//! Owns: reading such an object from front to back, and writing a new one. Invariants: no name leads out of
//! its bucket, whatever is in it, links included; nothing that is there is ever overwritten; an object appears
//! only when it is whole and durable. Everything here blocks on the medium. Must not know what is inside, nor
//! who may ask.

mod error;
mod folder;
mod key;
#[cfg(test)]
mod tests;

use bytes::Bytes;

#[cfg(feature = "buckets")]
pub use super::bucket::BucketExchange;
pub use error::Error;
pub use folder::Folder;
pub use key::Key;

/// Bytes that are read at once, at most.
pub const PIECE_BYTES: usize = 1 << 20;

/// A bucket.
pub trait Exchange: Send + Sync + std::fmt::Debug {
    /// Opens an object to read it.
    ///
    /// # Errors
    /// [`Error::Missing`], also when it is no plain object; what the medium says.
    fn open(&self, key: &Key) -> Result<Box<dyn Source>, Error>;

    /// Begins an object of `size_bytes`. `mark` tells it from any other that is being written; one with the
    /// same mark that an earlier try left unfinished is begun anew.
    ///
    /// # Errors
    /// [`Error::Taken`] when there is one; what the medium says.
    fn create(&self, key: &Key, size_bytes: u64, mark: &str) -> Result<Box<dyn Sink>, Error>;
}

/// An object that is being read.
pub trait Source: Send {
    /// Its length, as it was when it was opened.
    fn size_bytes(&self) -> u64;

    /// What it looked like then: the same text only for the same bytes, as far as the medium can tell.
    fn stamp(&self) -> &str;

    /// What stands from `offset` on, as far as one read has it: at most [`PIECE_BYTES`].
    ///
    /// # Errors
    /// [`Error::Changed`] when the object is not any more what was opened; what the medium says.
    fn read(&mut self, offset: u64) -> Result<Piece, Error>;

    /// Compares the object with what was opened.
    ///
    /// # Errors
    /// [`Error::Changed`]; what the medium says.
    fn expect_unchanged(&mut self) -> Result<(), Error>;
}

/// What one read has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes; none at the object's end.
    Bytes(Bytes),
    /// So many zeros that are not stored.
    Hole(u64),
}

/// An object that is being written. Dropping it before [`Sink::commit`] abandons it.
pub trait Sink: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// What the medium says; the object is lost then.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Makes the object visible; returns once it is durable.
    ///
    /// # Errors
    /// [`Error::Taken`] when another has its name by now, which is untouched; what the medium says.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
