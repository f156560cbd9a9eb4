//! A catalog becomes sealed, or sealed with another key: a plain one that an older release wrote, at
//! the first start with a key, and one whose key is being replaced, at the next start.
//!
//! Invariant: under its name there is the whole file as it was or the whole new one, after any crash.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::header::HEADER_BYTES;
use super::pages::Pages;
use super::{Error, PAGE_BYTES, SealKey, Sealed};
use crate::base::Entropy;

/// Bytes copied at once: whole pages.
const PIECE_BYTES: u64 = 1 << 20;

/// The file as it is: locked by the caller.
pub struct Source<'f> {
    /// The file.
    pub file: &'f File,
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
        Ok(self.file.metadata()?.len().saturating_sub(self.start()))
    }

    /// Reads a piece of the database, from the start of a page on.
    fn read(&self, at: u64, piece: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(piece, self.start() + at)?;
        if let Some(pages) = &self.pages {
            let first = at / PAGE_BYTES as u64;
            for (page, bytes) in (first..).zip(piece.chunks_mut(PAGE_BYTES)) {
                pages.open(page, 0, bytes);
            }
        }
        Ok(())
    }
}

/// Puts a copy that is sealed with `key` in the place of the file at `path`, which is `source`. What
/// comes back is locked before it has the name.
///
/// # Errors
/// The medium's failure; the file is untouched then.
pub fn convert(
    path: &Path,
    source: &Source<'_>,
    key: &SealKey,
    entropy: &dyn Entropy,
) -> Result<Sealed<FileBackend>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.sealed"));
    let file = copy_of(source, &fresh, key, entropy).map_err(|error| at(&fresh, error))?;
    let put_in_place = || {
        std::fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    put_in_place().map_err(|error| Error::from_io(&error))?;
    Ok(file)
}

/// The sealed copy, durable under a name of its own. What an earlier try left there is overwritten.
fn copy_of(
    source: &Source<'_>,
    fresh: &Path,
    key: &SealKey,
    entropy: &dyn Entropy,
) -> Result<Sealed<FileBackend>, Error> {
    let failed = |error: io::Error| Error::from_io(&error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh)
        .map_err(failed)?;
    file.try_lock().map_err(|_| Error::InUse)?;
    copy_to(FileBackend::new(file)?, source, key, entropy)
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
fn at(fresh: &Path, error: Error) -> Error {
    let told = |text: String| format!("{}: {text}", fresh.display());
    match error {
        Error::Full(text) => Error::Full(told(text)),
        Error::Denied(text) => Error::Denied(told(text)),
        Error::Io(text) => Error::Io(told(text)),
        error => error,
    }
}
