//! A catalog becomes sealed, or sealed with another key: a plain one that an older release wrote, at
//! the first start with a key, and one whose key is being replaced, at the next start.
//!
//! Invariant: under its name there is the whole file as it was or the whole new one, after any crash.

use std::io;

use redb::StorageBackend;

use super::header::HEADER_BYTES;
use super::pages::Pages;
use super::{Error, PAGE_BYTES, SealKey, Sealed};
use crate::base::Entropy;

/// Bytes copied at once: whole pages.
const PIECE_BYTES: u64 = 1 << 20;

/// A catalog as it is, before anybody knows its form: a file, or what a test brings.
pub trait Original {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The medium's failure.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads from byte `at` on.
    ///
    /// # Errors
    /// The medium's failure, or when it ends before.
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Where a catalog lies, and a copy can take its name: a folder, or what a test brings.
pub trait Place {
    /// What the copy is written to.
    type File: StorageBackend;

    /// The name of the copy while it is written, for people.
    fn copy_name(&self) -> String;

    /// Makes the copy's file, empty and locked, under a name of its own; what an earlier try left there goes.
    ///
    /// # Errors
    /// The medium's failure, or [`Error::InUse`].
    fn create(&self) -> Result<Self::File, Error>;

    /// Gives the copy the catalog's name, in one step.
    ///
    /// # Errors
    /// The medium's failure.
    fn rename(&self) -> Result<(), Error>;

    /// Makes that durable.
    ///
    /// # Errors
    /// The medium's failure.
    fn sync(&self) -> Result<(), Error>;
}

/// What is copied: nobody else works on it.
pub struct Source<'o> {
    /// The catalog as it is.
    pub original: &'o dyn Original,
    /// Its pages, where it is sealed.
    pub pages: Option<Pages>,
}

impl Source<'_> {
    /// Where its first page begins.
    fn start(&self) -> u64 {
        if self.pages.is_some() { HEADER_BYTES } else { 0 }
    }

    /// The length of the database in it.
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.original.bytes()?.saturating_sub(self.start()))
    }

    /// Reads a piece of the database, from the start of a page on.
    fn read(&self, at: u64, piece: &mut [u8]) -> io::Result<()> {
        self.original.read(self.start() + at, piece)?;
        if let Some(pages) = &self.pages {
            let first = at / PAGE_BYTES as u64;
            for (page, bytes) in (first..).zip(piece.chunks_mut(PAGE_BYTES)) {
                pages.open(page, 0, bytes);
            }
        }
        Ok(())
    }
}

/// Puts a copy that is sealed with `key` in the place of what is there, which is `source`. What comes back
/// is locked before it has the name.
///
/// # Errors
/// The medium's failure. What has the name then is whole: the copy only where its name could not be made
/// durable.
pub fn convert<P: Place>(
    place: &P,
    source: &Source<'_>,
    key: &SealKey,
    entropy: &dyn Entropy,
) -> Result<Sealed<P::File>, Error> {
    let copied = place.create().and_then(|file| copy_to(file, source, key, entropy));
    let copy = copied.map_err(|error| at(&place.copy_name(), error))?;
    place.rename()?;
    place.sync()?;
    Ok(copy)
}

/// Fills an empty medium with the sealed copy, durably.
pub(super) fn copy_to<M: StorageBackend>(
    medium: M,
    source: &Source<'_>,
    key: &SealKey,
    entropy: &dyn Entropy,
) -> Result<Sealed<M>, Error> {
    let failed = |error: io::Error| Error::from_io(&error);
    let length = source.bytes().map_err(failed)?;
    let sealed = Sealed::open(medium, key, entropy)?;
    sealed.set_len(length.next_multiple_of(PAGE_BYTES as u64)).map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES as usize];
    let mut done = 0;
    while done < length {
        let piece = &mut piece[..PIECE_BYTES.min(length - done) as usize];
        source.read(done, piece).map_err(failed)?;
        sealed.write(done, piece).map_err(failed)?;
        done += piece.len() as u64;
    }
    sealed.sync_data().map_err(failed)?;
    Ok(sealed)
}

/// Says where it failed: not in the file the operator knows.
fn at(copy: &str, error: Error) -> Error {
    let told = |text: String| format!("{copy}: {text}");
    match error {
        Error::Full(text) => Error::Full(told(text)),
        Error::Denied(text) => Error::Denied(told(text)),
        Error::Io(text) => Error::Io(told(text)),
        error => error,
    }
}
