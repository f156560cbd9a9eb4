//! The catalog's file before it is opened: locked, and known to be plain or sealed.
//!
//! Invariant: whoever claims the file is the only one, until it lets go of the claim or closes the
//! database that came of it. So a store can be looked at, and its keys found, before the catalog
//! opens, and nobody else works on either.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;

use super::error::Error;
use super::open::{Db, Options};
use super::sealed::{self, Original, Place, SEALED_HEADER_BYTES, SealKey, Sealed};
use crate::base::Entropy;

/// What is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing: it was just made, or its making was cut off.
    Empty,
    /// A database as it is.
    Plain,
    /// A sealed one.
    Sealed,
    /// What no release wrote, or its start is damaged.
    Foreign,
}

/// First bytes of every plain database.
const PLAIN_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// The file, locked.
#[derive(Debug)]
pub struct CatalogFile {
    path: PathBuf,
    file: File,
}

impl CatalogFile {
    /// Locks the file at `path` for this process, making an empty one when there is none.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it, or the medium's own failure.
    pub fn claim(path: &Path) -> Result<CatalogFile, Error> {
        let failed = |error: io::Error| Error::from_io(&error);
        let fresh = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::InUse,
            TryLockError::Error(error) => Error::from_io(&error),
        })?;
        // Who had it may have put a sealed copy in its place before it let go.
        let (ours, named) = (file.metadata().map_err(failed)?, path.metadata().map_err(failed)?);
        if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
            return Err(Error::InUse);
        }
        if fresh && let Some(parent) = path.parent() {
            // The file's own name must survive a power cut before anything in it is acknowledged.
            File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(CatalogFile { path: path.to_owned(), file })
    }

    /// What is in it.
    ///
    /// # Errors
    /// The medium's failure.
    pub fn form(&self) -> Result<Form, Error> {
        form_of(&self.file)
    }

    /// Refuses keys that none of opens it, where it is sealed.
    ///
    /// # Errors
    /// [`Error::OtherKey`], or the medium's failure.
    pub fn expect_under(&self, keys: &[SealKey]) -> Result<(), Error> {
        match self.form()? {
            Form::Sealed => sealed::opened_with(&start_of(&self.file, SEALED_HEADER_BYTES)?, keys).map(drop),
            _ => Ok(()),
        }
    }

    /// Opens it as it is; an empty one becomes a plain database.
    ///
    /// # Errors
    /// [`Error::Sealed`], or as [`Db::open_on`].
    pub fn open_plain(self, options: Options) -> Result<Db, Error> {
        if self.form()? == Form::Sealed {
            return Err(Error::Sealed);
        }
        Db::open_on(FileBackend::new(self.file)?, options)
    }

    /// Opens it under the first of `keys`: an empty one becomes a sealed database; a plain one, and
    /// one that is under another of the keys, is copied first, which leaves its old bytes on the
    /// medium until they are overwritten.
    ///
    /// # Errors
    /// [`Error::OtherKey`] when it is under none of the keys, or as [`Db::open_on`].
    pub fn open_sealed(self, keys: &[SealKey], entropy: &dyn Entropy, options: Options) -> Result<Db, Error> {
        let key = keys.first().ok_or(Error::OtherKey)?;
        // `self` keeps the lock on the old file until the new one has its place and its lock.
        match seal_anew(&Folder { catalog: &self.path }, &self.file, keys, entropy)? {
            Some(copy) => Db::open_on(copy, options),
            None => Db::open_on(Sealed::open(FileBackend::new(self.file)?, key, entropy)?, options),
        }
    }
}

fn form_of(original: &dyn Original) -> Result<Form, Error> {
    let length = original.bytes().map_err(|error| Error::from_io(&error))?;
    let start = start_of(original, SEALED_HEADER_BYTES.min(length))?;
    Ok(match sealed::is_header(&start) {
        // A sealed file grows past its header only when that is durable.
        true if length > SEALED_HEADER_BYTES => Form::Sealed,
        true => Form::Empty,
        false if start.iter().all(|byte| *byte == 0) && length <= SEALED_HEADER_BYTES => Form::Empty,
        false if start.starts_with(&PLAIN_MAGIC) => Form::Plain,
        false => Form::Foreign,
    })
}

/// Its first bytes.
fn start_of(original: &dyn Original, bytes: u64) -> Result<Vec<u8>, Error> {
    let mut start = vec![0; bytes as usize];
    original.read(0, &mut start).map_err(|error| Error::from_io(&error))?;
    Ok(start)
}

/// Puts a copy under the first of `keys` in the place of a catalog that is plain or under another of
/// them. `None` where nothing was to be done: it is under that key, or empty.
///
/// # Errors
/// [`Error::OtherKey`] when it is under none of the keys, [`Error::Corrupt`] when it is no catalog, or the
/// medium's failure; what is there is whole then, and is what it was or the copy.
pub fn seal_anew<P: Place>(
    place: &P,
    original: &dyn Original,
    keys: &[SealKey],
    entropy: &dyn Entropy,
) -> Result<Option<Sealed<P::File>>, Error> {
    let key = keys.first().ok_or(Error::OtherKey)?;
    let (pages, was) = match form_of(original)? {
        Form::Foreign => {
            return Err(Error::Corrupt("the file is no catalog, or its start is damaged".into()));
        }
        Form::Empty => return Ok(None),
        Form::Sealed => match sealed::opened_with(&start_of(original, SEALED_HEADER_BYTES)?, keys)? {
            (0, _) => return Ok(None),
            (_, pages) => (Some(pages), "sealed with an older key"),
        },
        Form::Plain => (None, "plain"),
    };
    let copy = sealed::convert(place, &sealed::Source { original, pages }, key, entropy)?;
    tracing::info!(was, "sealed the catalog");
    Ok(Some(copy))
}

impl Original for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, at)
    }
}

/// The folder a catalog's file lies in.
struct Folder<'p> {
    catalog: &'p Path,
}

impl Folder<'_> {
    fn copy(&self) -> PathBuf {
        let name = self.catalog.file_name().unwrap_or_default().to_string_lossy();
        self.catalog.with_file_name(format!(".{name}.sealed"))
    }
}

impl Place for Folder<'_> {
    type File = FileBackend;

    fn copy_name(&self) -> String {
        self.copy().display().to_string()
    }

    fn create(&self) -> Result<FileBackend, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(self.copy()).map_err(|error| Error::from_io(&error))?;
        file.try_lock().map_err(|_| Error::InUse)?;
        Ok(FileBackend::new(file)?)
    }

    fn rename(&self) -> Result<(), Error> {
        std::fs::rename(self.copy(), self.catalog).map_err(|error| Error::from_io(&error))
    }

    fn sync(&self) -> Result<(), Error> {
        let Some(folder) = self.catalog.parent() else { return Ok(()) };
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::from_io(&error))
    }
}
