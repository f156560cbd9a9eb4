//! Immutable objects on a medium: a directory of files, or a bucket.
//!
//! Owns: names, durability of a write, ranged reads, listing, deletion. Invariant: an object is
//! visible under its name only when it is complete, and [`ObjectWriter::commit`] returns only when
//! it is durable. Must not know what is inside.
//!
//! Everything here blocks on the medium: call it from threads of one's own or from tokio's
//! blocking pool, never from an async worker. [`exchange`] is another matter: objects of other people, under
//! names of theirs.

#[cfg(feature = "buckets")]
mod bucket;
mod cache;
mod copies;
mod entrance;
mod error;
pub mod exchange;
mod handles;
mod key;
mod memory;
mod native;
mod placed;
mod traffic;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod flaky;

#[cfg(feature = "buckets")]
pub use bucket::{Bucket, BucketOptions, ListUnfinished, Probe, Store, UnfinishedUpload, Verdict, open_url};
pub use cache::{Cached, Near};
pub use copies::{CopySource, WithCopies};
pub use entrance::{Entrance, Trial};
pub use error::Error;
#[cfg(test)]
pub use flaky::Flaky;
pub use key::ObjectKey;
pub use memory::Memory;
pub use native::Native;
pub use placed::{Placed, Spread};
pub use traffic::{CacheTraffic, Traffic};

use crate::base::Time;

/// What a listing says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub key: ObjectKey,
    /// Its length.
    pub size_bytes: u64,
    /// When it was written, by the medium's clock; `None` where the medium keeps no times.
    pub modified: Option<Time>,
}

/// A medium that keeps objects.
///
/// An object is written once and never changes, but for [`Objects::replace`] with what it was meant to be.
/// No key may be another key's folder: where `a/b`
/// is an object, `a/b/c` cannot be one.
pub trait Objects: Send + Sync + std::fmt::Debug + 'static {
    /// Starts an object. Nothing is visible before [`ObjectWriter::commit`], which also decides
    /// whether the name is still free; an existing object is never overwritten.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn create(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error>;

    /// Starts an object that takes the place of the one under its name, if there is one: for repair
    /// alone, with the bytes the object was written with. The old one stays, whole or not, until
    /// [`ObjectWriter::commit`], and is replaced in one step.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn replace(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, Error>;

    /// Fills `out` with the object's bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] when the object ends before `out` is full (what
    /// `out` holds is then undefined); whatever the medium says.
    fn read(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error>;

    /// Fills `out` with the object's bytes from `offset` on, as far as it reaches; says how many came.
    ///
    /// # Errors
    /// As [`Objects::read`], but [`Error::Invalid`] only where the object ends at `offset` or before.
    fn read_some(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<usize, Error> {
        let size = self.size(key)?;
        let left = size.checked_sub(offset).filter(|left| *left > 0 || out.is_empty());
        let left = left.ok_or_else(|| Error::past_end(key, offset, out.len()))?;
        let length = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.read(key, offset, &mut out[..length])?;
        Ok(length)
    }

    /// As [`Objects::read`], but of the medium itself: what lies nearer is passed by. For those who
    /// want to know what is stored.
    ///
    /// # Errors
    /// As [`Objects::read`].
    fn read_stored(&self, key: &ObjectKey, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.read(key, offset, out)
    }

    /// Told that bytes of an object were not what was written: lets go of copies of it that lie nearer
    /// than the medium. Whether reading again may give other bytes.
    fn distrust(&self, key: &ObjectKey) -> bool {
        let _ = key;
        false
    }

    /// The object's length.
    ///
    /// # Errors
    /// [`Error::NotFound`], or whatever the medium says.
    fn size(&self, key: &ObjectKey) -> Result<u64, Error>;

    /// Removes an object, durably. Removing a missing one succeeds, so that a repeated delete does.
    ///
    /// # Errors
    /// Whatever the medium says; the object may or may not be gone then.
    fn delete(&self, key: &ObjectKey) -> Result<(), Error>;

    /// Visits every object whose key begins with `prefix`, in no particular order. Objects that
    /// come or go meanwhile may or may not be visited.
    ///
    /// # Errors
    /// Whatever the medium says; some objects may have been visited by then.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectInfo)) -> Result<(), Error>;

    /// Bytes that more objects may take, where the medium has an end that can be told.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// The same, of the medium that an object of this name lies on, or would.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn free_bytes_for(&self, key: &ObjectKey) -> Result<Option<u64>, Error> {
        let _ = key;
        self.free_bytes()
    }

    /// Removes what writers left behind that a crash or a failure cut off, and says how many there were.
    /// What a writer of this process is at work on stays. No other process may write meanwhile: its writers
    /// cannot be told from left-overs.
    ///
    /// # Errors
    /// Whatever the medium says; the sweep can be repeated.
    fn sweep_unfinished(&self) -> Result<u64, Error>;

    /// Why objects cannot be reached, as far as is known without asking; `None` while they can.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Where else the objects lie, for those who have to repair one; the first to be asked in front.
    fn copies(&self) -> &[CopySource] {
        &[]
    }

    /// A look into what is kept nearer than the medium, where anything is.
    fn near(&self) -> Option<Near> {
        None
    }

    /// What passed so far, where the medium is not at hand.
    fn traffic(&self) -> Option<Traffic> {
        None
    }

    /// Writes a whole object: [`Objects::create`], write, commit.
    ///
    /// # Errors
    /// [`Error::Exists`], or whatever the medium says.
    fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), Error> {
        let mut writer = self.create(key)?;
        writer.write(bytes)?;
        writer.commit()
    }

    /// Reads a whole object into memory; for small ones only.
    ///
    /// # Errors
    /// As [`Objects::size`] and [`Objects::read`].
    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>, Error> {
        let size = self.size(key)?;
        let size = usize::try_from(size)
            .map_err(|_| Error::Invalid(format!("{key} has {size} bytes, too many to hold in memory")))?;
        let mut bytes = vec![0; size];
        self.read(key, 0, &mut bytes)?;
        Ok(bytes)
    }
}

/// An object on its way in. Dropping it without [`ObjectWriter::commit`] abandons the object.
pub trait ObjectWriter: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// Whatever the medium says; the object is lost then, and its commit fails too.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Makes the object visible; returns once it is durable.
    ///
    /// # Errors
    /// [`Error::Exists`] when another object has the name of one that was created: that one is untouched. After any other
    /// error the object may or may not exist; if it does, it is complete. (A bucket cannot tell an
    /// equal object from the success of its own request whose answer was lost: there it is success.)
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
