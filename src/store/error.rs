//! What can go wrong between a stream and its medium.

use super::keyring::KeyError;
use crate::db;
use crate::model::ContentId;
use crate::objects;

/// A store failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No space for more data: free some, then try again.
    #[error("no space left for image data: {0}")]
    Full(String),
    /// The medium does not answer, or not now: try again later.
    #[error("the store's medium failed: {0}")]
    Unavailable(String),
    /// The medium was not recognised since this process began: what is not at hand is had later.
    #[error(
        "{place} has not been reached since the start ({why}); a server tries it again every few seconds"
    )]
    Away {
        /// What people know the medium by.
        place: String,
        /// What the last try met.
        why: String,
    },
    /// Stored bytes are not what was written.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The object, or what it holds.
        what: String,
        /// What was expected and found.
        reason: String,
    },
    /// No such content.
    #[error("no content {0}")]
    Missing(ContentId),
    /// A pack that a stream was about to use has been reclaimed: send the stream again.
    #[error("pack {0} was reclaimed while it was being used; send the image again")]
    Reclaimed(u64),
    /// A pack that a stream relies on was found damaged meanwhile: send the stream again.
    #[error(
        "pack {0} was found damaged while an image that shares its data was being sent; send the image again"
    )]
    Lost(u64),
    /// The store is sealed and its master key is absent, wrong, or its key ring is damaged.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store was written by a newer release.
    #[error("the store has format {found}, this release reads up to {supported}: use the newer release")]
    NewerFormat {
        /// Format in the store's header.
        found: u32,
        /// Newest format this release knows.
        supported: u32,
    },
    /// There is no store.
    #[error("there is no store: no object tintype-store")]
    Absent,
    /// The catalog belongs to another store, or the store's header is gone.
    #[error("the store does not belong to this catalog: {0}")]
    Foreign(String),
    /// A place beside the home cannot be used as the settings have it: what they say has to change, or the medium.
    #[error("{0}")]
    Place(String),
    /// The stream falls into more pieces than a manifest may have: compress it, then send it.
    #[error("the image falls into more than {0} pieces; send it compressed, for example as qcow2 -c")]
    TooFragmented(usize),
    /// There is no memory for the stream's list of pieces beside those of others: try again later.
    #[error("too many images that fall into very many pieces are being read at once; try again later")]
    Crowded,
    /// A worker died: a fault of the program.
    #[error("a worker of the store failed; the log says why")]
    Broken,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    /// A catalog that belongs to a store, and no store.
    pub fn lost() -> Error {
        Error::Foreign("the store's header is gone: is the medium mounted?".into())
    }

    /// Another store than the catalog's.
    pub fn another(id: &[u8; 16]) -> Error {
        Error::Foreign(format!("the store there is {}", hex::encode(id)))
    }

    /// Whether something stored cannot be read now, and waiting alone will not change that.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Error::Damaged { .. } | Error::Key(KeyError::Unknown(_) | KeyError::UnknownVersion { .. })
        )
    }

    /// Whether the medium does not answer, or does not yet.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Away { .. })
    }

    pub(super) fn damaged(what: impl Into<String>, reason: impl std::fmt::Display) -> Error {
        Error::Damaged { what: what.into(), reason: reason.to_string() }
    }
}

impl From<objects::Error> for Error {
    fn from(error: objects::Error) -> Error {
        match error {
            objects::Error::Full(text) => Error::Full(text),
            objects::Error::Away { place, why } => Error::Away { place, why },
            objects::Error::NotFound(key) => Error::damaged(key.to_string(), "the object is not there"),
            objects::Error::Invalid(text) => Error::damaged("an object", text),
            other => Error::Unavailable(other.to_string()),
        }
    }
}
