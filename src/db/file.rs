//! The catalog's file before it is opened: locked, and known to be plain or sealed.
//!
//! Invariant: whoever claims the file is the only one, until it lets go of the claim or closes the
//! database that came of it. So a store can be looked at, and its keys found, before the catalog
//! opens, and nobody else works on either.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;

use super::error::Error;
use super::open::{Db, Options};
use super::sealed::{self, SEALED_HEADER_BYTES, SealKey, Sealed};
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
        let failed = |error: io::Error| Error::from_io(&error);
        let length = self.file.metadata().map_err(failed)?.len();
        let mut start = vec![0; SEALED_HEADER_BYTES.min(length) as usize];
        self.file.read_exact_at(&mut start, 0).map_err(failed)?;
        Ok(match sealed::is_header(&start) {
            // A sealed file grows past its header only when that is durable.
            true if length > SEALED_HEADER_BYTES => Form::Sealed,
            true => Form::Empty,
            false if start.iter().all(|byte| *byte == 0) && length <= SEALED_HEADER_BYTES => Form::Empty,
            false if start.starts_with(&PLAIN_MAGIC) => Form::Plain,
            false => Form::Foreign,
        })
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

    /// Opens it under a key: an empty one becomes a sealed database, and a plain one is sealed
    /// first, which leaves its old bytes on the medium until they are overwritten.
    ///
    /// # Errors
    /// [`Error::OtherKey`], or as [`Db::open_on`].
    pub fn open_sealed(self, key: &SealKey, entropy: &dyn Entropy, options: Options) -> Result<Db, Error> {
        match self.form()? {
            Form::Plain => {
                // `self` keeps the lock on the old file until the sealed one has its place and its lock.
                let medium = sealed::convert(&self.path, &self.file, key, entropy)?;
                tracing::info!(path = %self.path.display(), "sealed the catalog, which was plain");
                Db::open_on(medium, options)
            }
            Form::Foreign => Err(Error::Corrupt("the file is no catalog, or its start is damaged".into())),
            Form::Empty | Form::Sealed => {
                Db::open_on(Sealed::open(FileBackend::new(self.file)?, key, entropy)?, options)
            }
        }
    }
}
