//! What can go wrong between a record and the disk.

/// A database failure. The text names the medium's own complaint.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another process has the file open.
    #[error("the catalog is in use by another tintype process; stop it, or talk to it with the same --data")]
    InUse,
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
    /// The medium is full.
    #[error("no space left for the catalog: {0}")]
    Full(String),
    /// An earlier commit failed; the outcome is unknown until the process restarts.
    #[error("an earlier commit failed ({0}); restart to recover")]
    Poisoned(String),
    /// A table that holds facts was left out of the list the journal was opened with: a fault of
    /// the program.
    #[error("table {0} holds facts but is not listed for the journal")]
    Unlisted(&'static str),
    /// The writer has stopped: the process is shutting down.
    #[error("the catalog is closed")]
    Closed,
}

impl Error {
    fn from_io(error: &std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::Full(error.to_string())
            }
            _ => Error::Io(error.to_string()),
        }
    }
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
