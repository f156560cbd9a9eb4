//! A plain catalog becomes a sealed one: once, at the first start of a sealed box whose catalog an
//! older release wrote.
//!
//! Invariant: under its name there is the whole plain file or the whole sealed one, after any crash.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::{Error, PAGE_BYTES, SealKey, Sealed};
use crate::base::Entropy;

/// Bytes copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Puts a sealed copy in the place of the file at `path`, which is `plain` and locked by the
/// caller. What comes back is locked before it has the name.
///
/// # Errors
/// The medium's failure; the plain file is untouched then.
pub fn convert(
    path: &Path,
    plain: &File,
    key: &SealKey,
    entropy: &dyn Entropy,
) -> Result<Sealed<FileBackend>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.sealed"));
    let file = copy_of(plain, &fresh, key, entropy).map_err(|error| at(&fresh, error))?;
    let put_in_place = || {
        std::fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    put_in_place().map_err(|error| Error::from_io(&error))?;
    Ok(file)
}

/// The sealed copy, durable under a name of its own. What an earlier try left there is overwritten.
fn copy_of(
    plain: &File,
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
    let length = plain.metadata().map_err(failed)?.len();
    let sealed = Sealed::open(FileBackend::new(file)?, key, entropy)?;
    sealed.set_len(length.next_multiple_of(PAGE_BYTES as u64)).map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES as usize];
    let mut done = 0;
    while done < length {
        let piece = &mut piece[..PIECE_BYTES.min(length - done) as usize];
        plain.read_exact_at(piece, done).map_err(failed)?;
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
