//! What can go wrong between a record and the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A database failure. The text names the medium's own complaint.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another process has the file open.
    #[error("the catalog is in use by another tintype process; stop it, or talk to it with the same --data")]
    InUse,
    /// The file is sealed, and no key was given.
    #[error("the catalog is sealed, and the store it belongs to is not: put the catalog of this store back")]
    Sealed,
    /// The file is sealed with a key of another store.
    #[error("the catalog is sealed with another store's keys: put the catalog of this store back")]
    OtherKey,
    /// The file was written by a newer release.
    #[error("the catalog has format {found}, this release reads up to {supported}: use the newer release")]
    NewerFormat {
        /// Format stamp in the file.
        found: u32,
        /// Newest format this release knows.
        supported: u32,
    },
    /// The file is not a catalog, or is damaged.
    #[error("the catalog is damaged: {0}")]
    Corrupt(String),
    /// The medium failed.
    #[error("the catalog's medium failed: {0}")]
    Io(String),
    /// The file, or the medium it lies on, must not be written.
    #[error("{0}; run as its owner, remount it for writing, or choose another --data")]
    Denied(String),
    /// The medium is full.
    #[error("no space left for the catalog: {0}")]
    Full(String),
    /// An earlier commit failed; the outcome is unknown until the process restarts.
    #[error("an earlier commit failed ({0}); restart to recover")]
    Poisoned(String),
    /// A table was left out of the lists the file was opened with, so that a rebuilt file would
    /// lack it: a fault of the program.
    #[error("table {0} is neither listed as facts nor as derived from them")]
    Unlisted(&'static str),
    /// A change of a table that is not listed as facts: another release made it.
    #[error("this release knows no table {0}; use the release that wrote it")]
    UnknownTable(String),
    /// The writer has stopped: the process is shutting down.
    #[error("the catalog is closed")]
    Closed,
}

impl Error {
    pub(super) fn from_io(error: &std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::Full(error.to_string())
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Error::Denied(error.to_string())
            }
            _ => Error::Io(error.to_string()),
        }
    }
}

/// Runs what may meet damage. Some damage redb takes for impossible, and panics; here it is an
/// error like any other, for a damaged file must neither end the process without advice nor leave
/// the writer gone and the process up.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::Corrupt("the database cannot make sense of its file; restore it from a backup".into()))
    })
}

impl From<redb::StorageError> for Error {
    fn from(error: redb::StorageError) -> Error {
        match error {
            redb::StorageError::Corrupted(text) => Error::Corrupt(text),
            redb::StorageError::Io(error) => Error::from_io(&error),
            redb::StorageError::PreviousIo => Error::Poisoned("an earlier write failed".into()),
            redb::StorageError::DatabaseClosed => Error::Closed,
            other => Error::Io(other.to_string()),
        }
    }
}

impl From<redb::DatabaseError> for Error {
    fn from(error: redb::DatabaseError) -> Error {
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Error::InUse,
            redb::DatabaseError::Storage(error) => error.into(),
            other => Error::Corrupt(other.to_string()),
        }
    }
}

impl From<redb::TransactionError> for Error {
    fn from(error: redb::TransactionError) -> Error {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => Error::Io(other.to_string()),
        }
    }
}

impl From<redb::TableError> for Error {
    fn from(error: redb::TableError) -> Error {
        match error {
            redb::TableError::Storage(error) => error.into(),
            other => Error::Corrupt(other.to_string()),
        }
    }
}

impl From<redb::CommitError> for Error {
    fn from(error: redb::CommitError) -> Error {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => Error::Io(other.to_string()),
        }
    }
}
